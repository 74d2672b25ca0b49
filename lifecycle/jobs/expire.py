"""The job that ends the terms of memories.

Owns the shape of a run alone; the work is `vault.expiry`'s. It needs no cursor: what is due stays due until it is
ended. A clock that jumped fails the run, and each that follows, until somebody confirms it
(`memvault retention confirm-clock`).
"""

from typing import Final

from lifecycle.job import Counts, JobRun
from policies.retention_model import EndAction
from vault.expiry import Expiry

_WORDS: Final = {
    EndAction.EXPIRE: "expired",
    EndAction.REDACT: "redacted",
    EndAction.RE_ENCRYPT: "renewed",
    EndAction.ARCHIVE: "archived",
    EndAction.ASK: "asked",
}


class ExpiryJob:
    """Removes, redacts, archives or asks about what came to the end of its term."""

    name: Final = "expiry"

    def run(self, run: JobRun) -> Counts:
        """End what is due, as far as the run's bounds allow.

        Raises:
            ClockUntrustedError: the clock went on by too much since the last run; nothing was ended.
            LeaseLostError: somebody else runs it by now.
            StorageError: or one of its kinds.
        """
        done = Expiry(run.parts).run(run.tenant, now=run.now, may_go_on=run.goes_on, fence=run.fence)
        counts = {word: done[action] for action, word in _WORDS.items()}
        counts |= {
            "held": done.held,
            "floored": done.floored,
            "unreadable": done.unreadable,
            "left": done.left,
            "behind": done.behind,
            "unknown": done.unknown,
        }
        return Counts(counts, complete=done.complete)
