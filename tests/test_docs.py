"""The pages: links lead somewhere, commands and modules that they name exist, examples run."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli.main import app
from audit.event import EventType
from policies.model import Action, Purpose, Role
from tests.conftest import REPOSITORY
from tests.simulators.fakes import fake_options
from vault.memos import MemOS
from vault.opening import LocalRootWarning, Vault

PAGES = sorted(
    page
    for folder in (REPOSITORY, REPOSITORY / "docs", REPOSITORY / "docs" / "adr")
    for page in folder.glob("*.md")
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {"setup", "demo", "check", "test", "bench", "docs", "serve"} <= targets
    for page in PAGES:
        for name in re.findall(r"`make ([a-z]+)`|\$ make ([a-z]+)", page.read_text(encoding="utf-8")):
            assert set(name) - {""} <= targets, f"{page.name} names make {name}"


def test_commands_and_options_that_the_readme_shows_exist() -> None:
    command = get_command(app)
    shown = re.findall(
        r"^\$ memvault (.+)$", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert shown
    for line in shown:
        words = line.split()
        found = command.commands[words[0]]  # type: ignore[attr-defined]
        if hasattr(found, "commands"):
            found = found.commands[words[1]]
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (
        code
        for kind, code in FENCE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
        if kind == "python"
    )
    folder = tmp_path / "my-vault"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        Vault.create(folder, tenant="harbour-street", options=fake_options()).close()
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "left knee" in done.stdout
    assert "218 555 0188" not in done.stdout


def test_every_role_action_and_purpose_is_told_to_somebody() -> None:
    rules = (REPOSITORY / "policies" / "rules" / "policy.csv").read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").lower()
    for role in Role:
        assert role.value in rules
        assert role.value.replace("-", " ") in readme
    for name in (*Action, *Purpose):
        assert name.value in rules


def test_every_event_stands_in_the_page_about_the_log() -> None:
    page = (REPOSITORY / "docs" / "audit-log.md").read_text(encoding="utf-8")
    for event in EventType:
        assert f"`{event.value}`" in page


def test_the_facade_says_what_each_call_raises() -> None:
    for name in (
        "extract",
        "organize",
        "retrieve",
        "get",
        "reveal",
        "update",
        "entries",
        "checkpoint",
        "export",
        "prove",
        "verify",
    ):
        assert "Raises:" in (getattr(MemOS, name).__doc__ or ""), name
