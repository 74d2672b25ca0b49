"""The job that moves memories between memory tiers, as the rules of placement say.

Owns the shape of a run alone; the work is `vault.tiers.placement`'s. It goes through the memories in the order of their
ids, from where the last run stopped.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.model import MemoryTier
from vault.tiers.placement import Placement


class PlacementJob:
    """Moves memories to where they belong."""

    name: Final = "placement"

    def run(self, run: JobRun) -> Counts:
        """Move what the rules say, as far as the run's bounds allow.

        Raises:
            LeaseLostError: somebody else runs it by now.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds.
        """
        done = Placement(run.parts).run(
            run.tenant,
            now=run.now,
            after=run.cursor,
            may_go_on=run.goes_on,
            fence=run.fence,
            save=run.save,
        )
        counts = {f"to-{tier.value}": done.moved[tier] for tier in MemoryTier}
        return Counts({**counts, "unmoved": done.unmoved}, complete=done.complete)
