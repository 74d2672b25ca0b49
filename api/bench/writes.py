"""What one durable, fully protected write costs: alone, among 32 writers, and in a store that is full.

Owns the measure of the vault's own cost. A write here is a whole call of `MemOS.extract` with one turn:
authorise, segment, annotate, seal, commit with the log's entry, index, receipt. The gate and the embedder
are replaced by ones that cost nothing, so that nothing has to be subtracted; the real gate is measured
beside it. The floor (`api.bench.floor`) runs in the same minutes, in turn.

The issue counts authorise, seal, commit and log alone. For that reading a second run has the results of
annotating and term hashing at hand, and no index; it seals as many bytes.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

from api.bench.floor import Floor, floor_rate
from api.bench.made_up import SUBJECT, Texts, UnitVectors, bare_options, blocks, new_vault, owner_of
from api.bench.report import Figure, at_least, at_most, not_judged, p50, p95
from vault.indexes import Indexed, Indexes
from vault.memos import MemOS
from vault.model import Annotations, Chat, Screened, Turn
from vault.opening import Vault, VaultOptions
from vault.pipeline.annotate import annotate
from vault.privacy.tokens import SubjectTokens
from vault.search.lexical import KEY_BYTES, TermHasher
from vault.search.record import TermRecord

ALONE_MS: Final = at_most(0.9)
WRITERS_A_SECOND: Final = at_least(3_000)
WRITERS: Final = 32
SESSION: Final = 16
_BLOCK: Final = 50
_RUNS: Final = 5
_FIRST: Final = Chat((Turn("user", "The first of a thread's writes is not counted."),))


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is written; a quick run says less."""

    alone: int = 1_500
    crowd: int = 4_000
    runs: int = _RUNS
    gated: int = 300
    """Writes with the real gate; none leaves that out."""

    @property
    def whole(self) -> bool:
        """Whether as much is written as a judgement needs."""
        full = Effort()
        return self.alone >= full.alone and self.crowd >= full.crowd and self.runs >= full.runs

    @classmethod
    def of(cls, *, quick: bool) -> "Effort":
        """Return the effort of a run."""
        return cls(400, 1_600, 3, 100) if quick else cls()


def own_cost(scratch: Path, effort: Effort) -> list[Figure]:
    """Measure a write alone and among 32 writers, the floor beside both."""
    texts = Texts()
    with new_vault(scratch / "writes", bare_options()) as vault:
        figures = [*_alone(vault, texts, effort, scratch), *_crowd(vault, texts, effort, scratch)]
    if effort.gated:
        with new_vault(scratch / "gated", VaultOptions(embedding_threads=0)) as vault:
            figures += _gated(vault, texts, effort)
    if effort.whole:
        return figures
    return [not_judged(one, f"a small sample: {effort.alone} and {effort.crowd:,} writes") for one in figures]


class NoIndexes(Indexes):
    """Indexes into which nothing goes."""

    def add(self, tenant: str, memories: Sequence[Indexed]) -> None:
        """Leave it."""


@contextmanager
def extraction_at_hand(vault: Vault, example: Chat) -> Iterator[MemOS]:
    """Lend a facade whose writes annotate, hash and index nothing: what one turn gave stands for all."""
    turn = example.turns[0]
    notes = annotate(turn.text, example.started)
    text, speaker = vault.parts.gate.screen_many((turn.text, turn.speaker), SubjectTokens(bytes(KEY_BYTES)))
    record = TermHasher(bytes(KEY_BYTES)).record(text, speaker=speaker, at=example.started, times=notes.times)

    def noted(_text: str, _at: object) -> Annotations:
        return notes

    def hashed(_hasher: TermHasher, _text: Screened, **_more: object) -> TermRecord:
        return record

    parts = vault.parts
    vault.parts = replace(parts, indexes=NoIndexes(UnitVectors()))
    try:
        with patch("vault.write_path.annotate", noted), patch.object(TermHasher, "record", hashed):
            yield owner_of(vault)
    finally:
        vault.parts = parts


def one_by_one(memory: MemOS, chats: Sequence[Chat]) -> list[float]:
    """Write sessions one after another and return the seconds of each call."""
    taken = []
    for chat in chats:
        start = time.perf_counter()
        memory.extract(chat, subject=SUBJECT)
        taken.append(time.perf_counter() - start)
    return taken


def side_by_side(memory: MemOS, chats: Sequence[Chat], writers: int = WRITERS) -> float:
    """Let so many threads write sessions, each as soon as its last one is durable; return the seconds of all.

    The clock starts when each thread has written once: a new thread makes its own stemmer first, and a
    server's threads live on.

    Raises:
        BaseException: what one of the writers raised.
    """
    left = iter(chats)
    errors: list[BaseException] = []
    turn = threading.Lock()
    ready = threading.Barrier(writers + 1)

    def write() -> None:
        try:
            memory.extract(_FIRST, subject=SUBJECT)
            ready.wait()
            for chat in _shared(left, turn):
                memory.extract(chat, subject=SUBJECT)
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):
        ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - start


def _shared(left: Iterator[Chat], turn: threading.Lock) -> Iterator[Chat]:
    while True:
        with turn:
            chat = next(left, None)
        if chat is None:
            return
        yield chat


def _alone(vault: Vault, texts: Texts, effort: Effort, scratch: Path) -> list[Figure]:
    memory = owner_of(vault)
    one_by_one(memory, texts.chats(200))
    taken: list[float] = []
    bare: list[float] = []
    with closing(Floor(scratch / "floor.db")) as floor:
        for block in blocks(texts.chats(effort.alone), _BLOCK):
            taken += one_by_one(memory, block)
            bare += [floor.write() for _ in range(_BLOCK)]
    beside = f"floor in the same minutes {p50(bare) * 1e3:.2f} ms, so {p50(taken) / p50(bare):.1f} times it"
    return [
        Figure("write alone, own cost, p50", p50(taken) * 1e3, "ms", ALONE_MS, beside),
        Figure("write alone, own cost, p95", p95(taken) * 1e3, "ms", note=f"floor {p95(bare) * 1e3:.2f} ms"),
    ]


def _crowd(vault: Vault, texts: Texts, effort: Effort, scratch: Path) -> list[Figure]:
    memory = owner_of(vault)
    calls: list[float] = []
    literal: list[float] = []
    memories: list[float] = []
    bare: list[float] = []
    used: list[float] = []
    for run in range(effort.runs):
        chats, before = texts.chats(effort.crowd), time.process_time()
        calls.append(effort.crowd / side_by_side(memory, chats))
        used.append((time.process_time() - before) / (effort.crowd + WRITERS))
        with extraction_at_hand(vault, texts.chat()) as at_hand:
            literal.append(effort.crowd / side_by_side(at_hand, texts.chats(effort.crowd)))
        bare.append(floor_rate(scratch / f"floor-{run}.db", effort.crowd // WRITERS))
        sessions = texts.chats(effort.crowd // SESSION, SESSION)
        memories.append(effort.crowd / side_by_side(memory, sessions))
    beside = (
        f"runs {_spread(calls)}; {min(used) * 1e6:.0f} µs of CPU a memory in the best run; "
        f"floor, one thread with 32 to a commit: {median(bare):,.0f}/s"
    )
    return [
        Figure("32 writers, whole calls of one memory each", median(calls), "memories/s", note=beside),
        Figure(
            "32 writers, authorise, seal, commit and log alone",
            median(literal),
            "memories/s",
            WRITERS_A_SECOND,
            f"runs {_spread(literal)}; annotations and term hashes at hand, nothing indexed; checking the input, "
            "segmenting, row digests, receipt and the embedding queue counted",
        ),
        Figure(
            f"32 writers, sessions of {SESSION} turns",
            median(memories),
            "memories/s",
            note=f"{median(memories) / SESSION:,.0f} calls/s; runs {_spread(memories)}",
        ),
    ]


def _gated(vault: Vault, texts: Texts, effort: Effort) -> list[Figure]:
    memory = owner_of(vault)
    one_by_one(memory, texts.chats(20))
    taken = one_by_one(memory, texts.chats(effort.gated))
    rate = effort.gated / side_by_side(memory, texts.chats(effort.gated))
    return [
        Figure(
            "write alone with the real gate, p50", p50(taken) * 1e3, "ms", note="made-up words, no embedding"
        ),
        Figure("32 writers with the real gate", rate, "memories/s", note="the gate holds one core"),
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"
