"""The one executor: what goes in, what comes out, what is done once, and what becomes of operators that misbehave."""
# ruff: noqa: ARG002  # the form of an operator

import threading
from pathlib import Path
from typing import Annotated, cast

import pytest

from policies.errors import DeniedError
from policies.model import AccessTier, Action, Purpose
from tests.simulators.clinic import AUDITOR, MEMBER, OTHER_OWNER, OWNER, STRANGER, Clinic
from tests.simulators.fakes import fake_options
from tests.simulators.operators import SECRET, Got, Hangs, Honest, Said, Twice, badly
from tests.vault.erased_people import erase
from vault.engineered import working
from vault.engineered.executor import Executor, OperatorCall, Run, RunTerms, StepResult
from vault.errors import ConflictError, ContractError, LeaseLostError, NotFoundError, OverloadedError
from vault.operators.catalogue import Catalogue, built_in
from vault.pipeline.contracts import Capability, Contract, Kind, Operator, Scope, Text
from vault.storage.run_rows import RunState, StepState

DEFINITION = "sha256:" + "5e" * 32
WRITES = frozenset({Action.WRITE, Action.SEARCH})


def terms(catalogue: Catalogue, **changed: object) -> RunTerms:
    given: dict[str, object] = {
        "name": "try-out",
        "version": 1,
        "definition": DEFINITION,
        "purpose": Purpose.TREATMENT,
        "capability": Capability(frozenset(one.reference for one in catalogue)),
        "needs": WRITES,
    }
    return RunTerms(**(given | changed))  # type: ignore[arg-type]


def begun(clinic: Clinic, catalogue: Catalogue, **changed: object) -> tuple[Executor, Run]:
    executor = Executor(clinic.vault.parts, clinic.mem(OWNER), catalogue)
    return executor, executor.begin(terms(catalogue, **changed))


def called(clinic: Clinic, operator: str, text: object = "the knee hurts", **changed: object) -> StepResult:
    executor, run = begun(clinic, badly(), **changed)
    return executor.run(OperatorCall("one", operator, {"text": text}), run)


def test_a_step_is_done_kept_and_logged(clinic: Clinic) -> None:
    result = called(clinic, "honest")
    assert (result.state, result.reason, result.operator) == (StepState.DONE, "", "honest/1")
    assert isinstance(result.output, Got)
    assert result.output.shown == "the knee hurts"
    assert result.kept == {"memories": list(result.output.memories)}
    entry = clinic.last()
    assert (entry.index, entry.event, entry.outcome) == (result.leaf_index, "pipeline.step", "ok")
    assert entry.payload == {
        "step": "one",
        "operator": "honest/1",
        "definition": DEFINITION,
        "state": "done",
        "entries": [entry.index - 1],
    }
    assert clinic.log()[-2].event == "memory.write"
    assert (entry.resource,) == clinic.sql("SELECT run_id FROM run")[0]
    assert "knee" not in str(clinic.sql("SELECT * FROM run_step")) + str(
        clinic.sql("SELECT * FROM run_effect")
    )
    assert clinic.audit().verify().passed


@pytest.mark.parametrize(
    ("operator", "text", "state", "reason"),
    [
        ("raises", "x", StepState.FAILED, "raised"),
        ("junk", "x", StepState.REFUSED, "output-invalid"),
        ("unchecked", "x", StepState.REFUSED, "output-invalid"),
        ("undeclared", "x", StepState.REFUSED, "contract"),
        ("picky", "no", StepState.REFUSED, "before-not-met"),
        ("picky", "never", StepState.REFUSED, "after-not-met"),
        ("destructive", "x", StepState.REFUSED, "not-confirmed"),
        ("honest", "", StepState.REFUSED, "input-invalid"),
        ("honest", 5, StepState.REFUSED, "input-invalid"),
        ("honest", {"a": [SECRET]}, StepState.REFUSED, "input-invalid"),
        ("honest", "\ud800", StepState.REFUSED, "input-invalid"),
        ("honest", "\x00", StepState.REFUSED, "text-invalid"),
        (SECRET, "x", StepState.REFUSED, "operator-unknown"),
    ],
)
def test_what_does_not_fit_ends_the_step_and_tells_nothing(
    clinic: Clinic, operator: str, text: object, state: StepState, reason: str
) -> None:
    before = clinic.state()
    result = called(clinic, operator, text)
    assert (result.state, result.reason, result.output, result.kept) == (state, reason, None, {})
    entry = clinic.last()
    assert entry.outcome == ("failed" if state is StepState.FAILED else "refused")
    assert entry.payload["reason"] == reason
    assert SECRET not in str(entry) + str(result.error) + repr(result)
    assert clinic.state() == before
    assert clinic.audit().verify().passed


def test_arguments_beyond_the_contract_are_refused_without_a_word_of_them(clinic: Clinic) -> None:
    executor, run = begun(clinic, badly())
    result = executor.run(OperatorCall("one", "honest", {"text": "x", SECRET: 1}), run)
    assert result.reason == "input-invalid"
    assert str(result.error) == "expected Said: another field: extra_forbidden"


def test_a_call_outside_the_capability_is_refused(clinic: Clinic) -> None:
    only = Capability(frozenset({"retrieve/1"}))
    assert called(clinic, "honest", capability=only).reason == "operator-not-granted"
    confirmed = Capability(frozenset({"destructive/1"}), destructive=True)
    assert called(clinic, "destructive", capability=confirmed).state is StepState.DONE


def test_a_narrowed_run_neither_writes_nor_sees_outside_its_access_tiers(clinic: Clinic) -> None:
    catalogue = built_in()
    mine = clinic.mem(OWNER)
    (private,) = mine.extract("the knee hurts in private", subject="anna").memory_ids
    (shared,) = mine.extract("the knee hurts for all", subject="anna").memory_ids
    mine.promote(shared, AccessTier.INSTITUTIONAL)
    tiers = frozenset({AccessTier.INSTITUTIONAL})
    narrow = Capability(frozenset(one.reference for one in catalogue), tiers, destructive=True)
    executor, run = begun(clinic, catalogue, capability=narrow)

    def reason(step: str, operator: str, **arguments: object) -> str:
        return executor.run(OperatorCall(step, operator, arguments), run).reason

    found = executor.run(OperatorCall("find", "retrieve/1", {"query": "knee"}), run)
    assert found.kept == {"memories": [shared]}
    assert reason("a", "get/1", memory=private) == "not-found"
    assert reason("b", "get/1", memory=shared) == ""
    assert reason("c", "update/1", memory=private, text="so") == "not-found"
    assert reason("d", "extract-text/1", text="so") == "contract"
    assert reason("e", "organize/1") == "contract"
    assert reason("f", "context/1", query="knee") == "contract"
    assert reason("g", "promote/1", memory=shared, to="public") == "contract"
    assert reason("h", "distil/1", memories=[private, shared]) == "contract"
    assert mine.get(private).version == 1


@pytest.mark.parametrize("who", [OTHER_OWNER, STRANGER, AUDITOR, MEMBER], ids=lambda who: who.id + who.tenant)
def test_an_operator_does_no_more_than_its_caller_may(clinic: Clinic, who: object) -> None:
    (memory,) = clinic.mem(OWNER).extract("the knee hurts", subject="anna").memory_ids
    catalogue = built_in()
    executor = Executor(clinic.vault.parts, clinic.mem(who), catalogue)  # type: ignore[arg-type]
    try:
        run = executor.begin(terms(catalogue, needs=frozenset({Action.READ})))
    except DeniedError:
        assert who is AUDITOR
        assert clinic.last().decision == "denied"
        assert clinic.last().event == "pipeline.run"
        return
    assert executor.run(OperatorCall("get", "get/1", {"memory": memory}), run).reason == "not-found"
    found = executor.run(OperatorCall("find", "retrieve/1", {"query": "the knee hurts"}), run)
    assert found.kept.get("memories", []) == []
    assert executor.run(OperatorCall("put", "update/1", {"memory": memory, "text": "no"}), run).kept == {}
    assert clinic.mem(OWNER).get(memory).text == "the knee hurts"


def test_a_run_that_hangs_is_given_up_and_what_it_writes_late_is_refused(clinic: Clinic) -> None:
    slow = Hangs()
    executor, run = begun(clinic, badly(slow))
    before = clinic.state()
    try:
        result = executor.run(OperatorCall("one", "hangs", {"text": "too late"}, seconds=0.05), run)
    finally:
        slow.let_go.set()
    assert (result.state, result.reason) == (StepState.TIMED_OUT, "timed-out")
    assert slow.ended.wait(10)
    assert slow.refused.is_set()
    assert clinic.state() == before
    # The run itself goes on.
    assert executor.run(OperatorCall("two", "honest", {"text": "in time"}), run).state is StepState.DONE
    executor.end(run, RunState.DONE)


class Waiting:
    """A probe that holds whoever screened something, once it is set."""

    def __init__(self) -> None:
        self.armed, self.entered, self.go_on = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, step: str) -> None:
        if step == "screened" and self.armed.is_set():
            self.entered.set()
            self.go_on.wait(30)


def test_a_write_that_is_under_way_when_its_step_is_given_up_is_refused_where_it_commits(
    template: Path, tmp_path: Path
) -> None:
    probe, ended = Waiting(), threading.Event()

    class Under(Honest):
        name = "under"

        def run(self, scope: Scope, value: Said) -> Got:
            try:
                return super().run(scope, value)
            finally:
                ended.set()

    clinic = Clinic(template, tmp_path / "held", fake_options(probe=probe))
    try:
        clinic.mem(OWNER).extract("what made the key", subject="anna")
        assert clinic.vault.wait(20)
        before = clinic.state()
        executor, run = begun(clinic, badly(Under()))
        probe.armed.set()
        result = executor.run(OperatorCall("one", "under", {"text": "too late"}, seconds=0.1), run)
        assert probe.entered.is_set()
        assert result.state is StepState.TIMED_OUT
        probe.go_on.set()
        assert ended.wait(10)
        assert clinic.state() == before
        assert clinic.count("run_effect") == 0
        assert clinic.audit().verify().passed
    finally:
        probe.go_on.set()
        clinic.close()


def test_no_more_steps_begin_where_too_many_were_given_up(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "MAX_GIVEN_UP", 1)
    slow = Hangs()
    executor, run = begun(clinic, badly(slow))
    try:
        executor.run(OperatorCall("one", "hangs", {"text": "x"}, seconds=0.01), run)
        with pytest.raises(OverloadedError):
            executor.run(OperatorCall("two", "honest", {"text": "x"}), run)
    finally:
        slow.let_go.set()
    assert slow.ended.wait(10)


def test_a_step_that_failed_midway_writes_what_it_lacks_and_nothing_twice(clinic: Clinic) -> None:
    twice = Twice()
    executor, run = begun(clinic, badly(twice))
    call = OperatorCall("one", "twice", {"text": "so"})
    assert executor.run(call, run).reason == "raised"
    assert clinic.count("memory") == 1
    twice.broken = False
    result = executor.run(call, run)
    assert result.state is StepState.DONE
    assert clinic.count("memory") == 2
    texts = {clinic.mem(OWNER).get(one).text for one in cast("list[str]", result.kept["memories"])}
    assert texts == {"so one", "so two"}
    with pytest.raises(ConflictError):
        executor.run(call, run)
    assert clinic.count("memory") == 2
    executor.end(run, RunState.DONE)
    assert clinic.count("run_effect") == 0
    assert clinic.audit().verify().passed


def test_an_operator_that_does_otherwise_the_second_time_is_refused(clinic: Clinic) -> None:
    class Fickle(Operator[Said, Got]):
        name, version = "fickle", 1
        actions = frozenset({Action.WRITE, Action.ORGANIZE})
        input, output = Said, Got
        first = True

        def run(self, scope: Scope, value: Said) -> Got:
            if not self.first:
                scope.memory.organize(subject="anna")
                return Got(memories=())
            scope.memory.extract(value.text, subject="anna")
            raise RuntimeError

    fickle = Fickle()
    executor, run = begun(clinic, badly(fickle))
    call = OperatorCall("one", "fickle", {"text": "so"})
    executor.run(call, run)
    fickle.first = False
    assert executor.run(call, run).reason == "contract"


def test_two_who_go_on_with_one_run_do_nothing_twice(clinic: Clinic) -> None:
    catalogue = badly()
    first, run = begun(clinic, catalogue)
    second = Executor(clinic.vault.parts, clinic.mem(OWNER), catalogue)
    again = second.resume(run.id, terms(catalogue))
    with pytest.raises(LeaseLostError):
        first.run(OperatorCall("one", "honest", {"text": "so"}), run)
    assert second.run(OperatorCall("one", "honest", {"text": "so"}), again).state is StepState.DONE
    with pytest.raises(LeaseLostError):
        first.end(run, RunState.DONE)
    second.end(again, RunState.DONE)
    assert clinic.count("memory") == 1


def test_only_whoever_began_a_run_goes_on_with_it_and_with_the_same(clinic: Clinic) -> None:
    catalogue = badly()
    executor, run = begun(clinic, catalogue, inputs="5e" * 16)
    same = terms(catalogue, inputs="5e" * 16)
    for who in (OTHER_OWNER, STRANGER):
        other = Executor(clinic.vault.parts, clinic.mem(who), catalogue)
        with pytest.raises(NotFoundError):
            other.resume(run.id, same)
    for changed in (
        {"version": 2},
        {"definition": DEFINITION[:-1] + "0"},
        {"purpose": Purpose.LEGAL},
        {"inputs": ""},
    ):
        with pytest.raises((ConflictError, DeniedError)):
            executor.resume(run.id, terms(catalogue, **({"inputs": "5e" * 16} | changed)))
    executor.end(run, RunState.DONE)
    with pytest.raises(ConflictError, match="the run is done"):
        executor.resume(run.id, same)


def test_a_run_that_needs_nothing_or_what_is_denied_is_not_begun(clinic: Clinic) -> None:
    with pytest.raises(ContractError):
        begun(clinic, badly(), needs=frozenset())
    with pytest.raises(DeniedError):
        begun(clinic, badly(), needs=frozenset({Action.WRITE, Action.ERASE}))
    assert clinic.count("run") == 0


@pytest.mark.parametrize("step", ["", "One", "a_b", "maria keller", "x" * 80, "-"])
def test_a_step_has_a_name_that_the_log_can_hold(clinic: Clinic, step: str) -> None:
    executor, run = begun(clinic, badly())
    with pytest.raises(ContractError):
        executor.run(OperatorCall(step, "honest", {"text": "x"}), run)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3_601.0, float("nan")])
def test_a_step_has_an_end(clinic: Clinic, seconds: float) -> None:
    executor, run = begun(clinic, badly())
    call = OperatorCall("one", "honest", {"text": "x"}, seconds)
    assert executor.run(call, run).reason == "seconds-out-of-range"


def test_an_operator_whose_output_would_keep_content_is_in_no_catalogue() -> None:
    class Leaky(Contract):
        text: Text

    class Leaks(Operator[Said, Leaky]):
        name, version = "leaks", 1
        actions = WRITES
        input, output = Said, Leaky

        def run(self, scope: Scope, value: Said) -> Leaky:
            return Leaky(text=value.text)

    with pytest.raises(ContractError, match="leaks/1: text: expected content to be marked as shown"):
        Catalogue([Leaks()])


@pytest.mark.parametrize(
    "annotation",
    [
        dict[str, str],
        list[int],
        float,
        str,
        tuple[tuple[int, ...], ...],
        int | str,
        Annotated[int, Kind.WORD],
    ],
)
def test_a_contract_of_other_types_is_in_no_catalogue(annotation: object) -> None:
    made = type("Odd", (Contract,), {"__annotations__": {"odd": annotation}})

    class Takes(Honest):
        name = "takes"

    Takes.input = made  # type: ignore[assignment]
    with pytest.raises(ContractError, match="takes/1: odd"):
        Catalogue([Takes()])


def test_a_memory_that_is_removed_voids_the_runs_that_name_it(clinic: Clinic) -> None:
    executor, run = begun(clinic, badly(Twice()))
    executor.run(OperatorCall("one", "honest", {"text": "so"}), run)
    other, kept = begun(clinic, badly())
    other.run(OperatorCall("one", "screen", {"text": "nothing"}), kept)
    erase(clinic, "anna")
    states = clinic.sql("SELECT run_id, state FROM run ORDER BY run_id")
    assert states == [(run.id, "void"), (kept.id, "running")]
    assert clinic.count("run_effect") == 0
    assert clinic.count("run_step", f"run_id = '{run.id}' AND kept IS NOT NULL") == 0
    with pytest.raises(LeaseLostError):
        executor.run(OperatorCall("two", "honest", {"text": "so"}), run)
    with pytest.raises(ConflictError, match="the run is void"):
        executor.resume(run.id, terms(badly()))


def test_ids_alone_pass_from_step_to_step(clinic: Clinic) -> None:
    executor, run = begun(clinic, built_in())
    (memory,) = clinic.mem(OWNER).extract("the knee hurts", subject="anna").memory_ids
    joined = executor.run(OperatorCall("both", "join/1", {"first": [memory], "second": [memory]}), run)
    assert joined.kept == {"memories": [memory]}
