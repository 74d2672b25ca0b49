"""Commands about the log: tail, checkpoint, and verifying it inside the vault."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, print_json, say

if TYPE_CHECKING:
    from api.schemas.views import ReportView

app = typer.Typer(help="Read, verify and export the audit log.", no_args_is_help=True, rich_markup_mode=None)


@app.command("tail")
@called_by(auditor)
def tail(
    call: Invocation,
    *,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="How many entries.")] = 20,
    start: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="First index [default: the last entries].")
    ] = None,
) -> None:
    """Show entries, oldest first. Looking is an entry, too."""
    from api.schemas.views import EntriesView, EntryView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        entries = opened.memory.entries(start=start, limit=count, purpose=opened.caller.purpose)
    if call.as_json:
        print_json(EntriesView(entries=[EntryView.of(entry) for entry in entries]))
        return
    for entry in entries:
        head = entry.header
        say(
            f"{entry.index:>6}  {head.time:%Y-%m-%d %H:%M:%S}  {head.event:<17} {head.outcome:<9} "
            f"{head.principal:<16} {head.purpose or '-':<10} {head.resource or '-'}"
            f"{'' if entry.erased_by is None else f'  payload erased by {entry.erased_by}'}"
        )


@app.command("checkpoint")
@called_by(auditor)
def checkpoint(call: Invocation) -> None:
    """Sign the log as it stands and print the note: keep it, and a cut tail will show."""
    from api.schemas.views import CheckpointView  # noqa: PLC0415

    with call.session() as opened:
        signed = opened.memory.checkpoint(purpose=opened.caller.purpose)
    if call.as_json:
        print_json(CheckpointView.of(signed))
        return
    sys.stdout.write(signed.signed.note.decode())


def verify_vault(call: Invocation) -> None:
    """Verify every tenant's log, or the one that is named, say what was found, and end with 3 if it fails.

    Raises:
        NotCheckableError: the store cannot be read to its end, or cannot take the entry of this.
    """
    from api.errors import NotCheckableError  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.errors import StorageError  # noqa: PLC0415

    try:
        report = _verified(call)
    except StorageError as error:
        raise NotCheckableError(str(error)) from None
    _print_report(report, as_json=call.as_json)
    if not report.passed:
        raise typer.Exit(3)


def _verified(call: Invocation) -> "ReportView":
    from api.assembly import memory_of  # noqa: PLC0415
    from api.schemas.views import ReportView  # noqa: PLC0415

    purpose = call.caller.purpose
    with call.session() as opened:
        tenants = opened.vault.parts.store.tenants()
        named = call.caller.tenant or opened.settings.tenant
        reports = []
        for tenant in [named] if named else tenants:
            memory = memory_of(opened.vault, opened.principal_at(tenant), purpose)
            found = memory.verify(purpose=purpose)
            shown = ReportView.of(found.log, found.rows_checked, found.row_findings, found.row_warnings)
            reports.append(
                shown.model_copy(update={"more_findings": shown.more_findings + found.more_row_findings})
            )
    return ReportView(
        passed=all(report.passed for report in reports),
        logs=list({log.log: log for report in reports for log in report.logs}.values()),
        rows_checked=sum(report.rows_checked or 0 for report in reports),
        findings=[finding for report in reports for finding in report.findings],
        more_findings=sum(report.more_findings for report in reports),
        warnings=[warning for report in reports for warning in report.warnings],
    )


def _print_report(report: "ReportView", *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    for log in report.logs:
        say(
            f"{log.log:<16} {counted(log.size, 'entry', 'entries')}, {log.signed_size} signed, {log.erased} erased, root {log.root}"
        )
    if report.rows_checked is not None:
        say(f"{'rows':<16} {report.rows_checked} compared with the log")
    for mark, found in (("warning", report.warnings), ("FAILED", report.findings)):
        for finding in found:
            place = finding.log if finding.index is None else f"{finding.log}[{finding.index}]"
            say(f"{mark:<16} {place}: {finding.check}: expected {finding.expected}, got {finding.got}")
    if report.more_findings:
        say(f"and {report.more_findings} more")
    say("verified" if report.passed else "verification failed")
