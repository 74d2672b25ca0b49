"""The command `memvault policy diff`: what a change of policies changes, for whoever reviews it."""

import json
import subprocess
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import JsonOption
from api.cli.output import reported

if TYPE_CHECKING:
    from policies.bundle import Bundle
    from policies.review.reviewers import ReviewRule

SEVERITY_EXIT: Final = 20
"""Added to a severity of 1 (low) to 3 (high): 0 is no change at all."""
_GIT_SECONDS: Final = 60


class DiffFormat(StrEnum):
    """What a difference is written as."""

    TEXT = "text"
    MARKDOWN = "markdown"


def diff(
    base: Annotated[str, typer.Argument(metavar="BASE", help="Folder of a bundle, or a git revision.")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The same, changed.")],
    path: Annotated[
        str,
        typer.Option(
            "--path", metavar="PATH", help="With git revisions: the bundle's folder in the repository."
        ),
    ] = "policies",
    form: Annotated[DiffFormat, typer.Option("--format", help="Text, or Markdown for a pull request.")] = (
        DiffFormat.TEXT
    ),
    reviewers: Annotated[
        Path | None, typer.Option("--reviewers", metavar="FILE", help="Who has to look at which change.")
    ] = None,
    *,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="End with 0 whatever changed.")] = False,
    json_: JsonOption = False,
) -> None:
    """Tell who gains and who loses what, by every request there is; ends with 0, or 21 low, 22 medium, 23 high."""
    from policies.review.diff import diff as compare  # noqa: PLC0415  # `--help` loads no policies
    from policies.review.report import as_json, markdown, text  # noqa: PLC0415
    from policies.review.reviewers import required  # noqa: PLC0415

    with reported(as_json=json_):
        found = compare(_bundle(base, path), _bundle(head, path))
        names = required(_reviewers(reviewers), found)
    if json_:
        typer.echo(json.dumps(as_json(found, names), indent=2))
    else:
        typer.echo((markdown if form is DiffFormat.MARKDOWN else text)(found, names), nl=False)
    if found.severity and not exit_zero:
        raise typer.Exit(SEVERITY_EXIT + found.severity)


def _reviewers(file: Path | None) -> "tuple[ReviewRule, ...]":
    from policies.errors import PolicyInvalidError  # noqa: PLC0415
    from policies.review.reviewers import MAX_CHARACTERS, parse_reviewers  # noqa: PLC0415

    if file is None:
        return ()
    try:
        with file.open(encoding="utf-8") as opened:
            return parse_reviewers(opened.read(MAX_CHARACTERS + 1), file.name)
    except (OSError, UnicodeDecodeError):
        raise PolicyInvalidError("the file of reviewers cannot be read", file=file.name) from None


def _bundle(named: str, path: str) -> "Bundle":
    """Read a bundle from a folder, or from a git revision.

    Threat: a change puts a folder `origin/main` into its checkout, as a copy of what it changed, and is compared with
    that. So what is the name of both is neither, unless a folder is named as one: `./origin/main`.

    Raises:
        PolicyInvalidError: it is neither, both, or no bundle.
    """
    from policies.bundle import MAX_FILE_BYTES, Bundle, looks_like_policy  # noqa: PLC0415  # as above
    from policies.errors import PolicyInvalidError  # noqa: PLC0415

    if Path(named).is_dir():
        if not _is_path(named) and _is_revision(named):
            raise PolicyInvalidError(f"{named} is a folder and a git revision: expected ./{named}, or refs/…")
        return Bundle.read(Path(named))
    if named.startswith("-"):
        raise PolicyInvalidError("expected a folder or a git revision, got an option")
    folder = "" if path.rstrip("/") in ("", ".") else path.rstrip("/") + "/"
    places = ["--", folder] if folder else []
    listed = _git("ls-tree", "-r", "-z", "-l", "--full-tree", named, *places).decode("utf-8", "replace")
    files = {}
    for line in filter(None, listed.split("\0")):
        facts, _, name = line.partition("\t")
        *_, size = facts.split()
        if name.startswith(folder) and looks_like_policy(name.removeprefix(folder)):
            if not size.isdigit() or int(size) > MAX_FILE_BYTES:  # "-" is a submodule's
                raise PolicyInvalidError(f"expected a file of at most {MAX_FILE_BYTES} bytes", file=name)
            files[name.removeprefix(folder)] = _git("show", f"{named}:{name}")
    return Bundle(files)


def _is_path(named: str) -> bool:
    """Say whether a name is one of a folder alone: no revision begins like this."""
    return named.startswith(("/", "./", "../")) or named in {".", ".."}


def _is_revision(named: str) -> bool:
    from policies.errors import PolicyInvalidError  # noqa: PLC0415  # as above

    with suppress(PolicyInvalidError):  # no repository here, or none of it
        _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{named}^{{tree}}")
        return True
    return False


def _git(*arguments: str) -> bytes:
    from policies.errors import PolicyInvalidError  # noqa: PLC0415  # as above

    try:
        ended = subprocess.run(  # noqa: S603  # a list of arguments, no shell; a revision is no option
            ["git", *arguments],  # noqa: S607  # whichever git the reviewer uses
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise PolicyInvalidError("expected a folder of a bundle, or a git revision that holds one") from None
    return ended.stdout
