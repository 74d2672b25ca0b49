"""Bundles that are compared lie in folders, or in revisions of a git repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

from policies.bundle import KNOWN_FILES, SHIPPED
from tests.api.conftest import Memvault


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

    def git(*words: str) -> None:
        identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(
            ["git", *identity, *words], cwd=repository, check=True, capture_output=True, timeout=60
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    monkeypatch.chdir(repository)
    assert empty("policy", "diff", str(SHIPPED), "HEAD", "--path", ".").exit_code == 23
    (repository / "log.yaml").write_text("#" * 300_000)
    git("commit", "-q", "-a", "-m", "two")
    refused = empty("policy", "diff", "HEAD~1", "HEAD", "--path", ".")
    assert (refused.exit_code, "expected a file of at most 262144 bytes" in refused.stderr) == (1, True)
