"""The tutorial on reviewing a change of policies, run: `python -m tests.api.policy_tutorial` writes its outputs anew.

Owns running the page's `console` blocks in a repository of its own, beside the patches that the page shows, and putting
what they print in the place of what stands there. A test sees that nothing changes by it.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from policies.bundle import KNOWN_FILES
from policies.loading import READY

PAGE: Final = Path(__file__).parents[2] / "docs" / "reviewing-a-policy-change.md"
_BLOCK: Final = re.compile(r"^```(console|diff|yaml) ?(\S*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_SECONDS: Final = 120
Run = Callable[[list[str]], str]
"""Runs `memvault` with these words; returns what it prints on standard output, and `[exit N]` where it ends otherwise."""


def regenerated(page: str, folder: Path, run: Run) -> str:
    """Return the page with outputs of today.

    Args:
        page: Its text.
        folder: An empty one; becomes the repository, and has to be the current directory.
        run: Runs the command.
    """
    for name in KNOWN_FILES:
        (folder / "policies" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "policies" / name).write_bytes((READY / "hipaa" / name).read_bytes())
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["commit", "-q", "-m", "Begin with the HIPAA bundle"],
    ):
        git(words, folder)

    def anew(found: re.Match[str]) -> str:
        kind, file, body = found.groups()
        if kind != "console":
            if file:
                (folder / file).write_text(body, "utf-8")
            return found.group()
        said = "".join(
            f"$ {line}\n{_said(shlex.split(line), folder, run)}"
            for line in re.findall(r"^\$ (.*)$", body, re.MULTILINE)
        )
        return f"```console\n{said}```\n"

    return _BLOCK.sub(anew, page)


def _said(words: list[str], folder: Path, run: Run) -> str:
    if words[0] == "git":
        return git(words[1:], folder)
    if words[0] == "memvault":
        return run(words[1:])
    raise ValueError(f"expected git or memvault, got {words[0]}")


def git(words: list[str], folder: Path) -> str:
    """Run git as somebody, at a time that is always the same."""
    identity = ["-c", "user.name=reviewer", "-c", "user.email=reviewer@example.org"]
    ended = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS
    )
    return ended.stdout


def run_installed(words: list[str]) -> str:
    """Run the command as a process."""
    ended = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return ended.stdout + (f"[exit {ended.returncode}]\n" if ended.returncode else "")


def main() -> None:
    """Write the page anew."""
    import os  # noqa: PLC0415  # for this alone

    os.environ["PYTHONPATH"] = str(PAGE.parents[1])
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        PAGE.write_text(regenerated(PAGE.read_text("utf-8"), Path(name), run_installed), "utf-8")


if __name__ == "__main__":
    main()
