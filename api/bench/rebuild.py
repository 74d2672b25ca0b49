"""A store that grows to 200,000 memories: opening it, searching it, and writing to it as to a young one.

Owns the measures that need a full store. It is filled through the facade, in sessions of made-up turns,
with a gate and an embedder that cost nothing, so that every row is sealed, logged and indexed as any other.
Search is measured as the caller sees it: authorise, screen, index, open ten memories, log durably; the
query's embedding costs nothing here and is given apart by `api.bench.ingest`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from api.bench.made_up import SUBJECT, TENANT, Texts, bare_options, blocks, new_vault, owner_of
from api.bench.report import Figure, Target, at_most, not_judged, p50, p95
from api.bench.writes import one_by_one
from vault.memos import MemOS
from vault.opening import Vault

SMALL: Final = 5_882
"""All turns of LoCoMo."""
LARGE: Final = 100_000
FULL: Final = 200_000
YOUNG: Final = 1_000
QUICK_LARGE: Final = 10_000
OPEN_SECONDS: Final = at_most(15)
SEARCH_MS: Final = {SMALL: at_most(2.5), LARGE: at_most(20)}
FLAT: Final = at_most(1.3)
_SESSION: Final = 50
_BLOCK: Final = 50
_PEERS: Final = {SMALL: "mem0 77, MemOS 5.9 at 5,882 (../shared/bench, the session's figures)"}

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How far the store grows."""

    small: int = SMALL
    large: int = LARGE
    full: int = FULL
    young: int = YOUNG
    searches: int = 200
    """A round of them; the median of the rounds is the figure."""
    rounds: int = 5
    blocks: int = 20

    @classmethod
    def of(cls, *, quick: bool) -> "Sizes":
        """Return the sizes of a run."""
        return cls(large=QUICK_LARGE, full=2 * QUICK_LARGE, blocks=6) if quick else cls()


def growth(scratch: Path, sizes: Sizes, *, step: Step = lambda _: None) -> list[Figure]:
    """Fill a store; search it on the way, open it anew when it is large, and write to it when it is full."""
    texts, folder = Texts(), scratch / "grown"
    figures: list[Figure] = []
    with new_vault(folder, bare_options(embedding_threads=1)) as vault:
        for size in (sizes.small, sizes.large):
            step(f"filling to {size:,}")
            _fill(vault, texts, size)
            vault.wait()
            figures += _search(owner_of(vault), texts, size, sizes)
    step(f"opening {sizes.large:,}")
    figures += _reopened(folder, sizes.large)
    with Vault.open(folder, options=bare_options()) as vault:
        step(f"filling to {sizes.full:,}")
        _fill(vault, texts, sizes.full)
        figures += _flatness(vault, scratch, texts, sizes)
    return figures


def _fill(vault: Vault, texts: Texts, size: int) -> None:
    memory, held = owner_of(vault), vault.parts.indexes.size(TENANT)
    while held < size:
        count = min(_SESSION, size - held)
        memory.extract(texts.chat(count), subject=SUBJECT)
        held += count


def _search(memory: MemOS, texts: Texts, size: int, sizes: Sizes) -> list[Figure]:
    for question in texts.questions(20):
        memory.retrieve(question)
    rounds = [_round(memory, texts.questions(sizes.searches)) for _ in range(sizes.rounds)]
    halves = [p50(taken) * 1e3 for taken in rounds]
    last = p95([each for taken in rounds for each in taken]) * 1e3
    note = (
        f"median of {sizes.rounds} rounds of {sizes.searches}, whose p50 lay between {min(halves):.2f} "
        f"and {max(halves):.2f} ms; p95 of all {last:.1f} ms; {_PEERS.get(size, '')}"
    )
    target: Target | None = SEARCH_MS.get(size)
    name = f"search {size:,} memories, own cost, p50"
    return [Figure(name, median(halves), "ms", target, note.rstrip("; "))]


def _round(memory: MemOS, questions: list[str]) -> list[float]:
    """Return the seconds of each search."""
    taken = []
    for question in questions:
        start = time.perf_counter()
        memory.retrieve(question, k=10)
        taken.append(time.perf_counter() - start)
    return taken


def _reopened(folder: Path, size: int) -> list[Figure]:
    start = time.perf_counter()
    with Vault.open(folder, options=bare_options()) as vault:
        seconds = time.perf_counter() - start
        found = vault.parts.indexes.size(TENANT)
    note = f"{found:,} memories searchable by words and vectors, {found / seconds:,.0f} a second"
    figure = Figure(f"open and rebuild {size:,} memories", seconds, "s", OPEN_SECONDS, note)
    return [_at_size(figure, size, LARGE)]


def _at_size(figure: Figure, size: int, of_target: int) -> Figure:
    """Leave a figure of a smaller store than the target's without a judgement."""
    return figure if size >= of_target else not_judged(figure, f"the target speaks of {of_target:,} memories")


def _flatness(full: Vault, scratch: Path, texts: Texts, sizes: Sizes) -> list[Figure]:
    """Compare writes to the full store with writes to a young one, in turn."""
    old: list[float] = []
    new: list[float] = []
    ratios: list[float] = []
    with new_vault(scratch / "young", bare_options()) as young:
        _fill(young, texts, sizes.young)
        for block in blocks(texts.chats(sizes.blocks * _BLOCK), _BLOCK):
            here, there = one_by_one(owner_of(full), block), one_by_one(owner_of(young), block)
            old += here
            new += there
            ratios.append(p50(here) / p50(there))
    note = (
        f"p50 {p50(old) * 1e3:.2f} ms at {sizes.full:,} and {p50(new) * 1e3:.2f} ms at {sizes.young:,}, blocks of {_BLOCK} "
        f"in turn; median of the blocks' ratios {median(ratios):.2f}"
    )
    name = f"write at {sizes.full:,} against {sizes.young:,}"
    return [_at_size(Figure(name, p50(old) / p50(new), "times", FLAT, note), sizes.full, FULL)]
