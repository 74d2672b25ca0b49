"""Whether other policy files lie in the folder than are in force: noticed, told once, and used by nobody.

Owns the look: every few seconds it asks the system for sizes and times alone, and reads where these changed. No decision waits
for it, and none sees what it found. It leaves taking the files to `vault.bundles.reloading`.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.evidence import SYSTEM_LOG
from vault.bundles.following import InForce
from vault.bundles.source import BundleSource, Stamp
from vault.errors import VaultError
from vault.sweeping import Sweeper

LOOK_SECONDS: Final = 10.0
REASON: Final = "changed-file"


class FolderWatch:
    """Looks at a folder as long as the vault is open. Shared by threads."""

    def __init__(self, source: BundleSource, cell: InForce) -> None:
        self._source = source
        self._cell = cell
        self._stamp: Stamp | None = None
        self._found: str | None = None
        self._told: str | None = None
        self._differs = False
        self.look()
        self._sweeper = Sweeper(self.look, LOOK_SECONDS)

    @property
    def differs(self) -> bool:
        """Whether other files lie there than are in force, or none that can be read."""
        return self._differs

    def look(self, *, told: bool = False) -> None:
        """Look now; what is new and is not in force is told once in every log.

        Args:
            told: Whether an entry tells of it already: its refusal.
        """
        with self._cell.parts.ruling:  # else it would tell of files that a reload is about to take
            stamp = self._source.stamp()
            if stamp != self._stamp:
                self._found = self._source.digest()
                self._stamp = stamp
            self._differs = self._found != self._cell.parts.bundle.digest
            if not self._differs:
                self._told = None
            elif self._told != (self._found or ""):
                with suppress(VaultError):  # the next look tells it
                    if not told:
                        self._tell()
                    self._told = self._found or ""

    def _tell(self) -> None:
        parts = self._cell.parts
        told: dict[str, JsonValue] = {"kind": "noticed", "reason": REASON}
        if self._found is not None:
            told["candidate"] = self._found
        drafts = [
            replace(parts.journal.event(EventType.POLICY_REFUSE, log, told), outcome=Outcome.REFUSED)
            for log in (SYSTEM_LOG, *parts.store.tenants())
        ]
        parts.journal.write(drafts)

    def end(self) -> None:
        """Look no more."""
        self._sweeper.end()
