"""The job `consistency`: rows, edges, index, keys and log against each other.

Owns the shape of a run alone; the work is `vault.consistency`'s.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.consistency import Consistency
from vault.storage.group_commit import WriteSet


class ConsistencyJob:
    """Checks, and puts right what a rule allows."""

    name: Final = "consistency"

    def run(self, run: JobRun) -> Counts:
        """Check as far as the run's bounds allow; go on from there the next time.

        Raises:
            LeaseLostError: somebody else runs it by now.
            RootUnusableError: no key can be had now.
        """
        found = Consistency(run.parts).run(
            run.tenant, cursor=run.cursor, may_go_on=run.goes_on, fence=run.fence, batch=run.batch
        )
        if not found.complete:
            run.parts.store.submit(WriteSet(changes=[run.fence, run.save(found.cursor)]))
        return Counts(dict(found.counts), complete=found.complete, findings=tuple(found.found))
