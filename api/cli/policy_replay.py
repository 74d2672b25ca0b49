"""The command `memvault policy replay`: logged decisions decided anew under a candidate bundle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import note, print_json, say
from api.cli.policy import FAILED

if TYPE_CHECKING:
    from api.cli.policy_evidence import Evidence
    from policies.review.replay import Replay

SinceOption = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only decisions from then on, UTC."),
]


@called_by(auditor)
def replay(
    call: Invocation,
    *,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the candidate bundle.")],
    since: SinceOption = None,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An evidence bundle (`audit export`) instead of a vault's log."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VKEY", help="With --evidence: the log's verifier key, or a file of keys."),
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="With --evidence, without a key: believe the file as it is.")
    ] = False,
) -> None:
    """Say which logged decisions would end otherwise under another bundle, whom that affects, and what cannot be said."""
    from api.cli.policy_view import ReplayView  # noqa: PLC0415  # loads the vault; `--help` does not
    from policies.bundle import ACCESS_RULES, Bundle  # noqa: PLC0415
    from policies.review.replay import Replay  # noqa: PLC0415
    from policies.rule import parse_rules  # noqa: PLC0415

    _check(evidence, key, unverified=unverified)
    replaying = Replay(parse_rules(Bundle.read(bundle).text(ACCESS_RULES), ACCESS_RULES))
    start = None if since is None else since.replace(tzinfo=UTC)
    if evidence is None:
        read_log(call, replaying, start)
        view = ReplayView.of(replaying.result())
    else:
        shown = _read(evidence, key or [], start, replaying)
        view = ReplayView.of(replaying.result(), shown)
    if call.as_json:
        print_json(view)
        return
    for line in view.lines():
        say(line)


def read_log(call: Invocation, replaying: "Replay", since: datetime | None) -> None:
    """Have the decisions of the vault's log decided anew."""
    from vault.decision_log import DecisionLog  # noqa: PLC0415  # as above

    with call.session() as opened:
        for logged in DecisionLog(opened.vault.parts).read(opened.principal, opened.caller.purpose, since):
            replaying.take(logged)


def _check(evidence: Path | None, key: list[str] | None, *, unverified: bool) -> None:
    if evidence is None and (key or unverified):
        raise typer.BadParameter("expected these options together with --evidence", param_hint="--key")
    if evidence is not None and bool(key) == unverified:
        raise typer.BadParameter(
            "expected the log's verifier key, or --unverified, and not both", param_hint="--key"
        )


def _read(path: Path, keys: list[str], since: datetime | None, replaying: "Replay") -> "Evidence":
    from api.cli.policy_evidence import EvidenceRefusedError, read_evidence  # noqa: PLC0415  # as above
    from api.errors import NotCheckableError  # noqa: PLC0415
    from audit.offline import describe  # noqa: PLC0415

    try:
        return read_evidence(path, keys, since, replaying.take)
    except OSError as error:
        raise NotCheckableError(f"a file cannot be read: {error.strerror}") from None
    except EvidenceRefusedError as refused:
        for line in describe(refused.found):
            note(line)
        raise typer.Exit(FAILED) from None
