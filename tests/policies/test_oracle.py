"""Two other engines decide the same rules: Cedar, and a plain table. At every point all three say the same.

Both read `rules/policy.csv` anew, by the standard library's csv and a handful of words, and share neither the
parser nor the arrays nor casbin with what they are held against. Cedar knows groups, permits and forbids of its
own; so it also answers for principals of several roles, in each pair of roles there is.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

import cedarpy
import pytest

from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, Bundle
from policies.model import (
    RESOURCES,
    Action,
    Assurance,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Role,
)
from tests.policies.bundles import every_bundle

LISTS = ("role", "resource", "relation", "assurance", "emergency", "action", "purpose")
NAMES: dict[str, list[str]] = {
    "role": [name.value for name in Role],
    "resource": [name.value for name in RESOURCES],
    "relation": ["owner", "care-team", "institution"],
    "assurance": [name.value for name in Assurance],
    "emergency": [name.value for name in Emergency],
    "action": [name.value for name in Action],
    "purpose": [name.value for name in Purpose],
}
Row = dict[str, set[str]]


def rows(bundle: Bundle) -> Iterator[tuple[str, str, Row]]:
    """Read id, effect and lists of each rule, by other means than the product."""
    lines = (line for line in bundle.text(ACCESS_RULES).splitlines() if line.strip() and line[0] != "#")
    for cells in csv.reader(lines, skipinitialspace=True):
        lists = {
            name: set(NAMES[name] if cell == "*" else cell.split("|"))
            for name, cell in zip(LISTS, cells[2:9], strict=True)
        }
        yield cells[1], cells[9], lists


def cedar_text(bundle: Bundle) -> str:
    """Say the rules in Cedar's language, and the tenant wall as a rule that forbids."""
    said = ["forbid(principal, action, resource) when { context.tenant != context.home };"]
    for rule_id, effect, lists in rows(bundle):
        roles = " || ".join(f'principal in Role::"{role}"' for role in sorted(lists["role"]))
        actions = ", ".join(f'Action::"{action}"' for action in sorted(lists["action"]))
        things = " || ".join(f'resource == Thing::"{thing}"' for thing in sorted(lists["resource"]))
        context = " && ".join(
            f"{json.dumps(sorted(lists[name]))}.contains(context.{name})"
            for name in ("relation", "assurance", "emergency", "purpose")
        )
        kind = {"allow": "permit", "deny": "forbid"}[effect]
        said.append(
            f'@id("{rule_id}") {kind}(principal, action in [{actions}], resource) '
            f"when {{ ({roles}) && ({things}) && {context} }};"
        )
    return "\n".join(said)


def principals(sets: Sequence[tuple[Role, ...]]) -> str:
    """Return Cedar's entities: a user for each set of roles, and the roles as groups."""
    groups = [{"uid": {"type": "Role", "id": role.value}, "attrs": {}, "parents": []} for role in Role]
    users = [
        {
            "uid": {"type": "User", "id": "+".join(roles)},
            "attrs": {},
            "parents": [{"type": "Role", "id": role.value} for role in roles],
        }
        for roles in sets
    ]
    return json.dumps([*groups, *users])


def cedar_request(roles: tuple[Role, ...], point: Mapping[str, str], tenant: str) -> dict[str, object]:
    return {
        "principal": f'User::"{"+".join(roles)}"',
        "action": f'Action::"{point["action"]}"',
        "resource": f'Thing::"{point["resource"]}"',
        "context": {
            "tenant": tenant,
            "home": "clinic",
            **{name: point[name] for name in ("relation", "assurance", "emergency", "purpose")},
        },
    }


def by_table(
    table: Sequence[tuple[str, str, Row]], roles: tuple[Role, ...], point: Mapping[str, str]
) -> bool:
    """Decide by looking down the table."""
    speaking = [
        effect
        for _, effect, lists in table
        for role in roles
        if role.value in lists["role"] and all(point[name] in lists[name] for name in LISTS[1:])
    ]
    return "allow" in speaking and "deny" not in speaking


def points() -> Iterator[dict[str, str]]:
    for names in product(*(NAMES[name] for name in LISTS[1:])):
        yield dict(zip(LISTS[1:], names, strict=True))


THINGS = {resource.value: resource for resource in RESOURCES}


def ours(policy: AccessPolicy, roles: tuple[Role, ...], point: Mapping[str, str], tenant: str) -> bool:
    principal = Principal("someone", "clinic", frozenset(roles), Assurance(point["assurance"]))
    request = Request(
        principal,
        tenant,
        THINGS[point["resource"]],
        Relation(point["relation"]),
        Action(point["action"]),
        Purpose(point["purpose"]),
        Emergency(point["emergency"]),
    )
    return policy.decide(request).allowed


def ask_cedar(bundle: Bundle, asked: Sequence[tuple[tuple[Role, ...], dict[str, str], str]]) -> list[bool]:
    sets = sorted({roles for roles, _, _ in asked})
    requests = [cedar_request(roles, point, tenant) for roles, point, tenant in asked]
    answers = cedarpy.is_authorized_batch(requests, cedar_text(bundle), principals(sets))
    assert not [answer.diagnostics.errors for answer in answers if answer.diagnostics.errors]
    return [answer.allowed for answer in answers]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("bundle", every_bundle())
def test_cedar_a_table_and_the_policy_agree_at_every_point(bundle: Bundle, role: Role) -> None:
    policy, table = AccessPolicy.load(bundle), list(rows(bundle))
    asked = [((role,), point, "clinic") for point in points()]
    cedar = ask_cedar(bundle, asked)
    for (roles, point, tenant), answer in zip(asked, cedar, strict=True):
        assert answer == by_table(table, roles, point), (roles, point)
        assert answer == ours(policy, roles, point, tenant), (roles, point)
    assert any(cedar), "a role that is allowed nothing is no role"
    assert not all(cedar)


@pytest.mark.parametrize("bundle", every_bundle())
def test_cedar_agrees_about_principals_of_two_roles(bundle: Bundle) -> None:
    policy, table = AccessPolicy.load(bundle), list(rows(bundle))
    some = list(points())[::53]  # a prime: every name of every dimension comes up
    asked = [(roles, point, "clinic") for roles in combinations(sorted(Role), 2) for point in some]
    for (roles, point, tenant), answer in zip(asked, ask_cedar(bundle, asked), strict=True):
        assert answer == by_table(table, roles, point) == ours(policy, roles, point, tenant), (roles, point)


@pytest.mark.parametrize("bundle", every_bundle())
def test_cedar_agrees_that_nothing_passes_the_wall(bundle: Bundle) -> None:
    policy = AccessPolicy.load(bundle)
    asked = [((role,), point, "bank") for role in Role for point in list(points())[::53]]
    assert not any(ask_cedar(bundle, asked))
    assert not any(ours(policy, roles, point, tenant) for roles, point, tenant in asked)
