"""No figure without a command: the README, docs/claims.md and docs/benchmarks.md against the program."""

import re
from pathlib import Path

import pytest

from api.bench.run import SUITES
from compliance.halumem.__main__ import _parser

REPOSITORY = Path(__file__).resolve().parents[2]
CLAIMS = REPOSITORY / "docs" / "claims.md"
BENCHMARKS = REPOSITORY / "docs" / "benchmarks.md"
# A figure that was measured: a number behind which a unit of time, size, rate or share stands.
FIGURE = re.compile(
    r"(?<![\w.-])\d[\d,.]*\s?(?:µs|ms|s|MB|MiB|GB|GiB|%|times|memories/s|/s|a second)(?![\w/])"
)


def claims() -> list[tuple[str, str]]:
    """Return the rows of docs/claims.md: claim and command."""
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|$", CLAIMS.read_text(encoding="utf-8"), re.MULTILINE)
    return [(claim, command) for claim, command in rows]


def test_every_claim_names_a_command_that_exists() -> None:
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert claims()
    for claim, command in claims():
        suite = re.fullmatch(r"memvault bench --only (\w+)", command)
        target = re.fullmatch(r"make (\w+)", command)
        module = re.fullmatch(r"python -m (tests[\w.]+)", command)
        halumem = re.fullmatch(r"python -m compliance\.halumem (run [\w -]+)", command)
        tested = re.fullmatch(r"memvault policy test (policies/bundles/[\w-]+)", command)
        known = (
            (suite and suite[1] in SUITES)
            or (target and target[1] in targets)
            or (module and (REPOSITORY / f"{module[1].replace('.', '/')}.py").is_file())
            or (halumem and _parser().parse_args(halumem[1].split()).command == "run")
            or (tested and (REPOSITORY / tested[1] / "privacy.yaml").is_file())
        )
        assert known, f"{claim}: {command}"


def test_every_suite_has_a_claim_that_it_answers_for() -> None:
    assert {command.rpartition(" ")[2] for _, command in claims()} >= set(SUITES)


def test_every_figure_in_the_readme_stands_among_the_claims() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    claimed = " ".join(claim for claim, _ in claims())
    assert [figure for figure in FIGURE.findall(prose) if figure not in claimed] == []


@pytest.mark.parametrize("text", ["0.9 ms", "3,000 memories/s", "700 MB", "15 s", "5 %"])
def test_a_figure_is_recognised_by_its_unit(text: str) -> None:
    assert FIGURE.findall(f"It takes {text}, or so.") == [text]


def test_recorded_rows_say_met_where_the_value_meets_its_target() -> None:
    rows = re.findall(
        r"^\| .+? \| ([\d,.]+)[^|]*\| (at most|at least) ([\d,.]+) \| (yes|NO) \|",
        BENCHMARKS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows
    for value, better, bound, met in rows:
        measured, target = float(value.replace(",", "")), float(bound.replace(",", ""))
        # Both are rounded for print: a value that reads as its bound may lie on either side of it.
        if measured != target:
            assert (met == "yes") == (measured < target if better == "at most" else measured > target)


def test_the_recorded_suites_are_those_of_the_program() -> None:
    record = BENCHMARKS.read_text(encoding="utf-8").partition("<!-- bench: begin -->")[2]
    assert set(re.findall(r"^## (\w+)$", record.partition("<!-- bench: end -->")[0], re.MULTILINE)) <= set(
        SUITES
    )
