"""The job that screens memories again after the privacy gate or its rules changed.

Owns the shape of a run alone; the work is `vault.rescan`'s. It needs no cursor: a row that was screened again
carries the present stamp.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.rescan import Rescan


class RescanJob:
    """Masks what a newer gate finds, and opens an incident for it."""

    name: Final = "rescan"

    def run(self, run: JobRun) -> Counts:
        """Screen what another gate let pass, as far as the run's bounds allow.

        Raises:
            LeaseLostError: somebody else runs it by now.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds.
        """
        done = Rescan(run.parts).run(run.tenant, may_go_on=run.goes_on, fence=run.fence)
        counts = {
            "screened": done.screened,
            "masked": done.masked,
            "episodes": done.episodes,
            "unreadable": done.unreadable,
        }
        return Counts(counts, complete=done.complete)
