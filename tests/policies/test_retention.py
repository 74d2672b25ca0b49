"""Retention: the file is read whole or not at all, every rule can match, and nobody undercuts a floor."""

from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import RETENTION_RULES, Bundle
from policies.duration import Duration
from policies.errors import PolicyInvalidError
from policies.model import AccessTier, Purpose
from policies.privacy import EntityType
from policies.retention import (
    MAX_POLICY_CHARACTERS,
    default_retention_rules,
    floors_over,
    kept_until,
    parse_retention_rules,
)
from policies.retention_check import MAX_CASES
from policies.retention_model import DEFAULT_RULE, EndAction, Place, RetentionRules, StartPoint
from tests.policies.test_duration import at

CHAT = Place("clinic", "chat", Purpose.OPERATIONS, AccessTier.PRIVATE)
NOTHING: frozenset[EntityType] = frozenset()


def a_class(name: str, term: str = "P10Y", then: str = "expire", **more: object) -> dict[str, object]:
    if term == "forever":
        return {"id": name, "description": "some", "term": term, **more}
    return {"id": name, "description": "some", "term": term, "then": then, **more}


def document(**parts: object) -> dict[str, object]:
    return {
        "version": 1,
        "clock": {"longest-gap": "P30D"},
        "staleness": {"unused": "P2Y", "again": "P1Y"},
        "classes": [a_class("long"), a_class("short", "P90D")],
        "floors": [],
        "rules": [],
        "default": "long",
        **parts,
    }


def parse(**parts: object) -> RetentionRules:
    return parse_retention_rules(yaml.safe_dump(document(**parts)))


def rule(name: str, of: str = "short", **when: object) -> dict[str, object]:
    return {"id": name, "class": of, "when": when}


def test_the_shipped_rules_are_read_and_belong_to_the_bundle(shipped: Bundle) -> None:
    rules = parse_retention_rules(shipped.text(RETENTION_RULES))
    assert rules == default_retention_rules()
    assert rules.choose(CHAT, NOTHING) == ("general", DEFAULT_RULE)
    assert rules.choose(replace(CHAT, purpose=Purpose.TREATMENT), NOTHING)[0] == "health-record"
    assert rules.choose(CHAT, frozenset({EntityType.IBAN, EntityType.CARD})) == ("finance-record", "accounts")


def test_no_shipped_class_loses_anything_before_two_years() -> None:
    rules = default_retention_rules()
    assert all(one.term is None or one.term.covers(Duration.parse("P2Y")) for one in rules.classes)


def test_the_first_rule_that_matches_gives_its_class_and_the_rest_is_the_default() -> None:
    rules = parse(
        classes=[a_class("long"), a_class("short", "P90D"), a_class("kept", "forever")],
        rules=[
            rule("phones", entities=["PHONE", "EMAIL"]),
            rule(
                "paid", "kept", purposes=["payment"], sources=["chat"], access=["private"], tenants=["clinic"]
            ),
        ],
    )
    paid = Place("clinic", "chat", Purpose.PAYMENT, AccessTier.PRIVATE)
    assert rules.choose(paid, frozenset({EntityType.EMAIL})) == ("short", "phones")
    assert rules.choose(paid, frozenset({EntityType.PERSON})) == ("kept", "paid")
    for other in (
        Place("bank", "chat", Purpose.PAYMENT, AccessTier.PRIVATE),
        Place("clinic", "text", Purpose.PAYMENT, AccessTier.PRIVATE),
        Place("clinic", "chat", Purpose.LEGAL, AccessTier.PRIVATE),
        Place("clinic", "chat", Purpose.PAYMENT, AccessTier.PUBLIC),
    ):
        assert rules.choose(other, NOTHING) == ("long", DEFAULT_RULE)


def test_a_class_says_term_start_and_end() -> None:
    (one, forever) = parse(
        classes=[
            a_class("long", "P10Y", "redact", **{"from": "event", "next": "kept"}),
            a_class("kept", "forever"),
        ]
    ).classes
    assert (one.term, one.start, one.then, one.next) == (
        Duration.parse("P10Y"),
        StartPoint.EVENT,
        EndAction.REDACT,
        "kept",
    )
    assert (forever.term, forever.then) == (None, None)
    assert parse().of_class("gone") is None
    assert parse().of_class("short") == parse().classes[1]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"other": 1}, "other"),
        ({"default": "gone"}, r"default: expected a class of this file, got gone"),
        ({"default": 7}, "default"),
        ({"classes": []}, "classes"),
        ({"classes": {}}, "classes"),
        ({"classes": [a_class("long"), a_class("long")]}, r"classes\.1\.id: expected each id once, got long"),
        ({"classes": [a_class("Long")]}, r"classes\.0\.id"),
        ({"classes": [a_class("long 1234567")]}, r"classes\.0\.id"),
        ({"classes": [a_class("long"), a_class("unclassified")]}, "reserved"),
        ({"classes": [a_class("long", "P0D")]}, r"classes\.0\.term.*longer than zero"),
        ({"classes": [a_class("long", "-P7D")]}, r"classes\.0\.term.*longer than zero"),
        ({"classes": [a_class("long", "7 years")]}, r"classes\.0\.term.*a duration such as"),
        ({"classes": [{**a_class("long"), "term": 90}]}, r"classes\.0\.term.*a duration such as"),
        ({"classes": [{**a_class("long"), "description": ""}]}, r"classes\.0\.description"),
        ({"classes": [a_class("long", then="burn")]}, r"classes\.0\.then.*expected one of expire"),
        ({"classes": [a_class("long", **{"from": "birth"})]}, r"classes\.0\.from.*expected one of recorded"),
        ({"classes": [{"id": "long", "description": "x", "term": "P1Y"}]}, r"classes\.0.*expected then"),
        ({"classes": [{**a_class("long", "forever"), "then": "ask"}]}, "neither from, then nor next"),
        ({"classes": [a_class("long", "forever", **{"from": "event"})]}, "neither from, then nor next"),
        ({"classes": [a_class("long", then="redact")]}, "expected next"),
        ({"classes": [a_class("long", next="long")]}, "expected next"),
        ({"classes": [a_class("long", then="archive", next="gone")]}, r"classes\.0\.next.*got gone"),
        ({"classes": [a_class("long", then="archive", next="long")]}, "comes after itself"),
        (
            {
                "classes": [
                    a_class("long", then="archive", next="b"),
                    a_class("b", then="redact", next="long"),
                ]
            },
            "comes after itself",
        ),
        (
            {
                "classes": [
                    a_class("long", then="redact", next="b", **{"from": "last-used"}),
                    a_class("b", "forever"),
                ]
            },
            "from recorded or event",
        ),
        ({"rules": [rule("one", "gone", sources=["chat"])]}, r"rules\.0\.class: .*got gone"),
        ({"rules": [rule("one")]}, "a condition at least"),
        ({"rules": [rule("default", sources=["chat"])]}, "reserved"),
        ({"rules": [rule("one", entities=[])]}, r"rules\.0\.when\.entities"),
        ({"rules": [rule("one", sources=["chat"], entities=None)]}, r"rules\.0\.when.*names under entities"),
        ({"rules": [rule("one", purposes=None)]}, r"rules\.0\.when.*names under purposes"),
        ({"floors": [{"id": "low", "at-least": "P1D", "classes": None}]}, r"floors\.0.*names under classes"),
        ({"rules": [rule("one", entities=["NAME"])]}, r"rules\.0\.when\.entities.*expected one of PERSON"),
        ({"rules": [rule("one", entities=["PERSON", "PERSON"])]}, "each once"),
        ({"rules": [rule("one", entities="PERSON")]}, "expected a list"),
        ({"rules": [rule("one", entities=[["PERSON"]])]}, r"rules\.0\.when\.entities"),
        ({"rules": [rule("one", sources=["film"])]}, r"rules\.0\.when\.sources.*expected one of chat"),
        ({"rules": [rule("one", purposes=["fun"])]}, r"rules\.0\.when\.purposes"),
        ({"rules": [rule("one", access=["secret"])]}, r"rules\.0\.when\.access"),
        ({"rules": [rule("one", tenants=["No One"])]}, r"rules\.0\.when\.tenants"),
        ({"rules": [rule("one", sources=["chat"]), rule("one", sources=["text"])]}, r"rules\.1\.id"),
        ({"rules": [{**rule("one", sources=["chat"]), "class": 7}]}, r"rules\.0\.class"),
        ({"rules": {}}, "rules"),
        ({"floors": [{"id": "low", "at-least": "forever"}]}, r"floors\.0\.at-least.*not forever"),
        ({"floors": [{"id": "low", "at-least": "P0D"}]}, r"floors\.0\.at-least"),
        ({"floors": [{"id": "low", "at-least": "P1D", "classes": ["gone"]}]}, r"floors\.0\.classes.*gone"),
        ({"floors": [{"id": "low", "at-least": "P1D"} for _ in range(2)]}, r"floors\.1\.id"),
        ({"clock": {"longest-gap": "forever"}}, r"clock\.longest-gap"),
        ({"clock": {}}, r"clock\.longest-gap"),
        ({"staleness": {"unused": "P2Y", "again": "soon"}}, r"staleness\.again"),
    ],
)
def test_rules_that_are_not_right_are_refused_and_the_place_is_named(
    changed: dict[str, object], reason: str
) -> None:
    with pytest.raises(PolicyInvalidError, match=reason):
        parse(**changed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file"),
        ("[]", "the file"),
        ("{", "expected YAML"),
        ("a: 2025-02-31", "expected YAML"),
        ("[" * 20_000, "expected YAML"),
        ("x" * (MAX_POLICY_CHARACTERS + 1), "at most"),
        ("version: 1\nversion: 1", "line 1: expected each key once"),
        ("rules:\n  - id: a\n    id: b", "each key once"),
        ("? [a]\n: 1", "each key once"),
        ("a: !!python/object:os.system x", "retention.yaml"),
    ],
)
def test_text_that_is_no_policy_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyInvalidError, match=reason):
        parse_retention_rules(text)


@pytest.mark.parametrize(
    "rules",
    [
        [rule("wide", sources=["chat"]), rule("narrow", sources=["chat"], purposes=["legal"])],
        [rule("wide", entities=["PHONE", "EMAIL"]), rule("narrow", entities=["EMAIL"], tenants=["bank"])],
        [
            rule("one", entities=["PHONE"]),
            rule("two", entities=["EMAIL"]),
            rule("narrow", entities=["PHONE", "EMAIL"]),
        ],
        [
            *(rule(f"all-{tier}", access=[tier]) for tier in ("private", "institutional", "public")),
            rule("narrow", entities=["PHONE"]),
        ],
    ],
)
def test_a_rule_that_others_shadow_is_refused_and_they_are_named(rules: list[dict[str, Any]]) -> None:
    with pytest.raises(PolicyInvalidError, match="the rule narrow can never match") as caught:
        parse(rules=rules)
    assert all(str(one["id"]) in str(caught.value) for one in rules[:-1])


def test_rules_that_overlap_in_part_both_stand() -> None:
    rules = parse(
        rules=[
            rule("one", entities=["PHONE"], sources=["chat"]),
            rule("two", "long", entities=["PHONE", "EMAIL"]),
        ]
    )
    assert rules.choose(CHAT, frozenset({EntityType.PHONE})) == ("short", "one")
    assert rules.choose(CHAT, frozenset({EntityType.EMAIL})) == ("long", "two")


@pytest.mark.parametrize(
    ("floor", "rules", "undercut"),
    [
        ({}, [], False),
        ({}, [rule("one", sources=["chat"])], True),
        ({"classes": ["long"]}, [rule("one", sources=["chat"])], False),
        ({"classes": ["short"]}, [rule("one", sources=["chat"])], True),
        ({"tenants": ["bank"]}, [rule("one", tenants=["clinic"])], False),
        ({"tenants": ["bank"]}, [rule("one", tenants=["bank"])], True),
        ({"tenants": ["bank"]}, [rule("one", sources=["chat"])], True),
        ({"entities": ["IBAN"]}, [rule("one", entities=["IBAN"])], True),
        # A memory with a phone may hold an account as well, unless a rule before took all of those.
        ({"entities": ["IBAN"]}, [rule("one", entities=["PHONE"])], True),
        (
            {"entities": ["IBAN"]},
            [rule("zero", "long", entities=["IBAN"]), rule("one", entities=["PHONE"])],
            False,
        ),
        (
            {"entities": ["IBAN", "CARD"]},
            [rule("zero", "long", entities=["IBAN"]), rule("one", entities=["PHONE"])],
            True,
        ),
        (
            {"entities": ["IBAN"]},
            [rule("zero", "long", entities=["IBAN"], sources=["chat"]), rule("one", purposes=["legal"])],
            True,
        ),
    ],
)
def test_no_rule_undercuts_a_floor(
    floor: dict[str, object],
    rules: list[dict[str, Any]],
    undercut: bool,  # noqa: FBT001  # a case
) -> None:
    floors = [{"id": "six-years", "at-least": "P6Y", **floor}]
    if not undercut:
        assert len(parse(floors=floors, rules=rules).floors) == 1
        return
    with pytest.raises(PolicyInvalidError, match=r"short \(P90D\) undercuts the floor six-years \(P6Y\)"):
        parse(floors=floors, rules=rules)


def test_the_default_undercuts_no_floor_either() -> None:
    with pytest.raises(PolicyInvalidError, match=r"default: the class short .* for the tenant bank"):
        parse(floors=[{"id": "low", "at-least": "P6Y", "tenants": ["bank"]}], default="short")


@pytest.mark.parametrize(
    ("classes", "undercut"),
    [
        ([a_class("long", "P90D", "ask")], False),  # somebody decides, and is told of the floor then
        ([a_class("long", "P90D", "re-encrypt")], False),
        ([a_class("long", "P90D", "archive", next="b"), a_class("b", "P6Y")], False),
        ([a_class("long", "P90D", "archive", next="b"), a_class("b", "P5Y")], True),
        ([a_class("long", "P90D", "archive", next="b"), a_class("b", "forever")], False),
        ([a_class("long", "P6Y", "redact", next="b"), a_class("b", "P90D")], False),
        ([a_class("long", "P90D", "redact", next="b"), a_class("b", "forever")], True),
    ],
)
def test_only_what_loses_something_undercuts(classes: list[dict[str, object]], undercut: bool) -> None:  # noqa: FBT001  # a case
    floors = [{"id": "low", "at-least": "P6Y"}]
    if undercut:
        with pytest.raises(PolicyInvalidError, match="undercuts the floor low"):
            parse(classes=classes, floors=floors)
    else:
        assert parse(classes=classes, floors=floors).floors[0].at_least == Duration.parse("P6Y")


def test_a_floor_of_a_later_class_says_nothing_of_the_class_before() -> None:
    classes = [a_class("long", "P90D", "redact", next="b"), a_class("b", "P7Y")]
    rules = parse(classes=classes, floors=[{"id": "low", "at-least": "P6Y", "classes": ["b"]}])
    assert [floor.id for floor in floors_over(rules, "b", "clinic")] == ["low"]
    assert floors_over(rules, "long", "clinic") == ()


def test_a_file_with_too_many_combinations_is_refused_before_they_are_looked_through() -> None:
    many = [
        rule(
            f"rule-{number}",
            "long",
            tenants=[f"tenant-{number}"],
            sources=["chat", "text", "markdown"],
            purposes=["legal", "payment", "service"],
            access=["private", "public"],
        )
        for number in range(150)
    ]
    with pytest.raises(PolicyInvalidError, match=f"at most {MAX_CASES} combinations"):
        parse(rules=many)


def test_floors_keep_what_holds_their_kinds_until_the_last_of_them_ends() -> None:
    rules = parse(
        floors=[
            {"id": "all", "at-least": "P1Y", "classes": ["long"]},
            {"id": "accounts", "at-least": "P6Y", "entities": ["IBAN"], "classes": ["long"]},
        ]
    )
    floors = floors_over(rules, "long", "clinic")
    assert kept_until(floors, NOTHING, at(2024, 2, 29)) == at(2025, 3, 1)
    assert kept_until(floors, frozenset({EntityType.IBAN}), at(2024, 2, 29)) == at(2030, 3, 1)
    assert kept_until((), NOTHING, at(2024, 2, 29)) is None


FEW = (EntityType.IBAN, EntityType.PHONE, EntityType.CARD)
KINDS = st.lists(st.sampled_from([kind.value for kind in FEW]), min_size=1, max_size=3, unique=True)
WHEN = st.fixed_dictionaries(
    {},
    optional={
        "entities": KINDS,
        "sources": st.lists(st.sampled_from(["chat", "text"]), min_size=1, max_size=2, unique=True),
        "tenants": st.lists(st.sampled_from(["bank", "clinic"]), min_size=1, max_size=2, unique=True),
    },
).filter(bool)
CLASSES = st.sampled_from(["long", "short"])


@given(
    whens=st.lists(st.tuples(WHEN, CLASSES), max_size=4),
    floor=st.fixed_dictionaries({}, optional={"entities": KINDS, "tenants": st.just(["bank"])}),
    default=CLASSES,
)
def test_what_is_loaded_was_decided_as_if_every_memory_had_been_tried(
    whens: list[tuple[dict[str, object], str]], floor: dict[str, object], default: str
) -> None:
    """Against a count of all sets of kinds at all places: loaded if every rule matches and none undercuts."""
    rules = [rule(f"rule-{number}", of, **when) for number, (when, of) in enumerate(whens)]
    free = document(rules=rules, default=default)
    model = RetentionRules.model_validate(free)
    met, undercut = set(), False
    subsets = chain.from_iterable(combinations(FEW, size) for size in range(len(FEW) + 1))
    for kinds in map(frozenset, subsets):
        for tenant in ("bank", "clinic", "other"):
            for source in ("chat", "text", "json"):
                place = Place(tenant, source, Purpose.LEGAL, AccessTier.PUBLIC)
                of, by = model.choose(place, kinds)
                met.add(by)
                meant = "tenants" not in floor or tenant == "bank"
                wanted = floor.get("entities")
                meant = meant and (
                    not isinstance(wanted, list) or bool(kinds & {EntityType(w) for w in wanted})
                )
                undercut = undercut or (meant and of == "short")
    shadowed = {one["id"] for one in rules} - met
    text = yaml.safe_dump({**free, "floors": [{"id": "low", "at-least": "P6Y", **floor}]})
    if shadowed or undercut:
        with pytest.raises(PolicyInvalidError):
            parse_retention_rules(text)
    else:
        assert len(parse_retention_rules(text).rules) == len(rules)


def test_choices_are_kept_and_no_more_of_them_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.retention_model.MAX_CHOSEN", 3)
    rules = default_retention_rules()
    for _ in range(2):
        for tenant in ("one", "two", "three", "four", "five"):
            assert rules.choose(replace(CHAT, tenant=tenant), NOTHING) == ("general", DEFAULT_RULE)
            assert rules.choose(replace(CHAT, tenant=tenant), NOTHING) == ("general", DEFAULT_RULE)
            assert len(rules._chosen) <= 3
