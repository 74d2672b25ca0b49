"""What the log promises in figures, and how much is measured to judge it.

Owns the names and targets of the log's figures, so that one that could not be measured stands in its place
with the same name, and how a run is timed. Measuring is `api.bench.log`'s and `api.bench.log_reads`'s.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from subprocess import SubprocessError
from typing import Final, NamedTuple

from api.bench.report import Figure, Target, at_least, at_most, not_judged, not_measured, p50, p95
from audit.errors import AuditError
from audit.query.index import IndexUnusableError
from policies.errors import PolicyError
from vault.errors import VaultError
from vault.storage.faults import translated

JUDGED_RUNS: Final = 100
"""Fewer runs give no 95th percentile."""


@dataclass(frozen=True, slots=True)
class LogEffort:
    """How much is measured; a quick run says less."""

    appended: int = 50_000
    """Entries appended in batches, in memory and on disk each."""
    singles: int = 1_024
    """Entries appended one by one: four tiles become full among them."""
    leaves: int = 10_000_000
    """Size of the tree of tiles that proofs are made in."""
    proofs: int = 2_000
    tenth: int = 100_000
    """Entries of the smaller log, against which the verifier's memory is held."""
    entries: int = 1_000_000
    """Entries of the log that is exported, verified and asked."""
    runs: int = 100
    """Of each question, of which there are several."""

    @property
    def whole(self) -> bool:
        """Whether as much is appended as a judgement needs."""
        full = LogEffort()
        return self.appended >= full.appended and self.singles >= full.singles

    @classmethod
    def of(cls, *, quick: bool) -> "LogEffort":
        """Return the effort of a run."""
        return cls(6_400, 256, 100_000, 200, 2_000, 20_000, 5) if quick else cls()


@dataclass(frozen=True, slots=True)
class Promised:
    """A figure before it is measured."""

    name: str
    unit: str
    target: Target
    of: str
    """What its target speaks of."""

    def measured(self, value: float, note: str, *, enough: bool, sample: str) -> Figure:
        """Return it with its value; without a judgement where less was measured than the target speaks of."""
        figure = Figure(self.name, value, self.unit, self.target, note)
        return figure if enough else not_judged(figure, f"of {sample}; the target speaks of {self.of}")

    def absent(self, reason: str) -> Figure:
        """Return it without a value."""
        return not_measured(self.name, self.unit, reason, self.target)


IN_MEMORY: Final = Promised(
    "append in memory, batches of 128, one core", "entries/s", at_least(20_000), "50,000 entries"
)
DURABLE: Final = Promised("append durably, batches of 128", "entries/s", at_least(5_000), "50,000 entries")
SINGLE: Final = Promised(
    "append of one entry inside a write, own cost, p50", "ms", at_most(0.25), "1,024 entries"
)
PROOF: Final = Promised(
    "inclusion proof from tiles at 10,000,000 entries, p95",
    "ms",
    at_most(2),
    "10,000,000 entries and 100 runs",
)
VERIFY: Final = Promised(
    "verify an export of 1,000,000 entries offline, one core", "s", at_most(60), "1,000,000 entries"
)
RESIDENT: Final = Promised(
    "resident at most while verifying 1,000,000 entries", "MB", at_most(40), "1,000,000 entries"
)
PAGE: Final = Promised(
    "first page of two filters over 1,000,000 entries, p95",
    "ms",
    at_most(100),
    "1,000,000 entries and 100 runs",
)
COUNTS: Final = Promised(
    "facets and histogram over 1,000,000 entries, p95", "ms", at_most(300), "1,000,000 entries and 100 runs"
)


class Times(NamedTuple):
    """How long each of some runs took, in seconds."""

    walls: list[float]
    own: list[float]
    """Processor time of the thread."""

    @property
    def told(self) -> str:
        """Return what stands beside the 95th percentile of the wall."""
        return (
            f"p50 {p50(self.walls) * 1e3:.2f} ms, largest {max(self.walls) * 1e3:.1f} ms; "
            f"p95 of processor {p95(self.own) * 1e3:.2f} ms"
        )


def timed(works: Iterable[Callable[[], object]]) -> Times:
    """Run each once and return how long it took."""
    times = Times([], [])
    for work in works:
        wall, own = time.perf_counter(), time.thread_time()
        work()
        times.walls.append(time.perf_counter() - wall)
        times.own.append(time.thread_time() - own)
    return times


def part(promised: Sequence[Promised], measure: Callable[[], list[Figure]]) -> list[Figure]:
    """Measure one part of the suite; where it fails, its figures say so, and the other parts go on."""
    try:
        with translated():
            return measure()
    except (AuditError, VaultError, PolicyError, IndexUnusableError, SubprocessError, OSError) as error:
        return [one.absent(f"{type(error).__name__}: {error}") for one in promised]
