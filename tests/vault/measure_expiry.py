"""What expiry costs, and those who write meanwhile: `python -m tests.vault.measure_expiry [MEMORIES] [FOLDER]`.

Makes a vault of MEMORIES (100,000) with vectors of 384 numbers, unless FOLDER holds one of an earlier run, and ends
the terms of all of them at once, while one thread writes. Prints the time of expiry, the longest and the 99th
percentile of a write meanwhile, and the same writes with nothing beside them, before and after.
"""

import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from policies.bundle import RETENTION_RULES, Bundle
from policies.model import Purpose
from tests.simulators.clinic import CLINIC, OWNER
from tests.simulators.fakes import FrozenClock, HashEmbedder, fake_options
from tests.vault.retention_vault import RULES
from vault.clock import microseconds
from vault.expiry import Expiry
from vault.memos import MemOS
from vault.model import Chat, Turn
from vault.opening import LocalRootWarning, Vault, VaultOptions
from vault.storage.group_commit import WriteSet
from vault.storage.retention_state import SaveState

MEMORIES: Final = 100_000
TURNS: Final = 100
PATIENTS: Final = 500
IDLE_SECONDS: Final = 10.0
TEXT: Final = "My left knee hurts when I climb stairs, since the walk in the hills on day {}."


class WideEmbedder(HashEmbedder):
    """Vectors as long as those of the shipped embedder."""

    @property
    def name(self) -> str:
        """Model and version."""
        return "wide/1"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return 384

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text."""
        return np.tile(super().embed(texts), (1, 12)) / np.float32(np.sqrt(12))


def options(clock: FrozenClock) -> VaultOptions:
    """Return options under which operations end in 90 days and treatment in a year."""
    bundle = Bundle({**Bundle.read().files, RETENTION_RULES: RULES.encode()})
    return replace(fake_options(clock=clock), bundle=bundle, embedder=WideEmbedder())


def make(folder: Path, memories: int, clock: FrozenClock) -> None:
    """Fill a vault."""
    with Vault.create(folder, tenant=CLINIC, options=options(clock)) as vault:
        owner = MemOS(vault, principal=OWNER, purpose=Purpose.OPERATIONS)
        for number in range(memories // TURNS):
            turns = tuple(Turn("Ana", TEXT.format(number * TURNS + turn)) for turn in range(TURNS))
            owner.extract(Chat(turns), subject=f"patient {number % PATIENTS}")
        vault.wait()


class Writer:
    """Writes one memory after another, as a service does, and takes the time of each."""

    def __init__(self, vault: Vault) -> None:
        self._mem = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
        self._ending = threading.Event()
        self.times: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(0.002):
            chat = Chat((Turn("Ana", TEXT.format(len(self.times))),))
            begin = time.perf_counter()
            self._mem.extract(chat, subject="the writer's patient")
            self.times.append(time.perf_counter() - begin)

    def told(self, what: str) -> str:
        """Say how long writes took, in milliseconds."""
        times = np.array(self.times) * 1e3
        p50, p99 = np.percentile(times, [50, 99])
        return (
            f"{what}: {len(times)} writes, p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {times.max():.1f} ms"
        )


def say(line: str) -> None:
    """Print a figure."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def idle(vault: Vault, what: str) -> None:
    """Write with nothing beside it."""
    with Writer(vault) as writer:
        time.sleep(IDLE_SECONDS)
    say(writer.told(what))


def main(memories: int, kept: Path | None) -> None:
    """Measure once."""
    warnings.simplefilter("ignore", LocalRootWarning)
    clock = FrozenClock()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "vault"
        if kept is not None and kept.exists():
            shutil.copytree(kept, place)
        else:
            make(place, memories, clock)
            if kept is not None:
                shutil.copytree(place, kept)
        clock.advance(timedelta(days=91))
        with Vault.open(place, options=options(clock)) as vault:
            save = SaveState(CLINIC, clock=microseconds(clock.now))
            vault.parts.store.submit(WriteSet(changes=[save.change]))
            idle(vault, "before")
            with Writer(vault) as writer:
                begin, cpu = time.perf_counter(), time.thread_time()
                done = Expiry(vault.parts).run(CLINIC)
                seconds, worked = time.perf_counter() - begin, time.thread_time() - cpu
            say(f"expiry: {done} in {seconds:.1f} s, {worked:.1f} s of work in its own thread")
            say(writer.told("meanwhile"))
            idle(vault, "after")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else MEMORIES, Path(sys.argv[2]) if sys.argv[2:] else None)
