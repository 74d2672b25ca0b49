"""The shipped embedder: real weights, checked, and vectors that depend on nothing but their text."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vault.errors import StoreCorruptError
from vault.search import wordpiece
from vault.search.embed import (
    BATCH,
    DIMENSIONS,
    MAX_CHARACTERS,
    MODEL_FILE,
    Embedder,
    MiniLmEmbedder,
    ModelFileError,
)

TEXTS = [
    "My daughter was born in spring",
    "She gave birth to a little girl in April",
    "The printer is out of toner again",
    "",
    "word " * 3_000,
    "emoji 😀 and a NUL \x00 and 東京",
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return MiniLmEmbedder()


def test_vectors_have_unit_length_and_the_promised_shape(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions) == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.embed([]).shape == (0, DIMENSIONS)
    assert "MiniLM" in embedder.name


def test_like_meanings_lie_nearer_than_unlike_ones(embedder: Embedder) -> None:
    born, birth, printer = embedder.embed(TEXTS[:3])
    assert born @ birth > 0.4 > born @ printer


def test_a_vector_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    texts = [f"{text} {number}" for number in range(BATCH) for text in TEXTS]
    together = embedder.embed(texts)
    alone = np.vstack([embedder.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_only_the_first_characters_of_a_text_are_read(embedder: Embedder) -> None:
    start = "a" * MAX_CHARACTERS
    np.testing.assert_array_equal(embedder.embed([start + " tail"]), embedder.embed([start]))


def test_many_threads_share_one_embedder(embedder: Embedder) -> None:
    expected = embedder.embed(TEXTS[:3])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: embedder.embed(TEXTS[:3]), range(8)):
            np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_closed_embedder_opens_again() -> None:
    embedder = MiniLmEmbedder(threads=1)
    first = embedder.embed(["once"])
    embedder.close()
    embedder.close()
    np.testing.assert_allclose(embedder.embed(["once"]), first, atol=1e-6)


@pytest.mark.parametrize("weights", [b"other weights", None], ids=["another file", "no file"])
def test_other_weights_than_the_pinned_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes | None
) -> None:
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").touch()
    if weights is not None:
        (package / MODEL_FILE).write_bytes(weights)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelFileError):
        MiniLmEmbedder(package="stranger").load()


def test_a_package_that_is_not_installed_is_named_as_the_problem() -> None:
    with pytest.raises(ModelFileError, match="not installed"):
        MiniLmEmbedder(package="no_such_package_of_weights").load()


def test_an_altered_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordpiece, "VOCABULARY_SHA256", "0" * 64)
    with pytest.raises(StoreCorruptError, match="digest"):
        wordpiece.read_vocabulary()


def test_the_runtime_is_loaded_with_the_first_text_and_not_before() -> None:
    code = "import sys, vault.search.embed as e; e.MiniLmEmbedder(); print('onnxruntime' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
