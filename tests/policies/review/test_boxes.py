"""A set of points is covered by boxes exactly, and a box is a sentence that says its names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.bundle import ACCESS_RULES, Bundle
from policies.model import RESOURCES, Action, Assurance, Emergency, Purpose, Role
from policies.review.boxes import Box, cover, lists_of, points_of, sentence, union, witness
from policies.rule import RELATIONS, parse_rules
from policies.space import SHAPE, Answer, answers, covered, index_of

BOXES: st.SearchStrategy[list[Box]] = st.lists(
    st.tuples(
        *(st.sets(st.integers(0, size - 1), min_size=1, max_size=4).map(sorted).map(tuple) for size in SHAPE)
    ),
    max_size=4,
)
RULES = parse_rules(Bundle.read().text(ACCESS_RULES), ACCESS_RULES)


@settings(max_examples=60, deadline=None)
@given(BOXES)
def test_a_cover_is_the_set_no_more_and_no_less_and_no_box_is_superfluous(boxes: list[Box]) -> None:
    points = union(boxes)
    found = cover(points)
    assert (union(found) == points).all()
    assert len(found) == len(set(found))
    for place in range(len(found)):
        assert not (union([*found[:place], *found[place + 1 :]]) == points).all()


def test_one_box_is_covered_by_itself() -> None:
    for rule in RULES:
        (box,) = cover(covered(rule))
        assert (points_of(box) == covered(rule)).all()
        assert rule.covers(witness(box))
        assert covered(rule)[index_of(witness(box))]


def test_the_shipped_rules_are_few_sentences() -> None:
    found = cover(answers(RULES) == Answer.ALLOWED)
    assert len(found) <= len(RULES)


def test_nothing_is_no_box() -> None:
    assert cover(np.zeros(SHAPE, dtype=np.bool_)) == []


def every(size: int) -> tuple[int, ...]:
    return tuple(range(size))


EVERYTHING: Box = tuple(every(size) for size in SHAPE)


def box(**lists: list[str]) -> Box:
    """Return a box of names; a dimension that is left out is whole."""
    dimensions = {
        "roles": tuple(Role), "resources": RESOURCES, "relations": RELATIONS, "assurances": tuple(Assurance),
        "emergencies": tuple(Emergency), "actions": tuple(Action), "purposes": tuple(Purpose),
    }  # fmt: skip
    return tuple(
        tuple(place for place, name in enumerate(names) if kind not in lists or name.value in lists[kind])
        for kind, names in dimensions.items()
    )


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({}, "everybody may do anything with any memory and the audit log and the vault for any purpose"),
        (
            {"roles": ["clinician"], "resources": ["private"], "relations": ["care-team"], "actions": ["read"],
             "purposes": ["treatment"], "assurances": ["mfa"], "emergencies": ["declared"]},
            "clinician may read private memory (its care team's) for treatment, known by several factors, in a declared emergency",
        ),
        (
            {"roles": ["auditor", "administrator"], "resources": ["audit-log"], "actions": ["audit"], "relations": ["institution"],
             "assurances": ["single"], "emergencies": ["none"]},
            "auditor, administrator may audit the audit log (as institution) for any purpose, known by one factor, outside emergencies",
        ),
        ({"resources": ["vault"], "actions": ["erase", "hold"], "purposes": ["legal"]}, "everybody may erase persons, place and release legal holds for legal"),
        ({"resources": ["vault"], "actions": ["read"], "purposes": [one for one in Purpose if one != "audit"]}, "everybody may read the vault for any purpose but audit"),
        ({"resources": ["private", "vault"], "actions": ["erase"], "purposes": ["legal"]}, "everybody may erase private memory and the vault for legal"),
    ],
)  # fmt: skip
def test_a_box_is_a_sentence(lists: dict[str, list[str]], expected: str) -> None:
    assert sentence(box(**lists)) == expected
    assert {kind: names for kind, names in lists_of(box(**lists)).items() if kind in lists} == {
        kind: sorted(names, key=lists_of(EVERYTHING)[kind].index) for kind, names in lists.items()
    }


def test_a_box_of_one_principal_with_several_roles_says_so_and_not_everybody() -> None:
    found = sentence(box(actions=["audit"]), who="who is auditor and adviser together")
    assert found.startswith("who is auditor and adviser together may audit ")
