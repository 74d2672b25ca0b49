"""What hangs on memories: edges, subject rows, vectors, reviews, of memories that are not there, or of erased persons.

Owns finding them and the one rule by which they go: the memory was removed for good, its tombstone says so, and what
hung on it was forgotten. Where no tombstone says so, a memory is missing that the log knows: nothing is deleted,
since the rest is evidence.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from vault.checking.finding import Bounds, Check, Finding, Findings, Severity, shown
from vault.parts import Parts
from vault.storage.consistency_rows import Hanging, delete_hanging, hanging, persons, tombstoned
from vault.storage.group_commit import WriteSet

MOST: Final = 2_000
"""Rows of one kind that one run looks at."""


def check_graph(parts: Parts, tenant: str, bounds: Bounds, findings: Findings) -> None:
    """Find what hangs in the air, and remove what a tombstone accounts for."""
    tombstones = parts.sealers.tombstones(tenant)
    with parts.store.log_connection(tenant) as connection:
        rows = hanging(connection, tenant, MOST)
        digests = {tombstones.memory(one).digest: one for row in rows for one in row.missing}
        gone = tombstoned(connection, tenant, digests)
    forgotten = [row for row in rows if gone.issuperset(row.missing)]
    for start in range(0, len(forgotten) if bounds.repair else 0, bounds.batch):
        _remove(parts, tenant, bounds, forgotten[start : start + bounds.batch])
    for row in rows:
        is_forgotten = gone.issuperset(row.missing)
        got = f"a row of {row.table.name} without it"
        expected = "nothing of a memory that was removed" if is_forgotten else "a memory, or its tombstone"
        severity = Severity.WARNING if is_forgotten else Severity.ERROR
        where = shown(next((one for one in row.missing if one not in gone), row.missing[0]))
        findings.add(
            Finding(Check.EDGE, severity, where, expected, got, repaired=is_forgotten and bounds.repair)
        )


def check_persons(parts: Parts, tenant: str, findings: Findings) -> None:
    """Find rows about persons who were erased; nothing is deleted but by an erasure, which an officer confirms."""
    tombstones = parts.sealers.tombstones(tenant)
    with parts.store.log_connection(tenant) as connection:
        about = persons(connection, tenant)
        erased = tombstoned(connection, tenant, {tombstones.subject(one).digest: one for one in about})
    for one in sorted(erased):
        expected = "nothing about a person who was erased: memvault erase takes it"
        got = f"rows of {', '.join(about[one])}"
        findings.add(Finding(Check.TOMBSTONE, Severity.ERROR, shown(one), expected, got))


def _remove(parts: Parts, tenant: str, bounds: Bounds, rows: Sequence[Hanging]) -> None:
    kinds = Counter(row.table.name for row in rows)
    told: dict[str, JsonValue] = {
        "about": "hanging-rows",
        "count": len(rows),
        "kinds": [[kind, count] for kind, count in sorted(kinds.items())],
        "targets": sorted({one for row in rows for one in row.missing}),
    }

    def remove(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        delete_hanging(connection, tenant, rows)

    draft = parts.journal.event(EventType.VAULT_REPAIR, tenant, told)
    parts.store.submit(WriteSet(drafts=[draft], changes=bounds.fenced(remove)))
