"""The whole finite space of requests, asked one by one, against what the issue says in prose.

The expectation is written here by hand from the roles' descriptions, not from the rules' file, and by
plain sets, not by casbin.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES
from policies.loading import ready
from policies.model import (
    RESOURCES,
    AccessTier,
    Action,
    Assurance,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Role,
    SystemResource,
)
from policies.rule import DEFAULT_DENY, TENANT_WALL, Effect, Question, Wall, parse_rules
from policies.space import SHAPE, SIZE, Answer, answers, index_of, question_at, questions, without_each

SPACE = list(product(Role, RESOURCES, Relation, Action, Purpose))
EFFECTS = {Answer.ALLOWED: Effect.ALLOW, Answer.NONE: None, Answer.FORBIDDEN: Effect.DENY}
CARE = {Purpose.TREATMENT, Purpose.PAYMENT, Purpose.OPERATIONS, Purpose.SERVICE, Purpose.LEGAL}
CONTENT = CARE | {Purpose.RESEARCH}
SHARED = {AccessTier.INSTITUTIONAL, AccessTier.PUBLIC}
LOOKING = {Action.READ, Action.SEARCH}

Point = tuple[Role, AccessTier | SystemResource, Relation, Action, Purpose]


def meant() -> Iterator[Point]:
    """Every point that is meant to be allowed, role by role."""
    own, either = [Relation.OWNER], [Relation.OWNER, Relation.CARE_TEAM, Relation.INSTITUTION]
    keeping = {Action.WRITE, Action.UPDATE, Action.ORGANIZE} | LOOKING
    yield from product([Role.OWNER_AGENT], [AccessTier.PRIVATE], own, keeping, CONTENT)
    yield from product([Role.OWNER_AGENT], [AccessTier.PRIVATE], own, [Action.REVEAL], CARE)
    yield from product([Role.OWNER_AGENT], [AccessTier.INSTITUTIONAL], own, [Action.PROMOTE], CONTENT)
    yield from product([Role.PRIVACY_OFFICER], [AccessTier.PUBLIC], either, [Action.PROMOTE], [Purpose.LEGAL])
    for role in (Role.OWNER_AGENT, Role.MEMBER):
        yield from product([role], SHARED, either, LOOKING, CONTENT)
    yield from product([Role.MEMBER], [AccessTier.INSTITUTIONAL], own, keeping - LOOKING, CONTENT)
    for role, purpose in ((Role.CLINICIAN, Purpose.TREATMENT), (Role.ADVISER, Purpose.SERVICE)):
        yield from product([role], AccessTier, either, LOOKING | {Action.REVEAL}, [purpose])
    yield from product(
        [Role.AUDITOR],
        [SystemResource.AUDIT_LOG],
        either,
        [Action.AUDIT, Action.EXPORT],
        [Purpose.AUDIT, Purpose.LEGAL],
    )
    yield from product(
        [Role.ADMINISTRATOR], [SystemResource.VAULT], either, [Action.ADMINISTER], [Purpose.OPERATIONS]
    )
    rights = {Action.ERASE, Action.HOLD, Action.DISCLOSE, Action.RESTRICT, Action.REVIEW}
    yield from product([Role.PRIVACY_OFFICER], [SystemResource.VAULT], either, rights, [Purpose.LEGAL])
    yield from product([Role.PRIVACY_OFFICER], AccessTier, either, [Action.UPDATE], [Purpose.LEGAL])
    yield from product([Role.SERVICE], AccessTier, own, [Action.WRITE, Action.UPDATE], [Purpose.OPERATIONS])
    yield from product([Role.SERVICE], AccessTier, either, [Action.ORGANIZE], [Purpose.OPERATIONS])


def meant_surely(emergency: Emergency) -> Iterator[Point]:
    """What a principal is meant to be allowed besides if it is surely known, in an emergency and out of it."""
    either = [Relation.OWNER, Relation.CARE_TEAM, Relation.INSTITUTION]
    member, care = [Role.MEMBER], [Purpose.TREATMENT]
    yield from product(member, [SystemResource.VAULT], either, [Action.BREAK_GLASS], care)
    if emergency is Emergency.DECLARED:
        yield from product(member, AccessTier, either, LOOKING | {Action.REVEAL}, care)


def request(
    point: Point, tenant: str, assurance: Assurance = Assurance.SINGLE, emergency: Emergency = Emergency.NONE
) -> Request:
    principal = Principal("someone", "clinic", frozenset({point[0]}), assurance)
    return Request(principal, tenant, *point[1:], emergency)


def test_the_space_is_as_large_as_its_names_say() -> None:
    assert len(SPACE) == len(Role) * len(RESOURCES) * len(Relation) * len(Action) * len(Purpose)
    assert len(set(meant())) < len(SPACE) / 10
    # `OTHER` is the wall's, and not a point of the arrays.
    assert len(SPACE) * (len(Relation) - 1) * len(Assurance) * len(Emergency) // len(Relation) == SIZE
    assert len(set(questions())) == SIZE


@pytest.mark.parametrize("assurance", Assurance)
@pytest.mark.parametrize("emergency", Emergency)
def test_exactly_what_is_meant_is_allowed(
    policy: AccessPolicy, assurance: Assurance, emergency: Emergency
) -> None:
    expected = set(meant())
    if assurance is Assurance.MFA:
        expected |= set(meant_surely(emergency))
    allowed = {
        point for point in SPACE if policy.decide(request(point, "clinic", assurance, emergency)).allowed
    }
    assert allowed - expected == set()
    assert expected - allowed == set()


def test_the_arrays_say_at_every_point_what_casbin_says(policy: AccessPolicy) -> None:
    found = answers(policy.rules)
    wrong = [
        question
        for question, answer in zip(questions(), found.flat, strict=True)
        if policy.answer(question)[0] is not EFFECTS[Answer(int(answer))]
    ]
    assert wrong == []
    assert found.shape == SHAPE
    assert 0 < np.count_nonzero(found) < SIZE / 10


def test_a_point_and_its_index_are_one() -> None:
    for place, question in enumerate(questions()):
        index = np.unravel_index(place, SHAPE)
        if place % 97 == 0:
            assert question_at([int(part) for part in index]) == question
            assert index_of(question) == tuple(map(int, index))


def test_nothing_is_allowed_in_another_tenant(policy: AccessPolicy) -> None:
    decisions = [policy.decide(request(point, "bank")) for point in SPACE]
    assert {(decision.allowed, decision.rule) for decision in decisions} == {(False, TENANT_WALL)}


def test_the_rules_alone_hold_the_wall_too(policy: AccessPolicy) -> None:
    """The tenant wall stands twice here: with the first taken away, casbin's matcher still denies all."""
    meant_points = {(role, resource, action, purpose) for role, resource, _, action, purpose in meant()}
    for role, resource, action, purpose in meant_points:
        question = Question(
            Wall.OTHER, role, resource, Relation.OWNER, Assurance.MFA, Emergency.NONE, action, purpose
        )
        assert policy.answer(question) == (None, DEFAULT_DENY)


def test_each_allowed_point_names_a_rule_that_covers_it(policy: AccessPolicy) -> None:
    rules = {rule.id: rule for rule in policy.rules}
    for point in set(meant()):
        role, resource, relation, action, purpose = point
        question = Question(
            Wall.SAME, role, resource, relation, Assurance.SINGLE, Emergency.NONE, action, purpose
        )
        assert rules[policy.decide(request(point, "clinic")).rule].covers(question)


def test_each_rule_decides_something(policy: AccessPolicy) -> None:
    deciding = {rule for question in questions() if (rule := policy.answer(question)[1]) != DEFAULT_DENY}
    assert deciding == {rule.id for rule in policy.rules}


def test_laws_that_hold_over_the_whole_space() -> None:
    """What no starter rule may ever say, whatever the roles."""
    for role, resource, _relation, action, purpose in meant():
        content = isinstance(resource, AccessTier)
        assert content or role in {Role.AUDITOR, Role.ADMINISTRATOR, Role.PRIVACY_OFFICER}
        assert not (role is Role.PRIVACY_OFFICER and purpose is not Purpose.LEGAL)
        assert not (
            role is Role.PRIVACY_OFFICER and content and action not in {Action.UPDATE, Action.PROMOTE}
        )
        assert not (content and role in {Role.AUDITOR, Role.ADMINISTRATOR})
        assert not (content and purpose is Purpose.AUDIT)
        assert not (action is Action.REVEAL and purpose is Purpose.RESEARCH)
        assert not (action is Action.REVEAL and role in {Role.MEMBER, Role.SERVICE})
        assert not (action is Action.PROMOTE and resource is AccessTier.PRIVATE)


def test_what_rules_say_without_each_of_them_is_what_the_others_say() -> None:
    bundle = ready("hipaa")
    rules = parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)
    for place, (rule, without) in enumerate(without_each(rules)):
        assert rule == rules[place]
        assert (without == answers([*rules[:place], *rules[place + 1 :]])).all()
