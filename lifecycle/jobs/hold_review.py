"""The job `hold-review`: legal holds whose review is due are told of, each day until somebody reviews them.

A hold never ends by itself: it is somebody's to release, and a second person's to agree. What this owns is the
reminder: the entry of the run names the holds. Deciding about one is `vault.holds`'.
"""

from typing import Final

from sqlalchemy import select

from lifecycle.job import Counts, JobRun
from vault.clock import microseconds
from vault.storage.schema import HOLD

MAX_NAMED: Final = 1_000


class HoldReviewJob:
    """Tells of holds whose review is due."""

    name: Final = "hold-review"

    def run(self, run: JobRun) -> Counts:
        """Name what is due."""
        due = (
            select(HOLD.c.hold_id)
            .where(
                HOLD.c.tenant_id == run.tenant,
                HOLD.c.released.is_(None),
                HOLD.c.review <= microseconds(run.now),
            )
            .order_by(HOLD.c.review, HOLD.c.hold_id)
        )
        with run.parts.store.log_connection(run.tenant) as connection:
            holds = [str(hold) for hold in connection.execute(due).scalars()]
        return Counts({"due": len(holds)}, told={"holds": list(holds[:MAX_NAMED])})
