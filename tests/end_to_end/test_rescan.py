"""A newer gate finds what an older one let pass: it is masked everywhere, and told of, with who read it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.errors import DeniedError
from policies.model import Purpose
from policies.privacy import EntityType
from tests.simulators.clinic import AUDITOR, CLINIC, CLINICIAN, MEMBER, OFFICER, OWNER, Clinic
from tests.simulators.fakes import PATTERNS, KeywordDetector
from vault.disclosure import DisclosureTerms
from vault.errors import LeaseLostError
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.memos import MemOS
from vault.model import Chat, Turn
from vault.opening import VaultOptions
from vault.rescan import Rescan
from vault.subject_rights import SubjectRights

LATE = "quokka"
"""What the older gate does not know for a name."""


class NewerDetector(KeywordDetector):
    """Knows one more name."""

    def __init__(self) -> None:
        super().__init__({**PATTERNS, EntityType.LOCATION: LATE})

    @property
    def name(self) -> str:
        return "keywords/2"


def newer(options: VaultOptions) -> VaultOptions:
    return replace(options, detector=lambda _rules: NewerDetector())


def rescan(clinic: Clinic) -> Rescan:
    return Rescan(clinic.vault.parts)


@pytest.fixture
def exposed(clinic: Clinic) -> tuple[Clinic, Sequence[str]]:
    """Memories that an older gate let pass, one of them in two versions and read by a clinician."""
    owner = clinic.mem(OWNER)
    said = Chat(
        (
            Turn("Maria Keller", f"We met at the {LATE} with Anna Schmidt."),
            Turn("assistant", f"Nothing but {LATE} here."),
        ),
        title=f"about the {LATE}",
        tags=(LATE,),
        metadata={LATE: "x"},
    )
    first = owner.extract(said, subject="maria").memory_ids
    owner.update(first[0], f"We met at the {LATE} twice, says Anna Schmidt.")
    other = owner.extract("No name at all.", subject="john").memory_ids
    clinic.mem(CLINICIAN).get(first[0])
    clinic.reopen(newer(clinic.options))
    return clinic, (*first, *other)


def texts(clinic: Clinic) -> str:
    """Everything that the vault says of itself to its owner, all versions."""
    memory = clinic.mem(OWNER)
    hits = [hit.memory for hit in memory.retrieve("met nothing name", k=50).hits]
    return repr([(one.text, one.provenance, one.tags, one.metadata) for one in hits])


def test_what_is_found_late_is_masked_in_all_versions_and_names_and_the_log_agrees(
    exposed: tuple[Clinic, Sequence[str]],
) -> None:
    clinic, ids = exposed
    assert LATE in texts(clinic)
    tokens = {one for one in texts(clinic).split("'") if "[PERSON" in one}
    done = rescan(clinic).run(CLINIC)
    assert (done.complete, done.screened, done.masked, done.episodes) == (True, 4, 3, 1)
    assert done.kinds["LOCATION"] >= 3
    assert LATE not in texts(clinic)
    assert clinic.vault.wait(10)
    assert not clinic.mem(OWNER).retrieve(LATE).hits or LATE not in texts(clinic)
    revealed = clinic.mem(CLINICIAN).reveal(ids[0]).text
    assert LATE in revealed, "masked, not lost"
    assert "Anna Schmidt" in revealed, "what was a token before keeps its original"
    assert tokens, "there were tokens to keep"
    assert "[PERSON" in texts(clinic)
    verified = clinic.audit().verify()
    assert verified.passed
    assert not verified.row_findings


def test_an_incident_says_how_many_since_when_and_who_read_them(
    exposed: tuple[Clinic, Sequence[str]],
) -> None:
    clinic, ids = exposed
    done = rescan(clinic).run(CLINIC)
    entry = next(one for one in clinic.log() if one.index == done.incident)
    assert entry.event == "incident.open"
    assert entry.payload["count"] == 3, "two memories and their episode"
    told: dict[str, Any] = entry.payload
    assert ids[0] in told["memories"]
    assert ["location", done.kinds["LOCATION"]] in told["kinds"]
    assert ["dr-a", 1] in told["readers"]
    assert told["since"] < told["until"]
    assert LATE not in repr([one.payload for one in clinic.log()])


def test_an_incident_counts_to_whom_a_report_or_an_export_was_given_and_nobody_who_was_refused(
    exposed: tuple[Clinic, Sequence[str]],
) -> None:
    clinic, ids = exposed
    rights = SubjectRights(clinic.vault.parts)
    for name, terms in (
        ("maria", DisclosureTerms()),
        ("maria", DisclosureTerms(readers=False)),
        ("john", DisclosureTerms()),
    ):
        with rights.disclosing(OFFICER, name, terms) as told:
            assert list(told.memories)
    with pytest.raises(DeniedError), rights.disclosing(MEMBER, "maria", DisclosureTerms()):
        pass
    with pytest.raises(DeniedError):
        clinic.mem(OFFICER).reveal(ids[0])
    done = rescan(clinic).run(CLINIC)
    entry = next(one for one in clinic.log() if one.index == done.incident)
    assert entry.payload["readers"] == [["dr-a", 1], [OFFICER.id, 2]], "of john nothing was exposed"
    with rights.disclosing(OFFICER, "maria", DisclosureTerms()) as told:
        assert LATE not in repr(list(told.memories))


def test_a_report_from_before_anything_of_the_person_was_written_is_not_counted(clinic: Clinic) -> None:
    rights = SubjectRights(clinic.vault.parts)
    with rights.disclosing(OFFICER, "maria", DisclosureTerms()) as told:
        assert not list(told.memories)
    clinic.mem(OWNER).extract(f"The {LATE} was there.", subject="maria")
    clinic.reopen(newer(clinic.options))
    done = rescan(clinic).run(CLINIC)
    entry = next(one for one in clinic.log() if one.index == done.incident)
    assert entry.payload["readers"] == []


def test_a_second_run_finds_nothing_and_opens_no_incident(exposed: tuple[Clinic, Sequence[str]]) -> None:
    clinic, _ = exposed
    rescan(clinic).run(CLINIC)
    entries = len(clinic.log())
    again = rescan(clinic).run(CLINIC)
    assert (again.screened, again.masked, again.incident, again.complete) == (0, 0, None, True)
    assert len(clinic.log()) == entries


def test_a_run_that_is_cut_short_goes_on_and_its_incident_is_opened_by_the_next(
    exposed: tuple[Clinic, Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, _ = exposed
    monkeypatch.setattr("vault.rescan.BATCH", 1)
    left = iter([True])
    with monkeypatch.context() as ended:
        ended.setattr("vault.rescan.open_incident", lambda *_: None)  # as if the process ended before it
        first = rescan(clinic).run(CLINIC, may_go_on=lambda: next(left, False))
    assert (first.screened, first.complete) == (1, False)
    clinic.reopen()
    second = rescan(clinic).run(CLINIC)
    assert (second.screened, second.complete) == (3, True)
    entry = next(one for one in clinic.log() if one.index == second.incident)
    assert entry.payload["count"] == 3, "what the first run masked is told of, too"


def test_a_run_that_lost_its_lease_writes_nothing(exposed: tuple[Clinic, Sequence[str]]) -> None:
    clinic, _ = exposed
    before = clinic.sql("SELECT * FROM memory")

    def fence(*_: object) -> None:
        raise LeaseLostError("the lease of rescan is another's")

    with pytest.raises(LeaseLostError):
        rescan(clinic).run(CLINIC, fence=fence)
    assert clinic.sql("SELECT * FROM memory") == before


def test_a_row_that_changes_meanwhile_is_left_to_the_next_run(
    exposed: tuple[Clinic, Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, ids = exposed
    run = rescan(clinic)
    commit = run._commit
    changed: list[bool] = []

    def change_first(*given: object) -> None:
        if not changed:
            changed.append(True)
            text = clinic.sql("SELECT text FROM memory WHERE memory_id = ? AND version = 1", ids[1])[0][0]
            clinic.sql("UPDATE memory SET text = zeroblob(3) WHERE memory_id = ? AND version = 1", ids[1])
            try:
                commit(*given)  # type: ignore[arg-type]
            finally:
                clinic.sql("UPDATE memory SET text = ? WHERE memory_id = ? AND version = 1", text, ids[1])
            return
        commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_commit", change_first)
    assert run.run(CLINIC).screened == 4, "the batch goes in row by row"
    assert clinic.audit().verify().passed


def test_a_row_that_does_not_open_is_counted_and_holds_up_nobody(
    exposed: tuple[Clinic, Sequence[str]],
) -> None:
    clinic, ids = exposed
    clinic.sql("UPDATE memory SET attributes = zeroblob(9) WHERE memory_id = ?", ids[1])
    done = rescan(clinic).run(CLINIC)
    assert (done.unreadable, done.screened, done.complete) == (1, 3, True)


def test_an_unchanged_gate_has_nothing_to_do(clinic: Clinic, tmp_path: Path) -> None:
    clinic.mem(OWNER).extract(f"the {LATE}", subject="maria")
    assert rescan(clinic).run(CLINIC).screened == 0
    auditor = MemOS(clinic.vault, principal=AUDITOR, purpose=Purpose.AUDIT)
    assert auditor.verify().passed
    assert tmp_path.exists()


class StricterDetector(KeywordDetector):
    """Knows a kind of secret more, which the rules take out for good."""

    def __init__(self) -> None:
        super().__init__({**PATTERNS, EntityType.SECRET: rf"\b{LATE}\b"})

    @property
    def name(self) -> str:
        return "keywords/3"


@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
def test_under_a_hold_what_is_masked_for_good_elsewhere_keeps_its_original(
    clinic: Clinic, *, held: bool
) -> None:
    said = Chat((Turn("Maria Keller", f"The code is {LATE}."),), title=f"of {LATE}")
    (memory_id,) = clinic.mem(OWNER).extract(said, subject="maria").memory_ids
    if held:
        Holds(clinic.vault.parts).place(OFFICER, over("maria", clinic))
    clinic.reopen(replace(clinic.options, detector=lambda _rules: StricterDetector()))
    done = rescan(clinic).run(CLINIC)
    assert (done.masked, done.episodes) == (1, 1)
    assert LATE not in texts(clinic)
    assert clinic.mem(OWNER).get(memory_id).text == "The code is [SECRET]."
    shown = clinic.mem(CLINICIAN).reveal(memory_id).text
    assert shown == (f"The code is {LATE}." if held else "The code is [SECRET].")
    assert clinic.audit().verify().passed


def test_a_hold_that_comes_while_memories_are_screened_loses_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    (memory_id,) = clinic.mem(OWNER).extract(f"The code is {LATE}.", subject="maria").memory_ids
    clinic.reopen(replace(clinic.options, detector=lambda _rules: StricterDetector()))
    run = rescan(clinic)
    commit = run._commit

    def hold_first(*given: object) -> None:
        Holds(clinic.vault.parts).place(OFFICER, over("maria", clinic))
        monkeypatch.setattr(run, "_commit", commit)
        commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_commit", hold_first)
    assert run.run(CLINIC).masked == 0, "refused in the transaction"
    assert rescan(clinic).run(CLINIC).masked == 1
    assert clinic.mem(CLINICIAN).reveal(memory_id).text == f"The code is {LATE}."


def over(name: str, clinic: Clinic) -> Placing:
    """Return a hold over a person."""
    review = clinic.vault.parts.clock() + timedelta(days=90)
    return Placing(HoldScope.SUBJECT, HoldReason.LITIGATION, review, Targets(subjects=(name,)))
