"""The index of a tenant: found at once, gone at once, and never across a scope that was not named."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.model import AccessTier
from tests.vault.search.makers import ALICE, BOB, DIMENSIONS, WARD, ask, entry, record, vector
from vault.errors import TamperedError
from vault.search import partition
from vault.search.index import MAX_RESULTS, Entry, Found, Query, Scope, TenantIndex
from vault.search.view import PartitionView

SENTENCES = (
    "I adopted a puppy from the shelter",
    "Which puppy did you choose?",
    "The brown one with the white ear",
    "My sister sails on the lake in summer",
    "We painted the kitchen green last week",
    "The kitchen sink leaks again",
    "I take two tablets of ibuprofen a day",
    "Doctor says my blood pressure fell",
)
ALL = frozenset({ALICE, BOB, WARD})


def filled(*entries: Entry) -> TenantIndex:
    index = TenantIndex(DIMENSIONS)
    index.add_many(entries)
    return index


def house() -> TenantIndex:
    return filled(*(entry(number, text) for number, text in enumerate(SENTENCES)))


def ids(found: list[Found]) -> list[str]:
    return [hit.memory_id for hit in found]


def test_a_memory_is_found_by_its_words_at_once_and_by_its_meaning_later() -> None:
    index = TenantIndex(DIMENSIONS)
    index.add(ALICE, "m1", "e1", 0, record("the ferry leaves at noon"))
    assert ids(index.search(ask("when does the ferry leave?", seed=1), frozenset({ALICE}), 5)) == ["m1"]
    assert index.without_vector() == ["m1"]
    assert index.add_vector("m1", vector(1))
    assert index.without_vector() == []
    assert ids(index.search(ask("unrelated", seed=1), frozenset({ALICE}), 5)) == ["m1"]


def test_the_best_match_stands_first_and_says_why() -> None:
    found = house().search(ask("what does she take ibuprofen for?"), frozenset({ALICE}), 3)
    assert found[0].memory_id == "m6"
    assert found[0].why["lexical"] > 0
    assert found[0].score == pytest.approx(sum(found[0].why.values()), abs=1e-5)


def test_an_answer_is_found_by_the_words_of_the_turn_before_it() -> None:
    found = house().search(ask("which puppy was chosen?"), frozenset({ALICE}), 3)
    assert "m2" in ids(found)
    assert next(hit for hit in found if hit.memory_id == "m2").why["after_question"] > 0


def test_a_speaker_named_in_the_question_lifts_what_they_said() -> None:
    index = filled(
        entry(0, "the lake was cold", speaker="Ann"),
        entry(1, "the lake was cold", episode="e2", speaker="Ben"),
    )
    assert ids(index.search(ask("what did Ben say about the lake?"), frozenset({ALICE}), 2))[0] == "m1"
    assert ids(index.search(ask("what did Ann say about the lake?"), frozenset({ALICE}), 2))[0] == "m0"


def test_each_arms_first_hit_is_returned() -> None:
    index = house()
    found = ids(index.search(ask("is the kitchen sink leaking?", seed=3), frozenset({ALICE}), 2))
    assert set(found) == {"m5", "m3"}


def test_nothing_is_found_in_an_empty_index_or_without_scopes() -> None:
    assert TenantIndex(DIMENSIONS).search(ask("anything", 1), ALL, 5) == []
    assert house().search(ask("puppy", 1), frozenset(), 5) == []
    assert house().search(ask("puppy", 1), frozenset({BOB, WARD}), 5) == []


def test_a_question_of_stop_words_alone_is_answered_by_meaning() -> None:
    assert ids(house().search(ask("what was it?", seed=4), frozenset({ALICE}), 1)) == ["m4"]


# --- the wall between scopes ---------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(SENTENCES), st.booleans()), max_size=12), st.sampled_from(SENTENCES)
)
def test_another_owners_memories_change_no_byte_of_the_answer(
    others: list[tuple[str, bool]], question: str
) -> None:
    alone, beside = house(), house()
    for number, (text, with_vector) in enumerate(others):
        at = len(SENTENCES) + number
        beside.add_many([Entry(BOB, f"b{at}", "e1", at, record(text), vector(at) if with_vector else None)])
    scopes = frozenset({ALICE, WARD})
    assert beside.search(ask(question, 5), scopes, 8) == alone.search(ask(question, 5), scopes, 8)


def test_only_named_scopes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled(
        entry(0, "private to alice"), entry(1, "private to bob", BOB), entry(2, "for the ward", WARD)
    )
    seen: list[int] = []
    view = partition.Partition.view

    def watched(self: partition.Partition, *terms: tuple[int, ...]) -> PartitionView:
        seen.append(id(self))
        return view(self, *terms)

    monkeypatch.setattr(partition.Partition, "view", watched)
    assert set(ids(index.search(ask("private ward", 1), frozenset({ALICE, WARD}), 5))) == {"m0", "m2"}
    assert seen == [id(index._partitions[WARD]), id(index._partitions[ALICE])]


def test_a_scope_has_an_owner_exactly_when_it_is_private() -> None:
    with pytest.raises(ValueError, match="owner"):
        Scope(AccessTier.PRIVATE)
    with pytest.raises(ValueError, match="owner"):
        Scope(AccessTier.PUBLIC, "alice")


def test_memories_score_the_same_in_one_scope_and_in_two() -> None:
    apart = filled(
        *(
            entry(n, text, ALICE if n < 3 else WARD, "e1" if n < 3 else "e2")
            for n, text in enumerate(SENTENCES)
        )
    )
    whole = filled(*(entry(n, text, ALICE, "e1" if n < 3 else "e2") for n, text in enumerate(SENTENCES)))
    question = ask("who sails in summer?", 2)
    split = {hit.memory_id: hit.score for hit in apart.search(question, ALL, 8)}
    joined = {hit.memory_id: hit.score for hit in whole.search(question, ALL, 8)}
    assert split == pytest.approx(joined, abs=1e-4)


# --- change --------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    step = st.tuples(
        st.sampled_from(["add", "remove", "replace", "vector"]), st.integers(0, 9), st.sampled_from(SENTENCES)
    )
    return draw(st.lists(step, max_size=40))


@given(histories(), st.sampled_from(SENTENCES), st.booleans())
@settings(max_examples=60)
def test_whatever_happened_before_an_index_answers_as_one_built_from_what_is_left(
    history: list[tuple[str, int, str]],
    question: str,
    compact: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    index = TenantIndex(DIMENSIONS)
    texts: dict[int, str] = {}
    embedded: set[int] = set()
    for step, number, text in history:
        known = number in texts
        if step == "remove":
            assert index.remove(f"m{number}") is known
            texts.pop(number, None)
            embedded.discard(number)
        elif step == "vector":
            assert index.add_vector(f"m{number}", vector(number)) is known
            embedded |= {number} & texts.keys()
        elif known or step == "replace":
            index.replace(ALICE, f"m{number}", f"e{number % 2}", number, record(text))
            texts.pop(number, None)
            texts[number] = text
            embedded.discard(number)
        else:
            index.add(ALICE, f"m{number}", f"e{number % 2}", number, record(text))
            texts[number] = text
    if compact and ALICE in index._partitions:
        index._compact(ALICE)
    fresh = filled(
        *(
            Entry(ALICE, f"m{n}", f"e{n % 2}", n, record(text), vector(n) if n in embedded else None)
            for n, text in texts.items()
        )
    )
    assert len(index) == len(texts)
    found, expected = (one.search(ask(question, 5), ALL, 10) for one in (index, fresh))
    assert {hit.memory_id: hit.score for hit in found} == pytest.approx(
        {hit.memory_id: hit.score for hit in expected}, abs=1e-4
    )


def test_a_removed_memory_leaves_no_term_no_vector_and_no_figure() -> None:
    index = filled(entry(0, "my ferry ticket", speaker="Ann"), entry(1, "a quiet evening"))
    assert index.remove("m0")
    part = index._partitions[ALICE]
    view = part.view(ask("ferry ticket Ann").prepared.terms, ask("ferry ticket Ann").prepared.names, ())
    assert [len(posting.units) for posting in view.postings] == [0, 0, 0]
    assert not part._vectors.view(1).blocks[0][0].any()
    assert (view.length[0], view.window_length[0], view.window_length[1]) == (0, 0, view.length[1])
    assert view.words == view.window_words == view.length[1]
    assert "m0" not in index
    assert index.remove("m0") is False
    assert index.add_vector("m0", vector(0)) is False


def test_the_last_memory_of_a_scope_takes_the_scope_with_it() -> None:
    index = filled(entry(0, "gone soon"))
    index.remove("m0")
    assert (len(index), index._partitions) == (0, {})


def test_many_removals_are_compacted_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "FEWEST_HOLES", 2)
    index = house()
    for number in range(6):
        index.remove(f"m{number}")
    assert len(index._partitions[ALICE].ids) < len(SENTENCES)
    assert ids(index.search(ask("ibuprofen tablets", 6), ALL, 5))[0] == "m6"
    assert index.add_vector("m7", vector(9))
    assert ids(index.search(ask("unrelated", 9), ALL, 1)) == ["m7"]


def test_growth_beyond_every_first_capacity_keeps_all() -> None:
    count = 700
    index = filled(*(entry(n, f"word{n} everyday", episode=f"e{n // 3}") for n in range(count)))
    for wanted in (0, 63, 64, 255, 256, 699):
        assert f"m{wanted}" in ids(index.search(ask(f"word{wanted}"), ALL, 2))
        assert f"m{wanted}" in ids(index.search(ask("nothing", wanted), ALL, 2))


# --- bounds and filters --------------------------------------------------------------------------


def test_filters_are_asked_in_order_of_rank_and_never_shorten_the_answer_needlessly() -> None:
    asked: list[str] = []

    def even(memory_id: str) -> bool:
        asked.append(memory_id)
        return int(memory_id[1:]) % 2 == 0

    assert set(ids(house().search(ask("puppy kitchen", 1), ALL, 4, accept=even))) == {"m0", "m2", "m4", "m6"}
    assert "m1" in asked
    assert house().search(ask("puppy", 1), ALL, 5, accept=lambda _: False) == []


def test_a_range_of_time_keeps_out_what_was_said_before_after_or_at_no_known_time() -> None:
    index = TenantIndex(DIMENSIONS)
    base = ask("lake")
    index.add(ALICE, "m0", "e1", 0, record("by the lake"))
    index.add(ALICE, "m1", "e2", 0, record("by the lake", at=None))
    said = 1_683_554_160
    for since, until, expected in (
        (said, said + 1, ["m0"]),
        (said + 1, None, []),
        (None, said, []),
        (None, None, ["m0", "m1"]),
    ):
        query = Query(base.prepared, base.vector, since, until)
        assert ids(index.search(query, ALL, 5)) == expected


@pytest.mark.parametrize("k", [0, -1, MAX_RESULTS + 1])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="expected k"):
        house().search(ask("puppy"), ALL, k)


def test_wrong_input_is_refused_and_changes_nothing() -> None:
    index = house()
    before = index.search(ask("puppy", 1), ALL, 8)
    with pytest.raises(ValueError, match="not in the index yet"):
        index.add(ALICE, "m0", "e1", 0, record("again"))
    with pytest.raises(TamperedError):
        index.add(ALICE, "m99", "e1", 0, b"\x01no record")
    with pytest.raises(TamperedError):
        index.replace(ALICE, "m0", "e1", 0, b"\x01no record")
    with pytest.raises(ValueError, match="8 numbers"):
        index.add_vector("m0", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="8 numbers"):
        index.search(Query(ask("puppy").prepared, np.zeros(3, np.float32)), ALL, 3)
    assert len(index) == len(SENTENCES)
    assert index.search(ask("puppy", 1), ALL, 8) == before


# --- threads -------------------------------------------------------------------------------------


def test_searches_and_writes_of_many_threads_leave_an_index_as_one_thread_would() -> None:
    index = TenantIndex(DIMENSIONS)
    writers, each = 4, 150
    done = threading.Event()

    def write(writer: int) -> None:
        for step in range(each):
            number = writer * each + step
            index.add(ALICE, f"m{number}", f"e{writer}", step, record(f"{SENTENCES[step % 8]} word{number}"))
            index.add_vector(f"m{number}", vector(number))
            if step % 3 == 0:
                index.remove(f"m{number}")

    def search() -> int:
        answered = 0
        while not done.is_set():
            found = index.search(ask(SENTENCES[answered % 8], answered), ALL, 10)
            assert len(ids(found)) == len(set(ids(found)))
            assert all(np.isfinite(hit.score) for hit in found)
            answered += 1
        return answered

    with ThreadPoolExecutor(writers + 2) as pool:
        searches = [pool.submit(search) for _ in range(2)]
        for writing in [pool.submit(write, writer) for writer in range(writers)]:
            writing.result(60)
        done.set()
        assert min(searching.result(60) for searching in searches) > 0
    left = [number for number in range(writers * each) if number % each % 3]
    assert len(index) == len(left)
    for number in left[::37]:
        assert f"m{number}" in ids(index.search(ask(f"word{number}"), ALL, 2))
