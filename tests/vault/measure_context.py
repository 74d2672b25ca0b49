"""What is at hand and what a context block costs: `python -m tests.vault.measure_context [MEMORIES]`.

Makes a vault of MEMORIES (5,882) as the bench does, with a gate and an embedder that cost nothing. Prints the median
of a memory whose fields are at hand, beside opening it; and of a whole `MemOS.context`, the entry in the log counted,
with the share of tokens that a prompt cache would spare: where no question has to do with the one before, and where ten
topics come back.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from api.bench.made_up import SUBJECT, TENANT, Texts, bare_options, new_vault, owner_of
from policies.model import Action, Purpose
from vault.grant import EVERY_MEMORY, authorise
from vault.memos import MemOS
from vault.opening import Vault
from vault.storage.rows import StoredMemory

MEMORIES: Final = 5_882
SESSION: Final = 50
QUESTIONS: Final = 100
TOPICS: Final = 10
TOKENS: Final = 2_000


def main(memories: int) -> None:
    """Print the figures."""
    texts = Texts()
    with (
        tempfile.TemporaryDirectory() as scratch,
        new_vault(Path(scratch) / "vault", bare_options(embedding_threads=1)) as vault,
    ):
        memory = owner_of(vault)
        for _ in range(0, memories, SESSION):
            memory.extract(texts.chat(SESSION), subject=SUBJECT)
        vault.wait()
        _at_hand(vault, memory, texts)
        _blocks(memory, texts)
        _say(f"openings spared: {vault.parts.sealers.at_hand.status().hit_rate:.0%}")


def _at_hand(vault: Vault, memory: MemOS, texts: Texts) -> None:
    ids = [hit.memory.id for hit in memory.retrieve(texts.questions(1)[0], k=100).hits]
    grant = authorise(
        vault.parts.policy, memory.principal, Action.SEARCH, Purpose.OPERATIONS, over=EVERY_MEMORY
    )
    rows = list(vault.parts.store.found(grant, ids).memories.values())
    sealers = vault.parts.sealers

    def opened(row: StoredMemory, *, at_hand: bool) -> Callable[[], object]:
        return lambda: sealers.open_memory(TENANT, row, at_hand=at_hand)

    for row in rows:
        opened(row, at_hand=True)()
    for name, at_hand in (("opened", False), ("at hand", True)):
        taken = [_seconds(opened(row, at_hand=at_hand)) for row in rows for _ in range(20)]
        _say(f"a memory, {name}: {median(taken) * 1e6:.1f} µs")


def _blocks(memory: MemOS, texts: Texts) -> None:
    asked = texts.questions(2 * QUESTIONS)
    draw = random.Random(QUESTIONS)  # noqa: S311  # a measure's order, no secret
    again = [asked[draw.randrange(TOPICS)] for _ in asked]
    for name, questions in (("each of another topic", asked), (f"{TOPICS} topics", again)):
        for tokens in (TOKENS, 4 * TOKENS):
            taken, reused, sent = [], 0, 0
            for question in questions:
                start = time.perf_counter()
                block = memory.context(question, tokens=tokens, window=f"{name} {tokens}").block
                taken.append(time.perf_counter() - start)
                reused, sent = reused + block.reused, sent + block.tokens
            warm = median(taken[QUESTIONS:]) * 1e3
            _say(
                f"{name}, blocks of {tokens:,} tokens: {warm:.2f} ms, {reused / sent:.0%} stood there before"
            )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MEMORIES)
