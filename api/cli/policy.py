"""Commands that review policies: they read bundles, and need no vault.

Owns the group, `lint` and `test`. What the findings mean is `policies.review`'s.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import JsonOption
from api.cli.output import counted, note, print_json, reported, say

if TYPE_CHECKING:
    from policies.bundle import Bundle

app = typer.Typer(
    help="Review policies like code: what a bundle says, and what a change of it would change.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
BundleArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="BUNDLE", help="Folder of a bundle [default: the one that a vault here opens with]."
    ),
]
FAILED: Final = 3
"""Exit code of a bundle that does not pass."""


class LintFormat(StrEnum):
    """What findings are written as."""

    TEXT = "text"
    SARIF = "sarif"


def bundle_folder(given: Path | None) -> Path:
    """Return the folder of a bundle that is named, or of the one that a vault here opens with.

    Raises:
        SettingsInvalidError: a variable is unknown or malformed.
    """
    from api.settings import read_settings  # noqa: PLC0415  # `--help` reads no environment
    from policies.bundle import SHIPPED  # noqa: PLC0415

    return given or read_settings().policy_folder or SHIPPED


def read_bundle(given: Path | None) -> "Bundle":
    """Read a bundle, as a vault would.

    Raises:
        PolicyInvalidError: it is none.
        SettingsInvalidError: a variable is unknown or malformed.
    """
    from policies.bundle import Bundle  # noqa: PLC0415  # `--help` loads no policies

    return Bundle.read(bundle_folder(given))


@app.command("lint")
def lint_bundle(
    bundle: BundleArgument = None,
    form: Annotated[LintFormat, typer.Option("--format", help="Text, or SARIF 2.1.0 for a forge.")] = (
        LintFormat.TEXT
    ),
    prefix: Annotated[
        str,
        typer.Option("--prefix", metavar="PATH/", help="With sarif: the bundle's path in the repository."),
    ] = "",
    *,
    json_: JsonOption = False,
) -> None:
    """Find what is wrong with a bundle, line by line; ends with 3 if a vault would not load it."""
    from importlib.metadata import version  # noqa: PLC0415  # only when asked

    from api.cli.policy_view import FindingsView  # noqa: PLC0415
    from policies.bundle import Bundle  # noqa: PLC0415
    from policies.review.lint import clean, lint  # noqa: PLC0415
    from policies.review.sarif import sarif  # noqa: PLC0415

    with reported(as_json=json_):
        findings = lint(Bundle.raw(bundle_folder(bundle)))
    if form is LintFormat.SARIF:
        typer.echo(sarif(findings, version("memos-vault"), prefix))
    elif json_:
        print_json(FindingsView.of(findings))
    else:
        for finding in findings:
            say(str(finding))
        note(
            counted(len(findings), "finding", "findings") + ("" if clean(findings) else ": it is not loaded")
        )
    if not clean(findings):
        raise typer.Exit(FAILED)


@app.command("test")
def run_cases(
    bundle: BundleArgument = None,
    *,
    mutants: Annotated[
        bool,
        typer.Option(
            "--mutants/--no-mutants", help="Change each rule in each way, and see that a case fails."
        ),
    ] = True,
    json_: JsonOption = False,
) -> None:
    """Run a bundle's cases, and see that they would notice any change of a rule; ends with 3 if not."""
    from api.cli.policy_view import TestView  # noqa: PLC0415
    from policies.bundle import ACCESS_RULES, ACCESS_TESTS  # noqa: PLC0415
    from policies.review.cases import covered_rules, failures, parse_cases  # noqa: PLC0415
    from policies.review.mutation import mutate  # noqa: PLC0415
    from policies.rule import parse_rules  # noqa: PLC0415
    from policies.space import answers  # noqa: PLC0415

    with reported(as_json=json_):
        read = read_bundle(bundle)
        rules = parse_rules(read.text(ACCESS_RULES), ACCESS_RULES)
        cases = parse_cases(read.text(ACCESS_TESTS), ACCESS_TESTS)
    view = TestView.of(
        rules,
        cases,
        failures(cases, answers(rules)),
        covered_rules(cases, rules),
        mutate(rules, cases) if mutants else None,
    )
    if json_:
        print_json(view)
    else:
        for line in view.lines():
            say(line)
    if not view.passed:
        raise typer.Exit(FAILED)
