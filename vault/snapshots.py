"""Snapshots: a copy of one state of the data, made while the vault is in use, signed, without any key.

    snapshots = Snapshots(vault.parts)
    made = snapshots.create(administrator, Path("/mnt/backup"))
    snapshots.prune(administrator, Path("/mnt/backup"), keep=7)

Owns making and removing them, and knowing which there are. It leaves files to `vault.snapshot_files`, the manifest to
`vault.snapshot_manifest`, checking one to `vault.snapshot_check`, and putting one back to `vault.restoring`.

The copy holds sealed rows and the logs. Keys stand in `keys.db` and `root.key`, which are never copied here: who has
a snapshot alone reads nothing, and what was sealed under a key that is destroyed later never opens again, in any
snapshot. So `keys.db` has to be backed up apart, and for a shorter time.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, parse_header
from audit.evidence import SYSTEM_LOG
from audit.intent import Intent, intent_payload, outcome_payload
from audit.log import Leaf
from audit.merkle import root_hash
from audit.selection import entries_of
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import microseconds
from vault.errors import InputInvalidError, VaultError
from vault.grant import Grant, authorise
from vault.ids import IdKind, new_id
from vault.intents import Effects
from vault.journal import Call
from vault.ledger_mirror import mirror
from vault.parts import Parts
from vault.snapshot_files import (
    SnapshotFolder,
    hash_chunks,
    new_folder,
    remove_folder,
    sorted_out,
    sync_file,
    translated_files,
    write_private,
)
from vault.snapshot_manifest import LedgerHead, LogHead, Manifest, sign_manifest
from vault.storage.engine import look_at, reader_engine, reading
from vault.storage.faults import translated
from vault.storage.group_commit import Change, WriteSet
from vault.storage.migrate import HEADS
from vault.storage.schema import HOLD, TENANT, TOMBSTONE

CREATE: Final = "snapshot.create"
"""Kind of the effect."""
DELETE: Final = "snapshot.delete"


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot that was made."""

    manifest: Manifest
    folder: SnapshotFolder


@dataclass(frozen=True, slots=True)
class KnownSnapshot:
    """A snapshot that the log knows of, and no entry says was removed."""

    snapshot_id: str
    made: datetime


class Snapshots:
    """Makes and removes snapshots of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def create(self, principal: Principal, parent: Path, purpose: Purpose = Purpose.OPERATIONS) -> Made:
        """Copy one state of the data into a new folder; writers go on meanwhile.

        Args:
            principal: Who asks.
            parent: Directory of the snapshots; it is made if it is not there. Not within the vault's own.
            purpose: Why.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: the directory lies within the vault's own.
            StorageFullError: no space is left; nothing is left of the snapshot.
            StorageError: or another of its kinds: the same.
        """
        grant = authorise_over_vault(self._parts, principal, purpose, EventType.SNAPSHOT_CREATE)
        return self._create(grant.tenant, parent, grant, None)

    def create_unattended(self, tenant: str, parent: Path, fence: Change | None = None) -> Made:
        """Make a snapshot as the vault itself, for a job of a tenant; like `create`.

        Args:
            tenant: In whose log intent and outcome stand.
            parent: Directory of the snapshots.
            fence: Refuses in the transaction of the intent where whoever runs this may not any more.
        """
        return self._create(tenant, parent, None, fence)

    def prune(
        self, principal: Principal, parent: Path, keep: int, purpose: Purpose = Purpose.OPERATIONS
    ) -> list[str]:
        """Remove all snapshots of this vault in a directory but the newest ones; return the ids of those removed.

        What another vault's key signed, and what is not signed, stays.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: none is to be kept.
            StorageError: one could not be removed.
        """
        grant = authorise_over_vault(self._parts, principal, purpose, EventType.SNAPSHOT_DELETE)
        return self._prune(grant.tenant, parent, keep, grant)

    def prune_unattended(self, tenant: str, parent: Path, keep: int, made: str) -> list[str]:
        """Remove old snapshots as the vault itself, never the one that was just made; like `prune`."""
        return self._prune(tenant, parent, keep, None, made)

    def _create(self, tenant: str, parent: Path, grant: Grant | None, fence: Change | None) -> Made:
        parts = self._parts
        expect_outside(parts, parent)
        now = parts.clock()
        snapshot_id = new_id(IdKind.SNAPSHOT, now, parts.entropy)
        tenants = parts.store.tenants()
        for one in tenants:
            mirror(parts, one)
        with self._effect(CREATE, tenant, snapshot_id, grant, fence) as told:
            self._sign(tenants)
            with new_folder(parent, snapshot_id) as folder:
                with translated_files():
                    copy_database(parts.store.folder / "vault.db", folder.rows)
                parts.probe("snapshot-copied")
                manifest = self._describe(folder, snapshot_id, now)
                parts.probe("snapshot-described")
            parts.probe("snapshot-named")
            told.extend(
                self._draft(EventType.SNAPSHOT_CREATE, log, _told(manifest, log), snapshot_id, grant)
                for log in (SYSTEM_LOG, *tenants)
            )
        return Made(manifest, SnapshotFolder(parent / snapshot_id))

    def _describe(self, folder: SnapshotFolder, snapshot_id: str, now: datetime) -> Manifest:
        """Write all that lies beside the copy."""
        parts = self._parts
        leaves = hash_chunks(folder.rows)
        write_private(folder.leaves, b"".join(leaves))
        listed, states = _key_list(parts)
        write_private(folder.keys, listed)
        logs, ledger = _heads(parts, folder.rows)
        manifest = Manifest(
            snapshot_id=snapshot_id,
            deployment=parts.verifier_key.name,
            time=microseconds(now),
            schema=HEADS["rows"],
            policy=parts.policy.digest,
            file_bytes=folder.rows.stat().st_size,
            file_root=root_hash(leaves).hex(),
            keys=states,
            keys_digest=sha256(listed).hexdigest(),
            logs=logs,
            ledger=ledger,
        )
        text = manifest.encode()
        write_private(folder.manifest, text)
        write_private(folder.note, sign_manifest(snapshot_id, text, parts.log.keys.signers))
        return manifest

    def _prune(self, tenant: str, parent: Path, keep: int, grant: Grant | None, made: str = "") -> list[str]:
        if keep < 1:
            raise InputInvalidError("expected at least one snapshot to be kept")
        removed = []
        own, _ = sorted_out(parent, self._parts.log.keys.verifiers)
        # After a lost disk the log is shorter than in snapshots that were made before it was lost.
        own.sort(key=lambda one: one[1].snapshot_id == made)
        for folder, _ in own[:-keep]:
            snapshot_id = folder.path.name
            with self._effect(DELETE, tenant, snapshot_id, grant, None) as told:
                remove_folder(folder)
                told.extend(
                    self._draft(EventType.SNAPSHOT_DELETE, log, {}, snapshot_id, grant)
                    for log in (SYSTEM_LOG, *self._parts.store.tenants())
                )
            removed.append(snapshot_id)
        return removed

    @contextmanager
    def _effect(
        self, kind: str, tenant: str, snapshot_id: str, grant: Grant | None, fence: Change | None
    ) -> Iterator[list[EntryDraft]]:
        """Write an intent, let it happen, write what became of it; the list is written with a good outcome."""
        parts = self._parts
        told: list[EntryDraft] = []
        intent = self._draft(EventType.EFFECT_INTENT, tenant, intent_payload(kind, {}), snapshot_id, grant)
        changes = [] if fence is None else [fence]
        (leaf,) = parts.store.submit(WriteSet(drafts=[intent], changes=changes))
        parts.probe("intended")
        begun = Intent(leaf.index, kind, snapshot_id, intent.principal, intent.time)
        payload = outcome_payload(begun, {})
        outcome = self._draft(EventType.EFFECT_OUTCOME, tenant, payload, snapshot_id, grant)
        try:
            yield told
        except BaseException:
            with suppress(VaultError):  # the intent stays unmatched, which tells the same
                parts.journal.write([replace(outcome, time=parts.clock(), outcome=Outcome.FAILED)])
            raise
        parts.probe("effected")
        parts.journal.write([replace(outcome, time=parts.clock()), *told])

    def _draft(
        self,
        event: EventType,
        log: str,
        payload: dict[str, JsonValue],
        snapshot_id: str,
        grant: Grant | None,
    ) -> EntryDraft:
        if grant is not None and grant.tenant == log:
            return self._parts.journal.allowed(grant, payload, resource=snapshot_id, event=event)
        draft = self._parts.journal.event(event, log, payload)
        return replace(draft, resource=snapshot_id)

    def _sign(self, tenants: Sequence[str]) -> None:
        """Sign every log as it stands, so that the manifest names a checkpoint that covers nearly all of it."""

        def sign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            for log in (*tenants, SYSTEM_LOG):
                self._parts.log.checkpoint(connection, log, policy=self._parts.policy.digest)

        self._parts.store.change(sign)


def _told(manifest: Manifest, log: str) -> dict[str, JsonValue]:
    head = manifest.log(log)
    return {"root": manifest.file_root, "size": 0 if head is None else head.size}


def authorise_over_vault(parts: Parts, principal: Principal, purpose: Purpose, event: EventType) -> Grant:
    """Return the grant to make, remove or put back snapshots.

    Raises:
        DeniedError: not allowed; the denial is logged.
    """
    over = ((SystemResource.VAULT, Relation.INSTITUTION),)
    try:
        return authorise(parts.policy, principal, Action.ADMINISTER, purpose, over=over)
    except DeniedError:
        call = Call(principal, Action.ADMINISTER, purpose)
        parts.journal.deny(call, resource=SystemResource.VAULT.value, event=event)
        raise


def known_snapshots(parts: Parts) -> list[KnownSnapshot]:
    """Return the snapshots that may still lie somewhere, oldest first, as the logs have it.

    One whose making was cut short may lie there, too. One that somebody removed by hand is still known: nobody can
    say that no copy of it is left.
    """
    made: dict[str, datetime] = {}
    removed: set[str] = set()
    with parts.store.log_connection(SYSTEM_LOG) as connection:
        for entry in entries_of(
            connection, SYSTEM_LOG, (EventType.SNAPSHOT_CREATE, EventType.SNAPSHOT_DELETE)
        ):
            header = parse_header(entry.header)
            if header.outcome is not Outcome.OK or header.resource is None:
                continue
            if header.event is EventType.SNAPSHOT_CREATE:
                made[header.resource] = header.time
            else:
                removed.add(header.resource)
    effects = Effects(parts)
    for log in (SYSTEM_LOG, *parts.store.tenants()):
        for intent in effects.unmatched(log):
            if intent.kind == CREATE and intent.resource is not None:
                made.setdefault(intent.resource, intent.time)
    return sorted(
        (KnownSnapshot(one, at) for one, at in made.items() if one not in removed),
        key=lambda known: (known.made, known.snapshot_id),
    )


def oldest_snapshot(parts: Parts) -> datetime | None:
    """Return when the oldest snapshot was made that may still lie somewhere: how far back a restore could go."""
    known = known_snapshots(parts)
    return known[0].made if known else None


def expect_outside(parts: Parts, parent: Path) -> None:
    """See that a directory of snapshots is not within the vault's own.

    Threat: a copy beside the data goes with the same disk, and what was erased stands in the vault's directory still.

    Raises:
        InputInvalidError: it is.
    """
    if parent.resolve().is_relative_to(parts.store.folder.resolve()):
        raise InputInvalidError("expected a directory for snapshots outside the vault's own")


def copy_database(source: Path, target: Path) -> None:
    """Copy one state of a database into a new file for its owner alone, without a write-ahead log beside it.

    Raises:
        StorageError: or one of its kinds.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    target.chmod(0o600)
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        translated(),
        closing(sqlite3.connect(uri, uri=True)) as opened,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # All pages in one step: a copy in several begins anew whenever somebody writes.
        opened.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")
    sync_file(target)


def _key_list(parts: Parts) -> tuple[bytes, dict[str, int]]:
    """Return a line for each key, and how many there are by state; never a key."""
    lines, states = [], Counter[str]()
    for record in parts.key_store.records():
        name = record.name
        subject = name.subject or "-"
        print_ = record.fingerprint or "-"
        lines.append(f"{name.tenant} {name.kind} {subject} {name.version} {record.state} {print_}\n")
        states[record.state.value] += 1
    return "".join(lines).encode(), dict(states)


def _heads(parts: Parts, copy: Path) -> tuple[tuple[LogHead, ...], tuple[LedgerHead, ...]]:
    """Return how far the logs are in a copy, and what there must not come back."""
    engine = reader_engine(copy)
    try:
        with reading(engine, "") as connection:
            tenants = list(
                connection.execute(select(TENANT.c.tenant_id).order_by(TENANT.c.tenant_id)).scalars()
            )
            logs, ledger = [], []
            for log in (SYSTEM_LOG, *tenants):
                look_at(connection, log)
                head, latest = parts.log.head(connection, log), parts.log.latest_checkpoint(connection, log)
                note = "" if latest is None else latest.note.decode()
                logs.append(LogHead(log, head.size, head.root().hex(), note))
                if log != SYSTEM_LOG:
                    ledger.append(_ledger_head(connection, log))
    finally:
        engine.dispose()
    return tuple(logs), tuple(ledger)


def _ledger_head(connection: Connection, tenant: str) -> LedgerHead:
    digest, count = sha256(), 0
    rows = select(TOMBSTONE.c.digest).where(TOMBSTONE.c.tenant_id == tenant).order_by(TOMBSTONE.c.digest)
    for one in connection.execute(rows, execution_options={"yield_per": 1000}).scalars():
        digest.update(one)
        count += 1
    in_force = (
        select(func.count()).select_from(HOLD).where(HOLD.c.tenant_id == tenant, HOLD.c.released.is_(None))
    )
    return LedgerHead(tenant, count, digest.hexdigest(), int(connection.execute(in_force).scalar_one()))
