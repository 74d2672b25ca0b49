"""Queries: what they mean, what they look like again, and where they stop being ones."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import QueryInvalidError
from audit.event import EventType, Outcome, Verdict
from audit.query.moments import read_moment
from audit.query.parse import MAX_DEPTH, MAX_LENGTH, MAX_TEXTS, MAX_VALUES, parse_query, point_at
from audit.query.syntax import (
    And,
    Erased,
    Everything,
    Field,
    IndexRange,
    Node,
    Not,
    Or,
    Term,
    Text,
    TimeRange,
    all_of,
    any_of,
    depth_of,
    negated,
    term,
    write_query,
)
from audit.query.words import FIELDS, TIERS
from policies.model import AccessTier

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIGEST = "9a" * 32


def parsed(text: str) -> Node:
    return parse_query(text, now=NOW)


def canonical(text: str) -> str:
    return write_query(parsed(text))


def refused(text: str) -> QueryInvalidError:
    with pytest.raises(QueryInvalidError) as caught:
        parsed(text)
    return caught.value


def attempted(text: str) -> Node | QueryInvalidError:
    try:
        return parsed(text)
    except QueryInvalidError as error:
        return error


def test_the_issues_own_example_means_what_its_author_meant() -> None:
    text = (
        "actor:agent-7 action:memory.retrieve -outcome:allowed tier:private"
        ' since:2026-11-01 until:2026-11-30 purpose:treatment "free text over ids"'
    )
    assert parsed(text) == And(
        (
            Term(Field.ACTOR, ("agent-7",)),
            Term(Field.EVENT, ("memory.search",)),
            Not(Term(Field.DECISION, ("allowed",))),
            Term(Field.TIER, ("private",)),
            TimeRange(datetime(2026, 11, 1, tzinfo=UTC), None),
            TimeRange(None, datetime(2026, 12, 1, tzinfo=UTC)),
            Term(Field.PURPOSE, ("treatment",)),
            Text("free text over ids"),
        )
    )


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("", ""),
        (" \t\n", ""),
        ("a OR b c", '"a" OR "b" "c"'),
        ("(a OR b) c", '("a" OR "b") "c"'),
        ("a AND b", '"a" "b"'),
        ("NOT (a b)", '-("a" "b")'),
        ("-(a OR b)", '-("a" OR "b")'),
        ("--a", '"a"'),
        ("NOT NOT NOT a", '-"a"'),
        ("ORDER ANDROID NOTE", '"order" "android" "note"'),
        ("principal:agent-7", "actor:agent-7"),
        ("ACTOR:Agent-7", "actor:agent-7"),
        ('actor:"agent-7",b', "actor:agent-7,b"),
        ("actor:b,a,b", "actor:a,b"),
        ("actor:agent-*", "actor:agent-*"),
        ("outcome:denied,refused", "outcome:denied,refused"),
        ("outcome:refused,allowed", "outcome:refused OR decision:allowed"),
        ("action:retrieve,extract,get", "action:read,search,write"),
        ("action:memory.*,reveal", "event:memory.* OR action:reveal"),
        ("event:memory.extract", "event:memory.write"),
        ("tier:none", "tier:none"),
        ("policy:9a*", "policy:sha256:9a*"),
        (f"policy:{DIGEST}", f"policy:sha256:{DIGEST}"),
        ("resource:mem_01k9*", "resource:mem_01k9*"),
        ("resource:audit-log,none", "resource:audit-log,none"),
        ("index:5", "index:5"),
        ("index:10..20,5", "index:10..20 OR index:5"),
        ("index:..20", "index:..20"),
        ("index:10..", "index:10.."),
        ("erased:yes", "erased:yes"),
        ("erased:NO", "-erased:yes"),
        ("since:7d until:1h", "since:2026-11-15T12:00:00Z until:2026-11-22T10:59:59Z"),
        ("since:30min", "since:2026-11-22T11:30:00Z"),
        ("since:2w", "since:2026-11-08T12:00:00Z"),
        ("time:2026-11", "time:2026-11-01..2026-11-30"),
        ("time:2026-12", "time:2026-12-01..2026-12-31"),
        ("time:2026", "time:2026-01-01..2026-12-31"),
        ("time:2026-11-01..", "since:2026-11-01"),
        ("time:..2026-11-01", "until:2026-11-01"),
        ("until:2026-11-01T10:30", "until:2026-11-01T10:30:59Z"),
        ("since:2026-11-01T10:30:05+01:00", "since:2026-11-01T09:30:05Z"),
        ("since:2026-11-01T10:30:05-01:30", "since:2026-11-01T12:00:05Z"),
        ("until:2026-11-01T10:30:05.25z", "until:2026-11-01T10:30:05.250000Z"),
        ("time:7d..1d", "time:2026-11-15T12:00:00Z..2026-11-21T11:59:59Z"),
        (r'"a\"b\\c"', r'"a\"b\\c"'),
        ('"100% _x_ \'; DROP TABLE entry"', '"100% _x_ \'; drop table entry"'),
        ("Überweisung", '"überweisung"'),
    ],
)
def test_a_query_has_one_text_that_means_the_same(text: str, again: str) -> None:
    assert canonical(text) == again
    assert parsed(again) == parsed(text)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("foo:bar", 0, "known field"),
        ("actor:agent-7 nope:1", 14, "known field"),
        ("時間:x", 2, "quotes around text with a colon"),
        ("12:30", 2, "quotes around text with a colon"),
        ("(a", 2, "expected )"),
        ("a)", 1, "expected the end"),
        ("()", 1, "expected a term"),
        ('"abc', 0, "closing quote"),
        ('""', 0, "1 to 200 characters"),
        ('"   "', 0, "1 to 200 characters"),
        ('"' + "x" * 201 + '"', 0, "1 to 200 characters"),
        ("a or b", 2, "in capitals"),
        ("not a", 0, "in capitals"),
        ("OR", 0, "expected a term"),
        ("a OR", 4, "expected a term"),
        ("-", 1, "expected a term"),
        ("a,b", 1, "expected"),
        ("actor:", 6, "expected a value"),
        ("actor:,", 6, "expected a value"),
        ("actor:a,", 8, "expected a value"),
        ("actor:maria@clinic", 6, "expected an id"),
        ("actor:2125550147", 6, "expected an id"),
        ("actor:" + "a" * 81, 6, "expected an id"),
        ('actor:"maria keller"', 6, "expected an id"),
        ("resource:212-555-0147", 9, "expected an id"),
        ("outcome:alowed", 8, "expected one of ok"),
        ("decision:ok", 9, "expected one of allowed"),
        ("event:memory.retreive", 6, "expected one of memory.write"),
        ("event:nothing*", 6, "beginning of an event"),
        ("action:x.y", 7, "expected one of"),
        ("action:a1", 7, "expected an action"),
        ("purpose:x1", 8, "expected a purpose"),
        ("tier:secret", 5, "expected one of private"),
        ("policy:xyz", 7, "expected a policy digest"),
        ("erased:maybe", 7, "expected yes or no"),
        ("erased:yes,no", 11, "expected one value"),
        ("since:2026,2027", 11, "expected one value"),
        ("since:7m", 6, "expected a date"),
        ("since:0000-01-01", 6, "year from 1970"),
        ("until:9999", 6, "year from 1970"),
        ("since:2026-02-30", 6, "time that exists"),
        ("since:2026-13", 6, "time that exists"),
        ("since:2026-11-01T24:00", 6, "time that exists"),
        ("since:2026-11-01T10:00+15:00", 6, "time that exists"),
        ("since:2026-11-01T10:00+01:60", 6, "time that exists"),
        ("since:99999w", 6, "since 1970"),
        ("time:..", 5, "expected a time"),
        ("time:1d..7d", 5, "does not end before"),
        ("time:7d", 5, "does not end before"),
        ("time:2026-11-02..2026-11-01", 5, "does not end before"),
        ("index:..", 6, "expected an index"),
        ("index:x", 6, "expected an index"),
        ("index:-1", 6, "expected an index"),
        ("index:٣", 6, "expected an index"),
        ("index:20..10", 6, "does not end before"),
        ("index:9007199254740992", 6, "expected an index"),
        ("index:" + "9" * 1900, 6, "expected an index"),
        ("a\x00b", 1, "no control character"),
        ("a \ud800", 2, "no control character"),
        ("a\x1b[2J", 1, "no control character"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "at most 2000 characters"),
        ("actor:a " * (MAX_VALUES + 1), 8 * MAX_VALUES + 6, "at most 200 values"),
        ("a " * (MAX_TEXTS + 1), 2 * MAX_TEXTS, "at most 16 texts"),
        ("actor:" + ",".join("a" * 1 for _ in range(MAX_VALUES + 1)), 6, "at most 200 values"),
        ("actor:a (actor:b OR (" * MAX_DEPTH + "c" + "))" * MAX_DEPTH, None, "nesting of at most"),
    ],
)
def test_what_is_no_query_is_told_with_its_place_and_without_its_words(
    text: str, position: int | None, reason: str
) -> None:
    error = refused(text)
    assert reason in str(error)
    assert position is None or error.position == position
    assert str(error).startswith(f"query, column {error.position + 1}: ")
    for secret in ("maria", "2125550147", "555-0147", "retreive", "DROP"):
        assert secret not in str(error)


def test_a_field_or_value_of_a_short_list_comes_with_that_list() -> None:
    assert refused("foo:x").expected == tuple(FIELDS)
    assert refused("decision:x").expected == tuple(Verdict)
    assert refused("event:x").expected == tuple(EventType)
    assert refused("actor:@").expected == ()


@pytest.mark.parametrize(
    "text",
    [
        "(" * MAX_LENGTH,
        "-" * MAX_LENGTH,
        "-" * (MAX_LENGTH - 1) + "a",
        "(" * 999 + "a" + ")" * 999,
        "(-" * 600 + "a" + ")" * 600,
        '"' * MAX_LENGTH,
        "\\" * MAX_LENGTH,
        '"' + "\\" * (MAX_LENGTH - 1),
        "a OR " * 399 + "b",
        "actor:" * 333,
        "," * MAX_LENGTH,
        ":" * MAX_LENGTH,
        "a" * MAX_LENGTH,
        "since:" + "9" * 1990,
        "(((((" * 100 + '"' + "OR " * 100,
    ],
)
def test_hostile_nesting_costs_little_and_never_the_stack(text: str) -> None:
    begun = time.process_time()
    given = attempted(text)
    if isinstance(given, QueryInvalidError):
        assert 0 <= given.position <= len(text)
    else:
        assert depth_of(given) <= MAX_DEPTH
    assert time.process_time() - begun < 1


def test_the_place_of_a_fault_stands_under_its_line() -> None:
    assert point_at("actor:agent-7 foo:bar", 14) == "actor:agent-7 foo:bar\n              ^"
    assert point_at("時間:x", 2) == "時間:x\n    ^"
    assert point_at("a\x1b[2Jb", 1) == "a?[2Jb\n ^"
    line, caret = point_at("x" * 500 + "!" + "y" * 500, 500).split("\n")
    assert len(line) == 72
    assert line[caret.index("^")] == "!"
    line, caret = point_at("x" * 100, 100).split("\n")
    assert len(line) == 72
    assert caret == " " * 72 + "^"


def test_tiers_are_the_vaults() -> None:
    assert tuple(AccessTier) == TIERS


def test_relative_times_count_from_the_clock_that_is_given() -> None:
    eastern = datetime(2026, 11, 22, 7, tzinfo=timezone(timedelta(hours=-5)))
    assert read_moment("1d", eastern) == (NOW - timedelta(days=1),) * 2


IDS = st.from_regex(r"[a-z]{1,6}(?:-[0-9]{1,3})?", fullmatch=True)
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive


@st.composite
def time_ranges(draw: st.DrawFn) -> TimeRange:
    start, end = sorted((draw(TIMES), draw(TIMES)))
    end += timedelta(microseconds=1)
    which = draw(st.sampled_from(("since", "until", "both", "days")))
    if which == "days":
        start, end = (at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (start, end))
        end += timedelta(days=1)
    return TimeRange(None if which == "until" else start, None if which == "since" else end)


@st.composite
def index_ranges(draw: st.DrawFn) -> IndexRange:
    first, last = sorted((draw(st.integers(0, 2**53 - 1)), draw(st.integers(0, 2**53 - 1))))
    which = draw(st.sampled_from(("first", "last", "both")))
    return IndexRange(None if which == "last" else first, None if which == "first" else last)


def some(field: Field, values: st.SearchStrategy[str]) -> st.SearchStrategy[Node]:
    return st.lists(values, min_size=1, max_size=3).map(lambda chosen: term(field, chosen))


WORDS = st.sampled_from(("read", "write", "reveal", "none"))
OUTCOMES = st.sampled_from([str(one) for one in Outcome])
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
LEAVES = st.one_of(
    some(Field.ACTOR, IDS | IDS.map(lambda one: f"{one}*")),
    some(Field.EVENT, st.sampled_from([str(one) for one in EventType])),
    some(Field.ACTION, WORDS),
    some(Field.OUTCOME, OUTCOMES),
    some(Field.DECISION, st.sampled_from([str(one) for one in Verdict])),
    some(Field.PURPOSE, WORDS),
    some(Field.TIER, st.sampled_from((*TIERS, "none"))),
    some(Field.RESOURCE, IDS | st.just("mem_01k9*")),
    some(Field.POLICY, st.just(f"sha256:{DIGEST}") | st.just("sha256:9*")),
    TEXTS.map(str.lower)
    .filter(lambda text: bool(text.strip()))
    .filter(lambda text: text.lower() == text)
    .map(Text),
    index_ranges(),
    time_ranges(),
    st.just(Erased()),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(negated),
        st.lists(inner, min_size=1, max_size=3).map(all_of),
        st.lists(inner, min_size=1, max_size=3).map(any_of),
    ),
    max_leaves=12,
)


@given(TREES)
def test_every_tree_is_read_back_from_its_text(tree: Node) -> None:
    assert parsed(write_query(tree)) == tree


@given(st.lists(st.sampled_from(["(", ")", "-", " ", "OR", "AND", "NOT", '"', "\\", ":", ",", "..", "a", "actor:", "index:", "since:", "1", "7d", "*", "ü", "\t"]), max_size=40).map("".join) | st.text(max_size=60))  # fmt: skip
def test_any_text_is_a_query_or_is_refused_with_a_place(text: str) -> None:
    given = attempted(text)
    if isinstance(given, QueryInvalidError):
        assert 0 <= given.position <= len(text)
        assert "\n" in point_at(text, given.position)
    else:
        assert parsed(write_query(given)) == given


def test_depth_counts_what_nests() -> None:
    assert depth_of(parsed("a")) == 1
    assert depth_of(parsed("-(a (b OR -c))")) == 5


def test_parts_of_one_are_that_one() -> None:
    assert all_of([]) == Everything()
    assert any_of([Erased()]) == Erased()
    assert any_of([Or((Erased(), Text("a"))), Text("b")]) == Or((Erased(), Text("a"), Text("b")))
