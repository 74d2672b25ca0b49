"""Witnesses of a vault's logs: asking each in a thread of its own, and keeping what it signs.

Owns who is asked about which log and when, the cosignatures that come back, and each witness's standing,
of which every change is an entry of the system log. It leaves one request to `vault.witness_client`, and
what a cosignature is worth to `vault.finality`.

Threat: a witness that hangs, is down or is bought must not stop or slow a write. Nothing here runs on a
writer's thread; a write waits for no witness, and a receipt says what is missing (law 7).
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import Connection

from audit.cosignature_rows import add_cosignature, largest_cosigned
from audit.errors import AuditError
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog, Leaf
from audit.note import Signature
from audit.witness import Submission
from vault.clock import Clock, microseconds, monotonic
from vault.errors import VaultError
from vault.storage.store import Store
from vault.witness_client import (
    Cosigned,
    HasSize,
    HttpWitness,
    ProofRefused,
    Refused,
    Reply,
    Unreachable,
)

FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 300.0
"""Seconds: each retry waits twice as long as the one before, up to this."""
END_SECONDS: Final = 1.5
"""How long an ending vault waits for a witness that is being asked."""
_TRIES: Final = 3


class Standing(StrEnum):
    """How a witness stands."""

    UNASKED = "unasked"
    """It was not asked yet, or nothing was there to ask about."""
    COSIGNS = "cosigns"
    UNREACHABLE = "unreachable"
    REFUSES = "refuses"
    """It answered, and neither cosigned nor contradicted."""
    CONTRADICTS = "contradicts"
    """It has seen a larger tree, or another: an old copy, a cut tail or a fork. Raise the alarm."""


@dataclass(frozen=True, slots=True)
class WitnessStatus:
    """How one witness stands, and since when it is said."""

    name: str
    standing: Standing
    reason: str = ""
    log: str = ""
    """Tenant of the log about which it was asked last."""
    seen: int = 0
    """Where it contradicts: the size that it has seen."""


class Ruling(NamedTuple):
    """What came of asking a witness about one log."""

    status: WitnessStatus
    size: int = 0
    """Size of the checkpoint that it was asked about."""
    signature: Signature | None = None


def ask(store: Store, log: AuditLog, tenant: str, witness: HttpWitness, known: int) -> Ruling | None:
    """Submit a log's last signed checkpoint to a witness; None where none was signed.

    Args:
        store: Where the log lies.
        log: Whose proofs are sent.
        tenant: Whose log.
        witness: Whom to ask.
        known: Size that it is known to have cosigned; wrong is no harm.
    """
    with store.log_connection(tenant) as connection:
        latest = log.latest_checkpoint(connection, tenant)
    if latest is None:
        return None
    size, old = latest.checkpoint.size, min(known, latest.checkpoint.size)
    reply: Reply = Unreachable("not asked")
    for _ in range(_TRIES):
        with store.log_connection(tenant) as connection:
            proof = log.consistency_proof(connection, tenant, old, size) if 0 < old < size else []
        reply = witness.submit(Submission(old, tuple(proof), latest.note))
        if not isinstance(reply, HasSize) or reply.size > size or reply.size == old:
            break
        if reply.size < known:
            reply = Refused(f"it had cosigned size {known} and now knows {reply.size}: it forgot")
            break
        old = reply.size
    return _ruling(WitnessStatus(witness.key.name, Standing.UNASKED, log=tenant), reply, old, size)


def _ruling(asked: WitnessStatus, reply: Reply, old: int, size: int) -> Ruling:
    """Return what a witness's last reply means, to a submission from `old` to `size`."""
    found = Standing.REFUSES
    match reply:
        case Cosigned(signature):
            return Ruling(replace(asked, standing=Standing.COSIGNS), size, signature)
        case Unreachable(reason):
            return Ruling(replace(asked, standing=Standing.UNREACHABLE, reason=reason), size)
        case Refused(reason):
            return Ruling(replace(asked, standing=found, reason=reason), size)
        case ProofRefused():
            reason, found, seen = "it saw another history", Standing.CONTRADICTS, old
        case HasSize(seen) if seen > size:
            reason, found = "it saw a larger tree", Standing.CONTRADICTS
        case HasSize(seen) if seen == old == size:
            reason, found = "it saw another root at this size", Standing.CONTRADICTS
        case HasSize(seen):
            reason = "it moved meanwhile"
    return Ruling(replace(asked, standing=found, reason=reason, seen=seen), size)


class WitnessCaller:
    """Asks one witness about every log that has a newer checkpoint, in a thread of its own.

    Args:
        witness: Whom to ask.
        store: Where the logs lie, and cosignatures go.
        log: Whose checkpoints and proofs are sent.
        logs: Returns whose logs there are.
        clock: Says when a cosignature came.
        changed: Told of each change of standing, on this thread.
    """

    def __init__(
        self,
        witness: HttpWitness,
        store: Store,
        log: AuditLog,
        *,
        logs: Callable[[], Iterable[str]],
        clock: Clock,
        changed: Callable[[WitnessStatus], None],
    ) -> None:
        self._witness = witness
        self._store = store
        self._log = log
        self._logs = logs
        self._clock = clock
        self._changed = changed
        self._status = WitnessStatus(witness.key.name, Standing.UNASKED)
        self._cosigned: dict[str, int] = {}
        self._failures = 0
        self._awake = threading.Event()
        self._last = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ask-{witness.key.name}", daemon=True)

    @property
    def status(self) -> WitnessStatus:
        """How the witness stands."""
        return self._status

    @property
    def failures(self) -> int:
        """How often a cosignature or a change of standing could not be stored."""
        return self._failures

    def begin(self, rulings: Iterable[Ruling]) -> None:
        """Take what was ruled at opening, and ask from here on."""
        known = list(rulings)
        try:
            for ruling in known:
                self.keep(ruling.status.log, ruling)
        except VaultError:
            self._failures += 1
        self.settle(ruling.status for ruling in known)
        self._thread.start()

    def wake(self) -> None:
        """Ask soon: there are new checkpoints."""
        self._awake.set()

    def finish(self) -> None:
        """Ask once more, for what was signed at the end, and then no more."""
        self._last.set()
        self._awake.set()

    def end(self, over: float) -> None:
        """Stop asking; the last round is waited for until a moment, a witness that hangs is left to its own end."""
        self.finish()
        if self._thread.is_alive():
            self._thread.join(max(0.0, over - monotonic()))
        self._ending.set()

    def _run(self) -> None:
        retry = FIRST_RETRY
        while not self._ending.is_set():
            last = self._last.is_set()
            self._awake.clear()
            whole = self._round()
            if last:
                return
            if self._last.is_set():
                continue
            if whole:
                retry = FIRST_RETRY
                self._awake.wait()
            else:
                # New checkpoints wake nobody here: a witness that is down is not asked more often for them.
                self._last.wait(retry)
                retry = min(2 * retry, LAST_RETRY)

    def _round(self) -> bool:
        """Ask about each log once; say whether all there was to ask about was cosigned."""
        found: list[WitnessStatus] = []
        for tenant in self._logs():
            if self._ending.is_set():
                return True
            try:
                found += self._ask(tenant)
            except (VaultError, AuditError):
                self._failures += 1
                found.append(WitnessStatus(self._status.name, Standing.UNASKED, log=tenant))
            if found and found[-1].standing is Standing.UNREACHABLE:
                break
        self.settle(found)
        return all(one.standing is Standing.COSIGNS for one in found)

    def _ask(self, tenant: str) -> list[WitnessStatus]:
        """Ask about one log, if there is something new; return what came of it."""
        with self._store.log_connection(tenant) as connection:
            latest = self._log.latest_checkpoint(connection, tenant)
            known = self._cosigned.get(tenant)
            if known is None:
                known = largest_cosigned(connection, tenant, self._witness.key.name)
                self._cosigned[tenant] = known
        if latest is None or latest.checkpoint.size == known:
            return []
        ruling = ask(self._store, self._log, tenant, self._witness, known)
        if ruling is None:
            return []
        self.keep(tenant, ruling)
        return [ruling.status]

    def keep(self, tenant: str, ruling: Ruling) -> None:
        """Store the cosignature, where one came.

        Raises:
            StorageError: or one of its kinds: nothing was kept.
        """
        signature = ruling.signature
        if signature is None:
            return
        received = microseconds(self._clock())

        def add(connection: Connection, _leaves: Iterable[Leaf]) -> None:
            add_cosignature(connection, tenant, ruling.size, signature, received)

        self._store.change(add)
        self._cosigned[tenant] = ruling.size

    def settle(self, found: Iterable[WitnessStatus]) -> None:
        """Take the worst of what was found as how the witness stands; a contradiction stays."""
        worst = max(found, key=lambda one: _BADNESS[one.standing], default=self._status)
        before = self._status
        if before.standing is Standing.CONTRADICTS:
            return
        self._status = worst
        if before.standing is not worst.standing:
            try:
                self._changed(worst)
            except (VaultError, AuditError):
                self._failures += 1


_BADNESS: Final = {
    Standing.UNASKED: 0,
    Standing.COSIGNS: 1,
    Standing.REFUSES: 2,
    Standing.UNREACHABLE: 3,
    Standing.CONTRADICTS: 4,
}


def logs_of(tenants: Iterable[str]) -> tuple[str, ...]:
    """Return whose logs there are, the system log last: it covers the checkpoints of the others."""
    return (*sorted(tenants), SYSTEM_LOG)


def payload_of(status: WitnessStatus) -> Mapping[str, str | int]:
    """Return what an entry of the system log says of a change of standing."""
    told: dict[str, str | int] = {
        "witness": status.name,
        "standing": status.standing.value,
        "reason": status.reason,
        "log": status.log,
    }
    return told | ({"seen": status.seen} if status.standing is Standing.CONTRADICTS else {})
