"""Assembly: settings become an open vault, and an open vault somebody's memory.

The only place at the edge that wires objects. It leaves reading the environment to `api.settings`, the
order in which a vault's parts come to life to `vault.opening`, and what may be done to `policies`.
"""

import os
import stat
from pathlib import Path
from typing import Final

from api.errors import SettingsInvalidError
from api.settings import Settings
from audit.signing import VerifierKey
from lifecycle.catalogue import catalogue
from lifecycle.queue_worker import QueueWorkers
from lifecycle.running import Scheduled
from lifecycle.timetable import Timetable
from policies.bundle import Bundle
from policies.loading import load_folder
from policies.model import Principal, Purpose
from vault.bundles.signatures import read_keys
from vault.bundles.source import BundleSource, shipped
from vault.crypto.patience import PatienceLimits
from vault.crypto.transit_place import TransitAuth, TransitPlace
from vault.errors import InputInvalidError, KeyFileUnsafeError, KeyWrongError, TextInvalidError
from vault.memos import MemOS
from vault.notices import FolderNotifier
from vault.opening import Vault, VaultOptions, default_path
from vault.outside import Places
from vault.parts import SnapshotPlace

_MAX_PASSPHRASE_FILE: Final = 8_192


def vault_path(settings: Settings) -> Path:
    """Return the directory of the vault that the settings mean."""
    return settings.vault if settings.vault is not None else default_path()


def own_policies(settings: Settings) -> Path:
    """Return where a vault keeps the bundle that it was made with (`memvault init --profile`)."""
    return vault_path(settings) / "policies"


def policies_of(settings: Settings) -> BundleSource | None:
    """Return where the settings say that the bundle lies: in the folder they name, else in the vault's own.

    Returns:
        None where the bundle that ships is used.

    Raises:
        PolicyInvalidError: the file of keys is none.
    """
    folder = settings.policy_folder
    if folder is None and own_policies(settings).is_dir():
        folder = own_policies(settings)
    return None if folder is None else BundleSource(folder, policy_keys(settings))


def policy_keys(settings: Settings) -> tuple[VerifierKey, ...]:
    """Return the keys of which one has to have signed the bundle; none where nobody has to.

    Raises:
        PolicyInvalidError: the file of keys is none.
    """
    return () if settings.policy_keys is None else read_keys(settings.policy_keys)


def bundle_of(settings: Settings) -> Bundle | None:
    """Return the bundle that the settings mean; None is the one that ships.

    Raises:
        PolicyInvalidError: lint refuses it, its own cases do, or nobody signed it who has to.
    """
    policies = policies_of(settings)
    if policies is not None:
        return policies.load()
    keys = policy_keys(settings)
    return shipped(keys) if keys else None


def vault_options(settings: Settings) -> VaultOptions:
    """Return what the settings say about how a vault is opened."""
    return VaultOptions(
        limits=settings.limits,
        embedding_threads=settings.embedding_threads,
        bundle=bundle_of(settings),
        policies=policies_of(settings),
        candidate=None
        if settings.policy_candidate_folder is None
        else load_folder(settings.policy_candidate_folder),
        outside=places_of(settings),
        backup_horizon_days=settings.backup_horizon_days,
        snapshots=None
        if settings.snapshot_folder is None
        else SnapshotPlace(settings.snapshot_folder, settings.snapshots_kept),
        transit=transit_of(settings),
        notifier=None if settings.notice_folder is None else FolderNotifier(settings.notice_folder),
    )


def jobs_of(settings: Settings) -> tuple[Scheduled, ...]:
    """Return all jobs, at the times that the settings say.

    Raises:
        SettingsInvalidError: a setting names no job, or a time that is none.
    """
    try:
        return catalogue(settings.jobs)
    except InputInvalidError as error:
        raise SettingsInvalidError(f"MEMVAULT_JOBS: {error}") from None


def start_timetable(vault: Vault, settings: Settings) -> Timetable | None:
    """Have an open vault's jobs run when they are due, until it is closed; None where the settings say not to.

    Raises:
        SettingsInvalidError: see `jobs_of`.
    """
    jobs = jobs_of(settings)
    if not settings.timetable:
        return None
    timetable = Timetable(vault.parts, jobs, current=lambda: vault.parts)
    vault.before_close(timetable.end)
    timetable.start()
    return timetable


def start_workers(vault: Vault, settings: Settings) -> QueueWorkers | None:
    """Have what was put off done until an open vault is closed; None where the settings say not to."""
    if not settings.workers:
        return None
    workers = QueueWorkers(lambda: vault.parts, threads=settings.workers)
    vault.before_close(workers.end)
    workers.start()
    return workers


def transit_of(settings: Settings) -> TransitPlace | None:
    """Return where the settings say that the root's server is; None where the root is a key file.

    Raises:
        InputInvalidError: a setting is not of its form, or plain HTTP would leave this machine.
    """
    url, key, file = settings.transit_url, settings.transit_key, settings.transit_credential_file
    if url is None or key is None or file is None:
        return None
    return TransitPlace(
        url=url,
        key=key,
        credential_file=file,
        mount=settings.transit_mount,
        namespace=settings.transit_namespace,
        auth=TransitAuth(settings.transit_auth),
        auth_mount=settings.transit_auth_mount,
        role=settings.transit_role,
        ca_file=settings.transit_ca_file,
        certificate_file=settings.transit_certificate_file,
        certificate_key_file=settings.transit_certificate_key_file,
        patience=PatienceLimits(seconds=settings.transit_seconds),
    )


def places_of(settings: Settings) -> Places:
    """Return where the settings say that anchor and witnesses are."""
    return Places(
        anchor=settings.anchor_file,
        witness_urls=settings.witness_urls,
        witness_authorities=settings.witness_authorities_file,
        witness_seconds=settings.witness_seconds,
        time_stamp_url=settings.timestamp_url,
        time_stamp_roots=settings.timestamp_roots_file,
        time_stamp_seconds=settings.timestamp_seconds,
    )


def open_vault(settings: Settings, options: VaultOptions | None = None) -> Vault:
    """Open the vault that the settings mean.

    Raises:
        VaultError: or one of its kinds: see `Vault.open` and `read_passphrase`.
    """
    passphrase = None if settings.passphrase_file is None else read_passphrase(settings.passphrase_file)
    return Vault.open(vault_path(settings), passphrase=passphrase, options=options or vault_options(settings))


def create_vault(
    settings: Settings, *, tenant: str, deployment: str, options: VaultOptions | None = None
) -> Vault:
    """Make the vault that the settings mean, and open it.

    Raises:
        VaultError: or one of its kinds: see `Vault.create` and `read_passphrase`.
        RequestInvalidError: an id is not acceptable.
    """
    passphrase = None if settings.passphrase_file is None else read_passphrase(settings.passphrase_file)
    return Vault.create(
        vault_path(settings),
        tenant=tenant,
        deployment=deployment,
        passphrase=passphrase,
        options=options or vault_options(settings),
    )


def memory_of(vault: Vault, principal: Principal, purpose: Purpose, emergency: str | None = None) -> MemOS:
    """Return one principal's view of an open vault, under an emergency of the principal's where one is named.

    Raises:
        NotFoundError: the vault does not know the principal's tenant.
    """
    return MemOS(vault, principal=principal, purpose=purpose, emergency=emergency)


def read_passphrase(path: Path) -> str:
    """Return the one line of a passphrase file, without its newline.

    Raises:
        KeyWrongError: there is no such file: like a passphrase that is missing.
        KeyFileUnsafeError: others may read it, or it is no regular file of one short line.
        TextInvalidError: it is not UTF-8.
    """
    try:
        content = _read_private(path)
    except FileNotFoundError:
        raise KeyWrongError("there is no passphrase file at the path that was given") from None
    except OSError as error:
        raise KeyFileUnsafeError(f"the passphrase file cannot be read: {error.strerror}") from None
    try:
        line = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # The cause is dropped: it holds the passphrase.
        raise TextInvalidError("expected the passphrase file to be UTF-8") from None
    if len(content) > _MAX_PASSPHRASE_FILE or "\n" in line:
        raise KeyFileUnsafeError(f"expected one line of at most {_MAX_PASSPHRASE_FILE} bytes")
    return line


def _read_private(path: Path) -> bytes:
    """Read a file after checking the very file that was opened, so that it cannot be swapped between."""
    # O_NONBLOCK: opening a FIFO must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise KeyFileUnsafeError("expected the passphrase file to be a regular file of mode 0600 or less")
        return os.read(descriptor, _MAX_PASSPHRASE_FILE + 1)
    finally:
        os.close(descriptor)
