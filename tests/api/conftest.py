"""Fixtures of the edge's tests: a vault with fake models, an application over it, a key for every role."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from api import assembly
from api.app import AppOptions, create_app
from api.auth import Argon2Cost, issue_key
from api.cli.main import app as command
from api.settings import PREFIX, Settings, read_settings
from policies.model import Principal, Role
from tests.simulators.fakes import fake_options
from vault.clock import system_clock, system_entropy
from vault.credentials import Credentials
from vault.opening import LocalRootWarning, Vault, VaultOptions

CHEAP = Argon2Cost(memory_kib=64, iterations=1)
TENANT = "clinic"


def create_fake_vault(path: Path) -> Vault:
    """Make a vault with fake models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        return Vault.create(path, tenant=TENANT, options=fake_options(clock=system_clock))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """An open, empty vault."""
    with create_fake_vault(tmp_path / "vault") as opened:
        yield opened


@dataclass(frozen=True)
class Caller:
    """A client that shows one principal's key."""

    client: TestClient
    key: str

    def headers(self, purpose: str | None = None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.key}"}
        return headers if purpose is None else {**headers, "Memvault-Purpose": purpose}


MakeCaller = Callable[..., Caller]


@pytest.fixture
def settings() -> Settings:
    """The defaults."""
    return read_settings({})


@pytest.fixture
def client(vault: Vault, settings: Settings) -> Iterator[TestClient]:
    """A client of the application, without a key."""
    app = create_app(vault, settings, AppOptions(key_cost=CHEAP))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def caller(vault: Vault, client: TestClient) -> MakeCaller:
    """Makes a principal with a key: `caller(Role.AUDITOR)`."""

    def make(*roles: Role, name: str = "agent-1", tenant: str = TENANT) -> Caller:
        principal = Principal(name, tenant, frozenset(roles))
        key = issue_key(Credentials(vault.parts), principal, system_entropy, cost=CHEAP)
        return Caller(client, key)

    return make


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Runs commands in this process, over a vault with fake models that does not exist yet."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MEMVAULT_VAULT", str(tmp_path / "vault"))

    def options(settings: Settings) -> VaultOptions:
        fakes = fake_options(limits=settings.limits, clock=system_clock)
        return replace(fakes, bundle=assembly.bundle_of(settings))

    monkeypatch.setattr(assembly, "vault_options", options)
    return CliRunner()


CHAT = {
    "sessions": [
        {
            "started": "2026-01-05T09:00:00+00:00",
            "title": "Intake",
            "turns": [
                {"speaker": "Maria Keller", "text": "My phone is 212-555-0147."},
                {"speaker": "Assistant", "role": "assistant", "text": "Your left knee hurts."},
                {"speaker": "Maria Keller", "text": "Actually it is the right knee."},
            ],
        },
        {"turns": [{"speaker": "Maria Keller", "text": "The surgery went well."}]},
    ]
}


class Memvault:
    """Runs commands against one vault."""

    def __init__(self, shell: CliRunner) -> None:
        self.shell = shell

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        result = self.shell.invoke(command, list(arguments), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, stdin: str | bytes | None = None) -> Any:  # noqa: ANN401  # any JSON
        result = self(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def empty(shell: CliRunner) -> Memvault:
    """No vault yet."""
    return Memvault(shell)


@pytest.fixture
def memvault(empty: Memvault) -> Memvault:
    """A new vault."""
    assert empty("init", "--tenant", "clinic").exit_code == 0
    return empty


@pytest.fixture
def chat(tmp_path: Path) -> str:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(CHAT))
    return str(path)


@pytest.fixture
def memory_id(memvault: Memvault, chat: str) -> str:
    written = memvault.json("extract", chat, "--subject", "maria")
    return str(written["sources"][0]["memory_ids"][0])
