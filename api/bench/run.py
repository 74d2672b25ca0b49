"""All suites in order: what each needs, and what stands in its place where that is absent.

Owns the list of suites and the run. A suite that cannot run leaves a row that says why; one that fails
leaves its error's kind, and the others still run: a benchmark of an hour must not end at its first fault.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from api.bench.footprint import footprint
from api.bench.ingest import ingest
from api.bench.life import LifeEffort, life
from api.bench.log import log_speed
from api.bench.log_targets import LogEffort
from api.bench.made_up import Texts
from api.bench.quality import index_alone, privacy, recall
from api.bench.rebuild import Sizes, growth
from api.bench.report import Figure, Report, Section, load_average, machine_line, not_measured, versions
from api.bench.writes import Effort, own_cost
from audit.errors import AuditError
from policies.errors import PolicyError
from vault.errors import VaultError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a run finds its data and puts its stores."""

    scratch: Path
    """A folder on the disk to be measured; emptied after each suite."""
    shared: Path | None = None
    """The folder of shared data and the peers' harness."""
    peers: Path | None = None
    """Where `setup_peers.py` put the peers."""
    lock: Path = REPOSITORY / "requirements.lock"
    quick: bool = False
    step: Step = lambda _: None  # a default that says nothing

    @property
    def locomo(self) -> Path | None:
        """LoCoMo's file, if it is there."""
        return self._file("data/locomo/locomo_dev.json")

    @property
    def synth(self) -> Path | None:
        """The labelled texts for the gate, if they are there."""
        return self._file("data/pii/synth_dev.json")

    @property
    def harness(self) -> Path | None:
        """The peers' harness, if it is there."""
        found = self._file("bench/worker.py")
        return None if found is None else found.parent

    def _file(self, inside: str) -> Path | None:
        found = None if self.shared is None else self.shared / inside
        return found if found is not None and found.is_file() else None


def default_shared() -> Path | None:
    """Return the folder of shared data beside the repository, if it is there."""
    folder = REPOSITORY.parent / "shared"
    return folder if folder.is_dir() else None


def _footprint(setting: Setting) -> list[Figure]:
    return footprint(setting.scratch, lock=setting.lock, quick=setting.quick)


def _writes(setting: Setting) -> list[Figure]:
    return own_cost(setting.scratch, Effort.of(quick=setting.quick))


def _privacy(setting: Setting) -> list[Figure]:
    return privacy(setting.synth, setting.locomo, quick=setting.quick)


def _recall(setting: Setting) -> list[Figure]:
    if setting.locomo is None:
        return [not_measured("evidence R@10", "", "../shared/data/locomo is not here")]
    return recall(setting.locomo, quick=setting.quick, step=setting.step)


def _search(setting: Setting) -> list[Figure]:
    texts = Texts()
    made_up = [texts.sentence() for _ in range(2_000)]
    return index_alone(setting.locomo, made_up, quick=setting.quick)


def _growth(setting: Setting) -> list[Figure]:
    return growth(setting.scratch, Sizes.of(quick=setting.quick), step=setting.step)


def _life(setting: Setting) -> list[Figure]:
    return life(setting.scratch, LifeEffort.of(quick=setting.quick), step=setting.step)


def _log(setting: Setting) -> list[Figure]:
    return log_speed(setting.scratch, LogEffort.of(quick=setting.quick), step=setting.step)


def _ingest(setting: Setting) -> list[Figure]:
    if setting.locomo is None:
        return [not_measured("bulk ingest", "memories/s", "../shared/data/locomo is not here")]
    return ingest(
        setting.scratch,
        setting.locomo,
        harness=setting.harness,
        peers=setting.peers,
        quick=setting.quick,
        step=setting.step,
    )


SUITES: Final[Mapping[str, Callable[[Setting], list[Figure]]]] = MappingProxyType(
    {
        "footprint": _footprint,
        "writes": _writes,
        "search": _search,
        "growth": _growth,
        "life": _life,
        "log": _log,
        "ingest": _ingest,
        "recall": _recall,
        "privacy": _privacy,
    }
)


def run(
    names: Iterable[str], setting: Setting, *, command: str, clock: Callable[[], datetime]
) -> Iterator[Report]:
    """Run suites by name, in order; yield the report so far after each, so that a run cut short leaves one."""
    report = Report(command, clock(), machine_line(), versions())
    for name in names:
        setting.step(name)
        report = replace(report, sections=(*report.sections, _section(name, setting)))
        yield report


def _section(name: str, setting: Setting) -> Section:
    load, start = load_average(), time.perf_counter()
    folder = setting.scratch / name
    folder.mkdir(parents=True)
    try:
        figures = SUITES[name](replace(setting, scratch=folder))
    except (VaultError, PolicyError, AuditError, OSError) as error:
        figures = [not_measured(name, "", f"{type(error).__name__}: {error}")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Section(name, time.perf_counter() - start, tuple(figures), load)
