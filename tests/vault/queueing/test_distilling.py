"""Near-duplicates become one memory: sources are retired with it or not at all, and can be had back."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, CLINIC, OTHER_OWNER, OWNER, Clinic
from tests.simulators.fakes import FrozenClock
from tests.vault.queueing.test_queue import erase, state, subject, worker
from vault.errors import ConflictError, NotFoundError
from vault.model import Chat, EdgeKind, SpeakerRole, Turn
from vault.queueing.distilling import Distilled, Distiller
from vault.queueing.work import Ending
from vault.storage.distilled_rows import AddDistilled
from vault.storage.due import current_rows

SAID = (
    "Anna Keller takes 20 mg of lisinopril every morning before breakfast at home.",
    "Anna Keller takes 20 mg of lisinopril every morning before breakfast at home",
    "Anna Keller takes 10 mg of lisinopril every morning before breakfast at home.",
    "The weather was fine on the way to the clinic.",
)


def say(clinic: Clinic, *texts: str, role: SpeakerRole = SpeakerRole.USER, name: str = "anna") -> list[str]:
    assert isinstance(clinic.options.clock, FrozenClock)
    written: list[str] = []
    for text in texts:
        clinic.options.clock.advance()
        written += clinic.mem(OWNER).extract(Chat((Turn("Ana", text, role),)), subject=name).memory_ids
    return written


def distil(clinic: Clinic, name: str = "anna") -> Distilled:
    return Distiller(clinic.vault.parts).distil(OWNER, name, Purpose.TREATMENT)


def trust(clinic: Clinic, memory_id: str) -> str:
    query = "SELECT trust FROM memory WHERE memory_id = ? AND is_current = 1"
    return str(clinic.sql(query, memory_id)[0][0])


def clean(clinic: Clinic) -> bool:
    report = clinic.audit().verify()
    return report.passed and not report.row_findings


def test_near_duplicates_are_one_memory_and_what_differs_in_a_number_is_not(clinic: Clinic) -> None:
    first, second, other, weather = say(clinic, *SAID)
    before = clinic.mem(OWNER).reveal(first).text
    done = distil(clinic)
    (made,) = done.made
    assert (done.retired, done.lost) == (2, 0)
    assert [trust(clinic, one) for one in (first, second, other, weather, made)] == [
        "revoked",
        "revoked",
        "verified",
        "verified",
        "verified",
    ]
    found = {hit.memory.id for hit in clinic.mem(OWNER).retrieve("lisinopril breakfast").hits}
    assert made in found
    assert not found & {first, second}
    assert clinic.mem(OWNER).reveal(made).text == before
    assert clinic.mem(OWNER).get(made).provenance.title == "distilled"
    edges = clinic.sql("SELECT target_id FROM edge WHERE source_id = ? AND kind = 'derived-from'", made)
    assert {row[0] for row in edges} == {first, second}
    assert clean(clinic)
    assert distil(clinic) == Distilled((), 0, 0), "a second time there is nothing to be done"
    clinic.reopen()
    assert made in {hit.memory.id for hit in clinic.mem(OWNER).retrieve("lisinopril breakfast").hits}
    assert clean(clinic)


def test_a_distilling_can_be_taken_back(clinic: Clinic) -> None:
    first, second, *_ = say(clinic, *SAID)
    (made,) = distil(clinic).made
    back = clinic.mem(OWNER).take_back_distilled(made)
    assert set(back) == {first, second}
    assert [trust(clinic, one) for one in (first, second, made)] == ["verified", "verified", "revoked"]
    assert clean(clinic)
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).take_back_distilled(made)
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).take_back_distilled(first)
    assert clinic.last().decision == "denied"


@pytest.mark.parametrize("what", ["linked", "retracted", "corrected", "taken back before"])
def test_nothing_that_somebody_retracted_or_corrected_comes_back_as_the_source_of_something(
    clinic: Clinic, what: str
) -> None:
    memory = clinic.mem(OWNER)
    first, second, *_ = say(clinic, *SAID)
    if what == "linked":
        (made,) = say(clinic, SAID[0])
        memory.link(made, EdgeKind.DERIVED_FROM, [first])
        memory.feedback.retract(first)
    else:
        (made,) = distil(clinic).made
    if what == "retracted":
        memory.feedback.retract(made)
    if what == "corrected":
        memory.feedback.correct(made, "Anna Keller takes nothing.")
    if what == "taken back before":
        memory.take_back_distilled(made)
        memory.feedback.retract(first)
    before = [trust(clinic, one) for one in (first, second, made)]
    with pytest.raises(NotFoundError):
        memory.take_back_distilled(made)
    assert clinic.last().decision == "denied"
    assert [trust(clinic, one) for one in (first, second, made)] == before
    assert before[0] == "revoked"
    assert clean(clinic)


def test_others_distil_and_take_back_nothing(clinic: Clinic) -> None:
    say(clinic, *SAID)
    assert Distiller(clinic.vault.parts).distil(OTHER_OWNER, "anna", Purpose.TREATMENT).made == ()
    (made,) = distil(clinic).made
    with pytest.raises(NotFoundError):
        clinic.mem(OTHER_OWNER).take_back_distilled(made)
    with pytest.raises(DeniedError):
        Distiller(clinic.vault.parts).distil(ADMINISTRATOR, "anna", Purpose.TREATMENT)
    assert (clinic.last().event, clinic.last().decision) == ("memory.organize", "denied")


def test_what_is_not_verified_and_of_other_persons_is_left_alone(clinic: Clinic) -> None:
    say(clinic, *SAID[:2], role=SpeakerRole.ASSISTANT)
    say(clinic, SAID[0], name="berta")
    assert distil(clinic).made == ()
    assert distil(clinic, "nobody").made == ()


def test_a_bad_row_is_not_distilled_and_keeps_no_other(clinic: Clinic) -> None:
    *_, bad = say(clinic, *SAID[:2], SAID[0])
    clinic.sql("UPDATE memory SET text = ? WHERE memory_id = ?", b"\x01nothing", bad)
    assert distil(clinic).retired == 2
    assert trust(clinic, bad) == "verified"


@pytest.mark.parametrize("what", ["changed", "erased"])
def test_sources_that_are_overtaken_are_not_retired(
    clinic: Clinic, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = say(clinic, *SAID)
    seen = AddDistilled.change

    def overtaken(self: AddDistilled, connection: Connection, leaves: object) -> None:
        if what == "changed":
            self = replace(self, sources=[replace(self.sources[0], version=9), *self.sources[1:]])
        else:
            connection.exec_driver_sql(
                "INSERT INTO erasure VALUES (?, 'era_1', ?, 'begun', 1, NULL, 1, NULL)",
                (CLINIC, subject(clinic, "anna")),
            )
        seen(self, connection, leaves)  # type: ignore[arg-type]

    monkeypatch.setattr(AddDistilled, "change", overtaken)
    before = clinic.count("memory")
    with pytest.raises(ConflictError):
        distil(clinic)
    assert clinic.count("memory") == before
    assert (trust(clinic, first), trust(clinic, second)) == ("verified", "verified")
    assert len(clinic.mem(OWNER).retrieve("lisinopril breakfast").hits) >= 2
    assert clean(clinic)


def test_what_does_not_say_what_was_read_retires_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_, weather = say(clinic, *SAID)
    sealers = clinic.vault.parts.sealers
    screened = sealers.screened_again
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        (other,) = current_rows(connection, CLINIC, [weather])
    monkeypatch.setattr(sealers, "screened_again", lambda tenant, _row: screened(tenant, other))
    with pytest.raises(ConflictError, match="does not say"):
        distil(clinic)
    assert trust(clinic, first) == "verified"


def test_an_erasure_takes_what_was_distilled(clinic: Clinic) -> None:
    say(clinic, *SAID)
    distil(clinic)
    erase(clinic, "anna")
    assert clinic.count("memory") == 0
    assert clinic.count("edge") == 0


def test_distilling_is_put_off_and_fenced(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    say(clinic, *SAID)
    put_off = clinic.mem(OWNER).distil_later(subject="anna")
    assert clinic.last().payload["kind"] == "distil"
    lost = clinic.mem(OWNER).distil_later(subject="anna")
    assert lost.task_id == put_off.task_id
    expect = "vault.queueing.queue.expect_held"
    with monkeypatch.context() as patched:
        calls: list[int] = []

        def once(*_: object) -> None:
            calls.append(1)
            from vault.errors import LeaseLostError  # noqa: PLC0415

            raise LeaseLostError("lost")

        patched.setattr(expect, once)
        assert worker(clinic).step(CLINIC) is Ending.LOST
    assert calls
    assert clinic.sql("SELECT count(*) FROM edge") == [(0,)]
    clinic.sql("UPDATE task SET state = 'waiting', until = 0")
    assert worker(clinic).step(CLINIC) is Ending.DONE
    assert state(clinic, put_off.task_id)[0] == "done"
    assert clinic.sql("SELECT count(*) FROM edge") == [(2,)]
