"""Signing logs soon after they grow, and refusing a store whose log is not the one that was signed.

Threat: whoever can write `vault.db` and has no log key rewrites the entries after the last signed
checkpoint. The `Checkpointer` keeps that stretch to seconds; `check_heads`, before anything is appended
to a log that was altered while the vault was closed, keeps the vault from signing the forgery.

Owns when logs are signed. What a checkpoint is and how it is checked is `audit.log`'s.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from audit.errors import AuditError, MalformedError, VerificationError
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog, Leaf
from vault.errors import TamperedError, VaultError
from vault.storage.store import Store

MANY_ENTRIES: Final = 1_000
"""Entries of one log that are signed before their time."""
LOOKS: Final = 4
"""How often within its time a log is looked at for so many."""


class Checkpointer:
    """Signs every log whose head has moved, now and then in a thread of its own.

    Args:
        store: Where the logs lie.
        log: What signs them.
        policy_digest: Returns the digest of the bundle in force.
        tenants: Returns the ids of all tenants.
        seconds: Longest time between an entry and its signing.
        signed: Told after each look, when what was signed is durable: what is outside the database follows.
    """

    def __init__(
        self,
        store: Store,
        log: AuditLog,
        policy_digest: Callable[[], str],
        tenants: Callable[[], Iterable[str]],
        seconds: float,
        *,
        signed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._log = log
        self._policy_digest = policy_digest
        self._tenants = tenants
        self._seconds = seconds
        self._tell = signed
        self._signed: dict[str, int] = {}
        self._failures = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sign-logs", daemon=True)
        self._thread.start()

    @property
    def failures(self) -> int:
        """How often a log could not be signed: no space left, or a log that contradicts its checkpoint."""
        return self._failures

    def sign_now(self) -> int:
        """Sign each tenant's log that grew since its last checkpoint, then the system log; return how many.

        Raises:
            StorageError: or one of its kinds; nothing was signed.
        """
        count = self._sign(self._moved(1))
        self._tell()
        return count

    def end(self) -> None:
        """Stop the thread, and sign what is not signed yet; what cannot be signed stands unsigned."""
        self._ending.set()
        self._thread.join()
        self._try(1)

    def _run(self) -> None:
        looks = 0
        while not self._ending.wait(self._seconds / LOOKS):
            looks += 1
            self._try(1 if looks % LOOKS == 0 else MANY_ENTRIES)

    def _try(self, least: int) -> None:
        try:
            if self._sign(self._moved(least)) or least == 1:  # now and then, also for what failed before
                self._tell()
        except (VaultError, AuditError):
            self._failures += 1  # the next time comes soon, and verification says what is not signed

    def _moved(self, least: int) -> list[str]:
        """Return the logs that grew by so many entries, the system log last."""
        moved = []
        with self._store.log_connection(SYSTEM_LOG) as connection:
            for name in (*sorted(self._tenants()), SYSTEM_LOG):
                try:
                    if name not in self._signed:
                        latest = self._log.latest_checkpoint(connection, name)
                        self._signed[name] = 0 if latest is None else latest.checkpoint.size
                    if self._log.head(connection, name).size >= self._signed[name] + least:
                        moved.append(name)
                except (VerificationError, MalformedError):
                    self._failures += 1
        return moved

    def _sign(self, logs: Sequence[str]) -> int:
        if not logs:
            return 0
        sizes: dict[str, int] = {}

        def sign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            sizes.clear()
            # Each tenant's checkpoint becomes an entry of the system log, which is signed with them:
            # nothing is left over that would have to be signed the next time.
            for name in dict.fromkeys((*logs, SYSTEM_LOG)):
                try:
                    signed = self._log.checkpoint(connection, name, policy=self._policy_digest())
                except (VerificationError, MalformedError):
                    self._failures += 1  # one damaged log does not leave the others unsigned
                else:
                    sizes[name] = signed.checkpoint.size

        self._store.change(sign)
        self._signed.update(sizes)
        return len(sizes)


def check_heads(store: Store, log: AuditLog, tenants: Iterable[str]) -> None:
    """Hold each stored log against its last signed checkpoint, before anything is appended to it.

    Reads what came since that checkpoint, and little of what came before. A log that was never signed has
    nothing to be held against but its own leaves.

    Raises:
        TamperedError: a log is shorter than what was signed, or another; or its head is not its own.
    """
    for name in (SYSTEM_LOG, *tenants):
        with store.log_connection(name) as connection:
            try:
                log.check(connection, name)
            except VerificationError as error:
                raise TamperedError(f"the log of {name} is not what was signed: {error}") from error
            except MalformedError as error:
                raise TamperedError(f"the last checkpoint of {name} is not in its form") from error
