"""A decision is explained by the rule that made it, a denial by the rules that come nearest; the answers are whole."""

from dataclasses import replace

import numpy as np
import pytest

from policies.bundle import ACCESS_RULES, Bundle
from policies.model import AccessTier, Action, Assurance, Emergency, Purpose, Relation, Role, SystemResource
from policies.review.boxes import union
from policies.review.explain import NEAREST, Asked, allowed_together, allowed_within, explain
from policies.rule import parse_rules
from policies.space import Answer, answers

RULES = parse_rules(Bundle.read().text(ACCESS_RULES), ACCESS_RULES)
ASKED = Asked(
    frozenset({Role.CLINICIAN}),
    AccessTier.PRIVATE,
    Relation.INSTITUTION,
    Assurance.SINGLE,
    Emergency.NONE,
    Action.REVEAL,
    Purpose.TREATMENT,
)
DENY = "p, no-adviser, adviser, *, *, *, *, *, *, deny"


def test_an_allow_names_every_rule_that_allows() -> None:
    found = explain(RULES, ASKED)
    assert (found.allowed, [rule.id for rule in found.rules], found.nearest) == (
        True,
        ["clinician-treats"],
        (),
    )


def test_a_denial_names_the_nearest_rule_and_what_it_wants() -> None:
    found = explain(RULES, replace(ASKED, purpose=Purpose.RESEARCH))
    assert (found.allowed, found.rules) == (False, ())
    (near,) = found.nearest
    assert (near.rule.id, near.missing) == ("clinician-treats", ("purpose: research is none of treatment",))


def test_of_many_near_rules_few_are_named() -> None:
    found = explain(RULES, replace(ASKED, resource=SystemResource.VAULT, action=Action.AUDIT))
    assert 1 <= len(found.nearest) <= NEAREST
    assert len({len(one.missing) for one in found.nearest}) == 1


def test_a_denying_rule_of_one_role_explains_the_denial_of_all() -> None:
    rules = (*RULES, *parse_rules(DENY, ACCESS_RULES))
    found = explain(rules, replace(ASKED, roles=frozenset({Role.CLINICIAN, Role.ADVISER})))
    assert (found.allowed, [rule.id for rule in found.rules]) == (False, ["no-adviser"])
    assert explain((parse_rules(DENY, ACCESS_RULES)), ASKED).nearest == ()


@pytest.mark.parametrize(
    "asked", [replace(ASKED, same_tenant=False), replace(ASKED, relation=Relation.OTHER)]
)
def test_the_wall_explains_itself(asked: Asked) -> None:
    found = explain(RULES, asked)
    assert (found.allowed, found.rules, found.nearest) == (False, (), ())
    assert "tenant wall" in found.reason


def test_who_can_is_exactly_who_is_allowed() -> None:
    found = allowed_within(RULES, actions=["reveal"], resources=["private"])
    said = answers(RULES) == Answer.ALLOWED
    expected = np.zeros_like(said)
    at = list(Action).index(Action.REVEAL)
    expected[:, 0, :, :, :, at, :] = said[:, 0, :, :, :, at, :]
    assert (union(found) == expected).all()
    assert allowed_within(RULES, actions=["write"], resources=["vault"]) == []


def test_what_several_roles_can_together_is_what_none_of_them_is_denied() -> None:
    both = [Role.CLINICIAN, Role.ADVISER]
    free = union(allowed_together(RULES, both))
    assert (free[2] == free[3]).all()
    said = answers(RULES) == Answer.ALLOWED
    assert (free[2] == (said[2] | said[3])).all()
    assert allowed_together((*RULES, *parse_rules(DENY, ACCESS_RULES)), both) == []
