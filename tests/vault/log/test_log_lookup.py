"""Whether the log knows a value: in every form in which it may stand there, and nobody sees the value."""

import threading
from datetime import timedelta

import pytest

from audit.event import EventType
from policies.errors import DeniedError
from policies.model import Purpose
from tests.end_to_end.canary import Hunter
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, BANK_AUDITOR, CLINICIAN, OWNER, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import InputInvalidError, OverloadedError, TamperedError
from vault.log_lookup import MAX_VALUE, MOST_A_MINUTE, LogLookup, LookupAnswer
from vault.payload_erasure import ErasureReason, PayloadErasure

NAME = "Zyxwanda Quellmeister"


def look(clinic: Clinic, value: str, start: int = 0) -> LookupAnswer:
    return LogLookup(clinic.vault.parts).find(AUDITOR, Purpose.AUDIT, value, start=start)


def seen(answer: LookupAnswer) -> dict[int, tuple[str, ...]]:
    return {one.index: one.forms for one in answer.occurrences}


def test_a_subjects_name_is_known_by_its_keyed_id_however_it_is_spelled(clinic: Clinic) -> None:
    written = clinic.mem(OWNER).extract("a note", subject=NAME)
    for spelling in (NAME, NAME.lower(), f"  {NAME}\u200b "):
        answer = look(clinic, spelling)
        assert seen(answer)[written.leaf_index] == ("subject",)
        assert answer.complete
    assert written.leaf_index not in seen(look(clinic, "Somebody Else"))


def test_a_question_is_known_by_its_keyed_hash_in_exactly_its_words(clinic: Clinic) -> None:
    answer = clinic.mem(CLINICIAN).retrieve("what hurts Zyxwanda?")
    index = answer.receipt.leaf_index
    assert seen(look(clinic, "what hurts Zyxwanda?"))[index] == ("query",)
    assert index not in seen(look(clinic, "what hurts zyxwanda?"))


def test_an_id_that_the_log_shows_is_found_as_itself(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    for shown in (OWNER.id, receipt.memory_ids[0], str(receipt.episode_id)):
        assert "id" in seen(look(clinic, shown))[receipt.leaf_index]


@pytest.mark.parametrize("word", ["treatment", "allowed", "audit-log", "write", "memory", "clinic", "count"])
def test_a_word_that_the_log_is_written_in_is_no_id(clinic: Clinic, word: str) -> None:
    clinic.mem(OWNER).extract("a note")
    clinic.mem(CLINICIAN).retrieve("what hurts?")
    assert look(clinic, word).occurrences == ()


def test_a_value_that_leaked_into_an_entry_is_found_as_text(clinic: Clinic) -> None:
    journal = clinic.vault.parts.journal
    event = journal.event(EventType.MEMORY_SEARCH, "clinic", {"reason": f'asked by "{NAME}"'})
    (leaf,) = journal.write([event])
    assert seen(look(clinic, NAME)) == {leaf.index: ("text",)}
    assert seen(look(clinic, f'by "{NAME}"'))[leaf.index] == ("text",)
    assert leaf.index not in seen(look(clinic, "%"))


def test_a_look_up_is_an_entry_with_the_keyed_hash_and_without_the_value(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("a note", subject=NAME)
    look(clinic, NAME)
    told = clinic.last()
    assert (told.event, told.principal, told.outcome) == ("audit.lookup", AUDITOR.id, "ok")
    assert told.payload["count"] == 3, "the intent to make the key, the key, the memory"
    assert told.payload["complete"] is True
    assert told.payload["query"] == clinic.vault.parts.sealers.query_digest("clinic", NAME)
    again = look(clinic, NAME)
    assert seen(again)[told.index] == ("query",), "who asked for a value can be asked for"
    clinic.close()
    assert Hunter([NAME]).in_folder(clinic.path) == []


def test_neither_other_roles_nor_other_tenants_learn_anything(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("a note", subject=NAME)
    lookup = LogLookup(clinic.vault.parts)
    for other in (OWNER, CLINICIAN, ADMINISTRATOR):
        with pytest.raises(DeniedError):
            lookup.find(other, Purpose.AUDIT, NAME)
        assert clinic.last().decision == "denied"
    assert lookup.find(BANK_AUDITOR, Purpose.AUDIT, NAME).occurrences == ()


def test_a_list_of_names_cannot_be_tried_out_in_a_hurry(clinic: Clinic) -> None:
    clock = FrozenClock()
    clinic.reopen(fake_options(clock=clock))
    for nth in range(MOST_A_MINUTE):
        look(clinic, f"Name Number {nth}")
    for _ in range(2):
        size = len(clinic.log())
        with pytest.raises(OverloadedError):
            look(clinic, NAME)
        assert len(clinic.log()) == size
        clinic.reopen(fake_options(clock=clock))
    clock.advance(timedelta(seconds=61))
    assert look(clinic, NAME).complete


def test_many_at_one_time_get_no_more_answers_than_one_after_another(clinic: Clinic) -> None:
    clinic.reopen(fake_options(clock=FrozenClock()))
    for nth in range(MOST_A_MINUTE - 10):
        look(clinic, f"Name Number {nth}")
    start, answered, refused = threading.Barrier(8), [0] * 8, [0] * 8

    def hurry(nth: int) -> None:
        start.wait(10)
        for turn in range(5):
            try:
                look(clinic, f"Name of {nth} in {turn}")
                answered[nth] += 1
            except OverloadedError:
                refused[nth] += 1

    threads = [threading.Thread(target=hurry, args=(nth,)) for nth in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (sum(answered), sum(refused)) == (10, 30)
    assert sum(one.event == EventType.AUDIT_LOOKUP for one in clinic.log()) == MOST_A_MINUTE
    assert clinic.audit().verify().passed


def test_a_long_log_is_gone_through_in_parts(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    view = clinic.mem(OWNER)
    written = [view.extract(f"note {nth}", subject=NAME).leaf_index for nth in range(6)]
    assert len(set(written)) == 6
    whole = [index for index in seen(look(clinic, NAME)) if index in written]
    assert whole == written
    for bound in ("SPAN", "MAX_FOUND"):
        monkeypatch.setattr("vault.log_lookup.MOST_A_MINUTE", 1_000)
        monkeypatch.setattr(f"vault.log_lookup.{bound}", 2)
        found: list[int] = []
        answer = look(clinic, NAME)
        while not answer.complete:
            assert len(answer.occurrences) <= 2
            found += seen(answer)
            answer = look(clinic, NAME, answer.stop)
        found += seen(answer)
        assert [index for index in found if index in written] == written
        monkeypatch.undo()


def test_what_was_erased_is_counted_since_nobody_knows_what_it_said(clinic: Clinic) -> None:
    written = clinic.mem(OWNER).extract("a note", subject=NAME)
    job, known = PayloadErasure(clinic.vault.parts), list(seen(look(clinic, NAME)))
    assert known[-1] == written.leaf_index
    job.erase(ADMINISTRATOR, Purpose.OPERATIONS, known, ErasureReason.RETENTION)
    answer = look(clinic, NAME)
    assert {one.event for one in answer.occurrences} == {"audit.lookup"}
    assert answer.erased == len(known) == 3
    assert clinic.audit().verify().passed


@pytest.mark.parametrize(
    ("value", "start"), [("", 0), (" \n", 0), ("x" * (MAX_VALUE + 1), 0), ("x", -1), ("\ud800 lone", 0)]
)
def test_values_that_are_none_are_refused(clinic: Clinic, value: str, start: int) -> None:
    size = len(clinic.log())
    with pytest.raises(InputInvalidError):
        look(clinic, value, start)
    assert len(clinic.log()) == size


def test_a_value_that_could_be_no_name_is_looked_up_in_the_other_forms(clinic: Clinic) -> None:
    assert look(clinic, "x" * 300).occurrences == ()
    assert look(clinic, "a\x00b").occurrences == ()


def test_an_entry_that_was_altered_is_an_alarm_and_no_find(clinic: Clinic) -> None:
    written = clinic.mem(OWNER).extract("a note", subject=NAME)
    clinic.sql("DROP TRIGGER audit_leaf_erase")
    clinic.sql(
        "UPDATE audit_leaf SET payload = replace(payload, 'private', 'public') WHERE leaf_index = ?",
        written.leaf_index,
    )
    with pytest.raises(TamperedError):
        look(clinic, NAME)
