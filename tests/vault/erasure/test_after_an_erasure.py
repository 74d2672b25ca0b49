"""Once a person is erased, no row about them is written any more, whatever it is that is written."""

from collections.abc import Callable

import pytest

from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, OWNER, Clinic
from tests.vault.erased_people import OFFICER, People, erase, says
from vault.care_teams import CareTeams
from vault.consents import Consents
from vault.errors import ErasedError, KeyDestroyedError
from vault.restrictions import Restrictions

WRITES: dict[str, Callable[[Clinic, str], object]] = {
    "consent": lambda clinic, name: Consents(clinic.vault.parts).give(OFFICER, name, Purpose.RESEARCH),
    "care_team": lambda clinic, name: CareTeams(clinic.vault.parts).join(ADMINISTRATOR, name, "dr-b"),
    "restriction": lambda clinic, name: Restrictions(clinic.vault.parts).restrict(OFFICER, name),
    "objection": lambda clinic, name: Restrictions(clinic.vault.parts).object_to(
        OFFICER, name, Purpose.RESEARCH
    ),
    "memory": lambda clinic, name: clinic.mem(OWNER).extract(says("the hip is sore"), subject=name),
}
TABLES = ("consent", "care_team", "restriction", "memory", "memory_subject", "subject")


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("name", ["anna", " ANNA "])
def test_nothing_is_written_about_an_erased_person_and_the_refusal_is_an_entry(
    clinic: Clinic, people: People, kind: str, name: str
) -> None:
    assert people.annas
    erase(clinic)
    rows = {table: clinic.count(table) for table in TABLES}
    with pytest.raises((ErasedError, KeyDestroyedError)):
        WRITES[kind](clinic, name)
    assert {table: clinic.count(table) for table in TABLES} == rows
    assert clinic.last().outcome == "refused"
    assert clinic.audit().verify().passed


@pytest.mark.parametrize("kind", WRITES)
def test_others_are_written_about_as_before(clinic: Clinic, people: People, kind: str) -> None:
    assert people.bobs
    erase(clinic)
    WRITES[kind](clinic, "bob")
    assert clinic.last().outcome == "ok"


def test_what_is_left_of_a_memory_that_was_lost_goes_with_the_person(clinic: Clinic, people: People) -> None:
    lost = people.alone[0]
    clinic.sql("DELETE FROM memory WHERE memory_id = ?", lost)
    assert clinic.count("embedding", f"memory_id = '{lost}'") == 1
    erase(clinic)
    left = [clinic.count(table, f"memory_id = '{lost}'") for table in ("memory_subject", "embedding")]
    assert left == [0, 0]


def test_what_was_written_before_goes_with_the_person(clinic: Clinic, people: People) -> None:
    assert people.annas
    for kind in ("consent", "care_team", "restriction", "objection"):
        WRITES[kind](clinic, "anna")
    erase(clinic)
    assert [clinic.count(table) for table in ("consent", "care_team", "restriction")] == [0, 0, 0]
