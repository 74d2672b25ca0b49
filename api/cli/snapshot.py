"""Commands about snapshots: create, list, verify, restore, prune."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from audit.signing import VerifierKey
    from vault.restoration import Restored
    from vault.snapshot_manifest import Manifest

app = typer.Typer(
    help="Copies of the sealed rows and the logs, signed, without any key.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_MEGABYTE = 1_000_000
DirectoryArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory of the snapshots, outside the vault's own.")
]
SnapshotArgument = Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="Folder of the snapshot, snp_….")]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="VKEY", help="The log's verifier key [default: the vault's own]."),
]


@app.command("create")
@called_by(administrator)
def create(call: Invocation, *, directory: DirectoryArgument) -> None:
    """Copy one state of the rows and the logs into a new folder, signed; writers go on meanwhile."""
    from api.cli.snapshot_shapes import SnapshotView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.snapshots import Snapshots  # noqa: PLC0415

    with call.session() as opened:
        made = Snapshots(opened.vault.parts).create(opened.principal, directory, opened.caller.purpose)
        key = str(opened.vault.parts.verifier_key)
    if call.as_json:
        print_json(SnapshotView.of(made.manifest, str(made.folder.path)))
        return
    say(str(made.folder.path))
    note(f"verify with: memvault snapshot verify {made.folder.path} --key {key}")
    note("it opens nothing without keys.db and the root key: back those up apart")


@app.command("list")
@called_by(administrator, without=("as_", "role", "tenant", "purpose"))
def list_(call: Invocation, *, directory: DirectoryArgument, key: KeyOption = None) -> None:
    """Show the snapshots of a directory with their age, oldest first by the log, as their signed manifests have it."""
    from api.cli.snapshot_shapes import SnapshotsView, SnapshotView, UnreadableView  # noqa: PLC0415
    from vault.snapshot_files import sorted_out  # noqa: PLC0415

    own, rest = sorted_out(directory, _keys(call, key))
    if call.as_json:
        shown = [SnapshotView.of(manifest, str(folder.path)) for folder, manifest in own]
        print_json(SnapshotsView(snapshots=shown, unreadable=[UnreadableView.of(one) for one in rest]))
        return
    for _, manifest in own:
        say(_line(manifest))
    for one in rest:
        say(f"{one.folder.path.name}  {one.reason}")


@app.command("verify")
@called_by(administrator, without=("as_", "role", "tenant", "purpose"))
def verify(call: Invocation, *, snapshot: SnapshotArgument, key: KeyOption = None) -> None:
    """Check a snapshot: signature, every chunk, its logs. With --key it needs no vault."""
    from api.cli.snapshot_shapes import SnapshotReportView  # noqa: PLC0415
    from vault.snapshot_check import verify_snapshot  # noqa: PLC0415
    from vault.snapshot_files import SnapshotFolder  # noqa: PLC0415

    report = verify_snapshot(SnapshotFolder(snapshot), _keys(call, key))
    if call.as_json:
        print_json(SnapshotReportView.of(report, str(snapshot)))
    else:
        if report.manifest is not None:
            say(_line(report.manifest))
        for finding in report.findings:
            say(str(finding))
        if report.more:
            say(f"and {report.more} more")
        say("passed" if report.passed else "FAILED")
    if not report.passed:
        raise typer.Exit(3)


@app.command("restore")
@called_by(administrator, without=("purpose",))
def restore(
    call: Invocation,
    *,
    snapshot: SnapshotArgument,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would change.")] = False,
    keep_held: Annotated[
        bool,
        typer.Option("--keep-held", help="Leave as it is what a legal hold keeps, and restore the rest."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="TENANT", help="Restore this tenant alone; several times if need be."),
    ] = None,
) -> None:
    """Put a snapshot's rows back into a closed vault; the log goes on, and what was erased stays away."""
    from api.assembly import read_passphrase, vault_options, vault_path  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415
    from api.cli.snapshot_shapes import RestoredView  # noqa: PLC0415
    from policies.model import Principal  # noqa: PLC0415
    from vault.restoration import RestoreTerms  # noqa: PLC0415
    from vault.restoring import restore_snapshot  # noqa: PLC0415

    settings = settings_for(call.vault)
    passphrase = None if settings.passphrase_file is None else read_passphrase(settings.passphrase_file)
    restored = restore_snapshot(
        vault_path(settings),
        snapshot,
        lambda tenants: Principal(
            call.caller.principal, call.caller.tenant or settings.tenant or tenants[0], call.caller.roles
        ),
        passphrase=passphrase,
        options=vault_options(settings),
        terms=RestoreTerms(None if only is None else frozenset(only), keep_held=keep_held, plan_only=plan),
    )
    if call.as_json:
        print_json(RestoredView.of(restored, planned=plan))
        return
    _tell(restored, planned=plan)


@app.command("prune")
@called_by(administrator)
def prune(
    call: Invocation,
    *,
    directory: DirectoryArgument,
    keep: Annotated[int, typer.Option("--keep", min=1, max=100_000, help="How many of the newest stay.")],
) -> None:
    """Remove this vault's snapshots in a directory, but for the newest ones."""
    from api.cli.snapshot_shapes import PrunedView, UnreadableView  # noqa: PLC0415
    from vault.snapshot_files import sorted_out  # noqa: PLC0415
    from vault.snapshots import Snapshots  # noqa: PLC0415

    with call.session() as opened:
        removed = Snapshots(opened.vault.parts).prune(
            opened.principal, directory, keep, opened.caller.purpose
        )
        _, rest = sorted_out(directory, opened.vault.parts.log.keys.verifiers)
    if call.as_json:
        print_json(PrunedView(removed=removed, unreadable=[UnreadableView.of(one) for one in rest]))
        return
    for snapshot_id in removed:
        say(snapshot_id)
    for one in rest:
        note(f"{one.folder.path.name} was not counted, and stays: {one.reason}")
    note(f"{counted(len(removed), 'snapshot', 'snapshots')} removed")


def _keys(call: Invocation, named: "list[str] | None") -> "tuple[VerifierKey, ...]":
    """Return the keys that were named, or the public halves of the vault's own; the vault is not opened."""
    from api.assembly import vault_path  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415
    from audit.key_file import load_key_file  # noqa: PLC0415
    from audit.signing import VerifierKey  # noqa: PLC0415
    from vault.storage.directory import VaultDirectory  # noqa: PLC0415

    if named:
        return tuple(VerifierKey.parse(one) for one in named)
    directory = VaultDirectory(vault_path(settings_for(call.vault)))
    directory.expect()
    return load_key_file(directory.log_key).verifiers


def _line(manifest: "Manifest") -> str:
    from vault.clock import from_microseconds  # noqa: PLC0415

    made = from_microseconds(manifest.time)
    age = datetime.now(UTC) - made
    days = f"{age.days} days" if age.days else f"{max(0, age.seconds) // 3600} hours"
    size = f"{manifest.file_bytes / _MEGABYTE:.1f} MB"
    return f"{manifest.snapshot_id}  {made:%Y-%m-%d %H:%M:%S}Z  {days:>9} old  {size:>10}"


def _tell(restored: "Restored", *, planned: bool) -> None:
    if restored.rows_were_lost:
        say("vault.db was lost: the snapshot's copy took its place")
    would = "would be " if planned else ""
    for one in restored.tenants:
        say(
            f"{one.tenant}: {counted(one.put_back, 'version', 'versions')} {would}put back,"
            f" {counted(one.lost, 'memory', 'memories')} written since {would}taken,"
            f" {counted(one.suppressed, 'memory', 'memories')} removed for good {would}left out,"
            f" {len(one.held)} held"
        )
    if restored.replayed:
        say(f"{counted(restored.replayed, 'tombstone or hold', 'tombstones and holds')} from the ledger")
    if restored.erasures:
        say(
            f"{counted(restored.erasures, 'erasure', 'erasures')} that the log had lost done anew:"
            " `memvault certificate show` gives the new certificates"
        )
    if restored.masked:
        say(
            f"{counted(restored.masked, 'version', 'versions')} masked that an older privacy gate had let pass"
        )
    if not planned and restored.rows_were_lost:
        note(
            "lost with the disk: the log since the snapshot, and with it payloads that were erased one by one,"
        )
        note("keys revoked, restrictions, objections, consents and retention decisions (docs/snapshots.md)")
    elif not planned:
        note("credentials, holds, erasures and the log are those of the present")
