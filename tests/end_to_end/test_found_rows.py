"""The rows that an answer is opened from: memories with their episodes, within reach and of whole form."""

import pytest

from policies.model import Action, Principal, Purpose
from tests.simulators.clinic import CLINIC, OTHER_OWNER, OWNER, Clinic
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.model import Document
from vault.storage.found import FoundRows, found_rows

TITLE = "Ward round"


def grant_of(clinic: Clinic, principal: Principal) -> Grant:
    return authorise(
        clinic.vault.parts.policy, principal, Action.SEARCH, Purpose.TREATMENT, over=EVERY_MEMORY
    )


def written(clinic: Clinic, count: int = 1) -> list[str]:
    made: list[str] = []
    for number in range(count):
        note = Document(f"the knee is better, note {number}", title=TITLE)
        made += clinic.mem(OWNER).extract(note).memory_ids
    return made


@pytest.mark.parametrize("count", [1, 8, 9, 17])
def test_each_memory_comes_with_its_episode_and_as_a_unit_of_work_reads_it(
    clinic: Clinic, count: int
) -> None:
    ids, grant = written(clinic, count), grant_of(clinic, OWNER)
    rows = clinic.vault.parts.store.found(grant, ids)
    with clinic.vault.parts.store.read(grant) as unit:
        assert rows.memories == unit.memories(ids)
    assert set(rows.memories) == set(ids)
    assert set(rows.episodes) == {row.episode_id for row in rows.memories.values()}
    assert rows.damaged == []


def test_no_id_and_an_unknown_one_find_nothing(clinic: Clinic) -> None:
    written(clinic)
    grant = grant_of(clinic, OWNER)
    assert clinic.vault.parts.store.found(grant, []) == FoundRows()
    assert clinic.vault.parts.store.found(grant, ["mem_00000000000000000000000000"]) == FoundRows()


def test_anothers_private_memory_and_its_episode_are_out_of_reach(clinic: Clinic) -> None:
    ids = written(clinic)
    assert clinic.vault.parts.store.found(grant_of(clinic, OTHER_OWNER), ids) == FoundRows()
    with clinic.without_wall() as bare:
        assert found_rows(bare, grant_of(clinic, OTHER_OWNER), ids) == FoundRows(), "by the query alone"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE episode SET owner = 'agent-2', access_tier = 'private'",
        "UPDATE episode SET access_tier = 'secret'",
        "UPDATE episode SET recorded = 'soon'",
        "UPDATE episode SET attributes = x'00'",
        "UPDATE memory SET episode_id = 'epi_00000000000000000000000000'",
        "DELETE FROM episode",
    ],
)
def test_a_memory_whose_episode_is_gone_out_of_reach_or_nonsense_stands_without_a_title(
    clinic: Clinic, change: str
) -> None:
    (memory_id,) = written(clinic)
    assert clinic.mem(OWNER).get(memory_id).provenance.title == TITLE
    clinic.sql(change)
    (hit,) = clinic.mem(OWNER).retrieve("knee").hits
    assert (hit.memory.id, hit.memory.provenance.title) == (memory_id, "")
    assert hit.memory.text == "the knee is better, note 0"


def test_a_damaged_row_is_named_and_the_others_stand(clinic: Clinic) -> None:
    bad, good = written(clinic, 2)
    clinic.sql("UPDATE memory SET trust = 'golden' WHERE memory_id = ?", bad)
    rows = clinic.vault.parts.store.found(grant_of(clinic, OWNER), [bad, good])
    assert (rows.damaged, list(rows.memories)) == ([bad], [good])
    assert clinic.count("memory", f"tenant_id = '{CLINIC}'") == 2
