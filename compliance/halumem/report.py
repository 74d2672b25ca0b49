"""What a run comes to: as values with a JSON schema, as text for a terminal, and as one HTML page.

Owns presentation. The page loads nothing, runs no script, and every text in it is escaped; what it shows of a
data set is counts, never content.
"""

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel, ConfigDict

from compliance.halumem.tally import MEASURES, Tally

CAVEAT: Final = (
    "These figures are ours, computed by our code and our judge on conversations of our own generator. "
    "They are not HaluMem scores and must not be compared with published ones."
)
CAVEAT_FILE: Final = (
    "These figures are ours, computed by our code and the judge named here on the file named here. HaluMem's "
    "published scores come from a language model as judge and must not be compared with them."
)


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Shape):
    """One measure of one system; `value` None is a share of nothing."""

    group: str
    name: str
    formula: str
    value: float | None


class SystemReport(_Shape):
    """One system's measures and the counts behind them."""

    system: str
    measures: tuple[Measured, ...]
    counts: Tally


class Report(_Shape):
    """A whole run."""

    caveat: str
    source: str
    """File digest, or seed, split and size."""
    judge: str
    users: int
    systems: tuple[SystemReport, ...]


def measured(system: str, tally: Tally) -> SystemReport:
    """Return every measure of a system, in the order of reports."""
    return SystemReport(
        system=system,
        measures=tuple(
            Measured(
                group=group,
                name=measure.__name__,
                formula=" ".join((measure.__doc__ or "").split()),
                value=measure(tally),
            )
            for group, measures in MEASURES
            for measure in measures
        ),
        counts=tally,
    )


def as_text(report: Report) -> str:
    """Return the report for a terminal: one row a measure, one column a system."""
    lines = [report.caveat, f"source: {report.source}; users: {report.users}", f"judge: {report.judge}", ""]
    lines += [f"[{number}] {one.system}" for number, one in enumerate(report.systems, 1)]
    group = ""
    for row in zip(*(one.measures for one in report.systems), strict=True):
        if row[0].group != group:
            group = row[0].group
            heads = "".join(f"{f'[{number}]':>9}" for number in range(1, len(row) + 1))
            lines += ["", f"{group:<26}{heads}"]
        lines.append(f"  {row[0].name:<24}" + "".join(f"{_figure(one.value):>9}" for one in row))
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def as_html(report: Report) -> str:
    """Return the report as one page that needs nothing else."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    rows = list(zip(*(one.measures for one in report.systems), strict=True))
    groups = [
        (group, [row for row in rows if row[0].group == group])
        for group in dict.fromkeys(row[0].group for row in rows)
    ]
    colours = ("#7a7a7a", "#b5651d", "#c9a227", "#1b6ca8", "#2e8b57", "#7b4fa3")
    return environment.get_template("report.html").render(
        report=report, groups=groups, colours=colours, figure=_figure
    )
