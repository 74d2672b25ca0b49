"""Measure questions to a long log: `python -m tests.audit.measure_queries [ENTRIES]`.

Owns a synthetic log of a clinic (agents, a ward's hours, denials, erasures) that is indexed in a throw-away
folder. What is promised is measured through the vault by `memvault bench --only log`; this has the index alone,
more kinds of questions, and the plans that were not taken (ADR 0014). It asserts nothing. Times are of the thread's own processor time and of the wall, 95th percentiles.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, thread_time
from typing import Final

from sqlalchemy import Connection, func, select, text

from audit.evidence import StoredEntry
from audit.query import find as find_module
from audit.query.count import counts_of, fitting, histogram_of
from audit.query.find import Window, find
from audit.query.index import LogIndex
from audit.query.parse import parse_query
from audit.query.schema import ENTRY
from audit.query.syntax import Node

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
POLICY: Final = "sha256:" + "9a" * 32
RUNS: Final = 20
CALLS: Final = (
    ("memory.write", "write", 20),
    ("memory.search", "search", 40),
    ("memory.read", "read", 25),
    ("memory.reveal", "reveal", 3),
    ("memory.update", "update", 6),
    ("memory.organize", "organize", 5),
    ("audit.query", "audit", 1),
)
QUERIES: Final = (
    "",
    "actor:agent-7 action:memory.retrieve",
    "actor:agent-7 action:memory.search -outcome:allowed",
    "actor:agent-199 event:memory.reveal",
    "actor:agent-3 purpose:legal",
    "actor:agent-7 tier:private",
    "-outcome:allowed tier:none",
    "outcome:failed purpose:research",
    "actor:agent-7 OR (outcome:denied purpose:treatment)",
    "action:read since:2026-03-01 until:2026-03-02",
    "actor:agent-20 time:2026-02",
    "-actor:agent-7 -purpose:treatment",
    "resource:mem_00000000000000000000012345 action:read",
    'actor:agent-7 "00012345"',
    "index:1000..2000 outcome:denied",
)


class SyntheticLog:
    """A log that is made up as it is read, the same each time."""

    tenant = "clinic"

    def __init__(self, size: int) -> None:
        self.size = size
        self._events = [call[:2] for call in CALLS for _ in range(call[2])]

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        """Yield entries."""
        for index in range(start, stop):
            yield self._entry(index)

    def _entry(self, index: int) -> StoredEntry:
        drawn = random.Random(index)  # noqa: S311  # made-up entries
        event, action = drawn.choice(self._events)
        actor = f"agent-{min(int(drawn.expovariate(0.03)), 199)}"
        denied = drawn.random() < 0.02
        outcome = "denied" if denied else drawn.choices(("ok", "not-found", "failed"), (97, 2, 1))[0]
        purpose = drawn.choices(("treatment", "operations", "research", "legal"), (80, 15, 4, 1))[0]
        at = START + timedelta(seconds=index * 15) + timedelta(microseconds=drawn.randrange(1_000_000))
        resource = "null" if event == "memory.search" else f'"mem_{index // 3:026}"'
        header = (
            f'{{"action":"{action}","commitment":"{index:064x}","decision":"{"denied" if denied else "allowed"}"'
            f',"event":"{event}","outcome":"{outcome}","policy":"{POLICY}","principal":"{actor}"'
            f',"purpose":"{purpose}","resource":{resource},"tenant":"clinic"'
            f',"time":"{at.isoformat(timespec="microseconds")[:26]}Z","v":1}}'
        )
        payload = '{"access_tier":"private"}' if event == "memory.write" else "{}"
        return StoredEntry(index, header, bytes(32), payload, index.to_bytes(32), event, 0)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def p95(work: Callable[[], object]) -> str:
    """Return the 95th percentile of so many runs, wall and own time."""
    walls, owns = [], []
    for _ in range(RUNS):
        wall, own = perf_counter(), thread_time()
        work()
        walls.append(perf_counter() - wall)
        owns.append(thread_time() - own)
    return f"{sorted(walls)[-2] * 1e3:7.1f} ms {sorted(owns)[-2] * 1e3:7.1f} ms own"


def measure_alternatives(connection: Connection, reached: int) -> None:
    """Print what simpler plans take: a walk for pages, SQL over single rows for counts."""
    rare = parse_query("actor:agent-199 event:memory.reveal outcome:failed", now=START)
    walked = "walk: " + p95(lambda: walk(connection, rare, reached))
    say(
        f"a page of two rare conditions, by kind: {p95(lambda: by_kind(connection, rare, reached))}; {walked}"
    )
    by = select(ENTRY.c.kind_id, func.count()).group_by(ENTRY.c.kind_id)
    say(f"counts by kind in SQL: {p95(lambda: connection.execute(by).all())}")
    hour = ENTRY.c.time_us // 3_600_000_000
    say(
        f"a histogram in SQL: {p95(lambda: connection.execute(select(hour, func.count()).group_by(hour)).all())}"
    )
    make_plain(connection)
    plain = text(
        "SELECT leaf_index FROM plain WHERE actor = :a AND event = :e ORDER BY leaf_index DESC LIMIT 50"
    )
    common = {"a": "agent-0", "e": "audit.query"}
    asked = parse_query("actor:agent-0 event:audit.query outcome:failed", now=START)
    one = text(str(plain).replace("ORDER", "AND outcome = 'failed' ORDER"))
    say(f"an index for each field: {p95(lambda: connection.execute(plain, common).all())}")
    say(f"the same with a third, rare one: {p95(lambda: connection.execute(one, common).all())}")
    say(f"the same by kind: {p95(lambda: by_kind(connection, asked, reached))}")


def by_kind(connection: Connection, node: Node, reached: int) -> list[int]:
    """Return a page as the product finds it."""
    return find(connection, node, reached, Window(0, reached), limit=50, newest_first=True)


def walk(connection: Connection, node: Node, reached: int) -> list[int]:
    """Return a page as it is found where too many kinds fit."""
    few, find_module.FEW_KINDS = find_module.FEW_KINDS, -1  # type: ignore[misc]  # a plan that is not taken otherwise
    try:
        return by_kind(connection, node, reached)
    finally:
        find_module.FEW_KINDS = few  # type: ignore[misc]  # as above


def make_plain(connection: Connection) -> None:
    """Make a table with a column and an index for each field."""
    connection.execute(
        text(
            "CREATE TEMP TABLE plain AS SELECT leaf_index, actor, event, outcome FROM entry JOIN kind USING (kind_id)"
        )
    )
    for column in ("actor", "event", "outcome"):
        connection.execute(text(f"CREATE INDEX temp.plain_{column} ON plain ({column}, leaf_index)"))
    connection.execute(text("ANALYZE temp.plain"))


def main(entries: int) -> None:
    """Index a log of so many entries and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clinic.db"
        index, log = LogIndex(path, "clinic"), SyntheticLog(entries)
        begun = perf_counter()
        index.catch_up(log, seconds=3600)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        say(
            f"indexed {entries / (perf_counter() - begun):,.0f} entries/s, {size / entries:.0f} bytes an entry"
        )
        now = START + timedelta(days=200)
        with index.reading() as (connection, reached):
            for asked in QUERIES:
                node = parse_query(asked, now=now)
                window = Window(0, reached)
                found = find(connection, node, reached, window, limit=50, newest_first=True)
                page = p95(lambda: find(connection, node, reached, window, limit=50, newest_first=True))  # noqa: B023
                old = p95(lambda: find(connection, node, reached, window, limit=50, newest_first=False))  # noqa: B023

                def count() -> None:
                    fits = fitting(connection, node, reached, reached)  # noqa: B023
                    counts_of(fits)
                    histogram_of(fits)

                say(
                    f"{asked or '(everything)'}\n  {len(found)} of page: newest {page}, oldest {old}; counts {p95(count)}"
                )
            measure_alternatives(connection, reached)
        index.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
