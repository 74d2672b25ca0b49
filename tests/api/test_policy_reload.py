"""A served vault takes other policies when it is told to by whom the rules allow; over HTTP, by SIGHUP, by nobody else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from policies.model import Role
from tests.api.conftest import MakeCaller, create_fake_vault
from tests.simulators.fakes import fake_options
from tests.vault.bundles.folders import change, make, narrow, versioned
from vault.bundles.source import BundleSource
from vault.clock import system_clock
from vault.opening import Vault

RELOAD = "/v1/policy/reload"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "policies")


@pytest.fixture
def vault(tmp_path: Path, folder: Path) -> Iterator[Vault]:
    create_fake_vault(tmp_path / "vault").close()
    options = replace(fake_options(clock=system_clock), policies=BundleSource(folder))
    with Vault.open(tmp_path / "vault", options=options) as opened:
        yield opened


def test_an_administrator_reloads_and_the_next_call_is_decided_anew(
    vault: Vault, caller: MakeCaller, folder: Path
) -> None:
    admin = caller(Role.ADMINISTRATOR, name="admin-1")
    before = vault.parts.policy.digest
    versioned(narrow(folder), 2)
    told = admin.client.post(RELOAD, headers=admin.headers("operations"), json={})
    assert told.status_code == 200, told.text
    assert told.json() == {
        "changed": True,
        "before": before,
        "digest": vault.parts.policy.digest,
        "name": "ours",
        "version": 2,
    }
    again = admin.client.post(RELOAD, headers=admin.headers("operations"))
    assert (again.status_code, again.json()["changed"]) == (200, False)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_nobody_else_reloads(vault: Vault, caller: MakeCaller, folder: Path, role: Role) -> None:
    other, before = caller(role, name="other"), vault.parts.policy.digest
    narrow(folder)
    told = other.client.post(RELOAD, headers=other.headers("operations"))
    assert (told.status_code, told.json()["type"]) == (403, "urn:memvault:problem:denied")
    assert vault.parts.policy.digest == before
    assert other.client.post(RELOAD, headers={"Memvault-Purpose": "operations"}).status_code == 401


def test_a_refusal_says_where_and_the_policies_stay(
    vault: Vault, caller: MakeCaller, folder: Path, client: TestClient
) -> None:
    admin, before = caller(Role.ADMINISTRATOR, name="admin-1"), vault.parts.policy.digest
    change(folder, "rules/policy.csv", "p, clinician-treats, clinician,", "p, clinician-treats, doctor,")
    told = admin.client.post(RELOAD, headers=admin.headers("operations"))
    assert (told.status_code, told.json()["type"]) == (409, "urn:memvault:problem:policy-refused")
    assert "rules/policy.csv, line 23, column 22" in told.json()["detail"]
    assert vault.parts.policy.digest == before
    assert client.get("/readyz").json()["checks"]["policy"] == "changed"
