"""One suite of scenarios, run in every mode: the same final state, the same shape of the log, the same guarantees.

A scenario is a declared list of operator calls. A mode carries it out: an engineered pipeline runs it as it is declared.
There is no second mode yet; `MODES` is all that one has to be added to.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from policies.errors import PolicyError
from policies.model import Principal, Purpose
from tests.simulators.clinic import AUDITOR, OTHER_OWNER, OWNER, STRANGER, Clinic
from tests.simulators.fakes import fake_options
from tests.simulators.operators import SECRET, Hangs, badly
from vault.engineered.declared import From, Input, Literal, Pipeline, Step
from vault.errors import VaultError
from vault.memos import MemOS
from vault.operators.catalogue import Catalogue, built_in

CANARY = "zyxwave"
AROUND = frozenset({"pipeline.run"})
"""Events of a run itself: each mode has its own. Whatever is done in between is the same."""


class Mode(Protocol):
    """A way to carry a scenario out."""

    name: str

    def carry_out(
        self, memory: MemOS, scenario: Pipeline, given: Mapping[str, object], catalogue: Catalogue
    ) -> None:
        """Carry it out; whatever ends it early may raise one of the vault's or the policies' errors."""
        ...


class Engineered:
    """A pipeline, as it is declared."""

    name = "engineered"

    def carry_out(
        self, memory: MemOS, scenario: Pipeline, given: Mapping[str, object], catalogue: Catalogue
    ) -> None:
        """Run it."""
        memory.run_pipeline(scenario, given, catalogue=catalogue)


MODES: tuple[Mode, ...] = (Engineered(),)


def of_patient(*steps: Step) -> Pipeline:
    """Return a scenario about a note and a patient; every step's memories are an output of it."""
    return Pipeline(
        name="scenario",
        version=1,
        purpose=Purpose.TREATMENT,
        inputs={"note": Input("text"), "patient": Input("subject")},
        steps=steps,
        outputs={
            step.name: From(step.name, "memories")
            for step in steps
            if step.operator.split("/")[0] in {"retrieve", "filter", "join"}
        },
    )


NOTE, PATIENT = From(None, "note"), From(None, "patient")
KEEP = Step("keep", "extract-text/1", {"text": NOTE, "subject": PATIENT})
FOUND = Step("found", "retrieve/1", {"query": Literal("knee"), "subject": PATIENT})
SCENARIOS: Mapping[str, Pipeline] = {
    "keep and find": of_patient(KEEP, FOUND),
    "keep twice, organize and sieve": of_patient(
        KEEP,
        Step("again", "extract-text/1", {"text": NOTE, "subject": PATIENT}),
        Step("link", "organize/1", {"subject": PATIENT}),
        FOUND,
        Step("sieved", "filter/1", {"memories": From("found", "memories"), "trust": Literal(["verified"])}),
    ),
    "distil": of_patient(
        KEEP,
        FOUND,
        Step("summary", "distil/1", {"memories": From("found", "memories"), "subject": PATIENT}),
        Step("after", "retrieve/1", {"query": Literal("knee"), "subject": PATIENT}),
    ),
}
GIVEN: Mapping[str, object] = {
    "note": f"Maria Keller says the {CANARY} in her left knee hurts. The right knee does not hurt.",
    "patient": "patient 17",
}


@dataclass(frozen=True)
class Left:
    """What a scenario left, without ids: they are random."""

    memories: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Text, trust, access tier, version."""
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    """Kind, and the texts at its ends."""
    log: list[tuple[str, str, str, tuple[str, ...]]] = field(default_factory=list)
    """Event, decision, outcome, and the payload's keys."""
    steps: list[tuple[object, ...]] = field(default_factory=list)
    """Step, operator, state."""


def left(clinic: Clinic, since: int) -> Left:
    """Look at what stands in a vault, and at the log from an entry on."""
    clinic.vault.wait(20)
    log = [entry for entry in clinic.log()[since:] if entry.event not in AROUND]
    ids = [str(row[0]) for row in clinic.sql("SELECT memory_id FROM memory WHERE is_current = 1")]
    found = {one: clinic.mem(OWNER).get(one) for one in ids}
    texts = {one: f"{memory.text[:9]}{memory.provenance.role}" for one, memory in found.items()}
    return Left(
        memories=sorted(
            (memory.text.split("]")[-1], memory.trust, memory.access_tier, memory.version)
            for memory in found.values()
        ),
        edges=sorted(
            (str(kind), texts[str(source)].partition("-")[0], texts[str(target)].partition("-")[0])
            for source, kind, target in clinic.sql("SELECT source_id, kind, target_id FROM edge")
        ),
        log=[(one.event, one.decision, one.outcome, tuple(sorted(one.payload))) for one in log],
        steps=clinic.sql("SELECT step_id, operator, state FROM run_step ORDER BY leaf_index"),
    )


def carried_out(clinic: Clinic, mode: Mode, scenario: Pipeline) -> Left:
    since = len(clinic.log())
    mode.carry_out(clinic.mem(OWNER), scenario, GIVEN, built_in())
    return left(clinic, since)


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Each mode in turn."""
    chosen: Mode = request.param
    return chosen


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_mode_leaves_the_same_state_and_the_same_shape_of_log(
    template: Path, tmp_path: Path, clinic: Clinic, mode: Mode, name: str
) -> None:
    other = Clinic(template, tmp_path / "engineered", fake_options())
    try:
        expected = carried_out(other, Engineered(), SCENARIOS[name])
    finally:
        other.close()
    got = carried_out(clinic, mode, SCENARIOS[name])
    assert got == expected
    assert got.memories
    assert [one[0] for one in got.steps] == [step.name for step in SCENARIOS[name].steps]
    assert got.log.count(("pipeline.step", "allowed", "ok", got.log[-1][3])) >= 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_mode_leaves_content_in_clear(clinic: Clinic, mode: Mode, name: str) -> None:
    carried_out(clinic, mode, SCENARIOS[name])
    told = json.dumps([(entry.resource, entry.payload) for entry in clinic.log()])
    for secret in (CANARY, "Keller", "patient 17"):
        assert secret not in told
        for file in clinic.path.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes(), file.name
    verified = clinic.audit().verify()
    assert verified.passed
    assert verified.row_findings == ()


@pytest.mark.parametrize("who", [AUDITOR, OTHER_OWNER, STRANGER], ids=lambda who: f"{who.id} of {who.tenant}")
def test_no_mode_reaches_further_than_its_caller(clinic: Clinic, mode: Mode, who: Principal) -> None:
    (memory,) = clinic.mem(OWNER).extract("the knee hurts at night", subject="patient 17").memory_ids
    scenario = Pipeline(
        name="reaching",
        version=1,
        purpose=Purpose.TREATMENT,
        steps=(
            Step("found", "retrieve/1", {"query": Literal("the knee hurts at night")}),
            Step("read", "get/1", {"memory": Literal(memory)}),
            Step("change", "update/1", {"memory": Literal(memory), "text": Literal("mine")}),
        ),
        outputs={"found": From("found", "memories"), "read": From("read", "trust")},
    )
    with pytest.raises((VaultError, PolicyError)):
        mode.carry_out(clinic.mem(who), scenario, {}, built_in())
    assert clinic.mem(OWNER).get(memory).text == "the knee hurts at night"
    kept = clinic.sql("SELECT kept FROM run_step")
    assert memory not in str(kept)


@pytest.mark.parametrize(("operator", "state"), [("raises/1", "failed"), ("junk/1", "refused")])
def test_an_operator_that_misbehaves_ends_no_mode_open(
    clinic: Clinic, mode: Mode, operator: str, state: str
) -> None:
    scenario = of_patient(KEEP, Step("bad", operator, {"text": NOTE}), FOUND)
    with pytest.raises((VaultError, PolicyError)):
        mode.carry_out(clinic.mem(OWNER), scenario, GIVEN, badly())
    states = clinic.sql("SELECT step_id, state FROM run_step ORDER BY leaf_index")
    assert states[:2] == [("keep", "done"), ("bad", state)]
    assert SECRET not in str(clinic.log())
    assert clinic.count("memory") == 1
    assert clinic.sql("SELECT DISTINCT state FROM run") == [("failed",)]


def test_an_operator_that_hangs_ends_no_mode_open(clinic: Clinic, mode: Mode) -> None:
    slow = Hangs()
    scenario = of_patient(Step("slow", "hangs/1", {"text": NOTE}, seconds=1), KEEP, FOUND)
    before = clinic.state()
    try:
        with pytest.raises((VaultError, PolicyError)):
            mode.carry_out(clinic.mem(OWNER), scenario, GIVEN, badly(slow))
    finally:
        slow.let_go.set()
    assert slow.ended.wait(10)
    assert clinic.state() == before
    assert clinic.sql("SELECT step_id, state FROM run_step")[:1] == [("slow", "timed-out")]
