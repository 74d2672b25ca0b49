"""Figures with their targets, and the forms in which they are shown: JSON, Markdown, rows for a terminal.

Owns values and their printing. What was measured and how is each suite's; a figure that could not be
measured says why, in its place in the table, and is never left out.
"""

import json
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from importlib import metadata
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median
from typing import Final

VERSIONS_OF: Final = (
    "cryptography",
    "numpy",
    "onnxruntime",
    "presidio-analyzer",
    "pycasbin",
    "python-crfsuite",
    "sqlalchemy",
)


RECORD_BEGIN: Final = "<!-- bench: begin -->"
RECORD_END: Final = "<!-- bench: end -->"


class Better(StrEnum):
    """Which side of a target is the good one."""

    LESS = "at most"
    MORE = "at least"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach."""

    better: Better
    bound: float

    def met(self, value: float) -> bool:
        """Say whether a value reaches it."""
        return value <= self.bound if self.better is Better.LESS else value >= self.bound


def at_most(bound: float) -> Target:
    """Return a target that a figure must not exceed."""
    return Target(Better.LESS, bound)


def at_least(bound: float) -> Target:
    """Return a target that a figure must not fall short of."""
    return Target(Better.MORE, bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value."""

    name: str
    value: float | None
    """None where it was not measured; `note` says why."""
    unit: str
    target: Target | None = None
    note: str = ""
    """How it was measured, what stands beside it, or why it was not."""
    judged: bool = True
    """False where less was measured than the target speaks of: a smaller store, a smaller sample."""

    @property
    def met(self) -> bool | None:
        """Whether its target is met; None where there is no target or no value, or it is not judged."""
        if self.target is None or self.value is None or not self.judged:
            return None
        return self.target.met(self.value)


def not_measured(name: str, unit: str, why: str, target: Target | None = None) -> Figure:
    """Return the row of a figure that could not be measured."""
    return Figure(name, None, unit, target, f"not measured: {why}")


def not_judged(figure: Figure, why: str) -> Figure:
    """Return a figure that stands beside its target without being judged by it."""
    if figure.target is None or figure.value is None:
        return figure
    return replace(figure, judged=False, note="; ".join(filter(None, (figure.note, why))))


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of one suite."""

    name: str
    seconds: float
    figures: tuple[Figure, ...]
    load: float
    """Load average of the last minute when it began."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the benchmark."""

    command: str
    started: datetime
    machine: str
    versions: dict[str, str]
    sections: tuple[Section, ...] = field(default=())

    @property
    def missed(self) -> list[Figure]:
        """Figures that fall short of their target."""
        return [figure for section in self.sections for figure in section.figures if figure.met is False]

    @property
    def not_judged(self) -> list[Figure]:
        """Figures of which less was measured than their target speaks of."""
        return [figure for section in self.sections for figure in section.figures if not figure.judged]


def machine_line() -> str:
    """Describe the machine in one line, without its name."""
    return (
        f"{_line_of(Path('/proc/cpuinfo'), 'model name') or platform.machine()}, {cpu_count()} cores, "
        f"{_gibibytes()} GiB, {platform.system()} {platform.release()}"
    )


def versions() -> dict[str, str]:
    """Return what the figures depend on, with its version."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(getloadavg()[0], 2)


def p50(values: Sequence[float]) -> float:
    """Return the median."""
    return median(values)


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile, the nearest value above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def shown(value: float | None) -> str:
    """Write a value with about three digits."""
    if value is None:
        return "-"
    if abs(value) >= 100:  # noqa: PLR2004  # from here on, digits after the point say nothing
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(figure: Figure) -> tuple[str, str, str, str, str]:
    """Return a figure as a row: name, value, target, met, note."""
    target = "" if figure.target is None else f"{figure.target.better} {shown(figure.target.bound)}"
    met = "not judged" if not figure.judged else {None: "", True: "yes", False: "NO"}[figure.met]
    return figure.name, f"{shown(figure.value)} {figure.unit}".strip(), target, met, figure.note


def markdown(report: Report) -> str:
    """Return a report as Markdown."""
    lines = [
        "# Benchmark",
        "",
        f"`{report.command}`, {report.started:%Y-%m-%d %H:%M} UTC. {report.machine}.",
        "",
        ", ".join(f"{name} {version}" for name, version in report.versions.items()) + ".",
        "",
    ]
    for section in report.sections:
        lines += [
            f"## {section.name}",
            "",
            f"{section.seconds:.0f} s; load average {section.load} at its start.",
            "",
            *_table(section.figures),
            "",
        ]
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """Return a report as one JSON value."""
    return json.dumps(
        {
            "command": report.command,
            "started": report.started.isoformat(),
            "machine": report.machine,
            "versions": report.versions,
            "sections": [
                {
                    "name": section.name,
                    "seconds": round(section.seconds, 1),
                    "load": section.load,
                    "figures": [_shape(figure) for figure in section.figures],
                }
                for section in report.sections
            ],
        },
        indent=1,
    )


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write both forms into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_data, as_text = folder / "bench.json", folder / "bench.md"
    as_data.write_text(as_json(report) + "\n", encoding="utf-8")
    as_text.write_text(markdown(report), encoding="utf-8")
    return as_data, as_text


def recorded(document: str, report: Report) -> str:
    """Return a document with a report between its markers, in place of what stood there.

    Raises:
        ValueError: the document has no such markers.
    """
    before, begin, rest = document.partition(RECORD_BEGIN)
    _, end, after = rest.partition(RECORD_END)
    if not begin or not end:
        raise ValueError(f"expected the markers {RECORD_BEGIN} and {RECORD_END} in the document")
    body = markdown(report).partition("\n\n")[2]
    return f"{before}{begin}\n\n{body}\n{end}{after}"


def _table(figures: Iterable[Figure]) -> list[str]:
    rows = ["| figure | value | target | met | note |", "|---|---|---|---|---|"]
    rows += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(figure)) + " |" for figure in figures
    ]
    return rows


def _shape(figure: Figure) -> dict[str, object]:
    target = figure.target
    return {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "target": None if target is None else {"better": target.better.value, "bound": target.bound},
        "met": figure.met,
        "judged": figure.judged,
        "note": figure.note,
    }


def _line_of(file: Path, field_name: str) -> str:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field_name)), "")


def _gibibytes() -> int:
    kilobytes = _line_of(Path("/proc/meminfo"), "MemTotal").removesuffix("kB").strip()
    return round(int(kilobytes) / 2**20) if kilobytes.isdigit() else 0
