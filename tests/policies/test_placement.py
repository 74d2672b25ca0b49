"""Placement: rules of recency, use and class choose one tier, and rules that never rest are refused."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyInvalidError
from policies.placement import PlacedMemory, PlacementAt
from policies.retention import default_retention_rules
from policies.retention_model import TIERS, RetentionRules
from tests.policies.test_retention import parse

NOW: Final = datetime(2027, 1, 1, tzinfo=UTC)


def a_rule(name: str, to: str, *tiers: str, **more: object) -> dict[str, object]:
    return {
        "id": name,
        "from": list(tiers),
        "to": to,
        **{key.replace("_", "-"): one for key, one in more.items()},
    }


def memory(
    tier: str = "plaintext", written: float = 400, used: float | None = None, of: str = "long"
) -> PlacedMemory:
    """Return a memory that was written and used so many days ago."""
    last = None if used is None else NOW - timedelta(days=used)
    return PlacedMemory(tier, of, NOW - timedelta(days=written), last)


def chosen(rules: RetentionRules, one: PlacedMemory, now: datetime = NOW) -> str | None:
    rule = PlacementAt(rules.placement, now).choose(one)
    return None if rule is None else rule.id


RULES: Final = [
    a_rule("fresh", "activation", "plaintext", written_within="P2D"),
    a_rule("used", "activation", "plaintext", "reference", used_within="P7D"),
    a_rule("short-ones", "reference", "plaintext", unused_for="P90D", classes=["short"]),
    a_rule("cold", "plaintext", "activation", unused_for="P30D"),
]


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (memory(), None),
        (memory(written=1), "fresh"),
        (memory(written=3), None),
        (memory(used=6), "used"),
        (memory("reference", used=6), "used"),
        (memory(used=7), None),
        (memory(of="short"), "short-ones"),
        (memory(of="short", used=89), None),
        (memory(of="short", used=91), "short-ones"),
        (memory("activation", used=29), None),
        (memory("activation", used=31), "cold"),
        (memory("activation", written=29), None),
    ],
)
def test_the_first_rule_that_fits_decides(one: PlacedMemory, rule: str | None) -> None:
    assert chosen(parse(placement=RULES), one) == rule


def test_terms_longer_than_the_calendar_hold_for_everything_or_nothing() -> None:
    rules = parse(
        placement=[
            a_rule("ever-used", "activation", "plaintext", used_within="P900Y"),
            a_rule("never", "reference", "plaintext", unused_for="P900Y"),
        ]
    )
    early = datetime(100, 1, 1, tzinfo=UTC)
    assert chosen(rules, PlacedMemory("plaintext", "long", early, early), early) == "ever-used"
    assert chosen(rules, PlacedMemory("plaintext", "long", early, None), early) is None


def test_a_file_without_placement_moves_nothing() -> None:
    assert parse().placement == ()
    assert chosen(parse(), memory(used=1)) is None


def test_the_shipped_rules_take_back_what_is_used_and_let_cool_what_is_not() -> None:
    rules = default_retention_rules()
    assert chosen(rules, memory("reference", used=1, of="general")) == "in-use-again"
    assert chosen(rules, memory(used=1, of="general")) == "in-daily-use"
    assert chosen(rules, memory("activation", used=31, of="general")) == "out-of-use"
    assert chosen(rules, memory("reference", of="general")) is None


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([a_rule("one", "plaintext", "plaintext", used_within="P7D")], "another memory tier"),
        ([a_rule("one", "attic", "plaintext", used_within="P7D")], "expected one of reference"),
        ([a_rule("one", "activation", "plaintext")], "expected used-within"),
        ([a_rule("one", "activation", "plaintext", used_within="forever")], "not forever"),
        ([a_rule("one", "activation", "plaintext", used_within=None)], "expected a duration"),
        ([a_rule("one", "activation", "plaintext", classes=["no-such"])], "expected a class of this file"),
        ([a_rule("default", "activation", "plaintext", used_within="P7D")], "none that is reserved"),
        (
            [a_rule("one", "activation", "plaintext", used_within="P7D") for _ in range(2)],
            "expected each id once",
        ),
        (
            [
                a_rule("wide", "activation", "plaintext", used_within="P9D"),
                a_rule("narrow", "reference", "plaintext", used_within="P7D", unused_for="P1D"),
            ],
            "the rule narrow can never decide: wide comes before it",
        ),
        (
            [
                a_rule("wide", "activation", "plaintext", unused_for="P7D", classes=["long", "short"]),
                a_rule("narrow", "reference", "plaintext", unused_for="P9D", classes=["long"]),
            ],
            "the rule narrow can never decide: wide comes before it",
        ),
        (
            [
                a_rule("up", "activation", "plaintext", used_within="P30D"),
                a_rule("down", "plaintext", "activation", unused_for="P7D"),
            ],
            "in a circle by up, down",
        ),
        (
            [
                a_rule("one", "activation", "plaintext", classes=["long"]),
                a_rule("two", "reference", "activation", unused_for="P7D"),
                a_rule("three", "plaintext", "reference", written_within="P8D"),
            ],
            "in a circle by one, two, three",
        ),
    ],
)
def test_rules_that_mean_nothing_or_never_rest_are_refused(rules: list[dict[str, object]], says: str) -> None:
    with pytest.raises(PolicyInvalidError, match=says):
        parse(placement=rules)


@pytest.mark.parametrize(
    "rules",
    [
        [
            a_rule("up", "activation", "plaintext", used_within="P7D"),
            a_rule("down", "plaintext", "activation", unused_for="P7D"),
        ],
        [
            a_rule("up", "activation", "plaintext", classes=["long"]),
            a_rule("down", "plaintext", "activation", classes=["short"]),
        ],
        [
            a_rule("narrow", "activation", "plaintext", used_within="P7D", classes=["long"]),
            a_rule("wide", "reference", "plaintext", used_within="P7D"),
        ],
        [
            a_rule("unused", "activation", "plaintext", unused_for="P7D"),
            a_rule("all-short", "reference", "plaintext", classes=["short"]),
        ],
    ],
)
def test_rules_that_exclude_each_other_are_taken(rules: list[dict[str, object]]) -> None:
    assert len(parse(placement=rules).placement) == 2


_DAYS: Final = st.integers(1, 40).map(lambda days: f"P{days}D")


@st.composite
def _some_rules(draw: st.DrawFn) -> list[dict[str, object]]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        to = draw(st.sampled_from(TIERS))
        tiers = draw(st.lists(st.sampled_from([one for one in TIERS if one != to]), min_size=1, unique=True))
        some = draw(
            st.dictionaries(
                st.sampled_from(["used_within", "unused_for", "written_within"]), _DAYS, min_size=1
            )
        )
        found.append(a_rule(f"rule-{number}", to, *tiers, **some))
    return found


@given(_some_rules(), st.integers(0, 60), st.none() | st.integers(0, 60), st.sampled_from(TIERS))
def test_whatever_rules_are_taken_a_memory_comes_to_rest(
    rules: list[dict[str, object]], written: int, used: int | None, tier: str
) -> None:
    try:
        taken = parse(placement=rules)
    except PolicyInvalidError:
        return
    at = PlacementAt(taken.placement, NOW)
    for _ in range(len(TIERS)):
        rule = at.choose(memory(tier, written, used))
        if rule is None:
            return
        assert tier in rule.tiers
        tier = rule.to
    assert at.choose(memory(tier, written, used)) is None
