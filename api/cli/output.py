"""What commands print: answers on standard output, everything else on standard error.

Owns the two forms of an answer (text for people, one JSON value for programs), the safe printing of
stored text, and how errors end a command. Stored text is a stranger's: control characters in it could
steer a terminal, and invisible ones hide or reorder what stands there, so people see them as escapes; a line
break in it could forge a line of ours, so every line after the first is indented and marked. JSON is printed
in ASCII for the same reason.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.progress import Progress

_UNUSUAL: Final = re.compile("[^ -~\t]")
# Controls, formats (which reorder, join or hide), lone surrogates, separators of lines and of paragraphs.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ASTRAL: Final = 0x10000
_HANG: Final = 4
MARK: Final = "| "
"""Begins every line that a line break in stored text makes."""


def safe(text: str, hang: int = _HANG) -> str:
    """Return text as a terminal may show it.

    Args:
        text: May be a stranger's.
        hang: Spaces before the mark of each line after the first.
    """
    shown = (_UNUSUAL.sub(_shown, line) for line in text.split("\n"))
    return f"\n{' ' * hang}{MARK}".join(shown)


def flat(text: str) -> str:
    """Return text as one line that a terminal may show."""
    return _UNUSUAL.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    char = found.group()
    if unicodedata.category(char) not in _UNSAFE:
        return char
    return f"\\u{ord(char):04x}" if ord(char) < _ASTRAL else f"\\U{ord(char):08x}"


def say(text: str = "", hang: int = _HANG) -> None:
    """Print a line of an answer; see `safe`."""
    sys.stdout.write(safe(text, hang) + "\n")


def note(text: str) -> None:
    """Print a line beside the answer."""
    sys.stderr.write(safe(text) + "\n")


def print_json(view: "BaseModel") -> None:
    """Print an answer as one JSON value."""
    sys.stdout.write(json.dumps(view.model_dump(mode="json"), indent=2) + "\n")


def counted(count: int, one: str, many: str) -> str:
    """Return a number and what there is so much of: `1 memory`, `2 memories`."""
    return f"{count} {one if count == 1 else many}"


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Have an error that arises say where: `reported` puts the place before its message. Empty adds none."""
    try:
        yield
    except Exception as error:
        if place:
            error.add_note(place)
        raise


def print_problem(kind: str, title: str, detail: str, code: int) -> None:
    """Print an error as one JSON value."""
    shape = {"type": kind, "title": title, "detail": detail, "exit": code}
    sys.stderr.write(json.dumps(shape) + "\n")


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """End the command as the table of problems says when one of our errors arises.

    The error goes to standard error: one line, or with `--json` the problem as one JSON value.
    """
    from api.problems import EXPECTED, detail_of, problem_of  # noqa: PLC0415  # loads the rooms; `--help` does not

    try:
        yield
    except EXPECTED as error:
        problem = problem_of(type(error))
        detail = ": ".join([*getattr(error, "__notes__", ()), detail_of(error)])
        if as_json:
            print_problem(problem.type, problem.title, detail, problem.exit)
        else:
            note(f"memvault: {detail}")
        raise typer.Exit(problem.exit) from None


def progress(*, quiet: bool) -> "Progress":
    """Return a progress bar on standard error; invisible where that is no terminal, or `quiet`."""
    from rich.console import Console  # noqa: PLC0415  # only long work needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
