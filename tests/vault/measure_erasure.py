"""How long an erasure takes: `python -m tests.vault.measure_erasure [--memories N] [--of N] [--folder DIR]`.

A person with 10,000 memories in a vault of 200,000: at most 5 s until nothing of them opens, at most 30 s to the
certificate. Made-up chats, no gate, no embedder: neither has a part in an erasure. The vault is built once in the
folder that is named, and copied for the run. Beside it a writer goes on about other persons.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import Final

from api.bench.made_up import OWNER, TENANT, OpenGate, Texts, bare_options, finds_nothing, new_vault
from audit.certificate_check import verify_certificate
from audit.trust import Trust
from policies.model import Principal, Purpose, Role
from policies.privacy import default_privacy_rules
from vault.erasure import Erasures
from vault.memos import MemOS
from vault.model import Chat
from vault.opening import LocalRootWarning, Vault

OFFICER: Final = Principal("bench-officer", TENANT, frozenset({Role.PRIVACY_OFFICER}))
TURNS: Final = 20
PERSON: Final = "the person that is erased"
WRITES_BEFORE: Final = 300
NAMED: Final = (
    "erase-begun",
    "erase-facts",
    "erase-shredded",
    "erase-rows",
    "erase-payloads",
    "erase-folded",
)


class Clock:
    """Takes the time of the steps of an erasure."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        if step.startswith("erase-"):
            self.at[step] = time.perf_counter()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def build(folder: Path, memories: int, of: int) -> None:
    """Make a vault in which every so-manieth source is about the person; the others are about fifty."""
    options = replace(bare_options(), embedding_threads=1)
    with new_vault(folder, options) as vault:
        view, texts = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT), Texts()
        every = of // memories
        for nth in range(of // TURNS):
            about = PERSON if nth % every == 0 else f"person {nth % 50}"
            view.extract(texts.chat(TURNS), subject=about)
            if nth % 1000 == 0:
                _say(f"built {nth * TURNS} memories")
        vault.wait(600)


def opened(folder: Path, clock: Clock) -> Vault:
    """Open the vault as the benchmark does."""
    vault = Vault.open(folder, options=replace(bare_options(), probe=clock))
    rules = default_privacy_rules()
    vault.parts = replace(vault.parts, gate=OpenGate(finds_nothing(rules), rules))
    return vault


class Writer:
    """Writes about somebody else until it is told to end, and takes the time of each write."""

    def __init__(self, view: MemOS) -> None:
        self.view = view
        self.took: list[tuple[float, float]] = []
        self.ending = threading.Event()
        self.chats: list[Chat] = Texts(7).chats(20_000)
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for chat in self.chats:
            if self.ending.is_set():
                return
            begun = time.perf_counter()
            self.view.extract(chat, subject="somebody else")
            self.took.append((begun, time.perf_counter() - begun))
            time.sleep(0.01)

    def share(self, start: float, stop: float, hundredth: int) -> float:
        """Return a quantile of the writes that began in a span, in milliseconds."""
        took = [one for begun, one in self.took if start <= begun < stop]
        return quantiles(took, n=100)[hundredth - 1] * 1000


def measure(folder: Path) -> None:
    """Erase the person from the vault in a folder, and print what it took."""
    clock = Clock()
    with opened(folder, clock) as vault:
        erasures = Erasures(vault.parts)
        begun = time.perf_counter()
        plan = erasures.plan(OFFICER, PERSON)
        _say(f"plan                  {time.perf_counter() - begun:6.2f} s: {dict(plan.counts)}")
        writer = Writer(MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT))
        idle = time.perf_counter()
        writer.thread.start()
        while len(writer.took) < WRITES_BEFORE:
            time.sleep(0.1)
        begun, cpu = time.perf_counter(), time.process_time()
        erased = erasures.erase(OFFICER, PERSON, plan.digest)
        ended = time.perf_counter()
        cpu = time.process_time() - cpu
        writer.ending.set()
        writer.thread.join()
        for step in NAMED:
            _say(f"{step:<21} {clock.at[step] - begun:6.2f} s")
        _say(f"unreadable            {clock.at['erase-destroyed'] - begun:6.2f} s (target 5)")
        _say(f"certificate           {ended - begun:6.2f} s (target 30), {cpu:.2f} s of processor time")
        for label, start, stop in (("idle", idle, begun), ("meanwhile", begun, ended)):
            _say(f"write p99 {label:<11} {writer.share(start, stop, 99):6.1f} ms")
        key = vault.parts.verifier_key
    begun = time.perf_counter()
    verify_certificate(erased.certificate, Trust((key,)))
    _say(
        f"verified offline      {(time.perf_counter() - begun) * 1000:6.1f} ms, {len(erased.certificate)} bytes"
    )


def main() -> None:
    """Build where there is nothing yet, and measure on a copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--of", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the vault is kept between runs")
    given = parser.parse_args()
    warnings.simplefilter("ignore", LocalRootWarning)
    with tempfile.TemporaryDirectory() as spare:
        kept = given.folder or Path(spare) / "built"
        if not kept.exists():
            build(kept, given.memories, given.of)
        copy = Path(spare) / "vault"
        shutil.copytree(kept, copy)
        measure(copy)


if __name__ == "__main__":
    main()
