"""`python -m compliance.halumem`: generate conversations, or run systems over them or over HaluMem's files.

    python -m compliance.halumem generate --split dev --seed 1 --size full conversations.jsonl
    python -m compliance.halumem run --split report --seed 7 --size small --out results
    python -m compliance.halumem run --file HaluMem-Medium.jsonl --systems nothing,vault --out results
    python -m compliance.halumem run --judge-program "python ask.py" --judge-name smollm2 --out results

Exit codes: 0 done; 1 a file or folder is not what it should be; 2 the arguments are wrong.
"""

import argparse
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from compliance.halumem.errors import HaluMemError
from compliance.halumem.files import file_digest, read_users, write_users
from compliance.halumem.generator import FULL, SMALL, Size, generate
from compliance.halumem.judge import DeterministicJudge, Judge
from compliance.halumem.model_judge import ModelJudge, Program
from compliance.halumem.report import CAVEAT, CAVEAT_FILE, as_html, as_text
from compliance.halumem.runner import Runner
from compliance.halumem.schema import User
from compliance.halumem.slots import Split
from compliance.halumem.systems import MemorySystem, StoreEverything, StoreGold, StoreNothing, StoreUserTurns

SIZES: Final = {"small": SMALL, "full": FULL}
BASELINES: Final[dict[str, Callable[[], MemorySystem]]] = {
    "nothing": StoreNothing,
    "everything": StoreEverything,
    "user-turns": StoreUserTurns,
    "gold": StoreGold,
}
SYSTEMS: Final = (*BASELINES, "vault")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, and return the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.command == "run" and bool(asked.judge_program) != bool(asked.judge_name):
        parser.error("expected --judge-program and --judge-name together")
    try:
        return _generate(asked) if asked.command == "generate" else _run(asked)
    except (HaluMemError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compliance.halumem", description="hallucination of memory, measured"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("generate", help="write made-up conversations in HaluMem's schema")
    run = commands.add_parser("run", help="score systems; goes on where it was stopped")
    for one in (made, run):
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--split", choices=[split.value for split in Split], default=Split.DEV.value)
        one.add_argument("--size", choices=list(SIZES), default="small")
    made.add_argument("out", type=Path, help="a new file")
    run.add_argument("--file", type=Path, help="a file of HaluMem, in place of generated conversations")
    run.add_argument("--systems", type=_systems, default=SYSTEMS, help=f"of {','.join(SYSTEMS)}")
    run.add_argument("--out", type=Path, required=True, help="folder of the results")
    run.add_argument("--judge-program", type=shlex.split, help="a program that puts prompts to a model")
    run.add_argument("--judge-name", help="the model's name, for the label of every report")
    return parser


def _systems(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    if not set(chosen) <= set(SYSTEMS):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(SYSTEMS)}")
    return chosen


def _generate(asked: argparse.Namespace) -> int:
    digest = write_users(asked.out, generate(asked.seed, Split(asked.split), SIZES[asked.size]))
    sys.stdout.write(f"sha256 {digest}\n")
    return 0


def _run(asked: argparse.Namespace) -> int:
    size: Size = SIZES[asked.size]
    source = (
        f"generated: split {asked.split}, seed {asked.seed}, {size.users} users of {size.sessions} sessions"
    )

    def made() -> Iterable[User]:
        return generate(asked.seed, Split(asked.split), size)

    def read() -> Iterable[User]:
        return read_users(asked.file)

    if asked.file is not None:
        source = f"file: sha256 {file_digest(asked.file)}"
    with _judge(asked) as judge, _opened(asked.systems) as systems:
        runner = Runner(asked.out, source, judge, CAVEAT if asked.file is None else CAVEAT_FILE)
        report = runner.run(systems, made if asked.file is None else read)
    (asked.out / "report.html").write_text(as_html(report), encoding="utf-8")
    sys.stdout.write(as_text(report))
    return 0


@contextmanager
def _judge(asked: argparse.Namespace) -> Iterator[Judge]:
    if not asked.judge_program:
        yield DeterministicJudge()
        return
    with Program(asked.judge_program) as program:
        yield ModelJudge(asked.judge_name, program.ask)


@contextmanager
def _opened(names: Sequence[str]) -> Iterator[dict[str, MemorySystem]]:
    systems = {name: BASELINES[name]() for name in names if name in BASELINES}
    if "vault" not in names:
        yield systems
        return
    # The vault loads models: only where it is asked for.
    from compliance.halumem.vault_system import VaultSystem  # noqa: PLC0415
    from vault.memos import MemOS  # noqa: PLC0415
    from vault.opening import LocalRootWarning, Vault  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():
            # A vault of benchmark conversations that is thrown away after the run.
            warnings.simplefilter("ignore", LocalRootWarning)
            vault = Vault.create(Path(folder) / "vault", tenant="local")
        with vault:
            yield {**systems, "vault": VaultSystem(MemOS(vault))}


if __name__ == "__main__":
    sys.exit(main())
