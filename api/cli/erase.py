"""The command that erases a person: a plan unless it is confirmed."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Invocation, called_by, officer
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from vault.erasing.plan import ErasurePlan

STDIN: Final = "-"
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="Name of the person; - reads it from standard input: argv can be seen."
    ),
]


@called_by(officer)
def erase(
    call: Invocation,
    *,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT", help="Name of the person; - reads it from standard input: argv can be seen."
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only look what it would take: the default.")] = False,
    confirm: Annotated[
        str | None, typer.Option(metavar="PLAN", help="Erase, for good: the digest that the plan showed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Finish what a crash interrupted.")] = False,
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="FILE", help="A new file for the certificate.")
    ] = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="A new file for the certificate to be printed.")
    ] = None,
) -> None:
    """Erase all that is known of a person, and certify it; without --confirm, show what that would take."""
    if resume:
        if subject is not None or plan or confirm is not None:
            raise typer.BadParameter("expected nothing beside it", param_hint="--resume")
        _resume(call)
        return
    if subject is None:
        raise typer.BadParameter("expected the name of a person", param_hint="SUBJECT")
    if plan and confirm is not None:
        raise typer.BadParameter("expected a plan or a confirmation", param_hint="--plan")
    if (out or html) and confirm is None:
        raise typer.BadParameter("expected a file only with --confirm", param_hint="--out")
    if confirm is None:
        _plan(call, subject_of(call, subject))
    else:
        _erase(call, subject_of(call, subject), confirm, out, html)


def subject_of(call: Invocation, given: str) -> str:
    """Return the name that was given, or the line on standard input."""
    if given != STDIN:
        return given
    from api.cli.sources import read_stream  # noqa: PLC0415
    from vault.pipeline.documents import decode  # noqa: PLC0415

    limits = call.limits()
    return decode(read_stream(sys.stdin.buffer, limits), limits.document_bytes).strip()


def _plan(call: Invocation, name: str) -> None:
    from api.cli.certificate_view import PlanView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.erasure import Erasures  # noqa: PLC0415

    with call.session() as opened:
        found = Erasures(opened.vault.parts).plan(opened.principal, name, opened.caller.purpose)
    if call.as_json:
        print_json(PlanView.of(found))
        return
    _tell(found)


def _tell(plan: "ErasurePlan") -> None:
    from vault.erasing.plan import NOTHING  # noqa: PLC0415

    say(f"subject       {plan.subject}")
    for kind, count in sorted(plan.counts.items()):
        say(f"removed       {kind}: {count}")
    say(f"keys          {counted(plan.keys, 'version', 'versions')} destroyed")
    if plan.others:
        say(f"joint         shredded for {counted(plan.others, 'other person', 'other persons')}, too")
    if plan.entries is not None:
        kept = len(plan.entries.shared) + len(plan.entries.fixed)
        say(f"log           payloads dropped: {len(plan.entries.alone)}, kept: {kept}")
        say(f"              headers that stay: {plan.entries.headers}")
    say(f"queue         {counted(plan.waiting, 'text', 'texts')} dropped")
    say(
        f"holds         {', '.join(plan.holds) or 'none'}: {counted(len(plan.held), 'memory', 'memories')} held"
    )
    say("packages      none sent: this version makes none")
    oldest = f", the oldest of {plan.snapshots[0].made:%Y-%m-%d}" if plan.snapshots else ""
    say(f"snapshots     {len(plan.snapshots)} known{oldest}: what they hold of the person opens no more")
    horizon = plan.backup_horizon_days
    say(f"backups       {'horizon unknown' if horizon is None else f'gone after {horizon} days'}")
    if plan.erasure is not None:
        say(f"erasure       {plan.erasure} was begun or done before")
    say(f"plan          {plan.digest}")
    if not plan.found:
        note(NOTHING)
    elif plan.holds:
        note("a legal hold forbids it")
    else:
        note(f"nothing was changed; to erase for good: --confirm {plan.digest}")


def _erase(call: Invocation, name: str, digest: str, out: str | None, html: str | None) -> None:
    from api.cli.audit_export import new_file  # noqa: PLC0415
    from api.cli.certificate_page import certificate_page  # noqa: PLC0415
    from api.cli.certificate_view import ErasedView  # noqa: PLC0415
    from vault.erasure import Erasures  # noqa: PLC0415

    with (
        ExitStack() as files
    ):  # made before anything is erased: what is gone must not end as if it were refused
        targets = [files.enter_context(new_file(named)) if named else None for named in (out, html)]
        with call.session() as opened:
            erased = Erasures(opened.vault.parts).erase(opened.principal, name, digest, opened.caller.purpose)
            key = opened.vault.parts.verifier_key
        for target, content in zip(targets, (erased.certificate, certificate_page(erased, key)), strict=True):
            if target is not None:
                target.write(content)
    if call.as_json:
        shown = ErasedView(
            erasure=erased.erasure_id,
            subject=erased.subject,
            again=erased.again,
            file=out,
            verifier_key=str(key),
        )
        print_json(shown)
        return
    say(f"{erased.erasure_id} of {erased.subject} is done" + (", since before" if erased.again else ""))
    where = out or "FILE"
    if out is None:
        note("its certificate: memvault certificate show SUBJECT -o FILE")
    note(f"verify with: memvault certificate verify {where} --key {key}")


def _resume(call: Invocation) -> None:
    from api.cli.certificate_view import ResumedView  # noqa: PLC0415
    from vault.erasure import Erasures  # noqa: PLC0415

    with call.session() as opened:
        done = Erasures(opened.vault.parts).resumed_by(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(ResumedView(erasures=list(done)))
        return
    for erasure in done:
        say(f"{erasure} is done")
    if not done:
        note("no erasure is left unfinished")
