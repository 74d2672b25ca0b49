"""Putting a snapshot back: the log is never rolled back, and what was erased since stays away.

    restored = restore_snapshot(Path("/srv/vault"), Path("/mnt/backup/snp_01kt…"), administrator)

Owns who may have the vault meanwhile, and what a crash leaves. It leaves rows and entries to `vault.restoration`,
which rows change to `vault.restore_plan`, and what must not come back to `vault.tombstones`, the ledger and the keys.

Where the vault has its `vault.db`, the tables of content become those of the snapshot in one transaction, together
with the entries that tell of it; everything else (the logs, tombstones, holds, erasures, credentials, restrictions,
jobs) stays that of the present. A crash leaves the one state or the other.

Where `vault.db` is lost, the snapshot's copy takes its place first. A marker stands in the directory until the ledger
was replayed, erasures that the log lost were done anew, and what came back went through the present privacy gate:
nobody opens the vault before. A log that an anchor or a witness saw longer is refused, as ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from audit.errors import KeyFileUnsafeError as LogKeyFileUnsafeError
from audit.key_file import load_key_file
from policies.model import Principal
from vault.erasure import finish_erasures
from vault.errors import (
    ConflictError,
    KeyFileUnsafeError,
    LogRolledBackError,
    StoreCorruptError,
)
from vault.opening import Vault, VaultOptions
from vault.parts import Parts
from vault.rescan import Rescan
from vault.restoration import Restoration, Restored, RestoreTerms
from vault.snapshot_files import SnapshotFolder, sync_folder, translated_files, write_private
from vault.snapshot_manifest import Manifest
from vault.storage.directory import VaultDirectory


def restore_snapshot(
    path: Path,
    snapshot: Path,
    principal: Principal | Callable[[Sequence[str]], Principal],
    *,
    passphrase: str | None = None,
    options: VaultOptions | None = None,
    terms: RestoreTerms | None = None,
) -> Restored:
    """Put a snapshot back into a vault that nobody has open.

    Args:
        path: The vault's directory.
        snapshot: Folder of the snapshot.
        principal: Who asks: an administrator; or makes one of the vault's tenants.
        passphrase: Of the root key, where it has one.
        options: For opening.
        terms: None: all of it, refused where a hold forbids a change.

    Raises:
        NotFoundError: there is no vault, or no snapshot.
        VaultInUseError: somebody has the vault open.
        DeniedError: not allowed; the denial is logged.
        SnapshotForeignError: the snapshot is another vault's, or its log is not the beginning of this one's.
        TamperedError: the snapshot is not what was signed.
        StoreVersionError: it is of a newer version.
        HeldError: a legal hold forbids it; the refusal is logged, nothing changed.
        ConflictError: an erasure is under way: it has to be finished first; or the rows were lost, and not all tenants
            are asked for.
        VaultError: or whatever else keeps the vault from being opened; nothing changed.
    """
    directory, folder = VaultDirectory(path), SnapshotFolder(snapshot)
    directory.expect()
    try:
        manifest = folder.read_manifest(load_key_file(directory.log_key).verifiers)
    except LogKeyFileUnsafeError as error:
        raise KeyFileUnsafeError(str(error)) from None
    asked = terms or RestoreTerms()
    lost = _place(directory, folder, manifest, asked)
    try:
        vault = Vault.open_to_restore(path, passphrase, options or VaultOptions())
    except LogRolledBackError:
        if lost:  # nothing was appended to it: all is as it was before
            _withdraw(directory)
        raise
    with vault:
        who = principal(vault.parts.store.tenants()) if callable(principal) else principal
        restored = Restoration(vault.parts, folder, manifest, asked, directory.restoring_rows, lost).run(who)
        if not asked.plan_only:
            restored = _settled(vault.parts, restored)
            directory.restoring.unlink(missing_ok=True)
            sync_folder(directory.path)
    return restored


def _settled(parts: Parts, restored: Restored) -> Restored:
    """Do before anybody is served what the snapshot is behind with: erasures, and what a newer gate masks.

    A crash in the midst of it leaves the marker of a lost disk: the same is begun again.
    """
    finish_erasures(parts, [plan.tenant for plan in restored.tenants])
    behind = [plan.tenant for plan in restored.tenants if restored.rows_were_lost or plan.put_back]
    return replace(restored, masked=sum(Rescan(parts).run(tenant).masked for tenant in behind))


def _place(
    directory: VaultDirectory, folder: SnapshotFolder, manifest: Manifest, asked: RestoreTerms
) -> bool:
    """Put the snapshot's copy where `vault.db` was lost; say whether it was."""
    held = directory.hold()
    try:
        directory.clear_restoring()
        begun = directory.restoring.exists()
        if directory.rows.exists() and not begun:
            return False
        if asked.tenants is not None:
            # Threat: the copy brings every tenant's rows back; one that is left out would be served without its
            # ledger, with the erased and the expired in it, and without its holds.
            raise ConflictError("vault.db was lost: all tenants have to be restored together, none by itself")
        if directory.rows.exists():
            return True
        if asked.plan_only:
            raise StoreCorruptError("vault.db is missing: nothing can be compared with the snapshot")
        for beside in ("-wal", "-journal"):
            if directory.rows.with_name(f"{directory.rows.name}{beside}").exists():
                raise StoreCorruptError(
                    f"vault.db is missing, and vault.db{beside} is there: it holds the end of the log;"
                    " move it away and keep it"
                )
        with translated_files():
            directory.restoring.unlink(missing_ok=True)
            write_private(directory.restoring, f"{manifest.snapshot_id}\n".encode())
            sync_folder(directory.path)
            try:
                folder.copy_rows(directory.restoring_rows, manifest)
                directory.restoring_rows.rename(directory.rows)
            except BaseException:
                directory.restoring.unlink(missing_ok=True)
                raise
            sync_folder(directory.path)
    finally:
        held.release()
    return True


def _withdraw(directory: VaultDirectory) -> None:
    held = directory.hold()
    try:
        for file in directory.path.glob(f"{directory.rows.name}*"):
            file.unlink()
        directory.restoring.unlink(missing_ok=True)
        sync_folder(directory.path)
    finally:
        held.release()
