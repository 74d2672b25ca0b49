"""Whether a vault still is what it says: rows, edges, index, keys and log against each other.

    found = Consistency(parts).run("clinic")
    found.errors            # 0, or somebody has to look
    found.found             # findings: what, how bad, where, expected, got, repaired

Goes through, in this order: memories with all their versions; episodes; names of subjects; what hangs on memories;
rows about erased persons; keys; all rows against the whole log; quarantine; the index against rows. Owns the order, and where a run that was cut
short goes on (`Findings.cursor`). What is looked at, and what a rule allows to be put right, is `vault.checking`'s:

- A bad row is put into quarantine: it is not served, and the others are. It is never changed, and never removed.
- What is derived is made anew: index, vectors, whom a memory is about, what hung on a memory that was removed.
- Everything else is told of, and left to a person.

Each repair is an entry. Without `repair` nothing is changed at all.
"""

from collections.abc import Callable
from typing import Final

from vault.checking.finding import Bounds, Check, Finding, Findings, Severity
from vault.checking.graph import check_graph, check_persons
from vault.checking.keys import check_keys
from vault.checking.rows import RowChecks
from vault.checking.whole import check_index, check_log, check_quarantine
from vault.parts import Parts
from vault.storage.group_commit import Change

__all__ = ["Check", "Consistency", "Finding", "Findings", "Severity"]

BATCH: Final = 256
"""Memories that are read at one time; nothing is locked meanwhile."""
STAGES: Final = ("memories", "episodes", "names", "graph", "persons", "keys", "log", "quarantine", "index")
_SEPARATOR: Final = " "


class Consistency:
    """Checks one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(
        self,
        tenant: str,
        *,
        cursor: str = "",
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
        batch: int = BATCH,
        repair: bool = True,
    ) -> Findings:
        """Check a tenant's share of the vault.

        Args:
            tenant: Whose.
            cursor: From a run that was cut short; empty begins anew.
            may_go_on: Asked before each page and stage; what is left is for the next run.
            fence: Refuses each repair in its transaction where whoever runs this may not any more.
            batch: Rows that are read at one time.
            repair: Whether bad rows go into quarantine and what is derived is put right.

        Raises:
            LeaseLostError: the fence refused.
            RootUnusableError: or one of its kinds: no key can be had now, which says nothing of rows.
            StorageError: or one of its kinds.
        """
        findings = Findings()
        bounds = Bounds(batch, may_go_on, fence, repair)
        stage, after = _read_cursor(cursor)
        for name in STAGES[STAGES.index(stage) :]:
            findings.cursor = _SEPARATOR.join((name, after))
            if not may_go_on() or not self._stage(name, after, tenant, bounds, findings):
                return findings
            after = ""
        findings.cursor, findings.complete = "", True
        return findings

    def _stage(self, name: str, after: str, tenant: str, bounds: Bounds, findings: Findings) -> bool:
        """Check one kind of thing; say whether all of it was looked at."""
        rows = RowChecks(self._parts, tenant, bounds, findings)
        paged = {"memories": rows.memories, "episodes": rows.episodes, "names": rows.names}
        whole: dict[str, Callable[[], None]] = {
            "graph": lambda: check_graph(self._parts, tenant, bounds, findings),
            "persons": lambda: check_persons(self._parts, tenant, findings),
            "keys": lambda: check_keys(self._parts, tenant, findings),
            "log": lambda: check_log(self._parts, tenant, findings),
            "quarantine": lambda: check_quarantine(self._parts, tenant, findings),
            "index": lambda: check_index(self._parts, tenant, bounds, findings),
        }
        if name in whole:
            whole[name]()
            return True
        place: str | None = after
        while place is not None:
            findings.cursor = _SEPARATOR.join((name, place))
            if not bounds.may_go_on():
                return False
            place = paged[name](place)
        return True


def _read_cursor(cursor: str) -> tuple[str, str]:
    """Return stage and place; a cursor that is none begins anew: the same is looked at twice, nothing is left out."""
    stage, _, after = cursor.partition(_SEPARATOR)
    return (stage, after) if stage in STAGES else (STAGES[0], "")
