"""The tutorial's outputs are what its commands print today."""

import shutil
from pathlib import Path

import pytest

from tests.api.conftest import Memvault
from tests.api.policy_tutorial import PAGE, regenerated


def test_the_tutorial_prints_what_its_commands_print(
    empty: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here")
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)

    def run(words: list[str]) -> str:
        ended = empty(*words)
        return ended.stdout + (f"[exit {ended.exit_code}]\n" if ended.exit_code else "")

    page = PAGE.read_text("utf-8")
    assert regenerated(page, repository, run) == page
    assert page.count("```console") >= 7
