"""The job that brings memories up for review which nobody uses, or which say nothing or no more.

Owns the shape of a run alone; the work is `vault.staleness`'. It removes nothing; it may compress.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.staleness import Staleness, StaleReason


class StalenessJob:
    """Asks somebody about stale memories."""

    name: Final = "staleness"

    def run(self, run: JobRun) -> Counts:
        """Look for stale memories, as far as the run's bounds allow.

        Raises:
            LeaseLostError: somebody else runs it by now.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds.
        """
        done = Staleness(run.parts).run(run.tenant, now=run.now, may_go_on=run.goes_on, fence=run.fence)
        counts = {reason.value: done.found[reason] for reason in StaleReason}
        return Counts(
            {**counts, "compressed": done.compressed, "unreadable": done.unreadable}, complete=done.complete
        )
