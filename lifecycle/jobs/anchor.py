"""The job `anchor`: what is signed stands outside the database, too, and what stands there agrees with the log.

Anchoring follows each signature at once (`vault.assurance`). What this adds: each run anchors what could not be
anchored then, and holds the logs against the anchor and the stored cosignatures as an opening does, so that a vault
that stays open for months still finds an anchor that was cut, and a log that it contradicts.
"""

from typing import Final

from audit.errors import AnchorUnusableError
from lifecycle.job import Counts, JobRun


class AnchorJob:
    """Anchors what is signed, and holds the logs against it."""

    name: Final = "anchor"

    def run(self, run: JobRun) -> Counts:
        """Anchor, then compare; where no anchor is set, compare with cosignatures alone.

        Raises:
            LogRolledBackError: a log is not the one that the anchor or a witness saw.
            AnchorUnusableError: the anchor is not the file that it was, or cannot be written.
        """
        assurance, tenants = run.parts.assurance, run.parts.store.tenants()
        assurance.publish()
        if run.tenant == tenants[0]:  # the anchor is one for all: it is read once
            assurance.compare(tenants)
        status = assurance.status.anchor
        if status.configured and not status.usable:
            raise AnchorUnusableError(status.reason)
        return Counts({"anchored": assurance.anchored(run.tenant)})
