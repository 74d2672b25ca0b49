"""`memvault demo`: a conversation goes through the whole vault."""

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from api.demo.run import Played
    from api.demo.story import Story


def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Play this chat file (own or LoCoMo format) instead of the shipped one."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Where the vault, the log's bundle and the report are written.")
    ] = Path("demo-output"),
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead.")] = False,  # noqa: FBT002  # typer's flag
) -> None:
    """Play a conversation through the vault, in the terminal and as one HTML page."""
    from rich.console import Console  # noqa: PLC0415  # heavy imports stay out of --help

    from api.demo.figures import figures  # noqa: PLC0415
    from api.demo.report import write_report  # noqa: PLC0415
    from api.demo.story import read_story, shipped_story  # noqa: PLC0415
    from api.demo.terminal import show  # noqa: PLC0415
    from vault.clock import system_clock  # noqa: PLC0415

    played = _play(shipped_story() if data is None else read_story(data), _fresh(output))
    report = output / "report.html"
    write_report(played, report, system_clock())
    if json_:
        typer.echo(json.dumps(figures(played), indent=2))
    else:
        show(played, report, Console(width=max(100, Console().width)))


def _play(story: "Story", folder: Path) -> "Played":
    """Play a story into a new vault, telling on standard error how far it is."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    from api.demo.run import TENANT, play  # noqa: PLC0415
    from vault.opening import LocalRootWarning, Vault  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with warnings.catch_warnings(), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        warnings.simplefilter(
            "ignore", LocalRootWarning
        )  # a demonstration's root key protects invented people
        tasks: dict[str, object] = {}

        def progress(what: str, done: int, of: int) -> None:
            task = tasks.setdefault(what, bar.add_task(what, total=of))
            bar.update(task, completed=done)  # type: ignore[arg-type]

        with Vault.create(folder, tenant=TENANT) as vault:
            return play(story, vault, folder, progress)


def _fresh(output: Path) -> Path:
    """Return the folder for the vault; what an earlier demonstration left there, and only that, is removed."""
    marker = output / ".memvault-demo"
    if output.exists() and any(output.iterdir()) and not marker.exists():
        raise typer.BadParameter(f"{output} is not empty and was not made by a demonstration")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    marker.touch()
    return output / "vault"
