"""The whole finite space of requests, asked one by one, against what the issue says in prose.

The expectation is written here by hand from the roles' descriptions, not from the rules' file, and by
plain sets, not by casbin.
"""

from collections.abc import Iterator
from itertools import product

from policies.access import DEFAULT_DENY, TENANT_WALL, AccessPolicy, Question, Wall
from policies.model import AccessTier, Action, Principal, Purpose, Relation, Request, Role, SystemResource

RESOURCES = (*AccessTier, *SystemResource)
SPACE = list(product(Role, RESOURCES, Relation, Action, Purpose))
CARE = {Purpose.TREATMENT, Purpose.PAYMENT, Purpose.OPERATIONS, Purpose.SERVICE, Purpose.LEGAL}
CONTENT = CARE | {Purpose.RESEARCH}
SHARED = {AccessTier.INSTITUTIONAL, AccessTier.PUBLIC}
LOOKING = {Action.READ, Action.SEARCH}

Point = tuple[Role, AccessTier | SystemResource, Relation, Action, Purpose]


def meant() -> Iterator[Point]:
    """Every point that is meant to be allowed, role by role."""
    own, either = [Relation.OWNER], list(Relation)
    keeping = {Action.WRITE, Action.UPDATE, Action.ORGANIZE} | LOOKING
    yield from product([Role.OWNER_AGENT], [AccessTier.PRIVATE], own, keeping, CONTENT)
    yield from product([Role.OWNER_AGENT], [AccessTier.PRIVATE], own, [Action.REVEAL], CARE)
    for role in (Role.OWNER_AGENT, Role.MEMBER):
        yield from product([role], SHARED, either, LOOKING, CONTENT)
    yield from product([Role.MEMBER], [AccessTier.INSTITUTIONAL], own, keeping - LOOKING, CONTENT)
    for role, purpose in ((Role.CLINICIAN, Purpose.TREATMENT), (Role.ADVISER, Purpose.SERVICE)):
        yield from product([role], AccessTier, either, LOOKING | {Action.REVEAL}, [purpose])
    yield from product(
        [Role.AUDITOR], [SystemResource.AUDIT_LOG], either, [Action.AUDIT], [Purpose.AUDIT, Purpose.LEGAL]
    )
    yield from product(
        [Role.ADMINISTRATOR], [SystemResource.VAULT], either, [Action.ADMINISTER], [Purpose.OPERATIONS]
    )
    rights = {Action.ERASE, Action.HOLD, Action.DISCLOSE, Action.RESTRICT}
    yield from product([Role.PRIVACY_OFFICER], [SystemResource.VAULT], either, rights, [Purpose.LEGAL])
    yield from product([Role.PRIVACY_OFFICER], AccessTier, either, [Action.UPDATE], [Purpose.LEGAL])
    yield from product([Role.SERVICE], AccessTier, own, [Action.WRITE, Action.UPDATE], [Purpose.OPERATIONS])
    yield from product([Role.SERVICE], AccessTier, either, [Action.ORGANIZE], [Purpose.OPERATIONS])


def request(point: Point, tenant: str) -> Request:
    return Request(Principal("someone", "clinic", frozenset({point[0]})), tenant, *point[1:])


def test_the_space_is_as_large_as_its_names_say() -> None:
    assert len(SPACE) == len(Role) * len(RESOURCES) * len(Relation) * len(Action) * len(Purpose)
    assert len(set(meant())) < len(SPACE) / 10


def test_exactly_what_is_meant_is_allowed(policy: AccessPolicy) -> None:
    allowed = {point for point in SPACE if policy.decide(request(point, "clinic")).allowed}
    assert allowed - set(meant()) == set()
    assert set(meant()) - allowed == set()


def test_nothing_is_allowed_in_another_tenant(policy: AccessPolicy) -> None:
    decisions = [policy.decide(request(point, "bank")) for point in SPACE]
    assert {(decision.allowed, decision.rule) for decision in decisions} == {(False, TENANT_WALL)}


def test_the_rules_alone_hold_the_wall_too(policy: AccessPolicy) -> None:
    """The tenant wall stands twice here: with the first taken away, casbin's matcher still denies all."""
    assert {policy.answer((Wall.OTHER, *point)) for point in SPACE} == {DEFAULT_DENY}


def test_each_allowed_point_names_a_rule_that_covers_it(policy: AccessPolicy) -> None:
    rules = {rule.id: rule for rule in policy.rules}
    for point in set(meant()):
        question: Question = (Wall.SAME, *point)
        assert rules[policy.decide(request(point, "clinic")).rule].covers(question)


def test_each_rule_decides_something(policy: AccessPolicy) -> None:
    deciding = {policy.decide(request(point, "clinic")).rule for point in meant()}
    assert deciding == {rule.id for rule in policy.rules}


def test_laws_that_hold_over_the_whole_space() -> None:
    """What no starter rule may ever say, whatever the roles."""
    for role, resource, _relation, action, purpose in meant():
        content = isinstance(resource, AccessTier)
        assert content or role in {Role.AUDITOR, Role.ADMINISTRATOR, Role.PRIVACY_OFFICER}
        assert not (role is Role.PRIVACY_OFFICER and purpose is not Purpose.LEGAL)
        assert not (role is Role.PRIVACY_OFFICER and content and action is not Action.UPDATE)
        assert not (content and role in {Role.AUDITOR, Role.ADMINISTRATOR})
        assert not (content and purpose is Purpose.AUDIT)
        assert not (action is Action.REVEAL and purpose is Purpose.RESEARCH)
        assert not (action is Action.REVEAL and role in {Role.MEMBER, Role.SERVICE})
