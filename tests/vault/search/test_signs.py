"""The signs of a memory against slow, plain readings of the same conversation."""

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vault.search.makers import ALICE, BOB, DIMENSIONS, WARD, ask, record, vector
from vault.search.bm25 import K1, B
from vault.search.index import Entry, Scope, TenantIndex
from vault.search.signs import Candidates, gather
from vault.search.view import joined

WORDS = ("puppy", "kitchen", "harbour", "doctor", "summer")


@dataclass(frozen=True)
class Turn:
    """A made-up turn: its words, whether it ends as a question, whether its vector is there."""

    scope: Scope
    episode: str
    position: int
    words: tuple[str, ...]
    asks: bool
    embedded: bool


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    turns = []
    for scope in (ALICE, WARD):
        for episode in ("e1", "e2"):
            for position in range(draw(st.integers(0, 6))):
                words = tuple(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)))
                turns.append(Turn(scope, episode, position, words, draw(st.booleans()), draw(st.booleans())))
    return draw(st.permutations(turns))


def candidates(turns: list[Turn], question: str, seed: int) -> tuple[Candidates, list[Turn]]:
    index = TenantIndex(DIMENSIONS)
    for number, turn in enumerate(turns):
        text = " ".join(turn.words) + ("?" if turn.asks else "")
        made = vector(number) if turn.embedded else None
        index.add_many([Entry(turn.scope, f"m{number}", turn.episode, turn.position, record(text), made)])
    asked = ask(question, seed)
    scopes = [scope for scope in sorted({ALICE, BOB, WARD}) if scope in index._partitions]
    views = [index._partitions[scope].view(asked.prepared.terms, (), ()) for scope in scopes]
    found = gather(joined(views), asked.vector)
    ids = [found.memory_id(place) for place in range(len(found.signs))]
    return found, [turns[int(memory_id[1:])] for memory_id in ids if memory_id is not None]


def bm25(documents: list[list[str]], query: list[str]) -> list[float]:
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        total = 0.0
        for term in query:
            having, count = sum(term in other for other in documents), document.count(term)
            rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            total += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * len(document) / mean))
        scores.append(total)
    return scores


def near(turns: list[Turn], turn: Turn, reach: int) -> list[Turn]:
    return [
        other
        for other in turns
        if (other.scope, other.episode) == (turn.scope, turn.episode)
        and abs(other.position - turn.position) <= reach
    ]


@given(conversations(), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))
@settings(max_examples=80)
def test_words_of_turn_window_and_session_agree_with_the_formula(turns: list[Turn], query: list[str]) -> None:
    if not turns:
        return
    found, order = candidates(turns, " ".join(query), 1)
    assert len(order) == len(turns)
    windows = [[word for other in near(turns, turn, 2) for word in other.words] for turn in order]
    sessions = {
        (turn.scope, turn.episode): [word for other in near(turns, turn, 99) for word in other.words]
        for turn in order
    }
    by_session = dict(zip(sessions, bm25(list(sessions.values()), query), strict=True))
    expected = {
        "lexical": bm25([list(turn.words) for turn in order], query),
        "window": bm25(windows, query),
        "session": [by_session[turn.scope, turn.episode] for turn in order],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found.signs, name), values, rtol=1e-4, atol=1e-5, err_msg=name)


@given(conversations(), st.integers(0, 30))
@settings(max_examples=80)
def test_meaning_and_neighbours_agree_with_a_plain_reading(turns: list[Turn], seed: int) -> None:
    if not turns:
        return
    found, order = candidates(turns, "puppy", seed)
    cosines = {
        id(turn): float(vector(number) @ vector(seed)) for number, turn in enumerate(turns) if turn.embedded
    }
    for place, turn in enumerate(order):
        beside = [cosines[id(other)] for other in near(turns, turn, 1) if other.embedded]
        before = [other for other in near(turns, turn, 1) if other.position == turn.position - 1]
        expected = (
            cosines.get(id(turn), math.nan),
            sum(beside) / len(beside) if beside else math.nan,
            float(bool(before) and before[0].asks),
            float(turn.asks),
        )
        signs = found.signs
        got = (
            signs.dense[place],
            signs.dense_window[place],
            signs.after_question[place],
            signs.question[place],
        )
        np.testing.assert_allclose(got, expected, atol=1e-5)
