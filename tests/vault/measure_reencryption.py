"""What a re-encryption costs: `python -m tests.vault.measure_reencryption [MEMORIES]`, with fakes for the models.

Fills a vault with MEMORIES memories (20,000) of 200 characters about many subjects, rotates every key and seals all
rows anew. Prints memories a second of CPU of this process and of the clock, each memory with its vector, its share of
episodes and names; how long the proof at the end held writers up; and the p99 of another writer, alone and beside it.
"""

import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from statistics import quantiles

from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from vault.clock import system_clock
from vault.memos import MemOS
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import LocalRootWarning, Vault
from vault.reencryption import Reencryption
from vault.storage import key_heads

OWNER = Principal("agent-1", "clinic", frozenset({Role.OWNER_AGENT}))
TURNS = 100
SUBJECTS = 200


def fill(vault: Vault, count: int) -> None:
    """Write so many memories."""
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    for number in range(count // TURNS):
        text = (
            f"Visit {number} went well and the next one is in spring; "
            + "the patient sleeps better now. " * 5
        )
        turns = tuple(Turn("Dr Ng", f"{text} {turn}", SpeakerRole.USER) for turn in range(TURNS))
        view.extract(Chat(turns), subject=f"Patient {number % SUBJECTS}")
    vault.wait(600)


def write_until(vault: Vault, ended: threading.Event, spent: list[float]) -> None:
    """Write one memory after another and note how long each took."""
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    while not ended.wait(0.002):
        begin = time.perf_counter()
        view.extract("One.", subject="Patient 1")
        spent.append((time.perf_counter() - begin) * 1e3)


def beside(vault: Vault, seconds: float) -> tuple[threading.Event, threading.Thread, list[float]]:
    """Start a writer; wait so long."""
    ended, spent = threading.Event(), list[float]()
    writer = threading.Thread(target=write_until, args=(vault, ended, spent))
    writer.start()
    time.sleep(seconds)
    return ended, writer, spent


def tell(line: str) -> None:
    """Print a figure."""
    print(line)  # noqa: T201  # its output


def p99(spent: list[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(spent, n=100)[98]


def rotate_all(vault: Vault) -> None:
    """Rotate the key of each subject."""
    keys = vault.parts.keyring.tenant("clinic")
    for subject in sorted({record.name.subject for record in keys.records() if record.name.subject}):
        keys.rotate(subject)


def main() -> None:
    """Measure in a directory that goes with this program."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    warnings.simplefilter("ignore", LocalRootWarning)
    with (
        tempfile.TemporaryDirectory() as name,
        Vault.create(
            Path(name) / "vault", tenant="clinic", options=fake_options(clock=system_clock)
        ) as vault,
    ):
        fill(vault, count)
        rotate_all(vault)
        begin, used = time.perf_counter(), time.process_time()
        *_, last = Reencryption(vault.parts, "clinic").run()
        wall, cpu = time.perf_counter() - begin, time.process_time() - used
        tell(
            f"{last.memories} memories, {last.embeddings} vectors, {last.episodes} episodes, {last.names} names"
        )
        tell(
            f"{last.memories / cpu:,.0f} memories/s of CPU, {last.memories / wall:,.0f} by the clock; {last.remaining} left"
        )
        newest, _ = Reencryption(vault.parts, "clinic")._newest()
        held = time.perf_counter()
        with vault.parts.store.log_connection("clinic") as connection:
            key_heads.count_due(connection, "clinic", newest)
        tell(f"counting what is left holds writers up for {(time.perf_counter() - held) * 1e3:.0f} ms")
        ended, writer, spent = beside(vault, 4.0)
        ended.set()
        writer.join()
        idle = p99(spent)
        rotate_all(vault)
        ended, writer, spent = beside(vault, 0.0)
        *_, last = Reencryption(vault.parts, "clinic").run()
        ended.set()
        writer.join()
        tell(
            f"p99 of a write: {idle:.1f} ms alone, {p99(spent):.1f} ms beside a re-encryption; longest {max(spent):.0f} ms"
        )


if __name__ == "__main__":
    main()
