"""The command `memvault policy simulate`: what a candidate bundle would have decided otherwise, in sentences.

Owns the two ways to know: the vault's log so far decided anew, and what a running vault wrote while the candidate was on
trial (`MEMVAULT_POLICY_CANDIDATE_FOLDER`). Nothing is decided by a candidate in either.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, print_json, say
from api.cli.policy_replay import SinceOption, read_log

if TYPE_CHECKING:
    from audit.canonical import JsonValue
    from policies.review.trial import Trial


@called_by(auditor)
def simulate(
    call: Invocation,
    *,
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="Folder of the candidate; with --report only its trials."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Tell what running vaults wrote of candidates on trial.")
    ] = False,
    since: SinceOption = None,
) -> None:
    """Say in sentences what a candidate would decide otherwise: of the log so far, or as trials of it said."""
    start = None if since is None else since.replace(tzinfo=UTC)
    if report:
        _tell_trials(call, bundle, start)
        return
    if bundle is None:
        raise typer.BadParameter("expected a candidate's folder, or --report", param_hint="BUNDLE")
    from api.cli.policy_trial_view import DisagreementView, SimulationView  # noqa: PLC0415  # `--help` loads little
    from api.cli.policy_view import ReplayView  # noqa: PLC0415
    from policies.bundle import ACCESS_RULES, Bundle  # noqa: PLC0415
    from policies.review.replay import Replay  # noqa: PLC0415
    from policies.review.trial import disagreements  # noqa: PLC0415
    from policies.rule import parse_rules  # noqa: PLC0415

    replaying = Replay(parse_rules(Bundle.read(bundle).text(ACCESS_RULES), ACCESS_RULES))
    read_log(call, replaying, start)
    found = replaying.result()
    shown = [DisagreementView.of(one) for one in disagreements(found.flips)]
    view = SimulationView(disagreements=shown, replay=ReplayView.of(found))
    if call.as_json:
        print_json(view)
        return
    for line in view.lines():
        say(line)


def _tell_trials(call: Invocation, bundle: Path | None, since: datetime | None) -> None:
    from api.cli.policy_trial_view import TrialsView, TrialView  # noqa: PLC0415  # as above
    from policies.bundle import Bundle  # noqa: PLC0415
    from vault.decision_log import DecisionLog  # noqa: PLC0415

    only = None if bundle is None else Bundle.read(bundle).digest
    with call.session() as opened:
        log = DecisionLog(opened.vault.parts)
        payloads = (
            (index, header.purpose, payload)
            for index, header, payload in log.trials(opened.principal, opened.caller.purpose, since)
        )
        trials, erased = _gathered(payloads)
    shown = [TrialView.of(one) for one in trials if only in (None, one.candidate)]
    view = TrialsView(trials=shown, erased=erased)
    if call.as_json:
        print_json(view)
        return
    for trial in view.trials:
        for line in trial.lines():
            say(line)
    if not view.trials:
        say("no trial of a candidate is told of" + (" by this digest" if only else ""))
    if erased:
        say(f"{counted(erased, 'entry', 'entries')} of trials cannot be read: payload erased")


def _gathered(
    entries: "Iterable[tuple[int, str | None, dict[str, JsonValue] | None]]",
) -> "tuple[list[Trial], int]":
    """Return what entries say, by candidate in the order of their first entries, and how many say nothing any more."""
    from policies.review.trial import Trial  # noqa: PLC0415  # as above

    trials, erased = dict[str, Trial](), 0
    for index, purpose, payload in entries:
        if payload is None:
            erased += 1
            continue
        name = str(payload.get("candidate"))
        trial = trials.setdefault(name, Trial(name))
        count = payload.get("count")
        number = count if isinstance(count, int) else 0
        match payload.get("kind"):
            case "began":
                trial.began += 1
            case "ended":
                trial.ended += 1
                trial.untold += number
            case _:
                asked, principal = str(payload.get("asked")), str(payload.get("principal"))
                trial.differs(index, principal, purpose, asked, number)
    return list(trials.values()), erased
