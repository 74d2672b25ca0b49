"""Bundles that are compared lie in folders, or in revisions of a git repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

from policies.bundle import ACCESS_RULES, KNOWN_FILES, SHIPPED
from policies.loading import READY
from tests.api.conftest import Memvault


def test_a_folder_does_not_stand_in_for_a_revision_of_its_name(
    empty: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here")
    shutil.copytree(READY / "hipaa", tmp_path / "policies")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "base")
    git(tmp_path, "switch", "-q", "-c", "change")
    rules = tmp_path / "policies" / ACCESS_RULES
    narrow = "owner|care-team, *, *, read|search, treatment"
    rules.write_text(rules.read_text("utf-8").replace(narrow, "*, *, *, read|search, treatment"), "utf-8")
    git(tmp_path, "commit", "-q", "-a", "-m", "wider")
    monkeypatch.chdir(tmp_path)
    assert empty("policy", "diff", "main", "HEAD").exit_code == 23
    shutil.copytree(tmp_path / "policies", tmp_path / "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "hidden")
    hidden = empty("policy", "diff", "main", "HEAD")
    assert (hidden.exit_code, "main is a folder and a git revision" in hidden.stderr) == (1, True)
    assert empty("policy", "diff", "refs/heads/main", "HEAD").exit_code == 23
    assert empty("policy", "diff", "./main", "HEAD").exit_code == 0


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, timeout=60)


def test_a_bundle_at_the_top_of_a_repository_is_compared_and_one_that_is_too_large_is_not_read(
    empty: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here")
    repository = tmp_path / "repository"
    for name in KNOWN_FILES:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_bytes((SHIPPED / name).read_bytes())
    rules = repository / "rules" / "policy.csv"
    rules.write_text(rules.read_text("utf-8").replace("reveal, treatment, allow", "reveal, research, allow"))

    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    monkeypatch.chdir(repository)
    assert empty("policy", "diff", str(SHIPPED), "HEAD", "--path", ".").exit_code == 23
    (repository / "log.yaml").write_text("#" * 300_000)
    git(repository, "commit", "-q", "-a", "-m", "two")
    refused = empty("policy", "diff", "HEAD~1", "HEAD", "--path", ".")
    assert (refused.exit_code, "expected a file of at most 262144 bytes" in refused.stderr) == (1, True)
