"""The job that seals rows anew which lie under older versions of their keys.

Owns the shape of a run alone; the work is `vault.reencryption`'s. It rotates no key and destroys none: that is for
people to command. It needs no cursor: a row that was sealed anew lies under the newest version.
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from vault.reencryption import Reencrypted, Reencryption


class RekeyJob:
    """Moves rows to the newest versions of their keys, and proves what is left."""

    name: Final = "rekey"

    def run(self, run: JobRun) -> Counts:
        """Seal anew what is due, as far as the run's bounds allow.

        Raises:
            LeaseLostError: somebody else runs it by now.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds.
        """
        done = Reencrypted()
        steps = Reencryption(run.parts, run.tenant).run(
            may_go_on=run.goes_on, fence=run.fence, unless_proven=True
        )
        for done in steps:  # noqa: B007  # the last one is looked at
            pass
        counts = {
            "memories": done.memories,
            "rows": done.rows,
            "unreadable": len(done.unreadable),
            "remaining": done.remaining or 0,
        }
        return Counts(counts, complete=done.remaining is not None)
