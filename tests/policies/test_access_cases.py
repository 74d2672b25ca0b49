"""The readable cases that travel with the rules, `rules/tests.yaml`: run, well formed, and sharp.

Sharp: any single name added to a rule or taken from it, wherever that changes an answer at all, fails
at least one case.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import yaml

from policies.access import AccessPolicy
from policies.bundle import ACCESS_TESTS, Bundle
from policies.model import (
    AccessTier,
    Action,
    Assurance,
    Decision,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Resource,
    Role,
    SystemResource,
)
from policies.rule import RELATIONS, Rule

CASES: list[dict[str, Any]] = yaml.safe_load(Bundle.read().text(ACCESS_TESTS))
POLICY = AccessPolicy.load(Bundle.read())
RESOURCES = {resource.value: resource for resource in (*AccessTier, *SystemResource)}

Point = tuple[Role, Resource, Relation, Assurance, Emergency, Action, Purpose]


def names(cell: str | list[str], known: Iterable[str]) -> list[str]:
    """Return the names in a cell: one, several, or any."""
    if cell == "any":
        return list(known)
    return cell if isinstance(cell, list) else [cell]


def requests(case: dict[str, Any]) -> Iterator[Request]:
    """Go through the requests of a case: one for each combination."""
    facts, asked = case["given"], case["when"]
    roles = frozenset(map(Role, facts["roles"]))
    tenant = {"same": "clinic", "other": "bank"}[facts.get("tenant", "same")]
    for assurance, emergency, resource, relation, action, purpose in product(
        names(facts.get("assurance", "any"), Assurance),
        names(facts.get("emergency", "any"), Emergency),
        names(facts["resource"], RESOURCES),
        names(facts["relation"], RELATIONS),
        names(asked["action"], Action),
        names(asked["purpose"], Purpose),
    ):
        yield Request(
            Principal("someone", "clinic", roles, Assurance(assurance)),
            tenant,
            RESOURCES[resource],
            Relation(relation),
            Action(action),
            Purpose(purpose),
            Emergency(emergency),
        )


def named(case: dict[str, Any]) -> str:
    return str(case["case"])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_case(policy: AccessPolicy, case: dict[str, Any]) -> None:
    expected = {"allow": True, "deny": False}[case["expect"]]
    decisions = [policy.decide(request) for request in requests(case)]
    assert decisions
    assert [shown(decision) for decision in decisions if decision.allowed != expected] == [], case["because"]


def shown(decision: Decision) -> str:
    request = decision.request
    return f"{request.resource} {request.relation} {request.action} {request.purpose}: {decision.rule}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_case_has_all_its_parts_and_no_other(case: dict[str, Any]) -> None:
    assert set(case) == {"case", "given", "when", "expect", "because"}
    assert set(case["given"]) - {"tenant", "assurance", "emergency"} == {"roles", "resource", "relation"}
    assert set(case["when"]) == {"action", "purpose"}
    assert len(case["because"]) > 10


def test_no_two_cases_have_one_name() -> None:
    assert len({named(case) for case in CASES}) == len(CASES)


def reach(rules: Iterable[Rule]) -> set[Point]:
    """Return every point of the space that some rule covers."""
    return {
        point
        for rule in rules
        for point in product(
            rule.roles,
            rule.resources,
            rule.relations,
            rule.assurances,
            rule.emergencies,
            rule.actions,
            rule.purposes,
        )
    }


def mutants(rule: Rule) -> Iterator[Rule]:
    """Change one name of one list, in each way there is."""
    for part, every in (
        ("resources", frozenset(RESOURCES.values())),
        ("relations", frozenset(RELATIONS)),
        ("assurances", frozenset(Assurance)),
        ("emergencies", frozenset(Emergency)),
        ("actions", frozenset(Action)),
        ("purposes", frozenset(Purpose)),
    ):
        present: frozenset[str] = getattr(rule, part)
        for name in sorted(every):
            yield replace(rule, **{part: present ^ {name}})  # type: ignore[arg-type]  # one list of its own kind


def asked_points() -> set[Point]:
    """Return the points that some case asks alone, so that its answer depends on them alone.

    A case for several roles that expects a denial asks for each of them.
    """
    return {
        (
            role,
            request.resource,
            request.relation,
            request.principal.assurance,
            request.emergency,
            request.action,
            request.purpose,
        )
        for case in CASES
        for request in requests(case)
        if request.tenant == request.principal.tenant
        if case["expect"] == "deny" or len(request.principal.roles) == 1
        for role in request.principal.roles
    }


@pytest.mark.parametrize("rule", POLICY.rules, ids=lambda rule: str(rule.id))
def test_each_change_of_a_rule_that_changes_an_answer_fails_a_case(rule: Rule) -> None:
    asked, before = asked_points(), reach(POLICY.rules)
    others = [other for other in POLICY.rules if other is not rule]
    surviving = []
    changed = 0
    for mutant in mutants(rule):
        difference = before ^ reach([*others, mutant])
        changed += bool(difference)
        if difference and not difference & asked:
            surviving.append(sorted(map(str, difference))[:3])
    assert changed > 10
    assert surviving == []


def test_a_dropped_rule_fails_a_case() -> None:
    asked, before = asked_points(), reach(POLICY.rules)
    for rule in POLICY.rules:
        difference = before - reach([other for other in POLICY.rules if other is not rule])
        assert difference & asked, rule.id
