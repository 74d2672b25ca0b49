"""What commands print: answers on standard output, everything else on standard error.

Owns the two forms of an answer (text for people, one JSON value for programs), the safe printing of
stored text, and how errors end a command. Stored text is a stranger's: control characters in it could
steer a terminal, so people see them as escapes; JSON is printed in ASCII for the same reason.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.progress import Progress

# C0 and C1 controls but newline and tab, and the characters that reorder or hide text.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def safe(text: str) -> str:
    """Return text as a terminal may show it."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def say(text: str = "") -> None:
    """Print a line of an answer."""
    sys.stdout.write(safe(text) + "\n")


def note(text: str) -> None:
    """Print a line beside the answer."""
    sys.stderr.write(safe(text) + "\n")


def print_json(view: "BaseModel") -> None:
    """Print an answer as one JSON value."""
    sys.stdout.write(json.dumps(view.model_dump(mode="json"), indent=2) + "\n")


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
        if as_json:
            shape = {
                "type": problem.type,
                "title": problem.title,
                "detail": detail_of(error),
                "exit": problem.exit,
            }
            sys.stderr.write(json.dumps(shape) + "\n")
        else:
            note(f"memvault: {detail_of(error)}")
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
