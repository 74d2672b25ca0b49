"""Memories that come up for review: nobody uses them, or they say nothing, or what they say is overtaken.

Owns the rules by which a memory is stale, and the going through. It leaves the rows of what waits to
`vault.storage.reviews`, and deciding to a person (`vault.review`): nothing is removed here, ever. What nobody uses may
be compressed instead (`staleness: then`), with an entry, and stays as readable as it was.

What somebody decided to keep is left alone for a while (`staleness: again` of `retention.yaml`). Whether a memory says
anything is asked of each once: for that it is opened.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType
from policies.duration import Duration
from policies.retention_model import UnusedAction
from vault.archiving import Archive, what_was_compressed
from vault.clock import microseconds
from vault.errors import ConflictError, KeyAccessError, RootUnusableError, TamperedError
from vault.parts import Parts
from vault.pipeline.keyphrases import STOP_WORDS
from vault.privacy.tokens import TOKEN
from vault.storage.due import current_rows
from vault.storage.group_commit import Change, WriteSet
from vault.storage.retention_state import SaveState, load_state
from vault.storage.reviews import AddReviews
from vault.storage.stale import memories_after, stale_page
from vault.usage import Usage

BATCH: Final = 200
"""Memories of one transaction."""
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


class StaleReason(StrEnum):
    """Why a memory comes up."""

    DISPUTED = "disputed"
    """A later memory contradicts it."""
    SUPERSEDED = "superseded"
    """A later memory took its place."""
    UNUSED = "unused"
    """Nobody found or read it for as long as the rules say."""
    LOW_VALUE = "low-value"
    """It holds no word that says anything."""


@dataclass(slots=True)
class Stale:
    """What a run found."""

    found: dict[StaleReason, int] = field(default_factory=lambda: dict.fromkeys(StaleReason, 0))
    """Memories that came up, by why."""
    compressed: int = 0
    """Memories that nobody uses, and that went to reference memory."""
    unreadable: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Run:
    tenant: str
    now: int
    kept_since: int
    """What was kept after this is left alone."""
    may_go_on: Callable[[], bool]
    fence: Change | None
    done: Stale


class Staleness:
    """Looks for stale memories of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._usage = Usage(parts.store)

    def run(
        self,
        tenant: str,
        *,
        now: datetime | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
        fence: Change | None = None,
    ) -> Stale:
        """Bring a tenant's stale memories up for review.

        Args:
            tenant: Whose.
            now: For the whole run; None asks the clock.
            may_go_on: Asked before each batch; what is left is for the next run.
            fence: Refuses in the transaction where whoever runs this may not any more.

        Raises:
            LeaseLostError: the fence refused; that batch was not written.
            RootUnusableError: no key can be had now.
            StorageError: or one of its kinds: that batch was not written.
        """
        at = now or self._parts.clock()
        rules = self._parts.retention.staleness
        run = _Run(tenant, microseconds(at), _before(rules.again, at), may_go_on, fence, Stale())
        self._usage.catch_up(tenant, fence)
        unused = -1 if rules.unused is None else _before(rules.unused, at)
        for reason in (StaleReason.DISPUTED, StaleReason.SUPERSEDED, StaleReason.UNUSED):
            if reason is StaleReason.UNUSED and rules.then is UnusedAction.COMPRESS:
                run.done.complete = self._compress_unused(run, unused) and run.done.complete
            else:
                run.done.complete = self._by_row(run, reason, unused) and run.done.complete
        run.done.complete = self._by_value(run) and run.done.complete
        return run.done

    def _by_row(self, run: _Run, reason: StaleReason, unused: int) -> bool:
        """Bring up what its row shows to be stale."""
        after = ""
        while run.may_go_on():
            with self._parts.store.log_connection(run.tenant) as connection:
                found = stale_page(connection, run.tenant, reason.value, unused, run.kept_since, after, BATCH)
            if not found:
                return True
            after = found[-1]
            self._bring_up(run, reason, found)
        return False

    def _compress_unused(self, run: _Run, unused: int) -> bool:
        """Put what nobody uses into reference memory, with an entry that names it."""
        after = ""
        while run.may_go_on():
            with self._parts.store.log_connection(run.tenant) as connection:
                found = stale_page(
                    connection,
                    run.tenant,
                    StaleReason.UNUSED.value,
                    unused,
                    run.kept_since,
                    after,
                    BATCH,
                    but_archived=True,
                )
            if not found:
                return True
            after = found[-1]
            try:
                self._compress(run, found)
            except ConflictError:
                self._one_by_one(run, found)
        return False

    def _one_by_one(self, run: _Run, memory_ids: Sequence[str]) -> None:
        """Compress what can be; one bad row must not keep the others (law 12)."""
        for memory_id in memory_ids:
            try:
                self._compress(run, [memory_id])
            except ConflictError:
                run.done.unreadable += 1  # the consistency job's to name

    def _compress(self, run: _Run, memory_ids: Sequence[str]) -> None:
        archived = Archive(self._parts).of(run.tenant, memory_ids)
        payload = what_was_compressed(archived, StaleReason.UNUSED.value)
        draft = self._parts.journal.event(EventType.MEMORY_REVIEW, run.tenant, payload)
        first = [] if run.fence is None else [run.fence]
        named = replace(draft, action=UnusedAction.COMPRESS.value)
        self._parts.store.submit(WriteSet(drafts=[named], changes=[*first, archived.rewriting.change]))
        run.done.compressed += len(memory_ids)

    def _by_value(self, run: _Run) -> bool:
        """Bring up what says nothing, among what was written since the last run."""
        while run.may_go_on():
            with self._parts.store.log_connection(run.tenant) as connection:
                after = load_state(connection, run.tenant).valued
                ids = memories_after(connection, run.tenant, after, BATCH)
                rows = current_rows(connection, run.tenant, ids)
            if not ids:
                return True
            self._parts.sealers.lease(run.tenant, [(row.subjects, row.text) for row in rows])
            empty: list[str] = []
            for row in rows:
                try:
                    text = self._parts.sealers.open_memory(run.tenant, row).text
                except RootUnusableError:
                    raise  # says nothing of the row
                except (TamperedError, KeyAccessError, ValueError, TypeError):
                    run.done.unreadable += 1  # the consistency job's to name
                    continue
                if not says_anything(text):
                    empty.append(row.memory_id)
            self._bring_up(run, StaleReason.LOW_VALUE, empty, SaveState(run.tenant, valued=ids[-1]).change)
        return False

    def _bring_up(self, run: _Run, reason: StaleReason, memory_ids: Sequence[str], *changes: Change) -> None:
        drafts = []
        first = [] if run.fence is None else [run.fence]
        if memory_ids:
            payload: dict[str, JsonValue] = {
                "memories": list(memory_ids),
                "count": len(memory_ids),
                "reason": reason.value,
            }
            drafts.append(self._parts.journal.event(EventType.MEMORY_REVIEW, run.tenant, payload))
            first.append(AddReviews(run.tenant, memory_ids, reason.value, run.now, run.kept_since).change)
            run.done.found[reason] += len(memory_ids)
        self._parts.store.submit(WriteSet(drafts=drafts, changes=[*first, *changes]))


def says_anything(text: str) -> bool:
    """Say whether a masked text holds a token, a number, or a word of two letters that is not said all the time."""
    if TOKEN.search(text):
        return True
    words = _WORD.findall(text.casefold().replace("\u2019", "'"))
    return any(
        word not in STOP_WORDS and (len(word) > 1 or not word.isascii() or word.isdigit()) for word in words
    )


def _before(term: Duration, now: datetime) -> int:
    """Return the latest time from which a term is over by now; -1 where none is."""
    latest = term.latest_start(now)
    return -1 if latest is None else microseconds(latest)
