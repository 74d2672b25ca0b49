"""The command `memvault policy replay`: logged decisions decided anew under a candidate bundle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import print_json, say


@called_by(auditor)
def replay(
    call: Invocation,
    *,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the candidate bundle.")],
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only decisions from then on, UTC."),
    ] = None,
) -> None:
    """Say which logged decisions would end otherwise under another bundle, whom that affects, and what cannot be said."""
    from api.cli.policy_view import ReplayView  # noqa: PLC0415  # loads the vault; `--help` does not
    from policies.bundle import ACCESS_RULES, Bundle  # noqa: PLC0415
    from policies.review.replay import replay as decided_anew  # noqa: PLC0415
    from policies.rule import parse_rules  # noqa: PLC0415
    from vault.decision_log import DecisionLog  # noqa: PLC0415

    rules = parse_rules(Bundle.read(bundle).text(ACCESS_RULES), ACCESS_RULES)
    with call.session() as opened:
        start = None if since is None else since.replace(tzinfo=UTC)
        logged = DecisionLog(opened.vault.parts).read(opened.principal, opened.caller.purpose, start)
        view = ReplayView.of(decided_anew(rules, logged))
    if call.as_json:
        print_json(view)
        return
    for line in view.lines():
        say(line)
