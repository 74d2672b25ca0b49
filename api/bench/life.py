"""What time and people do to a store of 200,000 memories: sealed anew, a person erased, terms ended.

Owns one store on which the three are measured one after another, each beside a thread that writes. Gate and
embedder cost nothing here: neither has a part in what is measured. Keys wrapped by a server are measured by
`python -m tests.vault.measure_transit`, which needs the development tools.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from api.bench.made_up import OWNER, TENANT, OpenGate, Texts, bare_options, finds_nothing, new_vault
from api.bench.report import Figure, at_least, at_most, not_judged
from audit.certificate_check import verify_certificate
from audit.trust import Trust
from policies.bundle import RETENTION_RULES, Bundle
from policies.model import Principal, Purpose, Role
from policies.privacy import default_privacy_rules
from vault.clock import microseconds
from vault.erasure import Erasures
from vault.expiry import Expiry
from vault.memos import MemOS
from vault.model import Chat
from vault.opening import Vault, VaultOptions
from vault.reencryption import Reencryption
from vault.storage.group_commit import WriteSet
from vault.storage.retention_state import SaveState

OFFICER: Final = Principal("bench-officer", TENANT, frozenset({Role.PRIVACY_OFFICER}))
PERSON: Final = "the person that is erased"
TURNS: Final = 20
TERM: Final = timedelta(days=90)
RULES: Final = """
version: 1
clock: {longest-gap: P100Y}
staleness: {unused: P100Y, again: P100Y}
classes:
  - {id: stays, description: For the benchmark., term: forever}
  - {id: ends, description: For the benchmark., term: P90D, from: recorded, then: expire}
floors: []
rules:
  - {id: operations, class: ends, when: {purposes: [operations]}}
default: stays
"""

REENCRYPT_PER_SECOND: Final = at_least(3_000)
UNREADABLE_SECONDS: Final = at_most(5)
CERTIFICATE_SECONDS: Final = at_most(30)
EXPIRE_SECONDS: Final = at_most(30)
P99_TIMES: Final = at_most(5)


@dataclass(frozen=True, slots=True)
class LifeEffort:
    """How much is measured."""

    memories: int = 200_000
    person: int = 10_000
    sealed_anew: int = 40_000
    idle_seconds: float = 8.0

    @property
    def ending(self) -> int:
        """How many memories come to their end."""
        return self.memories // 2

    @property
    def whole(self) -> bool:
        """Whether the targets speak of so much."""
        return self.memories >= 200_000  # noqa: PLR2004  # the targets' store

    @classmethod
    def of(cls, *, quick: bool) -> "LifeEffort":
        """Return the effort of a run."""
        return cls(20_000, 1_000, 4_000, 3.0) if quick else cls()


class AheadClock:
    """The system's clock, ahead by as much as is wanted."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time that is to be believed."""
        return datetime.now(UTC) + self.ahead


class Steps:
    """Takes the time of each step that the vault tells of."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        """Take note of a step."""
        self.at[step] = time.perf_counter()


@dataclass(slots=True)
class Writer:
    """Writes one memory after another, as a service does, and takes the time of each."""

    view: MemOS
    chats: Iterator[Chat]
    seconds: list[float] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write until told to end."""
        while not self.ending.wait(0.002):
            chat = next(self.chats)
            begun = time.perf_counter()
            self.view.extract(chat, subject="the writer's person")
            self.seconds.append(time.perf_counter() - begun)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return float(np.percentile(self.seconds, 99)) * 1e3

    @property
    def longest(self) -> float:
        """Milliseconds."""
        return max(self.seconds) * 1e3


def life(scratch: Path, effort: LifeEffort, *, step: Callable[[str], None] = lambda _: None) -> list[Figure]:
    """Fill a store, and do to it what time and people do."""
    clock, steps, texts = AheadClock(), Steps(), Texts()
    files = {**Bundle.read().files, RETENTION_RULES: RULES.encode()}
    options = replace(bare_options(embedding_threads=1), bundle=Bundle(files), clock=clock, probe=steps)
    with _opened(scratch / "lived", options) as vault:
        step(f"filling to {effort.memories:,}")
        _fill(vault, texts, effort)
        step("sealing anew")
        figures = _sealed_anew(vault, effort)
        step("writing with nothing beside")
        idle = _idle(vault, effort)
        step("erasing a person")
        figures += _erased(vault, steps, effort)
        step("ending terms")
        figures += _expired(vault, clock, idle, effort)
    return figures if effort.whole else [not_judged(one, "a smaller store") for one in figures]


@contextmanager
def _opened(folder: Path, options: VaultOptions) -> Iterator[Vault]:
    with new_vault(folder, options) as vault:
        rules = default_privacy_rules()
        vault.parts = replace(vault.parts, gate=OpenGate(finds_nothing(rules), rules))
        yield vault


def _fill(vault: Vault, texts: Texts, effort: LifeEffort) -> None:
    views = {
        purpose: MemOS(vault, principal=OWNER, purpose=purpose)
        for purpose in (Purpose.TREATMENT, Purpose.OPERATIONS)
    }
    sessions = effort.memories // TURNS
    every = effort.memories // effort.person
    for nth in range(sessions):
        purpose = Purpose.OPERATIONS if nth % 2 else Purpose.TREATMENT
        about = PERSON if nth % every == 0 else f"person {nth % 50}"
        views[purpose].extract(texts.chat(TURNS), subject=about)
    vault.wait(900)


def _writer(vault: Vault) -> Writer:
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    return Writer(view, iter(Texts(7).chats(60_000)))


@contextmanager
def _beside(writer: Writer) -> Iterator[Writer]:
    thread = threading.Thread(target=writer.run, name="bench-writer")
    thread.start()
    try:
        yield writer
    finally:
        writer.ending.set()
        thread.join()


def _idle(vault: Vault, effort: LifeEffort) -> Writer:
    with _beside(_writer(vault)) as writer:
        time.sleep(effort.idle_seconds)
    return writer


def _sealed_anew(vault: Vault, effort: LifeEffort) -> list[Figure]:
    keys = vault.parts.keyring.tenant(TENANT)
    per_person = effort.memories // 50
    for number in range(1, 1 + 2 * (effort.sealed_anew // per_person), 2):
        keys.rotate(keys.subject_id(f"person {number}"))
    begun, used = time.perf_counter(), time.process_time()
    *_, last = Reencryption(vault.parts, TENANT).run()
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    note = (
        f"{last.memories:,} memories with {last.embeddings:,} vectors in {wall:.1f} s, {last.remaining} rows left; "
        f"{last.memories / wall:,.0f}/s by the clock"
    )
    name = "re-encrypt, one core"
    return [Figure(name, last.memories / cpu, "memories/s", REENCRYPT_PER_SECOND, note)]


def _erased(vault: Vault, steps: Steps, effort: LifeEffort) -> list[Figure]:
    erasures = Erasures(vault.parts)
    plan = erasures.plan(OFFICER, PERSON)
    with _beside(_writer(vault)) as writer:
        begun = time.perf_counter()
        erased = erasures.erase(OFFICER, PERSON, plan.digest)
        ended = time.perf_counter()
    verify_certificate(erased.certificate, Trust((vault.parts.verifier_key,)))
    what = f"{plan.counts['memories']:,} memories of {effort.memories:,}"
    note = f"{what}; a writer beside it: p99 {writer.p99:.1f} ms; the certificate verified"
    unreadable = steps.at["erase-destroyed"] - begun
    return [
        Figure("erase a person, until unreadable", unreadable, "s", UNREADABLE_SECONDS, what),
        Figure("erase a person, until certified", ended - begun, "s", CERTIFICATE_SECONDS, note),
    ]


def _expired(vault: Vault, clock: AheadClock, idle: Writer, effort: LifeEffort) -> list[Figure]:
    clock.ahead = TERM + timedelta(days=1)
    believed = SaveState(TENANT, clock=microseconds(clock()))
    vault.parts.store.submit(WriteSet(changes=[believed.change]))
    with _beside(_writer(vault)) as writer:
        begun = time.perf_counter()
        done = Expiry(vault.parts).run(TENANT)
        seconds = time.perf_counter() - begun
    count = sum(done.counts.values())
    name = f"expire {effort.ending:,} memories"
    beside = f"p99 {writer.p99:.1f} ms beside it, {idle.p99:.1f} ms alone; {len(writer.seconds):,} writes"
    return [
        Figure(
            name,
            seconds * effort.ending / count,
            "s",
            EXPIRE_SECONDS,
            f"{count:,} were left of them; {seconds:.1f} s",
        ),
        Figure("a write beside expiry, p99", writer.p99 / idle.p99, "times", P99_TIMES, beside),
        Figure("a write beside expiry, longest", writer.longest, "ms", None, f"alone {idle.longest:.1f} ms"),
    ]
