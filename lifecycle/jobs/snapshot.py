"""The jobs `snapshot` and `restore-drill`: a copy of the rows, and the proof that one can be put back.

Owns the shape of the runs alone; the work is `vault.snapshots`' and `vault.restore_drill`'s. A snapshot is of the whole
vault, so that of its tenants only the first has something to do by the timetable; by hand it is made for whoever asks. Where nobody said where snapshots go, none is made.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.errors import NotFoundError
from vault.restore_drill import RestoreDrill
from vault.snapshots import Snapshots


class SnapshotJob:
    """Makes a snapshot and removes the oldest ones."""

    name: Final = "snapshot"

    def run(self, run: JobRun) -> Counts:
        """Make one, then keep as many as the settings say.

        Raises:
            LeaseLostError: somebody else runs it by now; nothing was made.
            StorageFullError: no space is left; nothing is left of the snapshot.
            StorageError: or another of its kinds.
        """
        place = run.parts.snapshots
        if place is None or not (run.by_hand or _is_first(run)):
            return Counts()
        snapshots = Snapshots(run.parts)
        made = snapshots.create_unattended(run.tenant, place.folder, run.fence)
        removed = snapshots.prune_unattended(run.tenant, place.folder, place.keep, made.manifest.snapshot_id)
        counts = {"snapshots": 1, "removed": len(removed), "bytes": made.manifest.file_bytes}
        return Counts(counts, told={"snapshot": made.manifest.snapshot_id})


class RestoreDrillJob:
    """Puts the newest snapshot back into a scratch folder and looks at it."""

    name: Final = "restore-drill"

    def run(self, run: JobRun) -> Counts:
        """Try the newest snapshot, if there is one.

        Raises:
            LeaseLostError: somebody else runs it by now.
            StorageError: or one of its kinds: no space for the scratch folder.
            RootUnusableError: no key can be had now.
        """
        place = run.parts.snapshots
        if place is None or not (run.by_hand or _is_first(run)):
            return Counts()
        try:
            done = RestoreDrill(run.parts).run(run.tenant, place.folder, run.fence)
        except NotFoundError:
            return Counts({"snapshots": 0})
        counts = {
            "snapshots": 1,
            "rows": done.rows,
            "opened": done.opened,
            "unreadable": done.unreadable,
            "suppressed": done.suppressed,
            "errors": done.findings + done.unreadable,
        }
        return Counts(counts, told={"snapshot": done.snapshot_id})


def _is_first(run: JobRun) -> bool:
    return run.tenant == min(run.parts.store.tenants())
