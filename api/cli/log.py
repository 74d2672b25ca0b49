"""Commands about the log: tail, verify, checkpoint, export."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, note, print_json, say

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


@app.command("export")
@called_by(auditor)
def export(
    call: Invocation,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is standard output.")],
) -> None:
    """Write the tenant's log as an evidence bundle that can be verified without the vault."""
    from api.cli.shapes import ExportView  # noqa: PLC0415

    with call.session() as opened:
        memory = opened.memory
        with _new_file(file) as target:
            count = memory.export(target, purpose=opened.caller.purpose).entries
        key = str(opened.vault.parts.verifier_key)
    if call.as_json and file != "-":
        print_json(ExportView(file=file, entries=count, verifier_key=key))
        return
    note(f"{counted(count, 'entry', 'entries')}; verify with: memvault audit verify {file} --key {key}")


@contextmanager
def _new_file(name: str) -> Iterator[BinaryIO]:
    """Open a file that did not exist, for its owner alone; what was begun is removed on failure."""
    from vault.errors import ConflictError, StorageError  # noqa: PLC0415

    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConflictError("the file exists already; it is not overwritten") from None
    except OSError as error:
        raise StorageError(f"the file cannot be made: {error.strerror}") from None
    whole = False
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
        whole = True
    finally:
        if not whole:
            Path(name).unlink(missing_ok=True)


@app.command("verify")
@called_by(auditor)
def verify(
    call: Invocation,
    *,
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="A bundle to verify offline; none verifies the vault."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="VKEY", help="The log's verifier key, from elsewhere than the bundle."),
    ] = None,
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A file with that key.")] = None,
    remembered: Annotated[
        list[Path] | None,
        typer.Option(metavar="NOTE", help="A checkpoint that was kept: only these show that a tail was cut."),
    ] = None,
) -> None:
    """Recompute the whole log: of the vault, against its rows; or of a bundle, with a public key only."""
    if (bundle is None) != (key is None and key_file is None) or (key is not None and key_file is not None):
        raise typer.BadParameter("expected a bundle together with --key or --key-file", param_hint="BUNDLE")
    if bundle is None:
        report = _verify_vault(call)
    else:
        report = _verify_bundle(bundle, key, key_file, remembered or [])
    _print_report(report, as_json=call.as_json)
    if not report.passed:
        raise typer.Exit(3)


def _verify_vault(call: Invocation) -> "ReportView":
    """Verify every tenant's log, or the one that is named."""
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
            shown = ReportView.of(found.log, found.rows_checked, found.row_findings)
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


def _verify_bundle(
    bundle: Path, key: str | None, key_file: Path | None, remembered: list[Path]
) -> "ReportView":
    from api.errors import NotCheckableError  # noqa: PLC0415
    from api.schemas.views import ReportView  # noqa: PLC0415
    from audit.signing import VerifierKey  # noqa: PLC0415
    from audit.trust import Trust  # noqa: PLC0415
    from audit.verify_bundle import verify_bundle  # noqa: PLC0415
    from vault.clock import system_clock  # noqa: PLC0415

    try:
        text = key if key_file is None else key_file.read_text("ascii")
        trusted = VerifierKey.parse((text or "").strip())
        notes = [file.read_bytes() for file in remembered]
        with bundle.open("rb") as file:
            found = verify_bundle(file, Trust((trusted,)), remembered=notes, now=system_clock())
    except OSError as error:
        raise NotCheckableError(f"a file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotCheckableError("expected the key file to be text") from None
    return ReportView.of(found.report)


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
