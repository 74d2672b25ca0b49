"""What holds a vault to its log from outside its database: the anchor and the witnesses.

Owns the two together: that each signed checkpoint is anchored and submitted, how they stand, and the
check at opening that refuses a log which is not the one that they saw. It leaves the anchor's file to
`audit.anchor`, asking to `vault.witnessing`, and what a receipt is worth to `vault.finality`.

Writes go on where an anchor or a witness fails: the log is whole without them, and a receipt says what
is missing. Opening does not, where one of them contradicts the log.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from audit.anchor import Anchored, FileAnchor
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature_rows import largest_cosigned, note_at, notes_beyond
from audit.errors import AnchorUnusableError, AuditError, MalformedError, VerificationError
from audit.event import EntryDraft, EventType
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.merkle import verify_consistency
from audit.note import parse_note
from policies.log_rules import LogRules, StartRule
from vault.clock import Clock, monotonic
from vault.errors import LogRolledBackError, OverloadedError, VaultError
from vault.journal import Journal
from vault.outside import Outside
from vault.outside_record import Held, earlier_opening
from vault.storage.store import Store
from vault.time_stamping import TimeStamper, TimeStampStatus
from vault.witness_client import HttpWitness
from vault.witnessing import (
    END_SECONDS,
    Ruling,
    Standing,
    WitnessCaller,
    WitnessStatus,
    ask,
    logs_of,
    payload_of,
)

START_SECONDS: Final = 6.0
"""How long an opening vault waits for its witnesses, all together."""
THE_ANCHOR: Final = "the anchor"
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class AnchorStatus:
    """How the anchor stands."""

    configured: bool
    usable: bool = False
    reason: str = ""
    failures: int = 0
    """Checkpoints that could not be anchored when they were signed."""
    damaged: int = 0
    """Lines of the file that are no record."""


@dataclass(frozen=True, slots=True)
class AssuranceStatus:
    """How anchor and witnesses stand."""

    anchor: AnchorStatus
    witnesses: tuple[WitnessStatus, ...]
    required: int
    time_stamps: TimeStampStatus | None = None
    """None where none are asked for."""
    missing: tuple[str, ...] = ()
    """What held the logs from outside at an earlier opening and does no more, in words."""


class Assurance:
    """Anchor and witnesses of an open vault."""

    def __init__(self, outside: Outside, store: Store, log: AuditLog, journal: Journal, clock: Clock) -> None:
        self._outside = outside
        self._store = store
        self._log = log
        self._journal = journal
        self._anchored: dict[str, int] = {}
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        self._opened = Held.of(outside)
        self._at_start: dict[str, list[Ruling]] = {}
        self._stamper = _stamper(outside, log)
        self._callers = [
            WitnessCaller(
                witness,
                store,
                log,
                logs=lambda: logs_of(store.tenants()),
                clock=clock,
                changed=self._note_change,
            )
            for witness in outside.witnesses
        ]

    @property
    def rules(self) -> LogRules:
        """When a receipt is final."""
        return self._outside.rules

    @property
    def status(self) -> AssuranceStatus:
        """How anchor and witnesses stand; those that nobody can reach are named, too."""
        asked = {caller.status.name: caller.status for caller in self._callers}
        names = [key.partition("+")[0] for key in self.rules.witnesses]
        unset = "no URL is set for it"
        return AssuranceStatus(
            self._anchor_status(),
            tuple(asked.get(name, WitnessStatus(name, Standing.UNREACHABLE, unset)) for name in names),
            self.rules.required,
            None if self._stamper is None else self._stamper.status,
            self._opened.told,
        )

    def anchored(self, tenant: str) -> int:
        """Return the size of the largest checkpoint of a log that stands in the anchor; 0 where that is gone."""
        try:
            if self._outside.anchor is not None:
                self._outside.anchor.check()
        except AnchorUnusableError:
            return 0
        return self._anchored.get(tenant, 0)

    def anchored_note(self, tenant: str) -> bytes | None:
        """Return the largest checkpoint of a log in the anchor that the log's key signed."""
        if self._outside.anchor is None or not self.anchored(tenant):
            return None
        found = self._latest(self._outside.anchor, tenant)
        return None if found is None else found.note

    def check(self, tenants: Iterable[str]) -> None:
        """Hold the stored logs against what anchor and witnesses saw, before anything is appended.

        Raises:
            LogRolledBackError: a log is smaller than, or inconsistent with, what one of them saw.
            AnchorUnusableError: the anchor is not the file that it was.
            OverloadedError: too few witnesses answered, and the policy refuses to serve then.
        """
        logs = logs_of(tenants)
        for tenant in logs:
            self._check_cosigned(tenant)
        if self._outside.anchor is not None:
            self._check_anchor(self._outside.anchor, logs)
        self._check_witnesses(logs)

    def compare(self, tenants: Iterable[str]) -> None:
        """Hold the logs of an open vault against the anchor and the stored cosignatures; nobody is asked.

        Raises:
            LogRolledBackError: a log is smaller than, or inconsistent with, what one of them saw.
            AnchorUnusableError: the anchor is not the file that it was.
        """
        logs = logs_of(tenants)
        for tenant in logs:
            self._check_cosigned(tenant)
        if self._outside.anchor is not None:
            with self._lock:
                self._check_anchor(self._outside.anchor, logs)

    def opening(self) -> tuple[EntryDraft, tuple[str, ...]]:
        """Draft the entry of the opening; return it, and what an earlier opening had and this one lacks, in words."""
        self._opened = Held.of(self._outside).after(earlier_opening(self._store))
        return self._opened.entry(self._journal), self._opened.told

    def start(self) -> None:
        """Take what the witnesses said at opening, and go on asking."""
        for caller in self._callers:
            caller.begin(self._at_start.pop(caller.status.name, []))
        if self._stamper is not None:
            self._stamper.start()

    def publish(self) -> None:
        """Anchor every checkpoint that is not anchored yet, and wake the witnesses' threads."""
        if self._outside.anchor is not None:
            with self._lock:
                self._anchor_all(self._outside.anchor)
        for caller in self._callers:
            caller.wake()

    def end(self) -> None:
        """Submit what was signed at the end, and stop asking."""
        for caller in self._callers:
            caller.finish()
        over = monotonic() + END_SECONDS
        for caller in self._callers:
            caller.end(over)
        if self._stamper is not None:
            self._stamper.end()

    def _anchor_status(self) -> AnchorStatus:
        anchor = self._outside.anchor
        if anchor is None:
            return AnchorStatus(configured=False)
        reason = self._reason
        try:
            anchor.check()
        except AnchorUnusableError as error:
            reason = str(error)
        return AnchorStatus(True, not reason, reason, self._failures, anchor.damaged)  # noqa: FBT003  # configured

    def _anchor_all(self, anchor: FileAnchor) -> None:
        reason = ""
        for tenant in logs_of(self._store.tenants()):
            try:
                self._anchor_new(anchor, tenant)
            except (AuditError, VaultError) as error:
                # Not anchored, and not called so: the next round tries again, receipts and doctor say it.
                self._failures += 1
                # The other logs do not wait for it.
                reason = str(error)
        self._reason = reason

    def _anchor_new(self, anchor: FileAnchor, tenant: str) -> None:
        """Anchor what was signed since; of a log that the anchor does not know yet, the last one alone."""
        if tenant not in self._anchored:
            with self._store.log_connection(tenant) as connection:
                latest = self._log.latest_checkpoint(connection, tenant)
            if latest is not None:
                anchor.append(latest.note)
                self._anchored[tenant] = latest.checkpoint.size
            return
        whole = False
        while not whole:
            with self._store.log_connection(tenant) as connection:
                notes = notes_beyond(connection, tenant, self._anchored[tenant], _BATCH)
            for note in notes:
                anchor.append(note)
                self._anchored[tenant] = parse_checkpoint(parse_note(note).text).size
            whole = len(notes) < _BATCH

    def _check_cosigned(self, tenant: str) -> None:
        """See that the checkpoint that witnesses last cosigned is still stored."""
        with self._store.log_connection(tenant) as connection:
            size = largest_cosigned(connection, tenant)
            note, head = note_at(connection, tenant, size), self._log.head(connection, tenant).size
        if size and (note is None or size > head):
            raise LogRolledBackError(
                self._log.origin(tenant),
                seen_by="a witness",
                seen=size,
                size=head,
                what="the checkpoint that it cosigned is gone",
            )

    def _check_anchor(self, anchor: FileAnchor, logs: Sequence[str]) -> None:
        anchor.check()
        earlier = earlier_opening(self._store)
        if earlier is not None and anchor.identity == earlier.anchor and anchor.length < earlier.anchor_bytes:
            # Threat: its tail was cut while nobody held it open; with an old database it would agree.
            raise AnchorUnusableError(
                f"the anchor was cut: expected at least {earlier.anchor_bytes} bytes, as at the last opening, "
                f"got {anchor.length}"
            )
        stored = {self._log.origin(tenant): tenant for tenant in logs}
        deployment = self._log.origin("")
        for origin in anchor.origins():
            if not origin.startswith(deployment):
                continue  # of another deployment that shares the file
            tenant = origin.removeprefix(deployment)
            found = self._latest(anchor, tenant)
            if found is None:
                # Threat: somebody else's key in place of the log's makes every line look like another's.
                if origin in stored and any(_is_of(origin, note) for note in anchor.notes(origin)):
                    self._refuse(tenant, THE_ANCHOR, 0, "what it holds is signed by no key of this vault")
                continue
            if origin not in stored:
                self._refuse(tenant, THE_ANCHOR, found.checkpoint.size, "the store has no such log")
            self._hold(tenant, found.checkpoint)
            self._anchored[tenant] = found.checkpoint.size

    def _latest(self, anchor: FileAnchor, tenant: str) -> Anchored | None:
        """Return the largest checkpoint of a log in the anchor that a key in force signed.

        Threat: a thief of a key of the past appends a larger one. Before that key was put down, every log was
        signed by it and by the next: where there is one by a key in force, those by others count no more.
        """
        for keys in ([one.verifier for one in self._log.keys.signers], self._log.keys.retired):
            found = anchor.latest(self._log.origin(tenant), [key.for_log(tenant) for key in keys])
            if found is not None:
                return found
        return None

    def _hold(self, tenant: str, seen: Checkpoint) -> None:
        """Hold a stored log against a checkpoint that the anchor has."""
        with self._store.log_connection(tenant) as connection:
            head = self._log.head(connection, tenant)
            if seen.size > head.size:
                self._refuse(tenant, THE_ANCHOR, seen.size, "an old copy was put back, or its tail was cut")
            if seen.size == 0:
                return
            try:
                proof = self._log.consistency_proof(connection, tenant, seen.size, head.size)
                verify_consistency(seen.size, head.size, proof, seen.root, head.root())
            except VerificationError:
                self._refuse(tenant, THE_ANCHOR, seen.size, "the entries below that size are others")

    def _refuse(self, tenant: str, seen_by: str, seen: int, what: str) -> None:
        with self._store.log_connection(tenant) as connection:
            size = self._log.head(connection, tenant).size
        raise LogRolledBackError(self._log.origin(tenant), seen_by=seen_by, seen=seen, size=size, what=what)

    def _check_witnesses(self, logs: Sequence[str]) -> None:
        """Ask all witnesses about all logs at one time, and wait no longer than a few seconds."""
        answers: dict[str, list[Ruling]] = {caller.status.name: [] for caller in self._callers}
        threads = [
            threading.Thread(
                target=self._ask_all, args=(witness, logs, answers[witness.key.name]), daemon=True
            )
            for witness in self._outside.witnesses
        ]
        for thread in threads:
            thread.start()
        over = threading.Event()
        timer = threading.Timer(START_SECONDS, over.set)
        timer.daemon = True
        timer.start()
        for thread in threads:
            while thread.is_alive() and not over.is_set():
                thread.join(0.05)
        timer.cancel()
        answered = 0
        for caller in self._callers:
            name = caller.status.name
            late = Ruling(WitnessStatus(name, Standing.UNREACHABLE, "no answer in time"))
            rulings = self._at_start[name] = list(answers[name]) or [late]
            answered += any(one.status.standing is not Standing.UNREACHABLE for one in rulings)
            for ruling in rulings:
                status = ruling.status
                if status.standing is Standing.CONTRADICTS:
                    self._refuse(status.log, f"witness {status.name}", status.seen, status.reason)
        if answered < self.rules.required and self.rules.unanswered_at_start is StartRule.REFUSE:
            raise OverloadedError(
                f"expected {self.rules.required} witnesses to answer at opening, got {answered}"
            )

    def _ask_all(self, witness: HttpWitness, logs: Sequence[str], rulings: list[Ruling]) -> None:
        for tenant in (SYSTEM_LOG, *logs[:-1]):
            try:
                with self._store.log_connection(tenant) as connection:
                    known = largest_cosigned(connection, tenant, witness.key.name)
                ruling = ask(self._store, self._log, tenant, witness, known)
            except (VaultError, AuditError):
                continue  # a log that is damaged: `check_heads` has said so, or will
            if ruling is None:  # never signed: there is nothing to ask about
                ruling = Ruling(WitnessStatus(witness.key.name, Standing.UNASKED, log=tenant))
            rulings.append(ruling)
            if ruling.status.standing is Standing.UNREACHABLE:
                return

    def _note_change(self, status: WitnessStatus) -> None:
        self._journal.write([self._journal.event(EventType.LOG_WITNESS, SYSTEM_LOG, payload_of(status))])


def _is_of(origin: str, note: bytes) -> bool:
    try:
        return parse_checkpoint(parse_note(note).text).origin == origin
    except MalformedError:
        return False


def _stamper(outside: Outside, log: AuditLog) -> TimeStamper | None:
    authority = outside.authority
    if authority is None or outside.anchor is None:
        return None
    return TimeStamper(authority.endpoint, authority.roots, outside.anchor, log, seconds=authority.seconds)
