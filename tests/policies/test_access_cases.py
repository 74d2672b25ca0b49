"""The readable cases that travel with the shipped rules: each asked of casbin itself, request by request.

`policies.review` holds its arrays against the cases; here the engine that decides answers them.
"""

from itertools import product

import pytest

from policies.access import AccessPolicy
from policies.bundle import ACCESS_TESTS, Bundle
from policies.model import Assurance, Emergency, Principal, Request
from policies.review.boxes import lists_of
from policies.review.cases import Case, parse_cases
from policies.rule import Effect
from policies.space import DIMENSIONS

CASES = parse_cases(Bundle.read().text(ACCESS_TESTS), ACCESS_TESTS)


def requests(case: Case) -> list[Request]:
    """Return the requests of a case: one for each combination, by a principal that holds all its roles."""
    roles, resources, relations, assurances, emergencies, actions, purposes = (
        [names[place] for place in places] for names, places in zip(DIMENSIONS, case.box, strict=True)
    )
    return [
        Request(
            Principal("someone", "clinic", frozenset(roles), assurance),  # type: ignore[arg-type]  # roles
            "bank" if case.other_tenant else "clinic",
            resource,  # type: ignore[arg-type]  # of its own dimension, as the next
            relation,  # type: ignore[arg-type]
            action,  # type: ignore[arg-type]
            purpose,  # type: ignore[arg-type]
            emergency,
        )
        for assurance, emergency, resource, relation, action, purpose in product(
            map(Assurance, assurances), map(Emergency, emergencies), resources, relations, actions, purposes
        )
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_case(policy: AccessPolicy, case: Case) -> None:
    decisions = [policy.decide(request) for request in requests(case)]
    assert decisions
    wrong = [one for one in decisions if one.allowed is not (case.expect is Effect.ALLOW)]
    assert wrong == [], (case.because, lists_of(case.box))
