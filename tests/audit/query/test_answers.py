"""Pages, counts and histograms are what the meaning of the query says of each single entry."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.errors import RangeInvalidError
from audit.event import EventType, Outcome, Verdict
from audit.query.compile import kind_clause
from audit.query.count import (
    COUNTED,
    FEW_BUCKETS,
    NOTHING,
    Unit,
    counts_of,
    fitting,
    histogram_of,
    with_rows,
)
from audit.query.evaluate import predicate
from audit.query.find import Window, find
from audit.query.index import LogIndex
from audit.query.parse import parse_query
from audit.query.rows import Row, row_of
from audit.query.syntax import (
    Erased,
    Field,
    IndexRange,
    Node,
    Text,
    TimeRange,
    all_of,
    any_of,
    negated,
    term,
)
from tests.simulators.paper_log import PaperLog
from tests.simulators.small_blocks import small_blocks
from tests.simulators.small_deployment import START

EVENTS = (EventType.MEMORY_READ, EventType.MEMORY_WRITE, EventType.MEMORY_SEARCH, EventType.VAULT_OPEN)
ACTORS = ("agent-1", "agent-2", "memvault", "gent")
RESOURCES = (None, "mem_aaaaaaaa01", "mem_aaaaaaaa02", "mem_bbbbbbbb01", "audit-log")
POLICIES = ("sha256:" + "9a" * 32, "sha256:" + "9b" * 32)
small = pytest.fixture(autouse=True)(small_blocks)


@st.composite
def logs(draw: st.DrawFn) -> PaperLog:
    log = PaperLog()
    for _ in range(draw(st.integers(0, 30))):
        denied = draw(st.booleans())
        log.add(
            draw(st.sampled_from(EVENTS)),
            actor=draw(st.sampled_from(ACTORS)),
            time=START + timedelta(seconds=log.size, microseconds=draw(st.integers(-5_000_000, 5_000_000))),
            decision=Verdict.DENIED if denied else Verdict.ALLOWED,
            outcome=Outcome.DENIED if denied else draw(st.sampled_from((Outcome.OK, Outcome.FAILED))),
            purpose=draw(st.sampled_from((None, "treatment", "legal"))),
            resource=draw(st.sampled_from(RESOURCES)),
            policy=draw(st.sampled_from(POLICIES)),
            tier=draw(st.sampled_from((None, "private", "public"))),
        )
        if log.size and draw(st.integers(0, 9)) == 0:
            standing = [one.index for one in log.stored if one.payload is not None]
            if standing:
                log.erase(draw(st.lists(st.sampled_from(standing), min_size=1, max_size=3, unique=True)))
        if draw(st.integers(0, 19)) == 0:
            log.garble(log.size - 1)
    return log


def some(field: Field, *values: str) -> st.SearchStrategy[Node]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2).map(lambda chosen: term(field, chosen))


@st.composite
def time_ranges(draw: st.DrawFn) -> TimeRange:
    start, end = sorted(draw(st.tuples(st.integers(-6, 40), st.integers(-6, 40))))
    ends = START + timedelta(seconds=start), START + timedelta(seconds=end + 1)
    which = draw(st.sampled_from(("since", "until", "both")))
    return TimeRange(None if which == "until" else ends[0], None if which == "since" else ends[1])


QUERIES = st.recursive(
    st.one_of(
        some(Field.ACTOR, *ACTORS, "agent-*", "gen*", "nobody", "none"),
        some(Field.EVENT, *EVENTS, "memory.*"),
        some(Field.ACTION, "read", "write", "none", "r*"),
        some(Field.OUTCOME, *Outcome),
        some(Field.DECISION, *Verdict),
        some(Field.PURPOSE, "none", "legal", "treatment"),
        some(Field.TIER, "none", "private", "public"),
        some(Field.POLICY, *POLICIES, "sha256:9*"),
        some(Field.RESOURCE, *(one for one in RESOURCES if one), "none", "mem_*", "mem_a*"),
        st.sampled_from(("gent", "agent-1", "aaa", "mem_", "%", "_", "'", '"', "zzz", "\\")).map(Text),
        st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: IndexRange(*sorted(ends))),
        st.integers(0, 40).map(lambda first: IndexRange(first, None)),
        st.integers(0, 40).map(lambda last: IndexRange(None, last)),
        time_ranges(),
        st.just(Erased()),
    ),
    lambda inner: st.one_of(
        inner.map(negated),
        st.lists(inner, min_size=0, max_size=3).map(all_of),
        st.lists(inner, min_size=1, max_size=3).map(any_of),
    ),
    max_leaves=8,
)


def naive(log: PaperLog, node: Node, size: int) -> list[Row]:
    fits = predicate(node, size)
    return [row for row in map(row_of, log.entries(0, size)) if fits(row)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexes")


def fresh(folder: Path) -> LogIndex:
    index = LogIndex(folder / "clinic.db", "clinic")
    index.discard()
    return index


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(log=logs(), node=QUERIES, drawn=st.data())
def test_sql_and_columns_say_what_single_rows_do(
    folder: Path, log: PaperLog, node: Node, drawn: st.DataObject
) -> None:
    index = fresh(folder)
    reached = index.catch_up(log, seconds=60)
    assert reached == log.size
    # A row of an entry that was erased later than the pinned size has lost its tier: as the log says now.
    size = drawn.draw(st.integers(0, log.size))
    window = Window(*sorted((drawn.draw(st.integers(0, size)), drawn.draw(st.integers(0, size)))))
    limit = drawn.draw(st.integers(1, 40))
    rows = naive(log, node, size)
    inside = [row.index for row in rows if window.first <= row.index < window.stop]
    with index.reading() as (connection, _):
        old = find(connection, node, size, window, limit=limit, newest_first=False)
        new = find(connection, node, size, window, limit=limit, newest_first=True)
        counted = fitting(connection, node, size, size)
    assert old == inside[:limit]
    assert new == inside[::-1][:limit]
    assert sorted(counted.times.tolist()) == sorted(row.time_us for row in rows)
    counts = counts_of(counted)
    assert counts.total == len(rows)
    for field in COUNTED:
        assert counts.fields[field] == dict(Counter(row.value(field) for row in rows))
        assert list(counts.fields[field].values()) == sorted(counts.fields[field].values(), reverse=True)
    index.close()


@pytest.fixture
def log() -> PaperLog:
    return PaperLog()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LogIndex]:
    opened = LogIndex(tmp_path / "clinic.db", "clinic")
    yield opened
    opened.close()


def found(index: LogIndex, log: PaperLog, text: str, *, limit: int = 100) -> list[int]:
    index.catch_up(log, seconds=60)
    node = parse_query(text, now=START)
    with index.reading() as (connection, reached):
        return find(connection, node, reached, Window(0, reached), limit=limit, newest_first=False)


def test_a_resource_is_counted_over_many_blocks(index: LogIndex, log: PaperLog) -> None:
    for nth in range(40):
        log.add(resource=f"mem_aaaaaaaa{nth % 2:02}")
    index.catch_up(log, seconds=60)
    with index.reading() as (connection, _):
        counted = fitting(connection, parse_query("resource:mem_aaaaaaaa01", now=START), 40, 40)
    assert counts_of(counted).total == 20


def test_many_kinds_are_walked_and_answer_the_same(
    index: LogIndex, log: PaperLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nth in range(40):
        log.add(actor=f"agent-{nth}")
    few = found(index, log, "-actor:agent-7 action:read")
    monkeypatch.setattr("audit.query.find.FEW_KINDS", 3)
    assert found(index, log, "-actor:agent-7 action:read") == few == [nth for nth in range(40) if nth != 7]


def test_wildcards_of_sql_are_plain_letters(index: LogIndex, log: PaperLog) -> None:
    log.add(resource="mem_aaaaaaaa01")
    log.add(resource="audit-log")
    assert found(index, log, '"%"') == []
    assert found(index, log, '"mem_"') == [0]
    assert found(index, log, '"m_m"') == []
    assert found(index, log, '"\' OR 1=1 --"') == []


def test_an_entry_that_cannot_be_read_counts_and_fails_no_list(index: LogIndex, log: PaperLog) -> None:
    log.add()
    log.garble(log.add())
    log.add()
    assert found(index, log, "") == [0, 1, 2]
    assert found(index, log, "actor:agent-7") == [0, 2]
    assert found(index, log, "actor:none") == [1]


@pytest.mark.parametrize(
    "payload", ["null", "[1]", '{"a":{"access_tier":"private"}}', '{"access_tier":"secret"}', '{"access_tier":1}', "[" * 5000, '"\\"access_tier\\":\\""', '{"access_tier":"x']
)  # fmt: skip
def test_a_payload_without_a_tier_of_ours_has_none(payload: str, log: PaperLog) -> None:
    from dataclasses import replace  # noqa: PLC0415

    log.add()
    assert row_of(replace(log.stored[0], payload=payload)).kind.tier == ""
    assert row_of(replace(log.stored[0], payload='{"access_tier":"public"}' + payload)).kind.tier == ""


def test_nested_questions_about_kinds_are_asked_of_kinds(index: LogIndex, log: PaperLog) -> None:
    for nth in range(10):
        log.add(actor=f"agent-{nth}", purpose="legal" if nth % 2 else None)
    assert found(index, log, "-(purpose:legal OR (actor:agent-2 action:read))") == [0, 4, 6, 8]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("actor:agent-*", True),
        ("actor:b*", False),
        ("resource:none", True),
        ("resource:mem_*", False),
        ("actor:none", False),
        ("-erased:yes", True),
        ("index:0", True),
        ("index:..0 index:0..", True),
        ("index:1..", False),
        ("until:2020", False),
        ("time:2026-11-22", True),
        ("gent", True),
        ("actor:b OR action:read", True),
        ("", True),
    ],
)
def test_single_rows_say_the_same(index: LogIndex, log: PaperLog, text: str, fits: bool) -> None:  # noqa: FBT001  # a table
    log.add()
    assert predicate(parse_query(text, now=START), 1)(row_of(log.stored[0])) is fits
    assert found(index, log, text) == ([0] if fits else [])


def test_only_questions_about_kinds_are_asked_of_kinds() -> None:
    with pytest.raises(ValueError, match="kinds alone"):
        kind_clause(Erased())


def histogram(times: list[datetime], unit: Unit | None = None) -> tuple[Unit, list[tuple[datetime, int]]]:
    log = PaperLog()
    for at in times:
        log.add(time=at)
    made = histogram_of(with_rows(NOTHING, [row_of(stored) for stored in log.stored]), unit)
    assert made.total == len(times)
    return made.unit, [(bucket.start, bucket.count) for bucket in made.buckets]


def test_gaps_are_buckets_of_zero() -> None:
    times = [START, START + timedelta(minutes=3), START + timedelta(minutes=3, seconds=59)]
    unit, buckets = histogram(times)
    assert unit is Unit.MINUTE
    assert [count for _, count in buckets] == [1, 0, 0, 2]
    assert buckets[0][0] == START


@pytest.mark.parametrize(
    ("days", "unit"),
    [
        (0.02, Unit.MINUTE),
        (1, Unit.HOUR),
        (30, Unit.DAY),
        (300, Unit.WEEK),
        (1500, Unit.MONTH),
        (9000, Unit.YEAR),
    ],
)
def test_the_unit_is_the_smallest_that_makes_few_buckets(days: float, unit: Unit) -> None:
    chosen, buckets = histogram([START + timedelta(days=days), START])
    assert chosen is unit
    assert len(buckets) <= FEW_BUCKETS


@pytest.mark.parametrize("unit", Unit)
def test_buckets_follow_each_other_and_hold_every_time(unit: Unit) -> None:
    times = [datetime(2025, 12, 29, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 4, 1, 30, tzinfo=UTC)]
    chosen, buckets = histogram(times, unit)
    assert chosen is unit
    assert sum(count for _, count in buckets) == 2
    starts = [start for start, _ in buckets]
    assert starts[0] <= times[0] < (starts[1] if len(starts) > 1 else datetime.max.replace(tzinfo=UTC))
    assert starts[-1] <= times[1]
    assert all(a < b for a, b in pairwise(starts))
    if unit is Unit.WEEK:
        assert {start.weekday() for start in starts} == {0}


def test_the_edges_of_the_calendar_have_buckets() -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
    unit, buckets = histogram([first, last])
    assert unit is Unit.YEAR
    assert sum(count for _, count in buckets) == 2
    for one in (Unit.WEEK, Unit.MONTH, Unit.DAY):
        assert sum(count for _, count in histogram([first], one)[1]) == 1
        assert sum(count for _, count in histogram([last], one)[1]) == 1


def test_so_small_a_unit_that_buckets_are_endless_is_refused() -> None:
    with pytest.raises(RangeInvalidError, match="10000 buckets"):
        histogram([START, START + timedelta(days=365)], Unit.MINUTE)


def test_nothing_has_no_buckets() -> None:
    assert histogram([]) == (Unit.DAY, [])
    assert histogram([], Unit.HOUR) == (Unit.HOUR, [])
