"""Measures of search's own cost: what a query, an addition and a rebuild take, and the embedder beside them.

Functions from texts to figures; `memvault bench` prints them. Vectors are drawn at random and embedding a
query is not counted: an exact search costs the same whatever the numbers are. Where more memories are asked
for than there are texts, texts are repeated with two words in five drawn anew and some rare words added, so
that terms keep a natural spread.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.model import SCREENED_ISSUER, Screened
from vault.search.embed import Embedder
from vault.search.index import Entry, Query, Scope, TenantIndex
from vault.search.lexical import TermHasher, prepare_query
from vault.search.record import pack

DEPTH: Final = 10
_SCOPE: Final = Scope(AccessTier.PRIVATE, "bench")
_HASHER: Final = TermHasher(b"benchmark index key, no secret..")
_SEED: Final = 20_261_122
_TURNS_A_SESSION: Final = 22
_DRAWN_ANEW: Final = 0.4
_RARE: Final = 0.3
_RARE_WORDS: Final = 20_000
_CHANGES: Final = 2_000
_PAGE: Final = 4_096
_MEBIBYTE: Final = 2**20
_STATEMENTS: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class SearchCost:
    """Own cost of search over one tenant; embedding not counted."""

    memories: int
    scopes: int
    search_p50_ms: float
    search_p95_ms: float
    add_us: float
    """Mean of adding one packed record; making and packing it is `record_us`."""
    record_us: float
    add_vector_us: float
    remove_us: float
    rebuild_s: float
    """All memories from packed records and float16 vectors; opening sealed fields not counted."""
    index_mib: float | None
    """Growth of resident memory by the rebuild; None where the system does not tell."""


@dataclass(frozen=True, slots=True)
class EmbeddingCost:
    """Cost of the embedder."""

    texts: int
    load_s: float
    one_p50_ms: float
    """One text a call."""
    batch_ms: float
    """Mean of a text when all are given at once."""


def measure_search(
    texts: Sequence[str],
    questions: Sequence[str],
    memories: int,
    *,
    scopes: int = 1,
    searches: int = 200,
    dimensions: int = 384,
) -> SearchCost:
    """Build an index of `memories` memories, search it, and change it.

    Args:
        texts: what memories are made of.
        questions: what is searched for, in turn.
        memories: how many to index.
        scopes: over how many owners they are spread; all are searched.
        searches: how many searches are timed.
        dimensions: length of the vectors.
    """
    draw = np.random.default_rng(_SEED)
    records, record_us = _records(texts, memories)
    vectors = _unit_vectors(draw, memories, dimensions).astype(np.float16)
    owners = [Scope(AccessTier.PRIVATE, f"owner-{number}") for number in range(scopes)]
    entries = [
        Entry(
            owners[number * scopes // memories],
            f"m{number}",
            f"e{number // _TURNS_A_SESSION}",
            number % _TURNS_A_SESSION,
            record,
            vectors[number],
        )
        for number, record in enumerate(records)
    ]
    before = _resident_mib()
    index = TenantIndex(dimensions)
    rebuild_s = _timed(partial(index.add_many, entries))
    after = _resident_mib()
    queries = [
        Query(prepare_query(_HASHER, _clear(questions[number % len(questions)])), vector)
        for number, vector in enumerate(_unit_vectors(draw, searches, dimensions))
    ]
    times = _search_times(index, queries, frozenset(owners))
    add_us, add_vector_us, remove_us = _change_times(index, owners[0], records[:_CHANGES], vectors)
    return SearchCost(
        memories=memories,
        scopes=scopes,
        search_p50_ms=times[len(times) // 2],
        search_p95_ms=times[int(len(times) * 0.95)],
        add_us=add_us,
        record_us=record_us,
        add_vector_us=add_vector_us,
        remove_us=remove_us,
        rebuild_s=rebuild_s,
        index_mib=None if before is None or after is None else after - before,
    )


def _search_times(index: TenantIndex, queries: Sequence[Query], scopes: frozenset[Scope]) -> list[float]:
    """Milliseconds of each search, ascending."""
    for query in queries[:5]:
        index.search(query, scopes, DEPTH)
    return sorted(_timed(partial(index.search, query, scopes, DEPTH)) * 1e3 for query in queries)


def _change_times(
    index: TenantIndex, scope: Scope, records: Sequence[bytes], vectors: NDArray[np.float16]
) -> tuple[float, float, float]:
    """Mean microseconds of adding a record, adding its vector and removing it again."""
    fresh = [f"new-{number}" for number in range(len(records))]
    return (
        _mean_us(lambda number: index.add(scope, fresh[number], "new", number, records[number]), len(fresh)),
        _mean_us(lambda number: index.add_vector(fresh[number], vectors[number]), len(fresh)),
        _mean_us(lambda number: index.remove(fresh[number]), len(fresh)),
    )


def measure_embedding(embedder: Embedder, texts: Sequence[str], *, singles: int = 100) -> EmbeddingCost:
    """Embed texts alone and together."""
    load_s = _timed(lambda: embedder.embed(["first"]))
    alone = sorted(_timed(partial(embedder.embed, [text])) * 1e3 for text in texts[:singles])
    together = _timed(lambda: embedder.embed(texts))
    return EmbeddingCost(len(texts), load_s, alone[len(alone) // 2], together * 1e3 / len(texts))


def widened(texts: Sequence[str], count: int) -> Iterator[str]:
    """Return `count` texts with a natural spread of words: the given ones first, then variations."""
    draw = random.Random(_SEED)  # noqa: S311 - a benchmark's texts, no secret
    pool = [word for text in texts for word in text.split()]
    for number in range(count):
        text = texts[number % len(texts)]
        if number < len(texts):
            yield text
            continue
        words = [draw.choice(pool) if draw.random() < _DRAWN_ANEW else word for word in text.split()]
        if draw.random() < _RARE:
            words.append(f"rare{draw.randrange(_RARE_WORDS)}")
        yield " ".join(words)


def _records(texts: Sequence[str], count: int) -> tuple[list[bytes], float]:
    """Return packed records, and the mean microseconds that making one takes."""
    made = [_clear(text) for text in widened(texts, count)]
    records: list[bytes] = []
    seconds = _timed(lambda: records.extend(pack(_HASHER.record(text)) for text in made))
    return records, seconds / count * 1e6


def _clear(text: str) -> Screened:
    return Screened(text, (), "bench", SCREENED_ISSUER)


def _unit_vectors(draw: np.random.Generator, count: int, dimensions: int) -> NDArray[np.float32]:
    vectors = draw.standard_normal((count, dimensions), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _mean_us(call: Callable[[int], object], count: int) -> float:
    start = time.perf_counter()
    for number in range(count):
        call(number)
    return (time.perf_counter() - start) / count * 1e6


def _resident_mib() -> float | None:
    """Resident memory of this process; None where there is no `/proc`."""
    if not _STATEMENTS.exists():
        return None
    return int(_STATEMENTS.read_text(encoding="ascii").split()[1]) * _PAGE / _MEBIBYTE
