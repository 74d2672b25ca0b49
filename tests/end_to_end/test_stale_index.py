"""A write that is durable is acknowledged, whatever becomes of the index; and no search leaves it out."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from audit.event import EventType
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, OWNER, STRANGER, Clinic
from vault.administration import Administration, Health
from vault.embedding_worker import EmbeddingWorker
from vault.errors import IndexStaleError
from vault.memos import MemOS
from vault.model import Chat, SpeakerRole, Turn
from vault.search.index import TenantIndex

WAIT = 20.0
KNEE = "my left knee hurts when climbing stairs"
SHOULDER = "my right shoulder hurts when swimming"


def break_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, after: int = 0) -> list[int]:
    """Let a method raise once, at the call after so many, and return the list of its calls."""
    whole, calls = getattr(owner, name), list[int]()

    def broken(*given: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == after + 1:
            raise RuntimeError("the index is broken by " + KNEE)
        return whole(*given, **named)

    monkeypatch.setattr(owner, name, broken)
    return calls


def found(clinic: Clinic, query: str) -> list[str]:
    """Return what the owner finds."""
    return [hit.memory.text for hit in clinic.mem(OWNER).retrieve(query).hits]


def health(clinic: Clinic) -> Health:
    """Return the doctor's figures."""
    return Administration(clinic.vault.parts).health(ADMINISTRATOR, Purpose.OPERATIONS)


def settle(clinic: Clinic) -> None:
    """Wait for the vectors."""
    assert clinic.vault.wait(WAIT)


def found_by(owner: MemOS, word: str) -> list[str]:
    """Return the id of what fits best; ask again where the index went stale between building and asking."""
    for _ in range(50):
        with suppress(IndexStaleError):
            return [hit.memory.id for hit in owner.retrieve(word, k=1).hits]
    pytest.fail("expected an answer from the fiftieth index at the latest")


@pytest.mark.parametrize("after", range(3))
def test_an_extraction_whose_indexing_fails_is_acknowledged_once_and_found(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, after: int
) -> None:
    break_once(monkeypatch, TenantIndex, "add", after=after)
    turns = tuple(Turn("u", text, role=SpeakerRole.USER) for text in (KNEE, SHOULDER, "nothing else"))
    receipt = clinic.mem(OWNER).extract(Chat(turns))
    assert len(receipt.memory_ids) == clinic.count("memory") == 3
    assert clinic.mem(OWNER).prove(receipt).leaf_index == receipt.leaf_index
    before = health(clinic)
    assert (before.index_stale, before.index_failures, before.rows) == (True, 1, 3)
    assert "clinic is stale after RuntimeError" in caplog.text
    assert "knee" not in caplog.text
    for query, text in (("knee", KNEE), ("shoulder", SHOULDER)):
        assert text in found(clinic, query)
    settle(clinic)
    after_search = health(clinic)
    assert (after_search.index_stale, after_search.index_failures) == (False, 1)
    assert after_search.indexed == after_search.rows == after_search.vectors == 3


def test_an_update_whose_indexing_fails_is_acknowledged_and_the_old_text_is_not_found(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = clinic.mem(OWNER)
    (memory_id,) = owner.extract(KNEE).memory_ids
    break_once(monkeypatch, TenantIndex, "replace")
    assert owner.update(memory_id, SHOULDER, expected_version=1).memory_ids == (memory_id,)
    assert owner.get(memory_id).version == 2
    assert health(clinic).index_stale
    assert found(clinic, "shoulder") == [SHOULDER]
    assert not health(clinic).index_stale


def test_organizing_whose_indexing_fails_is_acknowledged(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = clinic.mem(OWNER)
    told = (
        "My surgery is on the left knee.",
        "Your surgery is on the left knee.",
        "Actually, my surgery is on the right knee.",
    )
    roles = (SpeakerRole.USER, SpeakerRole.ASSISTANT, SpeakerRole.USER)
    owner.extract(
        Chat(tuple(Turn(role.value, text, role=role) for text, role in zip(told, roles, strict=True)))
    )
    indexes = type(clinic.vault.parts.indexes)
    calls = break_once(monkeypatch, indexes, "_trust")
    organized = owner.organize()
    assert organized.trust
    assert calls
    assert clinic.last().event == EventType.MEMORY_ORGANIZE
    assert health(clinic).index_stale
    assert len(found(clinic, "knee")) == 3
    assert not health(clinic).index_stale


@pytest.mark.parametrize("change", ["extract", "update"])
def test_a_write_that_cannot_be_queued_for_its_vector_is_acknowledged_and_gets_one(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    owner = clinic.mem(OWNER)
    (memory_id,) = owner.extract(SHOULDER).memory_ids
    settle(clinic)
    break_once(monkeypatch, EmbeddingWorker, "put")
    if change == "extract":
        owner.extract(KNEE)
    else:
        owner.update(memory_id, KNEE)
    settle(clinic)
    lacking = health(clinic)
    assert (lacking.index_stale, lacking.rows - lacking.vectors) == (True, 1)
    assert KNEE in found(clinic, "knee")
    settle(clinic)
    well = health(clinic)
    assert (well.index_stale, well.rows - well.vectors, well.failed) == (False, 0, 0)


def test_a_vector_that_the_index_does_not_take_is_durable_and_counts_as_made(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(monkeypatch, TenantIndex, "add_vector")
    clinic.mem(OWNER).extract(KNEE)
    settle(clinic)
    lacking = health(clinic)
    assert (lacking.index_stale, lacking.vectors, lacking.failed) == (True, 1, 0)
    assert found(clinic, "knee") == [KNEE]
    assert clinic.vault.parts.embedding.failed == 0


def test_a_search_refuses_while_the_index_cannot_be_built_and_answers_when_it_can(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = clinic.mem(OWNER)
    owner.extract(SHOULDER)
    with ExitStack() as broken:
        patch = broken.enter_context(pytest.MonkeyPatch.context())
        break_once(patch, TenantIndex, "add")
        owner.extract(KNEE)

        def never(*_given: object) -> None:
            raise RuntimeError("still broken by " + KNEE)

        patch.setattr(TenantIndex, "add_many", never)
        for _ in range(2):
            with pytest.raises(IndexStaleError, match="RuntimeError") as caught:
                owner.retrieve("knee")
            assert "knee" not in str(caught.value)
        assert health(clinic).index_stale
        assert clinic.mem(STRANGER).retrieve("knee").hits == (), "another tenant's index is its own"
    assert not clinic.vault.parts.indexes.is_stale(BANK)
    assert sorted(found(clinic, "hurts")) == sorted([KNEE, SHOULDER])
    assert clinic.count("memory") == 2


def test_an_index_asked_while_stale_gives_no_answer(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever searches past `freshen` gets no partial answer."""
    monkeypatch.setattr("vault.read_path.freshen", lambda *_given: None)
    break_once(monkeypatch, TenantIndex, "add")
    clinic.mem(OWNER).extract(KNEE)
    with pytest.raises(IndexStaleError, match="lacks a change"):
        clinic.mem(OWNER).retrieve("knee")


def test_writers_and_searchers_beside_a_rebuild_lose_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every index fails again and again under eight writers: what was acknowledged is found at once."""
    whole, lock, calls = TenantIndex.add, threading.Lock(), [0]

    def now_and_then(*given: object, **named: object) -> None:
        with lock:
            calls[0] += 1
            bad = calls[0] % 5 == 0
        if bad:
            raise RuntimeError
        whole(*given, **named)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(TenantIndex, "add", now_and_then)

    def write(writer: int) -> list[str]:
        owner, lost = clinic.mem(OWNER), []
        for nth in range(6):
            (memory_id,) = owner.extract(f"finding word{writer}x{nth} is noted").memory_ids
            if found_by(owner, f"word{writer}x{nth}") != [memory_id]:
                lost.append(memory_id)
        return lost

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(write, writer) for writer in range(8)]
        assert [one.result(WAIT * 3) for one in results] == [[]] * 8
    settle(clinic)
    clinic.mem(OWNER).retrieve("finding")
    well = health(clinic)
    assert (well.rows, well.indexed, well.vectors, well.failed) == (48, 48, 48, 0)
    assert well.index_failures >= 8


@pytest.mark.parametrize(
    "call",
    [
        lambda clinic: clinic.mem(OWNER).extract(KNEE),
        lambda clinic: clinic.mem(OWNER).organize(),
    ],
)
def test_a_sound_index_is_not_built_anew(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, call: Callable[[Clinic], object]
) -> None:
    def never(*_given: object) -> None:
        pytest.fail("expected the index to be left as it is")

    monkeypatch.setattr("vault.rebuilding.rebuild_index", never)
    call(clinic)
    clinic.mem(OWNER).retrieve("knee")
    assert not clinic.vault.parts.indexes.is_stale(CLINIC)
