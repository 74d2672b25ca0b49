"""Every route with every kind of principal: the table below is the promise, and no route may be missing."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from policies.model import Role
from tests.api.conftest import MakeCaller
from vault.opening import Vault

OWNER, STRANGER = "agent-1", "agent-2"

# Who calls, with which role, for a purpose that the role exists for.
CALLERS = {
    "owner": (OWNER, Role.OWNER_AGENT, "treatment"),
    "other owner": (STRANGER, Role.OWNER_AGENT, "treatment"),
    "member": ("member-1", Role.MEMBER, "treatment"),
    "clinician": ("clinician-1", Role.CLINICIAN, "treatment"),
    "adviser": ("adviser-1", Role.ADVISER, "service"),
    "auditor": ("auditor-1", Role.AUDITOR, "audit"),
    "administrator": ("admin-1", Role.ADMINISTRATOR, "operations"),
    "service": ("service-1", Role.SERVICE, "operations"),
}

# What the owner's private memory, and the log, answer to each of them. Whatever is not named is 403.
EXPECTED: dict[tuple[str, str], dict[str, int]] = {
    ("POST", "/v1/extract"): {"owner": 201, "other owner": 201, "service": 201},
    ("POST", "/v1/retrieve"): {
        "owner": 200,
        "other owner": 200,
        "member": 200,
        "clinician": 200,
        "adviser": 200,
    },
    ("GET", "/v1/memories/{memory_id}"): {
        "owner": 200,
        "other owner": 404,
        "member": 404,
        "clinician": 200,
        "adviser": 200,
    },
    ("PATCH", "/v1/memories/{memory_id}"): {"owner": 200, "other owner": 404, "member": 404, "service": 404},
    ("POST", "/v1/memories/{memory_id}/reveal"): {
        "owner": 200,
        "other owner": 404,
        "clinician": 200,
        "adviser": 200,
    },
    ("POST", "/v1/context"): {
        "owner": 200,
        "other owner": 200,
        "member": 200,
        "clinician": 200,
        "adviser": 200,
    },
    ("GET", "/v1/tiers"): {"administrator": 200},
    ("POST", "/v1/tasks"): {"owner": 202, "other owner": 202, "member": 202, "service": 202},
    ("POST", "/v1/organize"): {"owner": 200, "other owner": 200, "member": 200, "service": 200},
    ("GET", "/v1/audit/entries"): {"auditor": 200},
    ("GET", "/v1/audit/checkpoint"): {"auditor": 200},
    ("GET", "/v1/logs/{tenant}/checkpoint"): {"auditor": 200},
    ("GET", "/v1/logs/{tenant}/tile/{address}"): {"auditor": 200},
    ("GET", "/v1/audit/stream"): {"auditor": 200},
    ("POST", "/v1/audit/lookup"): {"auditor": 200},
    ("GET", "/v1/audit/query"): {"auditor": 200},
    ("GET", "/v1/audit/facets"): {"auditor": 200},
    ("GET", "/v1/audit/histogram"): {"auditor": 200},
    ("POST", "/v1/policy/reload"): {"administrator": 409},  # allowed: the vault has no folder to reload from
    # Whoever holds a receipt may ask what it is worth; nobody holds this one.
    ("GET", "/v1/audit/finality"): dict.fromkeys(CALLERS, 404),
}
QUERIES = {("GET", "/v1/audit/finality"): {"leaf_index": "0", "leaf_hash": "A" * 43 + "="}}
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/v1/extract"): {"document": {"text": "tea at four"}},
    ("POST", "/v1/retrieve"): {"query": "phone"},
    ("POST", "/v1/context"): {"query": "phone"},
    ("POST", "/v1/tasks"): {"kind": "distil", "subject": "maria"},
    ("PATCH", "/v1/memories/{memory_id}"): {"text": "a new text"},
    ("POST", "/v1/audit/lookup"): {"value": "maria"},
}
PLACE = {"tenant": "clinic", "address": "0/000.p/1"}
OPEN = {("GET", "/livez"), ("GET", "/readyz")}


def _routes(client: TestClient) -> Iterator[tuple[str, str]]:
    document = client.get("/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        yield from ((method.upper(), path) for method in methods)


@pytest.fixture
def memory_id(caller: MakeCaller) -> str:
    """A private memory of the owner."""
    owner = caller(Role.OWNER_AGENT, name=OWNER)
    body = {"subject": "maria", "document": {"text": "Maria Keller: 212-555-0147"}}
    answer = owner.client.post("/v1/extract", headers=owner.headers("treatment"), json=body)
    return str(answer.json()["memory_ids"][0])


def test_the_table_names_every_route(client: TestClient) -> None:
    assert set(_routes(client)) == set(EXPECTED) | OPEN


@pytest.mark.parametrize("route", EXPECTED, ids=" ".join)
@pytest.mark.parametrize("who", CALLERS)
def test_each_principal_gets_what_the_table_promises(
    caller: MakeCaller, memory_id: str, route: tuple[str, str], who: str
) -> None:
    name, role, purpose = CALLERS[who]
    method, path = route
    calling = caller(role, name=name)
    answer = calling.client.request(
        method,
        path.format(memory_id=memory_id, **PLACE),
        headers=calling.headers(purpose),
        json=BODIES.get(route),
        params=QUERIES.get(route),
    )
    assert answer.status_code == EXPECTED[route].get(who, 403), answer.text
    if who not in {"owner", "clinician", "adviser"}:
        assert "212-555-0147" not in answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize("route", EXPECTED, ids=" ".join)
def test_no_route_answers_without_a_key_or_with_a_wrong_one(
    client: TestClient, memory_id: str, route: tuple[str, str]
) -> None:
    method, path = route
    for headers in ({}, {"Authorization": f"Bearer mv_{'0' * 26}_{'a' * 52}"}):
        answer = client.request(
            method, path.format(memory_id=memory_id, **PLACE), headers=headers, json=BODIES.get(route)
        )
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:memvault:problem:not-authenticated"


@pytest.mark.parametrize("route", [route for route in EXPECTED if "{memory_id}" in route[1]], ids=" ".join)
@pytest.mark.parametrize("who", ["stranger here", "owner elsewhere", "clinician elsewhere"])
def test_a_memory_out_of_reach_and_one_that_never_was_are_told_apart_by_nobody(
    vault: Vault, caller: MakeCaller, memory_id: str, route: tuple[str, str], who: str
) -> None:
    vault.add_tenant("bank")
    role = Role.CLINICIAN if who.startswith("clinician") and route[0] != "PATCH" else Role.OWNER_AGENT
    name, tenant = (STRANGER, "clinic") if who == "stranger here" else (OWNER, "bank")
    calling = caller(role, name=name, tenant=tenant)
    method, path = route
    answers = [
        calling.client.request(
            method, path.format(memory_id=one), headers=calling.headers("treatment"), json=BODIES.get(route)
        )
        for one in (memory_id, f"mem_{'0' * 26}")
    ]
    told = [answer.json() for answer in answers]
    for problem in told:
        del problem["instance"]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert told[0] == told[1]


def test_a_denial_is_in_the_log_before_it_is_answered(caller: MakeCaller, memory_id: str) -> None:
    administrator = caller(Role.ADMINISTRATOR, name="admin-1")
    denied = administrator.client.get(
        f"/v1/memories/{memory_id}", headers=administrator.headers("operations")
    )
    assert denied.status_code == 403
    auditor = caller(Role.AUDITOR, name="auditor-1")
    entries = auditor.client.get("/v1/audit/entries", headers=auditor.headers("audit")).json()["entries"]
    found = [
        entry for entry in entries if entry["principal"] == "admin-1" and entry["event"] == "memory.read"
    ]
    assert [(entry["decision"], entry["resource"]) for entry in found] == [("denied", memory_id)]


@pytest.mark.parametrize("field", ["tenant", "principal", "as", "role"])
def test_nobody_can_name_another_tenant_or_principal_in_a_body(caller: MakeCaller, field: str) -> None:
    owner = caller(Role.OWNER_AGENT)
    for path, body in (("/v1/extract", {"document": {"text": "x"}}), ("/v1/retrieve", {"query": "x"})):
        answer = owner.client.post(path, headers=owner.headers("treatment"), json={**body, field: "bank"})
        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert fault["reason"] == "unknown field"
