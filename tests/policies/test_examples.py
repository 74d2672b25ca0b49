"""The examples for forges name commands, options and exit codes that there are."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from api.cli.main import app
from policies.review.reviewers import parse_reviewers

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples" / "policy-review"
FILES = [EXAMPLES / "github-actions.yml", EXAMPLES / "gitlab-ci.yml", REPOSITORY / ".pre-commit-hooks.yaml"]


def commands(text: str) -> list[list[str]]:
    """Return each call of our command in a file, as words."""
    joined = text.replace("--exit-zero\n          --reviewers", "--exit-zero --reviewers")
    return [shlex.split(found) for found in re.findall(r"memvault (policy [^|>\n]*)", joined)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_is_yaml_and_calls_what_there_is(file: Path) -> None:
    text = file.read_text("utf-8")
    assert yaml.safe_load(text)
    found = commands(text)
    assert found
    group = get_command(app).commands["policy"]  # type: ignore[attr-defined]  # a group of commands
    for _, name, *words in found:
        options = {option for one in group.commands[name].params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_the_difference_is_told_where_cases_fail_and_from_a_revision_that_no_folder_can_be() -> None:
    github = yaml.safe_load(FILES[0].read_text("utf-8"))["jobs"]["review"]["steps"]
    behind = github[next(nth for nth, step in enumerate(github) if "policy test" in step.get("run", "")) :]
    assert {step["if"] for step in behind} == {"${{ !cancelled() }}"}
    gitlab = yaml.safe_load(FILES[1].read_text("utf-8"))["policy review"]["script"]
    written = next(nth for nth, line in enumerate(gitlab) if "policy-change.md" in line)
    assert all(
        line.endswith("|| passed=no")
        for line in gitlab[:written]
        if re.match(r"memvault policy (lint|test)", line)
    )
    for text in (one.read_text("utf-8") for one in FILES[:2]):
        assert "refs/remotes/origin/" in text
        assert 'diff "origin/' not in text


def test_the_example_of_reviewers_is_read() -> None:
    text = (EXAMPLES / "reviewers.yml").read_text("utf-8")
    assert {name for rule in parse_reviewers(text, "reviewers.yml") for name in rule.ask} == {
        "privacy-office", "security", "medical-director",
    }  # fmt: skip
