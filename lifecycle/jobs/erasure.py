"""The job `erasure`: erasures that a crash cut short come to their end.

Owns the shape of a run alone; the work is `vault.erasure`'s. It needs no cursor: an erasure knows how far it came.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.erasure import Erasures


class ErasureJob:
    """Finishes erasures that were begun."""

    name: Final = "erasure"

    def run(self, run: JobRun) -> Counts:
        """Finish what was begun and certify it.

        Raises:
            LeaseLostError: somebody else runs it by now.
            HeldError: a hold was placed over what is left.
            ErasureIncompleteError: a test got something back.
        """
        return Counts({"finished": len(Erasures(run.parts).resume(run.tenant, run.fence))})
