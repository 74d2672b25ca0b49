"""The ends of the process, in this one: defects, servers, vaults that another has open."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api import serving
from api.app import create_app
from api.cli import demo, main, memories
from api.settings import read_settings
from tests.api.conftest import create_fake_vault
from vault.errors import StorageFullError
from vault.opening import Vault


@pytest.fixture
def quiet_process() -> Iterator[None]:
    """Puts back what a server changes in its process: signal handlers and logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_entry_point_runs_the_commands_under_our_hook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["memvault", "--help"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 0
    assert "extract" in capsys.readouterr().out
    error = ValueError("Maria Keller")
    sys.excepthook(ValueError, error, None)
    told = capsys.readouterr().err
    assert "builtins.ValueError" in told
    assert "Maria" not in told


def test_a_command_of_others_ends_as_the_table_says(
    shell: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_output: Path) -> Path:
        raise StorageFullError("no space is left")

    monkeypatch.setattr(demo, "_fresh", full)
    result = shell.invoke(main.app, ["demo", "--output", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stderr)["type"] == "urn:memvault:problem:storage-full"


def test_a_vault_that_another_process_has_open_is_a_conflict(shell: CliRunner, tmp_path: Path) -> None:
    with create_fake_vault(tmp_path / "vault"):
        result = shell.invoke(main.app, ["retrieve", "tea"])
        assert (result.exit_code, result.stdout) == (7, "")
        assert str(os.getpid()) in result.stderr
        doctor = shell.invoke(main.app, ["doctor", "--json"])
        served = shell.invoke(main.app, ["serve", "--port", "0"])
    found = {check["check"]: check["status"] for check in json.loads(doctor.stdout)["checks"]}
    assert (doctor.exit_code, found["vault"]) == (9, "could not check")
    assert served.exit_code == 7


def test_the_doctor_looks_at_every_tenant(shell: CliRunner, tmp_path: Path) -> None:
    with create_fake_vault(tmp_path / "vault") as vault:
        vault.add_tenant("bank")
    shown = json.loads(shell.invoke(main.app, ["doctor", "--json"]).stdout)
    named = [check["check"] for check in shown["checks"]]
    assert {"log of bank", "log of clinic", "rows of bank", "rows of clinic"} <= set(named)
    assert named.count("schema") == 1


def test_the_serve_command_serves_what_it_opened(
    shell: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_fake_vault(tmp_path / "vault").close()
    monkeypatch.setattr(serving, "serve", lambda _app, _settings, _bound, ready: ready())
    result = shell.invoke(main.app, ["serve", "--port", "0"])
    assert result.exit_code == 0, result.output
    assert "serving at http://127.0.0.1:" in result.stderr
    assert "root key lies in a file" in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("quiet_process")
def test_a_server_answers_and_ends_when_it_is_told_to(vault: Vault) -> None:
    settings = read_settings({"MEMVAULT_PORT": "0"})
    answers: list[httpx.Response] = []
    with serving.listen(settings) as bound:
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"

        def ready() -> None:

            def ask() -> None:
                answers.append(httpx.get(f"{address}/livez"))
                os.kill(os.getpid(), signal.SIGTERM)

            threading.Thread(target=ask).start()

        with pytest.raises(SystemExit) as ended:
            serving.serve(create_app(vault, settings), settings, bound, ready)
    assert ended.value.code == 0
    assert [answer.status_code for answer in answers] == [200]


def test_waiting_for_vectors_ends_where_none_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        backlog = 3
        failed = 0

    class Opened:
        class vault:  # noqa: N801  # stands for a session's vault
            class parts:  # noqa: N801
                embedding = Stuck

            @staticmethod
            def wait(_timeout: float) -> bool:
                return False

    monkeypatch.setattr(memories, "STALL_SECONDS", 1.0)
    assert not memories._wait(Opened, quiet=True)  # type: ignore[arg-type]  # only what waiting needs
