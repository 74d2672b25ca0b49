"""What `snapshot --json` prints. Fields are added over time, never renamed."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.clock import from_microseconds
from vault.restoration import Restored
from vault.snapshot_check import SnapshotReport
from vault.snapshot_files import Disbelieved
from vault.snapshot_manifest import Manifest


class SnapshotLogView(View):
    """How far a log was."""

    tenant: str
    size: int
    root: str


class SnapshotView(View):
    """A snapshot, as its signed manifest has it."""

    snapshot: str
    folder: str
    made: datetime
    bytes: int
    root: Annotated[str, Field(description="of the tree over the chunks of the copy")]
    logs: list[SnapshotLogView]

    @classmethod
    def of(cls, manifest: Manifest, folder: str) -> Self:
        """Return the view of a manifest."""
        return cls(
            snapshot=manifest.snapshot_id,
            folder=folder,
            made=from_microseconds(manifest.time),
            bytes=manifest.file_bytes,
            root=manifest.file_root,
            logs=[SnapshotLogView(tenant=one.tenant, size=one.size, root=one.root) for one in manifest.logs],
        )


class UnreadableView(View):
    """A folder whose manifest is not to be believed."""

    folder: str
    reason: str

    @classmethod
    def of(cls, found: Disbelieved) -> Self:
        """Return the view of a folder."""
        return cls(folder=str(found.folder.path), reason=found.reason)


class SnapshotsView(View):
    """The snapshots of a directory, oldest first."""

    snapshots: list[SnapshotView]
    unreadable: list[UnreadableView]


class SnapshotFindingView(View):
    """Something of a snapshot that is not as it must be."""

    check: str
    place: str
    expected: str
    got: str


class SnapshotReportView(View):
    """What a check of a snapshot came to."""

    passed: bool
    snapshot: SnapshotView | None
    findings: list[SnapshotFindingView]
    more_findings: int

    @classmethod
    def of(cls, report: SnapshotReport, folder: str) -> Self:
        """Return the view of a report."""
        return cls(
            passed=report.passed,
            snapshot=None if report.manifest is None else SnapshotView.of(report.manifest, folder),
            findings=[SnapshotFindingView(**one._asdict()) for one in report.findings],
            more_findings=report.more,
        )


class RestoredTenantView(View):
    """What a restore did to one tenant."""

    tenant: str
    put_back: Annotated[int, Field(description="versions that came from the snapshot")]
    lost: Annotated[int, Field(description="memories that were written since, and went")]
    suppressed: Annotated[int, Field(description="memories that were removed for good, and stayed away")]
    held: Annotated[list[str], Field(description="memories that a hold kept as they are")]


class RestoredView(View):
    """What a restore did, or would do."""

    snapshot: str
    planned: bool
    rows_were_lost: bool
    replayed: Annotated[int, Field(description="tombstones and holds that the ledger had")]
    erasures: Annotated[int, Field(description="erasures that the log lost with its disk, done anew")]
    masked: Annotated[int, Field(description="versions that the present privacy gate masked")]
    tenants: list[RestoredTenantView]

    @classmethod
    def of(cls, restored: Restored, *, planned: bool) -> Self:
        """Return the view of a restore."""
        return cls(
            snapshot=restored.snapshot_id,
            planned=planned,
            rows_were_lost=restored.rows_were_lost,
            replayed=restored.replayed,
            erasures=restored.erasures,
            masked=restored.masked,
            tenants=[
                RestoredTenantView(
                    tenant=plan.tenant,
                    put_back=plan.put_back,
                    lost=plan.lost,
                    suppressed=plan.suppressed,
                    held=plan.held,
                )
                for plan in restored.tenants
            ],
        )


class PrunedView(View):
    """The snapshots that were removed."""

    removed: list[str]
    unreadable: Annotated[
        list[UnreadableView], Field(description="folders that were neither counted nor removed")
    ]
