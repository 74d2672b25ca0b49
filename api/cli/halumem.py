"""`memvault halumem`: hallucination of memory, measured; made-up conversations, and systems scored over them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Hallucination of memory, measured by HaluMem's tasks.", no_args_is_help=True, rich_markup_mode=None
)


class SplitOption(StrEnum):
    """Which made-up conversations: those that may be tuned on, or those that are reported on."""

    DEV = "dev"
    REPORT = "report"


class SizeOption(StrEnum):
    """How many."""

    SMALL = "small"
    FULL = "full"


_Seed = Annotated[int, typer.Option(help="The same seed makes the same conversations.")]
_Split = Annotated[SplitOption, typer.Option(help="dev may be tuned on, report may not.")]
_Size = Annotated[SizeOption, typer.Option(help="full is 20 users of 50 sessions.")]


@app.command("generate")
def generate(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    *,
    seed: _Seed = 1,
    split: _Split = SplitOption.DEV,
    size: _Size = SizeOption.SMALL,
) -> None:
    """Write made-up conversations in HaluMem's schema."""
    _main("generate", "--seed", str(seed), "--split", split.value, "--size", size.value, "--", str(out))


@app.command("run")
def run(
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go; a run goes on there.")],
    seed: _Seed = 1,
    split: _Split = SplitOption.DEV,
    size: _Size = SizeOption.SMALL,
    file: Annotated[
        Path | None, typer.Option(help="A file of HaluMem, in place of made-up conversations.")
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help="Which, separated by commas; an unknown name lists them.")
    ] = None,
    judge_program: Annotated[
        str | None, typer.Option(help="A program that puts prompts to a model, which then decides.")
    ] = None,
    judge_name: Annotated[str | None, typer.Option(help="The model's name, for the label.")] = None,
) -> None:
    """Score systems by extraction, updating and question answering, and write the report."""
    given = ["run", "--seed", str(seed), "--split", split.value, "--size", size.value, f"--out={out}"]
    given += [] if file is None else [f"--file={file}"]
    given += [] if systems is None else [f"--systems={systems}"]
    given += [] if judge_program is None else [f"--judge-program={judge_program}"]
    given += [] if judge_name is None else [f"--judge-name={judge_name}"]
    _main(*given)


def _main(*arguments: str) -> None:
    from compliance.halumem.__main__ import main  # noqa: PLC0415  # loads the measure; `--help` does not

    try:
        code = main(arguments)
    except SystemExit as ended:  # of the parser, which has said why
        code = ended.code if isinstance(ended.code, int) else 1
    raise typer.Exit(code)
