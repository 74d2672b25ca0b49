"""Access, export and rectification: all that is held, nothing of others, and the log first."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.conftest import REPOSITORY
from tests.simulators.clinic import (
    ADMINISTRATOR,
    AUDITOR,
    CLINICIAN,
    OFFICER,
    OTHER_OWNER,
    OWNER,
    Clinic,
    make_template,
)
from tests.simulators.fakes import START
from vault.disclosure import DisclosureTerms
from vault.disclosure_json import json_pieces
from vault.erasure import Erasures
from vault.errors import ConflictError, IdentifierInvalidError, NotFoundError, RootSealedError, StorageError
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.intents import Effects
from vault.journal import Journal
from vault.model import Chat, Document, Turn
from vault.restrictions import Restrictions
from vault.subject_rights import Rectification, RectificationReason, SubjectRights

SCHEMA = json.loads((REPOSITORY / "docs" / "schemas" / "subject-report.schema.json").read_text("utf-8"))
PHONE = "+49 170 1234567"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault of its own."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()


@pytest.fixture
def people(clinic: Clinic) -> dict[str, str]:
    """What was written of Anna alone, of Anna with Bob, and of Bob alone, by name."""
    owner = clinic.mem(OWNER)
    said = Chat(
        (Turn("Maria Keller", f"Maria Keller has a sore knee, call {PHONE}", at=START),), title="visit"
    )
    (alone,) = owner.extract(said, subject="anna").memory_ids
    (joint,) = owner.extract(f"John Doe and Anna Schmidt, {PHONE}", subject=("anna", "bob")).memory_ids
    note = Document("bob sleeps well", name="John Doe.txt")
    (bobs,) = clinic.mem(OTHER_OWNER).extract(note, subject="bob").memory_ids
    owner.update(alone, f"Maria Keller has a sore left knee, call {PHONE}")
    return {"alone": alone, "joint": joint, "bobs": bobs}


def rights(clinic: Clinic) -> SubjectRights:
    return SubjectRights(clinic.vault.parts)


def told(
    clinic: Clinic, name: str = "anna", terms: DisclosureTerms | None = None, who: Principal = OFFICER
) -> dict[str, Any]:
    """Return a disclosure as a program reads it, of the published form."""
    with rights(clinic).disclosing(who, name, terms or DisclosureTerms()) as disclosure:
        text = "".join(json_pieces(disclosure))
    found: dict[str, Any] = json.loads(text)
    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(found)
    return found


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_report_tells_all_versions_since_when_why_until_when_and_where_from(
    clinic: Clinic, people: dict[str, str]
) -> None:
    found = told(clinic)
    by_id = {one["id"]: one for one in found["memories"]}
    assert set(by_id) == {people["alone"], people["joint"]}
    alone = by_id[people["alone"]]
    assert [version["version"] for version in alone["versions"]] == [1, 2]
    assert "sore left knee" in alone["versions"][1]["text"]
    assert alone["versions"][1]["changed_by"] == "agent-1"
    assert (alone["kept_by"], alone["purpose"], alone["source"]["title"]) == ("agent-1", "treatment", "visit")
    assert alone["retention"]["class"] in {one.id for one in clinic.vault.parts.retention.classes}
    assert by_id[people["joint"]]["other_persons"] == 1
    assert found["counts"]["memories"] == 2
    assert (found["told"], found["unreadable"]) == (2, [])


def test_masked_is_the_default_and_originals_are_shown_of_the_person_alone(
    clinic: Clinic, people: dict[str, str]
) -> None:
    masked = told(clinic)
    assert PHONE not in json.dumps(masked)
    clear = told(clinic, terms=DisclosureTerms(originals=True))
    by_id = {one["id"]: one for one in clear["memories"]}
    assert all(PHONE in version["text"] for version in by_id[people["alone"]]["versions"])
    (joint,) = by_id[people["joint"]]["versions"]
    assert not joint["originals"]
    assert all(other not in joint["text"] for other in (PHONE, "John Doe", "Schmidt"))


def test_others_are_counted_and_neither_named_nor_told_of(clinic: Clinic, people: dict[str, str]) -> None:
    text = json.dumps(told(clinic, terms=DisclosureTerms(originals=True)))
    bob = clinic.vault.parts.sealers.subject_ids("clinic", ["bob"])[0]
    assert bob not in text
    assert people["bobs"] not in text
    assert "bob" not in text


def test_a_report_says_who_read_what_why_and_how_often_and_an_export_does_not(
    clinic: Clinic, people: dict[str, str]
) -> None:
    clinician = clinic.mem(CLINICIAN)
    clinician.get(people["alone"])
    clinician.get(people["alone"])
    clinician.reveal(people["joint"])
    clinician.get(people["bobs"])
    clinic.mem(OWNER, Purpose.RESEARCH).retrieve("knee", subject="anna")
    with pytest.raises(NotFoundError):
        clinic.mem(OTHER_OWNER).get(people["alone"])
    found = told(clinic)
    readers = {(one["principal"], one["action"], one["purpose"]): one for one in found["readers"]}
    assert set(readers) == {
        ("dr-a", "read", "treatment"),
        ("dr-a", "reveal", "treatment"),
        ("agent-1", "search", "research"),
    }
    assert readers["dr-a", "read", "treatment"]["calls"] == 2
    assert readers["dr-a", "read", "treatment"]["memories"] == 1
    reads = {one["id"]: one["reads"] for one in found["memories"]}
    assert reads[people["alone"]] >= 3
    export = told(clinic, terms=DisclosureTerms(readers=False))
    assert "readers" not in export
    assert export["kind"] == "export"
    assert all("reads" not in one for one in export["memories"])


def test_a_hold_is_told_only_where_that_is_allowed_and_never_which(
    clinic: Clinic, people: dict[str, str]
) -> None:
    review = START.replace(year=2030)
    targets = Targets(memories=(people["alone"],))
    asked = Placing(HoldScope.MATTER, HoldReason.INVESTIGATION, review, targets, "case-7")
    placed = Holds(clinic.vault.parts).place(OFFICER, asked)
    silent = json.dumps(told(clinic))
    assert "hold" not in silent
    found = told(clinic, terms=DisclosureTerms(holds=True))
    assert found["legal_hold"] is True
    assert all(word not in json.dumps(found) for word in (placed.hold_id, "case-7", "investigation"))
    assert told(clinic, "bob", DisclosureTerms(holds=True))["legal_hold"] is False


def test_a_hold_over_the_person_is_told_too(clinic: Clinic, people: dict[str, str]) -> None:
    assert people
    targets = Targets(subjects=("anna",))
    asked = Placing(HoldScope.SUBJECT, HoldReason.AUDIT, START.replace(year=2030), targets)
    Holds(clinic.vault.parts).place(OFFICER, asked)
    assert told(clinic, terms=DisclosureTerms(holds=True))["legal_hold"] is True


def test_what_a_document_is_called_is_masked_or_told_in_clear(clinic: Clinic) -> None:
    note = Document(
        "a sore knee", name="John Doe.txt", title=PHONE, tags=("John Doe",), metadata={"by": PHONE}
    )
    clinic.mem(OWNER).extract(note, subject="anna")
    masked = json.dumps(told(clinic)["memories"])
    assert PHONE not in masked
    assert "John Doe" not in masked
    (memory,) = told(clinic, terms=DisclosureTerms(originals=True))["memories"]
    source = memory["source"]
    assert (source["title"], source["tags"]) == (PHONE, ["John Doe"])
    assert source["metadata"] == [["by", PHONE]]


def test_a_source_that_cannot_be_opened_or_is_gone_takes_no_memory_away(
    clinic: Clinic, people: dict[str, str]
) -> None:
    assert people
    clinic.sql("UPDATE episode SET attributes = (SELECT text FROM memory LIMIT 1)")
    assert [one["source"]["title"] for one in told(clinic)["memories"]] == [None, None]
    clinic.sql("UPDATE episode SET recorded = 'soon'")
    assert [one["source"]["kind"] for one in told(clinic)["memories"]] == [None, None]


def test_an_entry_of_a_read_that_is_no_entry_counts_for_nothing(
    clinic: Clinic, people: dict[str, str]
) -> None:
    clinic.mem(CLINICIAN).get(people["alone"])
    clinic.sql("DROP TRIGGER audit_leaf_fixed")
    clinic.sql("UPDATE audit_leaf SET header = 'x' WHERE event = 'memory.read'")
    assert told(clinic)["readers"] == []


def test_a_root_that_cannot_be_used_ends_a_report_rather_than_leave_memories_out(
    clinic: Clinic, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sealed(*_given: object, **_named: object) -> None:
        raise RootSealedError("sealed")

    assert people
    monkeypatch.setattr(type(clinic.vault.parts.sealers), "open_memory", sealed)
    with pytest.raises(RootSealedError):
        told(clinic)
    assert clinic.last().outcome == "failed"


def test_a_restricted_person_is_told_all_and_what_they_asked_for(
    clinic: Clinic, people: dict[str, str]
) -> None:
    Restrictions(clinic.vault.parts).restrict(OFFICER, "anna")
    Restrictions(clinic.vault.parts).object_to(OFFICER, "anna", Purpose.RESEARCH)
    found = told(clinic)
    assert found["told"] == len(people) - 1
    assert [(one["kind"], one["purpose"]) for one in found["restrictions"]] == [
        ("restriction", None),
        ("objection", "research"),
    ]


def test_of_somebody_whom_nobody_knows_and_of_who_was_erased_nothing_is_held(
    clinic: Clinic, people: dict[str, str]
) -> None:
    assert people
    assert told(clinic, "nobody here")["memories"] == []
    erasures = Erasures(clinic.vault.parts)
    erasures.erase(OFFICER, "anna", erasures.plan(OFFICER, "anna").digest)
    assert told(clinic)["memories"] == []


def test_what_cannot_be_opened_is_named_and_the_rest_is_told(clinic: Clinic, people: dict[str, str]) -> None:
    clinic.sql("UPDATE memory SET text = attributes WHERE memory_id = ? AND version = 2", people["alone"])
    found = told(clinic)
    assert found["unreadable"] == [people["alone"]]
    assert [one["id"] for one in found["memories"]] == [people["joint"]]
    clinic.sql("UPDATE memory SET recorded = 'soon' WHERE memory_id = ?", people["joint"])
    assert set(told(clinic)["unreadable"]) == {people["alone"], people["joint"]}


def test_the_entry_and_the_intent_come_before_anything_leaves(clinic: Clinic, people: dict[str, str]) -> None:
    with rights(clinic).disclosing(OFFICER, "anna", DisclosureTerms()) as disclosure:
        before = [entry.event for entry in clinic.log()[-2:]]
        assert before == ["subject.report", "effect.intent"]
        assert disclosure.told == 0
        list(disclosure.memories)
    report, _intent, outcome = clinic.log()[-3:]
    assert (report.principal, report.payload["count"], report.payload["kind"]) == ("officer-a", 2, "report")
    assert (outcome.event, outcome.outcome, outcome.payload["count"]) == ("effect.outcome", "ok", 2)
    assert "anna" not in str(clinic.sql("SELECT header, payload FROM audit_leaf"))
    assert people


def test_without_a_durable_entry_nothing_is_told(
    clinic: Clinic, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_named: object) -> None:
        raise StorageError("no space")

    monkeypatch.setattr(Journal, "note", fail)
    with (
        pytest.raises(StorageError),
        rights(clinic).disclosing(OFFICER, "anna", DisclosureTerms()),
    ):
        raise AssertionError("something was lent")
    assert people


def break_off(clinic: Clinic) -> None:
    with rights(clinic).disclosing(OFFICER, "anna", DisclosureTerms()) as disclosure:
        next(disclosure.memories)
        raise OSError("full")


def test_a_report_that_broke_off_leaves_a_failed_outcome(clinic: Clinic, people: dict[str, str]) -> None:
    assert people
    with pytest.raises(OSError, match="full"):
        break_off(clinic)
    assert (clinic.last().event, clinic.last().outcome) == ("effect.outcome", "failed")
    assert Effects(clinic.vault.parts).unmatched("clinic") == ()


@pytest.mark.parametrize("who", [OWNER, CLINICIAN, ADMINISTRATOR, AUDITOR])
def test_nobody_but_a_privacy_officer_tells(clinic: Clinic, people: dict[str, str], who: Principal) -> None:
    assert people
    with pytest.raises(DeniedError), rights(clinic).disclosing(who, "anna", DisclosureTerms()):
        raise AssertionError("something was lent")
    assert (clinic.last().event, clinic.last().decision) == ("subject.report", "denied")
    with pytest.raises(IdentifierInvalidError), rights(clinic).disclosing(OFFICER, "", DisclosureTerms()):
        raise AssertionError("something was lent")


def test_a_rectification_is_a_new_version_with_a_reason_and_the_older_one_stays(
    clinic: Clinic, people: dict[str, str]
) -> None:
    right = Rectification(people["joint"], "they went to the sea", RectificationReason.INACCURATE, 1)
    rights(clinic).rectify(OFFICER, right)
    entry = next(one for one in reversed(clinic.log()) if one.event == "memory.update")
    assert (entry.principal, entry.payload["reason"]) == ("officer-a", "inaccurate")
    by_id = {one["id"]: one for one in told(clinic)["memories"]}
    versions = by_id[people["joint"]]["versions"]
    assert len(versions) == 2
    assert (versions[1]["text"], versions[1]["changed_by"]) == ("they went to the sea", "officer-a")
    with pytest.raises(ConflictError):
        rights(clinic).rectify(OFFICER, right)
    with pytest.raises(DeniedError):
        rights(clinic).rectify(AUDITOR, right)
    assert clinic.audit().verify().passed


def test_many_memories_take_no_more_memory_than_a_few(clinic: Clinic) -> None:
    """The text of one stretch is held at a time, not that of all."""
    said = "a long day at the lake " * 200
    for name, parts in (("bob", 1), ("anna", 6)):
        for _ in range(parts):
            turns = tuple(Turn("Maria Keller", f"{said} {nth}") for nth in range(100))
            clinic.mem(OWNER).extract(Chat(turns), subject=name)
    told(clinic, "bob")  # what is made once is made
    peaks = []
    for name in ("bob", "anna"):
        tracemalloc.start()
        with rights(clinic).disclosing(OFFICER, name, DisclosureTerms(readers=False)) as disclosure:
            size = sum(len(piece) for piece in json_pieces(disclosure))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size > 600 * len(said)
    assert peaks[1] < 2 * peaks[0], "six times as many memories"
