"""The operators that come with the vault: what each takes, gives and refuses."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from policies.model import AccessTier, Action, Principal, Purpose
from tests.simulators.clinic import MEMBER, OTHER_OWNER, OWNER, Clinic
from tests.vault.erased_people import erase
from vault.engineered.executor import Executor, OperatorCall, RunTerms, StepResult
from vault.errors import ConflictError, ContractError, InputInvalidError, NotFoundError, TamperedError
from vault.model import EdgeKind, SpeakerRole, TrustState
from vault.operators.catalogue import Catalogue, built_in
from vault.operators.extract_chat import MAX_TURNS, Transcript, turns_of
from vault.operators.retract import Retracted, Which
from vault.operators.retrieve import OPERATOR as RETRIEVE
from vault.operators.retrieve import Retrieve
from vault.pipeline.contracts import Capability, Operator, Scope, is_shown
from vault.storage.run_rows import RunState, StepState


class Calls:
    """One run, whose calls get names of their own."""

    def __init__(self, clinic: Clinic, who: Principal = OWNER) -> None:
        catalogue = built_in()
        granted = frozenset(one.reference for one in catalogue)
        terms = RunTerms(
            name="try-out",
            version=1,
            definition="sha256:" + "5e" * 32,
            purpose=Purpose.TREATMENT,
            capability=Capability(granted, destructive=True),
            needs=frozenset({Action.READ}),
        )
        self.executor = Executor(clinic.vault.parts, clinic.mem(who), catalogue)
        self.run = self.executor.begin(terms)
        self.count = 0

    def __call__(self, operator: str, **arguments: object) -> StepResult:
        self.count += 1
        return self.executor.run(OperatorCall(f"s{self.count}", operator, arguments), self.run)

    def kept(self, operator: str, **arguments: object) -> Mapping[str, object]:
        result = self(operator, **arguments)
        assert result.state is StepState.DONE, (result.reason, result.error)
        return cast("Mapping[str, object]", result.kept)


@pytest.fixture
def call(clinic: Clinic) -> Iterator[Calls]:
    """A run of the owner's."""
    calls = Calls(clinic)
    yield calls
    calls.executor.end(calls.run, RunState.DONE)


def wrote(calls: Calls, *texts: str) -> list[str]:
    kept = [calls.kept("extract-text", text=text, subject="anna")["memories"] for text in texts]
    return [one for some in kept for one in cast("list[str]", some)]


def test_each_file_holds_one_operator_and_the_catalogue_finds_it() -> None:
    package = import_module("vault.operators")
    names = {found.name for found in iter_modules(package.__path__)} - {"catalogue"}
    assert {one.name.replace("-", "_") for one in built_in()} == names
    assert len(built_in()) == len(names)
    assert built_in().get("retrieve") is built_in().get("retrieve/1") is RETRIEVE
    assert built_in().get("retrieve/9") is None
    assert [one.reference for one in built_in().only(["get/1", "nothing/1"])] == ["get/1"]
    with pytest.raises(ContractError, match="expected one operator retrieve/1, got two"):
        built_in().also([RETRIEVE])


def test_the_newest_version_is_what_a_bare_name_means() -> None:
    newer = type("Newer", (type(RETRIEVE),), {"version": 2})()
    catalogue = built_in().also([newer])
    assert catalogue.get("retrieve") is newer
    assert catalogue.get("retrieve/1") is RETRIEVE


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Retrieve"},
        {"name": "maria keller"},
        {"name": ""},
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"actions": frozenset({"read"})},
    ],
)
def test_what_is_no_operator_is_in_no_catalogue(wrong: dict[str, object]) -> None:
    with pytest.raises(ContractError):
        Catalogue([type("Wrong", (type(RETRIEVE),), wrong)()])
    with pytest.raises(ContractError):
        Catalogue([cast("Retrieve", object())])


def test_schemas_are_closed_json_schemas() -> None:
    for one in built_in().schema():
        for side in ("input", "output"):
            Draft202012Validator.check_schema(one[side])
            assert one[side]["additionalProperties"] is False
        assert one["about"].endswith(".")


def test_a_text_is_kept_with_what_is_known_of_it(clinic: Clinic, call: Calls) -> None:
    written = datetime(2026, 3, 14, 10, tzinfo=UTC)
    kept = call.kept(
        "extract-text",
        text="# Visit\n\nThe knee hurts.",
        kind="markdown",
        title="Visit",
        author="Dr. Li",
        written=written.isoformat(),
        subject="anna",
    )
    (memory,) = cast("list[str]", kept["memories"])
    read = clinic.mem(OWNER).get(memory)
    assert (read.provenance.title, read.provenance.at) == ("Visit", written)
    assert read.provenance.episode_id == kept["episode"]
    assert call("extract-text", text="x", kind="chat").reason == "before-not-met"
    assert call("extract-text", text="x", access_tier="public").reason == "denied"
    assert call("extract-text", text="   ").reason == "text-empty"
    assert call("extract-text", text="x", subject="self:somebody").reason == "identifier-invalid"


def test_a_transcript_is_kept_with_who_said_what(clinic: Clinic, call: Calls) -> None:
    kept = call.kept(
        "extract-chat",
        transcript="Anna: my knee hurts\nsince Monday\n\nBot: rest it\n",
        assistants=["Bot"],
        subject="anna",
    )
    memory = clinic.mem(OWNER)
    said = [memory.get(one) for one in cast("list[str]", kept["memories"])]
    assert [(one.text, one.provenance.role, one.trust) for one in said] == [
        ("my knee hurts\nsince Monday", SpeakerRole.USER, TrustState.VERIFIED),
        ("rest it", SpeakerRole.ASSISTANT, TrustState.CANDIDATE),
    ]
    assert call("extract-chat", transcript="no name here").reason == "before-not-met"
    assert call("extract-chat", transcript="A: x\n" * (MAX_TURNS + 1)).reason == "before-not-met"


@given(st.text(min_size=1, max_size=300))
def test_a_transcript_loses_no_line(text: str) -> None:
    try:
        turns = turns_of(Transcript(transcript=f"Anna: hello\n{text}"))
    except ContractError:
        return
    told = "\n".join(f"{turn.speaker}\n{turn.text}" for turn in turns)
    for line in text.splitlines():
        assert all(part.strip() in told for part in line.strip().split(":", 1) if part.strip())


def test_memories_are_read_found_and_shown_but_only_ids_are_kept(clinic: Clinic, call: Calls) -> None:
    (memory,) = wrote(call, "the knee hurts")
    result = call("get", memory=memory)
    assert dict(result.output or ())["text"] == "the knee hurts"
    assert result.kept == {
        "memory": memory,
        "version": 1,
        "episode": clinic.mem(OWNER).get(memory).provenance.episode_id,
        "trust": "verified",
        "access_tier": "private",
        "memory_tier": "plaintext",
    }
    found = call("retrieve", query="knee", subject="anna")
    assert dict(found.output or ())["texts"] == ("the knee hurts",)
    assert found.kept == {"memories": [memory]}
    block = call("context", query="knee", tokens=200)
    told = dict(block.output or ())
    assert block.kept["digest"] == f"sha256:{sha256(str(told['block']).encode()).hexdigest()}"
    assert "the knee hurts" in str(told["block"])
    assert "block" not in block.kept
    assert call("retrieve", query="knee", k=0).reason == "input-invalid"
    assert call("context", query="knee", tokens=10).reason == "input-invalid"


def test_what_content_an_operator_gives_is_shown_and_not_kept() -> None:
    shown = {
        (one.name, name)
        for one in built_in()
        for name, field in one.output.model_fields.items()
        if is_shown(field)
    }
    assert shown == {("retrieve", "texts"), ("get", "text"), ("context", "block")}


def test_contradictory_updates_in_one_run_are_told_apart_by_version(clinic: Clinic, call: Calls) -> None:
    (memory,) = wrote(call, "it is the left knee")
    assert call.kept("update", memory=memory, text="it is the right knee", expected_version=1)
    assert call("update", memory=memory, text="it is the left knee", expected_version=1).reason == "conflict"
    assert call.kept("update", memory=memory, text="it is neither knee")
    read = clinic.mem(OWNER).get(memory)
    assert (read.version, read.text) == (3, "it is neither knee")
    assert clinic.count("memory", f"memory_id = '{memory}'") == 3


def test_a_memory_is_opened_wider_and_never_back(clinic: Clinic, call: Calls) -> None:
    (memory,) = wrote(call, "the knee hurts")
    assert call("promote", memory=memory, to="private").reason == "before-not-met"
    assert call("promote", memory=memory, to="public").reason == "denied"
    assert call.kept("promote", memory=memory, to="institutional") == {"memory": memory}
    assert clinic.mem(MEMBER).get(memory).access_tier is AccessTier.INSTITUTIONAL


def test_a_sieve_looks_at_trust_time_and_tier(clinic: Clinic, call: Calls) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    ids: list[str] = []
    for at in (early, late):
        kept = call.kept("extract-text", text=f"note of {at:%B}", written=at.isoformat(), subject="anna")
        ids += cast("list[str]", kept["memories"])
    kept = call.kept("extract-chat", transcript="Bot: perhaps", assistants=["Bot"], subject="anna")
    ids += cast("list[str]", kept["memories"])

    def sieved(**wanted: object) -> object:
        return call.kept("filter", memories=ids, **wanted)["memories"]

    assert sieved() == ids
    assert sieved(trust=["verified"]) == ids[:2]
    assert sieved(until=(early + timedelta(days=1)).isoformat()) == ids[:1]
    assert sieved(since=late.isoformat()) == ids[1:]  # the chat has no time of its own: it was recorded later
    assert sieved(access_tier="public") == []
    assert call("filter", memories=ids, since="2026-01-01T00:00:00").reason == "before-not-met"


def test_ids_are_joined_counted_and_given_out(call: Calls) -> None:
    first, second = wrote(call, "one thing", "another thing")
    assert call.kept("join", first=[first, second], second=[first])["memories"] == [first, second]
    assert call.kept("join", first=[first], second=[second], at_most=1)["memories"] == [first]
    told = call.kept("export-ids", memories=[second, first, second])
    listed = "".join(f"{one}\n" for one in sorted([first, second])).encode()
    assert told == {
        "memories": sorted([first, second]),
        "count": 2,
        "digest": f"sha256:{sha256(listed).hexdigest()}",
    }
    assert call.kept("require", memories=[first]) == {"count": 1}
    assert call("require", memories=[first], at_least=2).reason == "before-not-met"
    assert call("join", first=["mem_x"], second=[]).reason == "input-invalid"


def test_the_gate_is_asked_without_keeping_anything(clinic: Clinic, call: Calls) -> None:
    before = clinic.state()
    told = call.kept("screen", text="Maria Keller, maria@example.org and john@example.org")
    assert told == {"masked": 3, "kinds": 2}
    kinds = [entry.payload["kinds"] for entry in clinic.log() if "kinds" in entry.payload]
    assert kinds == [[["email", 2], ["person", 1]]]
    assert call("screen", text="Maria Keller", at_most=0).reason == "after-not-met"
    assert clinic.state() == before


def test_links_stay_within_one_owners_memories_of_one_access_tier(clinic: Clinic, call: Calls) -> None:
    one, two, three = wrote(call, "the knee hurts", "the knee is swollen", "rest helps")
    assert call.kept("link", source=one, kind="supports", targets=[two, three, two]) == {"edges": 2}
    assert call.kept("link", source=one, kind="supports", targets=[two]) == {"edges": 1}
    assert clinic.count("edge", "kind = 'supports'") == 2
    assert call("link", source=one, kind="supports", targets=[one]).reason == "conflict"
    assert call("link", source=one, kind="likes", targets=[two]).reason == "input-invalid"
    assert call("link", source=one, kind="supports", targets=[]).reason == "input-invalid"
    (others,) = clinic.mem(OTHER_OWNER).extract("mine", subject="anna").memory_ids
    assert call("link", source=one, kind="contradicts", targets=[others]).reason == "not-found"
    (shared,) = clinic.mem(OTHER_OWNER).extract("ours", subject="anna").memory_ids
    clinic.mem(OTHER_OWNER).promote(shared, AccessTier.INSTITUTIONAL)
    assert call("link", source=one, kind="contradicts", targets=[shared]).reason == "not-found"
    assert clinic.count("edge", "kind = 'contradicts'") == 0
    memory = clinic.mem(OWNER)
    with pytest.raises(InputInvalidError):
        memory.link(one, EdgeKind.SUPPORTS, [])
    with pytest.raises(NotFoundError):
        memory.link(one, EdgeKind.SUPPORTS, ["mem_" + "0" * 26])
    with pytest.raises(ConflictError):
        memory.link(one, EdgeKind.SUPPORTS, [one])
    assert clinic.audit().verify().passed


def test_a_summary_says_its_sources_words_is_linked_and_trusted_no_further(
    clinic: Clinic, call: Calls
) -> None:
    mine = wrote(
        call,
        "The left knee hurts at night. What now?",
        "The left knee is swollen. It rains.",
        "The left knee hurts at night.",
    )
    (shared,) = clinic.mem(OTHER_OWNER).extract("the left knee of others", subject="anna").memory_ids
    clinic.mem(OTHER_OWNER).promote(shared, AccessTier.INSTITUTIONAL)
    kept = call.kept("distil", memories=[*mine, shared], subject="anna", sentences=2)
    summary = clinic.mem(OWNER).get(str(kept["memory"]))
    assert summary.text == "The left knee hurts at night. The left knee is swollen."
    assert summary.trust is TrustState.CANDIDATE
    assert kept["sources"] == 2
    edges = clinic.sql("SELECT target_id FROM edge WHERE source_id = ? AND kind = 'derived-from'", summary.id)
    assert {one for (one,) in edges} == set(mine[:2])
    assert call("distil", memories=[shared]).reason == "contract"
    (question,) = wrote(call, "What now?")
    assert call("distil", memories=[question]).reason == "contract"


def test_feedback_verifies_corrects_retracts_and_rates(clinic: Clinic, call: Calls) -> None:
    kept = call.kept(
        "extract-chat", transcript="Bot: it is the left knee", assistants=["Bot"], subject="anna"
    )
    (said,) = cast("list[str]", kept["memories"])
    memory = clinic.mem(OWNER)
    assert call.kept("confirm", memory=said) == {"memory": said}
    assert memory.get(said).trust is TrustState.VERIFIED
    summary = str(call.kept("distil", memories=[said], subject="anna")["memory"])
    told = call.kept("correct", memory=said, text="it is the right knee", expected_version=1)
    assert told == {"memory": said, "disputed": [summary]}
    assert memory.get(summary).trust is TrustState.DISPUTED
    assert call("correct", memory=said, text="it is the left knee", expected_version=1).reason == "conflict"
    assert call.kept("rate", memory=said, rating="useless") == {"memory": said}
    assert call("rate", memory=said, rating="odd").reason == "input-invalid"
    assert call.kept("retract", memory=said) == {"memory": said, "disputed": []}
    assert call.kept("retrieve", query="right knee")["memories"] == [summary]
    for operator in ("confirm", "retract"):
        assert call(operator, memory=said).reason == "not-found"
    assert call("correct", memory=said, text="so").reason == "not-found"
    assert clinic.audit().verify().passed


def test_feedback_on_an_erased_memory_finds_none(clinic: Clinic, call: Calls) -> None:
    (memory,) = clinic.mem(OWNER).extract("the knee hurts", subject="anna").memory_ids
    erase(clinic, "anna")
    for operator in ("confirm", "retract", "get"):
        assert call(operator, memory=memory).reason == "not-found"
    assert call("correct", memory=memory, text="so").reason == "not-found"
    assert call("rate", memory=memory, rating="useful").reason == "not-found"


def test_feedback_is_given_once_in_a_step_that_is_run_again(clinic: Clinic) -> None:
    class Judges(Operator[Which, Retracted]):
        name, version = "judges", 1
        actions = frozenset({Action.UPDATE, Action.ORGANIZE, Action.WRITE, Action.PROMOTE})
        input, output = Which, Retracted
        broken = True

        def run(self, scope: Scope, value: Which) -> Retracted:
            scope.memory.confirm(value.memory)
            disputed = scope.memory.correct(value.memory, "it is the right knee").disputed
            linked = scope.memory.organize(subject="anna")
            scope.memory.promote(value.memory, AccessTier.INSTITUTIONAL)
            if self.broken:
                raise RuntimeError
            assert linked.examined == 2  # of what was there
            return Retracted(memory=value.memory, disputed=disputed)

    judges = Judges()
    memory = clinic.mem(OWNER)
    (said,) = memory.extract("it is the left knee", subject="anna").memory_ids
    calls = Calls(clinic)
    summary = str(calls.kept("distil", memories=[said], subject="anna")["memory"])
    catalogue = built_in().also([judges])
    calls.executor = Executor(clinic.vault.parts, memory, catalogue)
    granted = Capability(frozenset(one.reference for one in catalogue), destructive=True)
    calls.run.terms = replace(calls.run.terms, capability=granted)
    assert calls("judges", memory=said).reason == "raised"
    entries = len(clinic.log())
    judges.broken = False
    calls.count -= 1
    assert calls.kept("judges", memory=said) == {"memory": said, "disputed": [summary]}
    assert len(clinic.log()) == entries + 1
    assert memory.get(said).version == 3


def test_nothing_is_organized_found_or_read_for_another(clinic: Clinic, call: Calls) -> None:
    (memory,) = wrote(call, "the knee hurts")
    assert cast("int", call.kept("organize", subject="anna")["examined"]) == 1
    other = Calls(clinic, OTHER_OWNER)
    assert other.kept("organize", subject="anna")["examined"] == 0
    assert other.kept("retrieve", query="knee")["memories"] == []
    assert other("get", memory=memory).reason == "not-found"
    assert other("distil", memories=[memory]).reason == "contract"
    assert clinic.mem(OTHER_OWNER).own([memory]) == ()
    with pytest.raises(InputInvalidError):
        clinic.mem(OWNER).own(["mem_" + "0" * 26] * 1 + [f"mem_{number:026d}" for number in range(300)])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kept", "[1]"),
        ("kept", "{}"),
        ("kept", "no json"),
        ("state", "odd"),
        ("state", "failed"),
        ("operator", "get/1"),
        ("step_id", "s2"),
    ],
)
def test_an_altered_row_of_a_step_is_refused(clinic: Clinic, call: Calls, column: str, value: str) -> None:
    wrote(call, "the knee hurts")
    (before,) = clinic.sql(f"SELECT {column} FROM run_step")[0]  # noqa: S608
    clinic.sql(f"UPDATE run_step SET {column} = ?", value)  # noqa: S608
    with pytest.raises(TamperedError, match="the row of a run's step is not what was written"):
        clinic.mem(OWNER).pipeline_run(call.run.id)
    clinic.sql(f"UPDATE run_step SET {column} = ?", before)  # noqa: S608


def test_an_id_that_somebody_else_put_into_a_row_is_not_taken(clinic: Clinic) -> None:
    calls, memory = Calls(clinic), clinic.mem(OWNER)
    (private,) = memory.extract("what is to stay private", subject="anna").memory_ids
    (written,) = wrote(calls, "the knee hurts")
    for table, column in (("run_step", "kept"), ("run_effect", "told")):
        assert clinic.count(table, f"instr({column}, '{written}')") == 1
        clinic.sql(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", written, private)  # noqa: S608
    with pytest.raises(TamperedError, match="is not what was written"):
        memory.pipeline_run(calls.run.id)
    with pytest.raises(TamperedError, match="is not what was written"):
        calls.executor.run(OperatorCall("s1", "extract-text", {"text": "again"}), calls.run)
    with pytest.raises(TamperedError, match="is not what was written"):
        calls.executor.resume(calls.run.id, calls.run.terms)


def test_an_altered_row_of_an_effect_or_a_run_is_refused(clinic: Clinic, call: Calls) -> None:
    (memory,) = wrote(call, "the knee hurts")
    clinic.sql("UPDATE run_effect SET told = '[]'")
    with pytest.raises(TamperedError, match="the row of a run's step is not what was written"):
        call.executor.run(OperatorCall("s1", "get", {"memory": memory}), call.run)
    clinic.sql("UPDATE run SET state = 'odd'")
    with pytest.raises(TamperedError, match="the row of a run is not of the form of one"):
        clinic.mem(OWNER).pipeline_runs()
    clinic.sql("UPDATE run SET state = 'running'")
