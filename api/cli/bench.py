"""`memvault bench`: every figure that this project claims, measured again."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from api.bench.report import Report
    from api.bench.run import Setting


def bench(  # noqa: PLR0917  # typer's options
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this suite alone; may be given several times. An unknown name lists them."),
    ] = None,
    quick: Annotated[  # noqa: FBT002  # typer's flag
        bool, typer.Option("--quick", help="Two minutes instead of fifteen: rougher, smaller stores.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where bench.json and bench.md are written.")] = Path(
        "bench-output"
    ),
    shared: Annotated[
        Path | None, typer.Option(help="Shared data and the peers' harness [default: beside the repository].")
    ] = None,
    peers: Annotated[
        Path | None, typer.Option(help="Where the harness' setup_peers.py put the peers.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Also put the report between the markers of this document.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,  # noqa: FBT002  # typer's flag
) -> None:
    """Measure speed, memory, recall and privacy, each beside its target."""
    from api.bench.report import as_json, recorded  # noqa: PLC0415  # heavy imports stay out of --help
    from api.bench.run import Setting, default_shared  # noqa: PLC0415

    names, command = _suites(only or []), _command(only or [], quick=quick)
    output.mkdir(parents=True, exist_ok=True)
    # On the disk of the output: a folder in memory would make every commit look durable.
    with tempfile.TemporaryDirectory(dir=output, prefix=".stores-") as scratch:
        setting = Setting(Path(scratch), shared or default_shared(), peers, quick=quick)
        report = _measure(names, command, setting, output)
    if record is not None:
        record.write_text(recorded(record.read_text(encoding="utf-8"), report), encoding="utf-8")
    if json_:
        typer.echo(as_json(report))
        return
    _show(report)


def _measure(names: tuple[str, ...], command: str, setting: "Setting", output: Path) -> "Report":
    """Run suites; what was measured is written after each, so that a run cut short leaves it."""
    from rich.console import Console  # noqa: PLC0415

    from api.bench.report import write  # noqa: PLC0415
    from api.bench.run import run  # noqa: PLC0415
    from vault.clock import system_clock  # noqa: PLC0415

    with Console(stderr=True).status("", spinner="line") as status:
        for report in run(names, replace(setting, step=status.update), command=command, clock=system_clock):
            write(report, output)
    return report


def _suites(only: list[str]) -> tuple[str, ...]:
    """Return the suites to run: those that are named, or all."""
    from api.bench.run import SUITES  # noqa: PLC0415

    if any(name not in SUITES for name in only):
        raise typer.BadParameter(f"expected suites of {', '.join(SUITES)}")
    return tuple(dict.fromkeys(only or SUITES))


def _command(only: list[str], *, quick: bool) -> str:
    """Return the command that measures the same again."""
    return " ".join(["memvault bench", *(f"--only {name}" for name in only), *(["--quick"] if quick else [])])


def _show(report: "Report") -> None:
    """Print the report as tables."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from api.bench.report import cells  # noqa: PLC0415

    console = Console(width=max(140, Console().width))
    console.print(f"{report.command}: {report.machine}", markup=False, highlight=False)
    for section in report.sections:
        table = Table(
            title=f"{section.name} ({section.seconds:.0f} s, load {section.load})", title_justify="left"
        )
        for header in ("figure", "value", "target", "met", "note"):
            table.add_column(header, justify="right" if header == "value" else "left")
        for figure in section.figures:
            table.add_row(*cells(figure))
        console.print(table)
    missed, left = len(report.missed), len(report.not_judged)
    verdict = (
        f"{missed} of the targets missed"
        if missed
        else "every judged target met"
        if left
        else "every target met"
    )
    console.print(f"{verdict}; {left} not judged" if left else verdict, highlight=False)
