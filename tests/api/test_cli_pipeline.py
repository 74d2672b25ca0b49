"""Pipelines through the command line."""

import json
from pathlib import Path

import pytest

from tests.api.conftest import Memvault
from vault.engineered.reading import READY, ready_pipelines

SAMPLES = READY / "samples"
WRONG = "pipeline: a\nversion: 1\npurpose: treatment\nsteps:\n  - {step: a, operator: organise/1}\n"


def test_ready_pipelines_and_operators_are_listed_without_a_vault(empty: Memvault) -> None:
    told = empty.json("pipeline", "list")["pipelines"]
    assert [one["pipeline"] for one in told] == list(ready_pipelines())
    assert told[0]["inputs"] == {"note": "text", "patient": "subject", "written": "time, optional"}
    assert "clinical-notes      1  Keep a clinical note" in empty("pipeline", "list").stdout
    operators = {one["operator"]: one for one in empty.json("pipeline", "list", "--operators")["operators"]}
    assert operators["retrieve/1"]["input"]["required"] == ["query"]
    assert operators["promote/1"]["destructive"]
    assert "get/1" in empty("pipeline", "list", "--operators").stdout


def test_a_pipeline_is_checked_without_a_vault(empty: Memvault, tmp_path: Path) -> None:
    told = empty.json("pipeline", "check", "research")
    assert (told["pipeline"], told["purpose"], told["steps"]) == ("research", "research", 7)
    assert told["actions"] == ["organize", "read", "search", "write"]
    assert told["definition"] in empty("pipeline", "check", str(READY / "research.yaml")).stdout
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    refused = empty("pipeline", "check", str(path))
    assert refused.exit_code == 1
    assert refused.stderr == "memvault: wrong.yaml:5:25: expected a known operator, got organise/1\n"
    shaped = json.loads(empty("pipeline", "check", str(path), "--json").stderr)
    assert shaped["type"] == "urn:memvault:problem:pipeline-invalid"
    assert empty("pipeline", "check", "nothing").exit_code == 1


@pytest.mark.parametrize("name", ready_pipelines())
def test_a_pipeline_is_run_and_shown(memvault: Memvault, name: str) -> None:
    inputs = ("--inputs", str(SAMPLES / f"{name}.json"))
    dry = memvault.json("pipeline", "dry-run", name, *inputs)["steps"]
    assert all(step["allowed"] for step in dry)
    assert memvault.json("pipeline", "runs")["runs"] == []
    told = memvault.json("pipeline", "run", name, *inputs)
    assert [step["step"] for step in told["steps"]] == [step["step"] for step in dry]
    (run,) = memvault.json("pipeline", "runs")["runs"]
    assert (run["run"], run["state"], run["steps"]) == (told["run"], "done", None)
    shown = memvault.json("pipeline", "runs", told["run"])
    assert [step["entry"] for step in shown["steps"]] == [step["entry"] for step in told["steps"]]
    text = memvault("pipeline", "runs", told["run"]).stdout
    assert f"{told['run']}  done" in text
    assert dry[0]["operator"] in text
    assert told["run"] in memvault("pipeline", "runs", "-n", "1").stdout
    assert memvault("pipeline", "resume", told["run"], name, *inputs).exit_code == 7
    assert memvault("audit", "verify").exit_code == 0


def test_a_run_is_told_to_people_and_takes_its_inputs_from_standard_input(memvault: Memvault) -> None:
    given = (SAMPLES / "clinical-notes.json").read_text("utf-8")
    result = memvault("pipeline", "run", "clinical-notes", "--inputs", "-", stdin=given)
    assert result.exit_code == 0
    assert "keep              extract-text/1" in result.stdout
    assert "Allergies: penicillin" in result.stdout
    assert "Keller" not in result.stdout
    dry = memvault("pipeline", "dry-run", "clinical-notes", "--inputs", "-", stdin=given)
    assert "write: private/owner  (owner-keeps-own)" in dry.stdout
    assert "text from input note" in dry.stdout


def test_a_run_that_fails_is_resumed(memvault: Memvault, tmp_path: Path) -> None:
    pipeline, given = tmp_path / "two.yaml", tmp_path / "given.json"
    pipeline.write_text(
        "pipeline: two\nversion: 1\npurpose: treatment\ninputs: {note: text, old: memory}\nsteps:\n"
        "  - {step: keep, operator: extract-text/1, with: {text: $note}}\n"
        "  - {step: look, operator: get/1, with: {memory: $old}}\n"
        "outputs: {trust: $look.trust, text: $look.text}\n"
    )
    given.write_text(json.dumps({"note": "so", "old": "mem_" + "0" * 26}))
    failed = memvault("pipeline", "run", str(pipeline), "--inputs", str(given))
    assert failed.exit_code == 7
    (run,) = memvault.json("pipeline", "runs")["runs"]
    assert failed.stderr == f"memvault: step look of {run['run']} failed: not-found\n"
    again = memvault("pipeline", "resume", run["run"], str(pipeline), "--inputs", str(given))
    assert again.exit_code == 7
    shown = memvault.json("pipeline", "runs", run["run"])
    assert [(step["step"], step["state"], step["reason"]) for step in shown["steps"]] == [
        ("keep", "done", None),
        ("look", "refused", "not-found"),
    ]


@pytest.mark.parametrize("given", ["", "[]", "{", '{"note": 1}', '{"note": "a", "note": "b"}'])
def test_inputs_that_are_none_are_refused_and_repeated_nowhere(memvault: Memvault, given: str) -> None:
    result = memvault("pipeline", "run", "clinical-notes", "--inputs", "-", stdin=given)
    assert result.exit_code == 1
    assert memvault.json("pipeline", "runs")["runs"] == []
    assert memvault("pipeline", "run", "clinical-notes", "--inputs", "/dev/zero").exit_code == 1
