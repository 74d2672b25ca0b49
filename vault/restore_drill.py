"""The restore drill: a snapshot that was never restored is a hope.

Owns trying it: the newest snapshot is put back into a scratch folder by the very code of a restore, its logs and rows
are verified, a sample of its memories is opened, and it is looked that nothing is there that was removed for good.
Then the scratch is removed. It leaves restoring to `vault.restoration`, and when it runs to the timetable.

The vault's own keys open the sample, in this process: no key is copied, and nothing in the vault is written but the
ledger, brought up to date, and an entry that tells what came of it. Anchor and witnesses are not asked: they know a later log, as they must.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.evidence import SYSTEM_LOG, LogEvidence
from audit.log import AuditLog
from audit.trust import Trust
from audit.verify import verify_logs
from vault.auditing import AuditView
from vault.errors import NotFoundError, RootUnusableError, VaultError
from vault.journal import Journal
from vault.ledger_mirror import known_gone, mirror
from vault.parts import Parts
from vault.restoration import Restoration, RestoreTerms
from vault.snapshot_check import verify_snapshot
from vault.snapshot_files import SnapshotFolder, scratch_folder, sorted_out
from vault.snapshot_manifest import Manifest
from vault.storage.engine import look_at
from vault.storage.group_commit import Change, WriteSet
from vault.storage.rows import stored_memory
from vault.storage.schema import MEMORY, SUBJECT, TOMBSTONE
from vault.storage.store import Store

SAMPLE: Final = 50
"""Memories of each tenant that are opened."""


@dataclass(slots=True)
class Drilled:
    """What a drill came to."""

    snapshot_id: str
    rows: int = 0
    """Rows that were compared with the log."""
    opened: int = 0
    """Memories that opened."""
    unreadable: int = 0
    """Memories that did not."""
    suppressed: int = 0
    """Memories of the snapshot that were not put back, as they were removed for good."""
    findings: int = 0
    """What did not verify: files, logs, rows; and what was there and must not be."""

    @property
    def passed(self) -> bool:
        """Whether the snapshot could be relied on."""
        return not (self.findings or self.unreadable)


@dataclass(frozen=True, slots=True)
class RestoreDrill:
    """Drills of one vault.

    Args:
        parts: Of the open vault.
        sample: How many memories of each tenant are opened.
    """

    parts: Parts
    sample: int = SAMPLE

    def run(self, tenant: str, parent: Path, fence: Change | None = None) -> Drilled:
        """Put the newest snapshot of a directory back into a scratch folder, and look at it.

        Args:
            tenant: In whose log, beside the system log, it is told.
            parent: Directory of the snapshots; the scratch folder lies there, too.
            fence: Refuses in the transaction of the entries where whoever runs this may not any more.

        Raises:
            NotFoundError: there is no snapshot of this vault.
            StorageError: or one of its kinds: no space for the scratch folder.
        """
        folder, manifest = self._newest(parent)
        for one in self.parts.store.tenants():
            mirror(
                self.parts, one
            )  # what was removed since the last time is to stay away from a lost disk, too
        done = Drilled(manifest.snapshot_id)
        report = verify_snapshot(folder, self.parts.log.keys.verifiers)
        done.findings = len(report.findings) + report.more
        if report.passed:
            with scratch_folder(parent, "drill") as scratch:
                self._try(folder, manifest, scratch, done)
        self._tell(tenant, done, fence)
        return done

    def _newest(self, parent: Path) -> tuple[SnapshotFolder, Manifest]:
        own, _ = sorted_out(
            parent, self.parts.log.keys.verifiers
        )  # `memvault snapshot list` shows the others
        if not own:
            raise NotFoundError("there is no snapshot of this vault")
        return own[-1]

    def _try(self, folder: SnapshotFolder, manifest: Manifest, scratch: Path, done: Drilled) -> None:
        rows = scratch / "vault.db"
        folder.copy_rows(rows, manifest)
        parts = self.parts
        log = AuditLog(parts.log.keys, salt_source=parts.entropy, clock=parts.clock)
        store = Store(rows, log)
        try:
            there = replace(parts, store=store, log=log, journal=Journal(store, parts.policy, parts.clock))
            terms = RestoreTerms(keep_held=True)
            restored = Restoration(there, folder, manifest, terms, scratch / "restoring.db").put_back(None)
            done.suppressed = sum(plan.suppressed for plan in restored.tenants)
            self._verify(there, [plan.tenant for plan in restored.tenants], done)
        finally:
            store.close()

    def _verify(self, there: Parts, tenants: Sequence[str], done: Drilled) -> None:
        with there.store.log_connection(SYSTEM_LOG) as connection:
            logs = _evidence(there, connection, (SYSTEM_LOG, *tenants))
            report = verify_logs(logs, Trust(there.log.keys.verifiers), unsigned_allowed=True)
            done.findings += len(report.findings) + report.more_findings
        for tenant in tenants:
            compared = AuditView(there).rows_against_log(tenant)
            done.rows += compared.checked
            done.findings += len(compared.findings) + compared.more
            with there.store.log_connection(tenant) as connection:
                self._sample(there, connection, tenant, done)
                done.findings += self._came_back(connection, tenant)

    def _sample(self, there: Parts, connection: Connection, tenant: str, done: Drilled) -> None:
        """Open memories from all over the table."""
        current = (MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1)
        count = connection.execute(select(func.count()).select_from(MEMORY).where(*current)).scalar_one()
        ids = select(MEMORY.c.memory_id).where(*current).order_by(MEMORY.c.memory_id)
        step = max(1, count // self.sample)
        chosen = list(connection.execute(ids).scalars())[::step][: self.sample]
        for row in connection.execute(select(MEMORY).where(*current, MEMORY.c.memory_id.in_(chosen))).all():
            try:
                there.sealers.open_memory(tenant, stored_memory(row), reveal=True)
                done.opened += 1
            except RootUnusableError:
                raise  # says nothing of the snapshot
            except VaultError:
                done.unreadable += 1

    def _came_back(self, connection: Connection, tenant: str) -> int:
        """Count what is there although the vault or its ledger knows that it was removed for good."""
        tombstones = self.parts.sealers.tombstones(tenant)
        known = set(known_gone(self.parts.ledger.rows(tenant)))
        with self.parts.store.log_connection(tenant) as own:
            known |= set(
                own.execute(select(TOMBSTONE.c.digest).where(TOMBSTONE.c.tenant_id == tenant)).scalars()
            )
        ids = connection.execute(
            select(MEMORY.c.memory_id).where(MEMORY.c.tenant_id == tenant).distinct()
        ).scalars()
        people = connection.execute(
            select(SUBJECT.c.subject_id).where(SUBJECT.c.tenant_id == tenant)
        ).scalars()
        return sum(tombstones.memory(one).digest in known for one in ids) + sum(
            tombstones.subject(one).digest in known for one in people
        )

    def _tell(self, tenant: str, done: Drilled, fence: Change | None) -> None:
        payload: dict[str, JsonValue] = {
            "rows": done.rows,
            "verified": done.opened,
            "unreadable": done.unreadable,
            "suppressed": done.suppressed,
            "findings": done.findings,
            "reason": "drill",
        }
        outcome = Outcome.OK if done.passed else Outcome.FAILED
        drafts = [
            replace(
                self.parts.journal.event(EventType.SNAPSHOT_VERIFY, log, payload),
                resource=done.snapshot_id,
                outcome=outcome,
            )
            for log in (tenant, SYSTEM_LOG)
        ]
        self.parts.store.submit(WriteSet(drafts=drafts, changes=[] if fence is None else [fence]))


def _evidence(parts: Parts, connection: Connection, logs: Sequence[str]) -> Iterator[LogEvidence]:
    for log in logs:
        look_at(connection, log)
        yield from parts.log.evidence(connection, [log])
