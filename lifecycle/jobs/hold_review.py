"""The job `hold-review`: legal holds whose review is due are told of, each day until somebody reviews them.

A hold never ends by itself: it is somebody's to release, and a second person's to agree. What this owns is the
reminder, an entry that names the holds; deciding about one is `vault.holds`'.
"""

from typing import Final

from sqlalchemy import select

from audit.canonical import JsonValue
from audit.event import EventType
from lifecycle.job import Counts, JobRun
from vault.clock import microseconds
from vault.storage.group_commit import WriteSet
from vault.storage.schema import HOLD

MAX_NAMED: Final = 1_000
DUE: Final = "review-due"


class HoldReviewJob:
    """Tells of holds whose review is due."""

    name: Final = "hold-review"

    def run(self, run: JobRun) -> Counts:
        """Name what is due in one entry; where nothing is, there is none."""
        now = microseconds(run.now)
        due = (
            select(HOLD.c.hold_id)
            .where(HOLD.c.tenant_id == run.tenant, HOLD.c.released.is_(None), HOLD.c.review <= now)
            .order_by(HOLD.c.review, HOLD.c.hold_id)
        )
        with run.parts.store.log_connection(run.tenant) as connection:
            holds = [str(hold) for hold in connection.execute(due).scalars()]
        if holds:
            told: dict[str, JsonValue] = {
                "holds": list(holds[:MAX_NAMED]),
                "count": len(holds),
                "reason": DUE,
            }
            draft = run.parts.journal.event(EventType.HOLD_REVIEW, run.tenant, told)
            run.parts.store.submit(WriteSet(drafts=[draft], changes=[run.fence]))
        return Counts({"due": len(holds)})
