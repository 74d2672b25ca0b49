"""Whether the clock is to be believed: nothing is deleted because it was wrong.

Owns the comparison of the clock with what it said at the last run. It leaves the bound to `retention.yaml`
(`clock: longest-gap`), and who may confirm a clock to `vault.retention_desk`.

- A clock that went on by more than the bound stops the run, with its own error and an entry, until somebody
  confirms it: the vault may have stood still for so long, or the clock may be years ahead.
- A clock that went back stops nothing: what is due by an earlier time was due by the later one, too. The next bound
  is measured from there, so going back and forth does not add up to a way past it.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from audit.event import EventType, Outcome
from policies.retention_model import RetentionRules
from vault.clock import from_microseconds, microseconds
from vault.errors import ClockUntrustedError
from vault.journal import Journal
from vault.storage.group_commit import Change, WriteSet
from vault.storage.retention_state import SaveState, load_state
from vault.storage.store import Store

REASON: Final = "clock"


class ClockWatch:
    """Watches the clock over the runs of one vault."""

    def __init__(self, store: Store, journal: Journal, rules: RetentionRules) -> None:
        self._store = store
        self._journal = journal
        self._rules = rules

    def begin(self, tenant: str, now: datetime, fence: Change | None = None) -> bool:
        """See that the clock may be believed, and remember it; return whether it went back.

        Raises:
            ClockUntrustedError: it went on by more than the bound; an entry says so.
            LeaseLostError: the fence refused.
        """
        fenced = [] if fence is None else [fence]
        last = self._last(tenant)
        if now > self._rules.clock.longest_gap.after(last):
            refused = self._journal.event(EventType.MEMORY_EXPIRE, tenant, {"reason": REASON})
            draft = replace(refused, outcome=Outcome.REFUSED)
            self._store.submit(WriteSet(drafts=[draft], changes=fenced))
            raise ClockUntrustedError(
                f"the clock says {now.isoformat(timespec='seconds')}, and said"
                f" {last.isoformat(timespec='seconds')} at the last run: confirm it before anything expires"
            )
        save = SaveState(tenant, clock=microseconds(now)).change
        self._store.submit(WriteSet(changes=[*fenced, save]))
        return now < last

    def _last(self, tenant: str) -> datetime:
        with self._store.log_connection(tenant) as connection:
            return from_microseconds(load_state(connection, tenant).clock)
