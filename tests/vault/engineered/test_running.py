"""Running pipelines: the ready ones on real-ish input, the same again, dry, after failures, and after kill -9."""

import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.errors import DeniedError
from policies.model import AccessTier, Action, Purpose
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import AUDITOR, OTHER_OWNER, OWNER, Clinic, make_template
from tests.simulators.fakes import FrozenClock, HashEmbedder, fake_options
from tests.simulators.operators import Twice, badly
from vault.engineered.declared import From, Input, Literal, Pipeline, Step
from vault.engineered.executor import Executor
from vault.engineered.reading import READY, ready_pipelines
from vault.engineered.runner import RunReport
from vault.errors import ConflictError, ContractError, InputInvalidError, NotFoundError, StepFailedError
from vault.memos import MemOS
from vault.model import TrustState
from vault.opening import Vault

PURPOSES = {
    "clinical-notes": Purpose.TREATMENT,
    "customer-service": Purpose.SERVICE,
    "research": Purpose.RESEARCH,
}


def sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((READY / "samples" / f"{name}.json").read_text("utf-8"))
    return read


def canaries(name: str) -> tuple[str, ...]:
    """Return what of a sample may stand nowhere in clear."""
    return (
        "Keller",
        "Schmidt",
        "knee",
        "router",
        "sleep",
        "patient 17",
        "212-555-0147",
        "4711-a",
        name + "!",
    )


# What they do.


def test_clinical_notes_keeps_the_note_and_makes_a_handover(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    report = memory.run_pipeline("clinical-notes", sample("clinical-notes"))
    handover = str(report.outputs["handover"])
    assert "Allergies: penicillin" in handover
    assert "ibuprofen 400 mg" in handover
    assert "Keller" not in handover
    assert "212-555-0147" not in handover
    later = {**sample("clinical-notes"), "note": "Actually it is the right knee, not the left knee."}
    again = memory.run_pipeline("clinical-notes", later)
    assert set(again.outputs["kept"]) <= set(again.outputs["standing"])  # type: ignore[call-overload]


def test_customer_service_says_what_stands_open_and_trusts_no_summary(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER, Purpose.SERVICE)
    report = memory.run_pipeline("customer-service", sample("customer-service"))
    assert len(report.outputs["kept"]) == 7  # type: ignore[arg-type]
    summary = memory.get(str(report.outputs["summary"]))
    assert summary.trust is TrustState.CANDIDATE
    assert "15 euros" in summary.text
    assert "@example.org" not in summary.text
    derived = clinic.count("edge", f"kind = 'derived-from' AND source_id = '{summary.id}'")
    assert 1 <= derived <= 5
    assert "15 euros" in str(report.outputs["brief"])
    desk = memory.retrieve("refund", k=5).hits
    assert any(hit.memory.trust is TrustState.CANDIDATE for hit in desk)


def test_research_lists_its_evidence_and_keeps_no_source_with_too_much_personal_data(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER, Purpose.RESEARCH)
    report = memory.run_pipeline("research", sample("research"))
    evidence = report.outputs["evidence"]
    assert isinstance(evidence, tuple)
    listed = "".join(f"{one}\n" for one in sorted(evidence))
    assert report.outputs["digest"] == f"sha256:{sha256(listed.encode()).hexdigest()}"
    before = clinic.state()
    personal = {
        **sample("research"),
        "source": "Maria Keller, maria@example.org, slept badly.",
        "personal": 0,
    }
    with pytest.raises(StepFailedError, match=r"step look of run_[0-9a-z]{26} failed: after-not-met"):
        memory.run_pipeline("research", personal)
    assert clinic.state() == before


@pytest.mark.parametrize("name", ready_pipelines())
def test_nothing_of_what_a_run_is_given_stands_in_clear(clinic: Clinic, name: str) -> None:
    report = clinic.mem(OWNER, PURPOSES[name]).run_pipeline(name, sample(name))
    clinic.vault.wait(20)
    found = json.dumps([(entry.payload, entry.resource) for entry in clinic.log()])
    rows = str([clinic.sql(f"SELECT * FROM {table}") for table in ("run", "run_step", "run_effect")])  # noqa: S608
    for canary in canaries(name):
        assert canary not in found + rows
        for file in clinic.path.rglob("*"):
            assert not file.is_file() or canary.encode() not in file.read_bytes(), (canary, file.name)
    assert repr(report).count("outputs") == 0
    assert clinic.audit().verify().passed


# The same again.


class CountingEntropy:
    """Bytes that never repeat and are the same in every run, as long as nobody else draws at the same time."""

    def __init__(self) -> None:
        self._numbers = count()

    def __call__(self, size: int) -> bytes:
        blocks = (sha256(next(self._numbers).to_bytes(8)).digest() for _ in range(-(-size // 32)))
        return b"".join(blocks)[:size]


class InTurns(HashEmbedder):
    """Embeds between steps alone: its thread then neither draws nor commits while a step does."""

    def __init__(self) -> None:
        self.turn = threading.Event()
        self.vault: Vault | None = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if threading.current_thread().name.startswith("embed-"):  # a question's vector waits for nobody
            self.turn.wait(30)
        return super().embed(texts)

    def __call__(self, step: str) -> None:
        """Be told of a step, as the vault's probe."""
        if step == "step-ran" and self.vault is not None:
            self.turn.set()
            assert self.vault.wait(20)
            self.turn.clear()


def lived(template: Path, path: Path, name: str) -> tuple[RunReport, list[object]]:
    """Run a pipeline in a fresh vault; return the report, and all that stands in the vault afterwards."""
    turns = InTurns()
    options = replace(
        fake_options(clock=FrozenClock(), entropy=CountingEntropy(), probe=turns), embedder=turns
    )
    clinic = Clinic(template, path, options)
    turns.vault = clinic.vault
    try:
        memory = clinic.mem(OWNER, PURPOSES[name])
        report = memory.run_pipeline(name, sample(name))
        rows = [
            clinic.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
            for table in ("episode", "memory", "memory_subject", "edge", "subject", "run", "run_effect")
        ]
        steps = clinic.sql("SELECT run_id, step_id, operator, state, reason, kept, leaf_index FROM run_step")
        heads = [(entry.event, entry.resource, entry.payload) for entry in clinic.log()]
        return report, [*rows, steps, heads]
    finally:
        turns.turn.set()
        clinic.close()
        turns.vault = None


def plain(report: RunReport) -> Mapping[str, object]:
    steps = [(one.step, one.operator, one.state, one.leaf_index) for one in report.steps]
    return {
        "run": report.run,
        "definition": report.definition,
        "steps": steps,
        "outputs": dict(report.outputs),
    }


@pytest.mark.parametrize("name", ready_pipelines())
def test_the_same_input_and_version_give_the_same_result(template: Path, tmp_path: Path, name: str) -> None:
    first, there = lived(template, tmp_path / "one", name)
    second, here = lived(template, tmp_path / "two", name)
    assert plain(first) == plain(second)
    for one, other in zip(there, here, strict=True):
        assert one == other


# Dry.


def test_a_dry_run_tells_calls_and_decisions_and_touches_nothing(clinic: Clinic) -> None:
    before = (clinic.state(), len(clinic.log()), clinic.count("run"))
    steps = clinic.mem(OWNER).dry_run_pipeline("clinical-notes", sample("clinical-notes"))
    assert [one.step for one in steps][:2] == ["keep", "link"]
    assert steps[0].takes["text"] == "input note"
    assert steps[0].takes["title"] == "the pipeline"
    assert steps[4].takes["first"] == "step allergies: memories"
    assert steps[0].decisions[0].action is Action.WRITE
    assert steps[0].decisions[0].allowed == ("private/owner",)
    assert all(one.allowed for one in steps)
    denied = clinic.mem(AUDITOR).dry_run_pipeline("clinical-notes", sample("clinical-notes"))
    assert not any(one.allowed for one in denied if one.decisions)
    assert before == (clinic.state(), len(clinic.log()), clinic.count("run"))
    with pytest.raises(ContractError):
        clinic.mem(OWNER).dry_run_pipeline("clinical-notes", {})


# What it is given, and who runs it.


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"note": "x"},
        {"note": "x", "patient": ""},
        {"note": "", "patient": "p"},
        {"note": 5, "patient": "p"},
        {"note": ["x"], "patient": "p"},
        {"note": "x", "patient": "p", "written": "yesterday"},
        {"note": "x", "patient": "p", "Maria Keller": 1},
        {"note": "\ud800", "patient": "p"},
        {"note": b"\xff", "patient": "p"},
        {"note": float("nan"), "patient": "p"},
    ],
)
def test_what_a_run_does_not_take_begins_nothing(clinic: Clinic, given: dict[str, object]) -> None:
    before = len(clinic.log())
    with pytest.raises(ContractError) as caught:
        clinic.mem(OWNER).run_pipeline("clinical-notes", given)
    assert "Maria" not in str(caught.value)
    assert "clinical-notes takes note: text, patient: subject, written: time" in str(caught.value)
    assert (len(clinic.log()), clinic.count("run")) == (before, 0)


def test_whoever_may_not_do_all_of_it_begins_nothing(clinic: Clinic) -> None:
    with pytest.raises(DeniedError):
        clinic.mem(AUDITOR).run_pipeline("clinical-notes", sample("clinical-notes"))
    assert clinic.count("run") == 0
    assert (clinic.last().event, clinic.last().decision) == ("pipeline.run", "denied")


# After a failure.

TWO_STEPS = Pipeline(
    name="two-steps",
    version=1,
    purpose=Purpose.TREATMENT,
    inputs={"note": Input("text")},
    steps=(
        Step("first", "extract-text/1", {"text": From(None, "note"), "subject": Literal("anna")}),
        Step("second", "twice/1", {"text": From(None, "note")}),
        Step("found", "retrieve/1", {"query": From(None, "note"), "subject": Literal("anna")}),
    ),
    outputs={"memories": From("found", "memories"), "texts": From("found", "texts")},
)


def test_a_run_that_failed_goes_on_where_it_stopped(clinic: Clinic) -> None:
    twice, memory = Twice(), clinic.mem(OWNER)
    catalogue, given = badly(twice), {"note": "the knee hurts"}
    with pytest.raises(StepFailedError) as caught:
        memory.run_pipeline(TWO_STEPS, given, catalogue=catalogue)
    assert (caught.value.step, caught.value.reason) == ("second", "raised")
    run = caught.value.run
    shown = memory.pipeline_run(run)
    assert shown.run.state == "failed"
    assert [(one.step, one.state) for one in shown.steps] == [("first", "done"), ("second", "failed")]
    assert clinic.count("memory") == 2
    twice.broken = False
    for who in (clinic.mem(OTHER_OWNER), memory):
        with pytest.raises((NotFoundError, ConflictError)):
            who.resume_pipeline(run, TWO_STEPS, {"note": "another"}, catalogue=catalogue)
    report = memory.resume_pipeline(run, TWO_STEPS, given, catalogue=catalogue)
    assert [one.before for one in report.steps] == [True, False, False]
    assert clinic.count("memory") == 3
    assert len(report.outputs["memories"]) == 3  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match="the run is done"):
        memory.resume_pipeline(run, TWO_STEPS, given, catalogue=catalogue)


def test_what_an_output_shows_is_read_again_when_a_run_goes_on_behind_it(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    twice, memory = Twice(), clinic.mem(OWNER)
    twice.broken = False
    catalogue, given = badly(twice), {"note": "the knee hurts"}
    monkeypatch.setattr(Executor, "end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        memory.run_pipeline(TWO_STEPS, given, catalogue=catalogue)
    monkeypatch.undo()
    (run,) = memory.pipeline_runs()
    assert run.state == "running"
    report = memory.resume_pipeline(run.run_id, TWO_STEPS, given, catalogue=catalogue)
    assert all(one.before for one in report.steps)
    assert "the knee hurts" in report.outputs["texts"]  # type: ignore[operator]
    assert clinic.count("memory") == 3


def test_runs_are_shown_to_whoever_began_them_alone(clinic: Clinic) -> None:
    report = clinic.mem(OWNER).run_pipeline("clinical-notes", sample("clinical-notes"))
    assert [one.run_id for one in clinic.mem(OWNER).pipeline_runs()] == [report.run]
    assert clinic.last().payload == {"count": 1, "state": "listed"}
    assert clinic.mem(OTHER_OWNER).pipeline_runs() == []
    with pytest.raises(NotFoundError):
        clinic.mem(OTHER_OWNER).pipeline_run(report.run)
    with pytest.raises(DeniedError):
        clinic.mem(AUDITOR).pipeline_runs()
    for limit in (0, 201, True):
        with pytest.raises(InputInvalidError):
            clinic.mem(OWNER).pipeline_runs(limit=limit)


# kill -9.


class Trap:
    """A probe that kills its process when a step is reached for the n-th time, once it is set."""

    def __init__(self) -> None:
        self.step, self.left = "", 0

    def __call__(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(path: Path, step: str, nth: int, tell: Tell) -> None:
    trap = Trap()
    with Vault.open(path, options=fake_options(probe=trap)) as vault:
        trap.step, trap.left = step, nth
        memory = MemOS(vault, principal=OWNER, purpose=Purpose.SERVICE)
        memory.run_pipeline("customer-service", sample("customer-service"))
        tell(done=True)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture(scope="module")
def unharmed(closed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a run that nobody kills leaves."""
    clinic = Clinic(closed, tmp_path_factory.mktemp("unharmed") / "vault", fake_options())
    clinic.mem(OWNER, Purpose.SERVICE).run_pipeline("customer-service", sample("customer-service"))
    left = counted(clinic)
    clinic.close()
    return left


def counted(clinic: Clinic) -> dict[str, int]:
    """Count rows, and the entries of what changed something."""
    clinic.vault.wait(20)
    events = [entry.event for entry in clinic.log() if entry.outcome == "ok"]
    changing = ("memory.write", "memory.organize")
    return {**clinic.state(), **{event: events.count(event) for event in changing}}


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("run-begun", 1),
        *(("step-ran", nth) for nth in (1, 2, 6, 7)),
        *(("step-kept", nth) for nth in (1, 2, 6, 7)),
        *(("committed", nth) for nth in (1, 2, 3, 4, 5, 6, 20, 22, 23, 24)),
        *(("logged", nth) for nth in (2, 4, 22)),
        ("durable", 1),
        ("sealed", 1),
        ("sealed", 2),
    ],
)
def test_a_killed_run_goes_on_and_does_nothing_twice(
    closed: Path, tmp_path: Path, unharmed: dict[str, int], step: str, nth: int
) -> None:
    clinic = Clinic(closed, tmp_path / "vault", fake_options())
    clinic.close()
    assert run_child(partial(run_and_die, clinic.path, step, nth)).killed
    clinic.reopen()
    try:
        memory, given = clinic.mem(OWNER, Purpose.SERVICE), sample("customer-service")
        runs = memory.pipeline_runs()
        if runs:
            (run,) = runs
            assert run.state == "running"
            report = memory.resume_pipeline(run.run_id, "customer-service", given)
        else:
            report = memory.run_pipeline("customer-service", given)
        assert "15 euros" in str(report.outputs["brief"])
        assert memory.get(str(report.outputs["summary"])).access_tier is AccessTier.PRIVATE
        assert counted(clinic) == unharmed
        assert clinic.count("run_effect") == 0
        verified = clinic.audit().verify()
        assert verified.passed
        assert verified.row_findings == ()
    finally:
        clinic.close()
