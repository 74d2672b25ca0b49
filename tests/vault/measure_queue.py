"""What the queue and placement cost: `python -m tests.vault.measure_queue [WRITES]`.

Makes a vault of WRITES (1,000) writes about as many persons, with a gate and an embedder that cost nothing. Prints what
reading the log and queueing costs a write, what taking and ending costs a task that does nothing, and what looking at a
memory and moving it costs a run of placement. No writer pays any of it: a write does nothing for the queue.
"""

import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from api.bench.made_up import TENANT, Texts, bare_options, new_vault, owner_of
from tests.simulators.fakes import FrozenClock
from vault.memos import MemOS
from vault.opening import Vault
from vault.queueing.deriving import Deriving
from vault.queueing.queue import Queue
from vault.queueing.task import QueueLimits, TaskKind
from vault.queueing.work import Worker
from vault.tiers.placement import Placement

WRITES: Final = 1_000


def main(writes: int) -> None:
    """Print the figures."""
    texts, clock = Texts(), FrozenClock()
    options = replace(bare_options(embedding_threads=1), clock=clock)
    with tempfile.TemporaryDirectory() as scratch, new_vault(Path(scratch) / "vault", options) as vault:
        memory = owner_of(vault)
        for number in range(writes):
            memory.extract(texts.chat(1), subject=f"person {number}")
        vault.wait()
        _queue(vault, clock, writes)
        _placement(vault, memory, texts)


def _queue(vault: Vault, clock: FrozenClock, writes: int) -> None:
    limits = QueueLimits(depth=2 * writes)
    begun = time.perf_counter()
    while Deriving(vault.parts, Queue(vault.parts, limits)).step(TENANT):
        pass
    _say(f"queued from the log: {1e6 * (time.perf_counter() - begun) / writes:.0f} µs a write")
    clock.advance(timedelta(minutes=1))
    worker, done = Worker(lambda: vault.parts, limits, {TaskKind.ORGANIZE: lambda *_: None}), 0
    begun = time.perf_counter()
    while worker.step(TENANT) is not None:
        done += 1
    _say(f"taken and ended: {1e3 * (time.perf_counter() - begun) / done:.2f} ms a task of {done}")


def _placement(vault: Vault, memory: MemOS, texts: Texts) -> None:
    for question in texts.questions(20):
        memory.retrieve(question, k=50)
    begun = time.perf_counter()
    moved = sum(Placement(vault.parts).run(TENANT).moved.values())
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    Placement(vault.parts).run(TENANT)
    _say(f"placed: {moved} memories moved in {1e3 * first:.0f} ms, then all looked at in", end=" ")
    _say(f"{1e3 * (time.perf_counter() - begun):.0f} ms")


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else WRITES)
