"""The benches of search compute what they say, on made-up dialogues; and hold their promises on real ones."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from api.bench.recall import (
    TUNED_ON,
    FindsNothing,
    Recall,
    measure_recall,
    read_dialogues,
)
from api.bench.search import measure_embedding, measure_search, widened
from policies.privacy import default_privacy_rules
from vault.privacy.gate import PrivacyGate
from vault.search.embed import MiniLmEmbedder

TURNS = {
    "session_1": ["Hi Ben!", "I bought a canoe", "Where did you buy it?", "At the harbour market"],
    "session_2": [
        "My knee hurts again",
        "Did you see the doctor?",
        "Yes, she gave me a brace",
        "Get well soon",
    ],
}
OPEN_GATE = PrivacyGate(FindsNothing(), default_privacy_rules())


class LetterEmbedder:
    """Counts letters: a vector that is quick, real enough, and the same everywhere."""

    name = "letters"
    dimensions = 32

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = np.ones((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            for letter in text.lower():
                counts[row, ord(letter) % self.dimensions] += 1
        return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), np.float32)


@pytest.fixture
def dialogue_file(tmp_path: Path) -> Path:
    conversation: dict[str, object] = {"speaker_a": "Ann", "speaker_b": "Ben"}
    for number, (session, texts) in enumerate(TURNS.items(), start=1):
        conversation[f"{session}_date_time"] = f"1:56 pm on {number} May, 2023"
        conversation[session] = [
            {"speaker": "Ben" if place % 2 else "Ann", "dia_id": f"D{number}:{place + 1}", "text": text}
            for place, text in enumerate(texts)
        ]
    questions = [
        {"question": "What did Ben buy?", "evidence": ["D1:2"], "category": 4},
        {"question": "What hurts?", "evidence": ["D2:1; D2:3"], "category": 1},
        {"question": "Unanswerable?", "evidence": [], "category": 5},
        {"question": "Evidence elsewhere?", "evidence": ["D9:9"], "category": 5},
    ]
    file = tmp_path / "dialogues.json"
    file.write_text(json.dumps([{"sample_id": "made-up", "conversation": conversation, "qa": questions}]))
    return file


def test_a_dialogue_file_is_read_with_its_times_and_its_usable_evidence(dialogue_file: Path) -> None:
    (dialogue,) = read_dialogues(dialogue_file)
    assert [turn.text for turn in dialogue.turns] == [*TURNS["session_1"], *TURNS["session_2"]]
    assert dialogue.turns[4].at == datetime(2023, 5, 2, 13, 56, tzinfo=UTC)
    assert (dialogue.turns[5].session, dialogue.turns[5].position) == ("session_2", 1)
    assert [sorted(asked.evidence) for asked in dialogue.questions] == [["D1:2"], ["D2:1", "D2:3"]]


def test_recall_counts_the_evidence_among_the_first_results(dialogue_file: Path) -> None:
    report = measure_recall(read_dialogues(dialogue_file), LetterEmbedder(), OPEN_GATE, masked=False)
    assert report.every.questions == report.others.questions == 2
    assert report.tuned_on == Recall(0, {}, {})
    assert report.every.recall[10] == report.every.hit[10] == 1.0  # eight turns: all are among ten
    assert set(report.by_category) == {"multi-hop", "single-hop"}
    assert report.by_category["single-hop"].recall[5] == 1.0
    assert 0 < report.arms["lexical"].recall[5] <= 1


def test_masking_speakers_leaves_them_findable(dialogue_file: Path) -> None:
    told: list[str] = []
    report = measure_recall(read_dialogues(dialogue_file), LetterEmbedder(), OPEN_GATE, progress=told.append)
    assert report.masked
    assert told == ["made-up"]
    assert report.by_category["single-hop"].hit[5] == 1.0


def test_search_cost_is_measured_over_the_asked_number_of_memories_and_scopes() -> None:
    cost = measure_search(
        ["the cat sat", "a dog ran far"], ["where is the cat?"], 60, scopes=3, searches=8, dimensions=16
    )
    assert (cost.memories, cost.scopes) == (60, 3)
    assert 0 < cost.search_p50_ms <= cost.search_p95_ms
    assert min(cost.add_us, cost.record_us, cost.add_vector_us, cost.remove_us, cost.rebuild_s) > 0


def test_widened_texts_are_many_bounded_and_the_same_each_time() -> None:
    texts = ["one two three", "four five"]
    first = list(widened(texts, 50))
    assert first[:2] == texts
    assert len(first) == 50
    assert first == list(widened(texts, 50))
    assert all(len(text.split()) <= 4 for text in first)


def test_embedding_cost_counts_texts() -> None:
    cost = measure_embedding(LetterEmbedder(), ["a", "b", "c"], singles=2)
    assert cost.texts == 3
    assert min(cost.load_s, cost.one_p50_ms, cost.batch_ms) > 0


@pytest.mark.slow
def test_recall_on_real_conversations_holds_its_promise(shared: Path) -> None:
    file = shared / "data" / "locomo" / "locomo_dev.json"
    if not file.is_file():
        pytest.skip("the conversations are not in the shared folder")
    dialogues = [dialogue for dialogue in read_dialogues(file) if dialogue.name not in TUNED_ON]
    report = measure_recall(dialogues, MiniLmEmbedder(), OPEN_GATE, masked=False)
    assert report.others.recall[10] >= 0.80
    assert report.others.recall[10] > max(arm.recall[10] for arm in report.arms.values())
