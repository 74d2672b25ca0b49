"""The job `checkpoint`: hold the logs against what was signed, and sign what is new.

Logs are signed every few seconds by `vault.checkpointing` while a vault is open. What this adds: each run holds the
stored log against its last checkpoint, as an opening does, so that a vault that stays open for months still finds a
log that was changed beneath it; and it signs where that thread could not.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from audit.evidence import SYSTEM_LOG
from audit.log import Leaf
from lifecycle.job import Counts, JobRun
from vault.checkpointing import check_heads
from vault.storage.group_commit import WriteSet


class CheckpointJob:
    """Checks and signs the tenant's log, and the system log."""

    name: Final = "checkpoint"

    def run(self, run: JobRun) -> Counts:
        """Check both logs and sign what is not signed yet.

        Raises:
            TamperedError: a log is not what was signed; nothing was signed.
        """
        parts = run.parts
        check_heads(parts.store, parts.log, [run.tenant])
        with parts.store.log_connection(run.tenant) as connection:
            latest = parts.log.latest_checkpoint(connection, run.tenant)
            unsigned = parts.log.head(connection, run.tenant).size - (
                0 if latest is None else latest.checkpoint.size
            )
        if unsigned:
            parts.store.submit(WriteSet(changes=[run.fence, partial(_sign, run)]))
        return Counts({"unsigned": unsigned})


def _sign(run: JobRun, connection: Connection, _leaves: Sequence[Leaf]) -> None:
    for log in (run.tenant, SYSTEM_LOG):  # the tenant's checkpoint becomes an entry of the system log
        run.parts.log.checkpoint(connection, log, policy=run.parts.policy.digest)
