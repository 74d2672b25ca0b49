"""The readable cases that travel with the rules, `rules/tests.yaml`: each one run, each one well formed."""

from itertools import product
from typing import Any

import pytest
import yaml

from policies.access import AccessPolicy
from policies.bundle import ACCESS_TESTS, Bundle
from policies.model import AccessTier, Action, Principal, Purpose, Relation, Request, Role, SystemResource

CASES: list[dict[str, Any]] = yaml.safe_load(Bundle.read().text(ACCESS_TESTS))
RESOURCES = {resource.value: resource for resource in (*AccessTier, *SystemResource)}


def several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def requests(case: dict[str, Any]) -> list[Request]:
    """Return every request of a case: each of its actions for each of its purposes."""
    facts, asked = case["given"], case["when"]
    principal = Principal("someone", "clinic", frozenset(map(Role, facts["roles"])))
    tenant = {"same": "clinic", "other": "bank"}[facts.get("tenant", "same")]
    resource, relation = RESOURCES[facts["resource"]], Relation(facts["relation"])
    return [
        Request(principal, tenant, resource, relation, Action(action), Purpose(purpose))
        for action, purpose in product(several(asked["action"]), several(asked["purpose"]))
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_case(policy: AccessPolicy, case: dict[str, Any]) -> None:
    expected = {"allow": True, "deny": False}[case["expect"]]
    for request in requests(case):
        decision = policy.decide(request)
        assert decision.allowed == expected, (
            f"{request.action} for {request.purpose}: {decision.rule}; {case['because']}"
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_a_case_has_all_its_parts_and_no_other(case: dict[str, Any]) -> None:
    assert set(case) == {"case", "given", "when", "expect", "because"}
    assert set(case["given"]) - {"tenant"} == {"roles", "resource", "relation"}
    assert set(case["when"]) == {"action", "purpose"}
    assert len(case["because"]) > 10


def test_the_cases_name_each_role_and_each_rule(policy: AccessPolicy) -> None:
    asked = [request for case in CASES for request in requests(case)]
    assert set().union(*(request.principal.roles for request in asked)) == set(Role)
    deciding = {policy.decide(request).rule for request in asked}
    assert {rule.id for rule in policy.rules} <= deciding
    assert len({case["case"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("rule", [rule.id for rule in AccessPolicy.load(Bundle.read()).rules])
def test_a_dropped_rule_fails_a_case(shipped: Bundle, rule: str) -> None:
    lines = shipped.text("rules/policy.csv").split("\n")
    kept = "\n".join(line for line in lines if not line.startswith(f"p, {rule},"))
    assert kept != "\n".join(lines)
    changed = AccessPolicy.load(Bundle({**shipped.files, "rules/policy.csv": kept.encode()}))
    failing = [
        case["case"]
        for case in CASES
        if any(changed.decide(request).allowed != (case["expect"] == "allow") for request in requests(case))
    ]
    assert failing
