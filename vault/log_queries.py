"""Questions to a tenant's log: authorised, pinned to a tree size, answered from the index, and logged.

The way of a question:

1. Authorise: only who may read the log; a denial is an entry before it is an answer.
2. Read the question, and say where it is none.
3. Pin it to a tree size: the newest, or the one that a link or a cursor names.
4. Catch up the index, and find; what it does not reach yet is scanned, if that is little.
5. Read what was found from the log itself: the index is believed in nothing that is shown.
6. Log the question: its canonical text, free text as a keyed hash, the size and the counts.

Owns these steps. The grammar, the index and counting are `audit.query`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.canonical import JsonValue
from audit.errors import RangeInvalidError
from audit.event import EventType
from audit.evidence import StoredEntry
from audit.query.count import (
    NOTHING,
    Counts,
    Fitting,
    Histogram,
    Unit,
    counts_of,
    fitting,
    histogram_of,
    with_rows,
)
from audit.query.cursor import Cursor
from audit.query.evaluate import predicate
from audit.query.find import Window, find
from audit.query.index import IndexUnusableError
from audit.query.parse import parse_query
from audit.query.rows import Row, row_of
from audit.query.syntax import Node, write_query
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.auditing import LogEntry, entry_of
from vault.errors import InputInvalidError, LogIndexBehindError, TamperedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_indexes import QUERY_SECONDS, TenantLog
from vault.parts import Parts

MAX_PAGE: Final = 1_000
MAX_SCAN: Final = 20_000
"""Entries beyond the index that one question reads by itself."""
CLOSE: Final = 4
"""Entries that are read for each that is shown, rather than each by itself."""
_LOG: Final = SystemResource.AUDIT_LOG.value


@dataclass(frozen=True, slots=True)
class QueryPage:
    """Some of the entries that fit, in order."""

    query: str
    """Canonical, with absolute times: with `tree_size` it shows the same rows for ever."""
    tree_size: int
    entries: tuple[LogEntry, ...]
    cursor: str | None
    """Asks for what follows; None after the last."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of how much of the tree."""

    query: str
    tree_size: int
    counted_size: int
    """Entries below this index were looked at."""

    @property
    def complete(self) -> bool:
        """Whether that is the whole tree that was asked."""
        return self.counted_size == self.tree_size


@dataclass(frozen=True, slots=True)
class LogFacets(Counted):
    """How many entries fit, by the values of each field."""

    counts: Counts


@dataclass(frozen=True, slots=True)
class LogHistogram(Counted):
    """How many entries fit, over time."""

    histogram: Histogram


@dataclass(frozen=True, slots=True)
class _Question:
    node: Node
    size: int
    canonical: str


class LogQueries:
    """What one vault's logs answer."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def query(
        self,
        principal: Principal,
        purpose: Purpose,
        text: str,
        *,
        size: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> QueryPage:
        """Return entries that fit, newest first unless asked otherwise.

        Raises:
            DeniedError: the log may not be read.
            QueryInvalidError: the text is no query.
            RangeInvalidError: the log never had this size, or the cursor is not of this question.
            InputInvalidError: `limit` is out of range.
            LogIndexBehindError: the index does not reach far enough yet.
            TamperedError: an entry is not of the form of one.
        """
        grant = self._authorise(principal, purpose)
        if not 1 <= limit <= MAX_PAGE:
            raise InputInvalidError(f"expected a limit from 1 to {MAX_PAGE}")
        now = self._parts.clock()
        place = None if cursor is None else Cursor.read(cursor)
        with self._parts.log_indexes.log_of(grant.tenant) as log:
            asked = self._question(
                text, log, size if place is None else place.size, place.now if place else now
            )
            if place is None:
                place = Cursor.first(asked.size, asked.canonical, now, oldest_first=oldest_first)
            elif size not in {None, place.size}:
                raise RangeInvalidError("expected the cursor's own tree size")
            place.expect(asked.canonical)
            indexes = self._find(log, asked, place, limit + 1)
            entries = tuple(self._read(log, indexes[:limit], asked))
        after = place.after(indexes[limit - 1]).write() if len(indexes) > limit else None
        self._note(grant, asked, {"found": len(entries), "limit": limit})
        return QueryPage(asked.canonical, asked.size, entries, after)

    def facets(
        self, principal: Principal, purpose: Purpose, text: str, *, size: int | None = None
    ) -> LogFacets:
        """Return how many entries fit, by the values of each field.

        Raises:
            DeniedError, QueryInvalidError, RangeInvalidError: as for `query`.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.log_indexes.log_of(grant.tenant) as log:
            asked = self._question(text, log, size, self._parts.clock())
            found, reached = self._count(log, asked)
        counts = counts_of(found)
        self._note(grant, asked, {"counted": counts.total, "by": "field"})
        return LogFacets(asked.canonical, asked.size, reached, counts)

    def histogram(
        self,
        principal: Principal,
        purpose: Purpose,
        text: str,
        *,
        size: int | None = None,
        unit: Unit | None = None,
    ) -> LogHistogram:
        """Return how many entries fit, over time.

        Raises:
            DeniedError, QueryInvalidError, RangeInvalidError: as for `query`; also where so small a unit
                would make too many buckets.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.log_indexes.log_of(grant.tenant) as log:
            asked = self._question(text, log, size, self._parts.clock())
            found, reached = self._count(log, asked)
        histogram = histogram_of(found, unit)
        self._note(grant, asked, {"counted": histogram.total, "by": histogram.unit.value})
        return LogHistogram(asked.canonical, asked.size, reached, histogram)

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.OTHER),)
        try:
            return authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.AUDIT, purpose)
            self._parts.journal.deny(call, resource=_LOG, event=EventType.AUDIT_QUERY)
            raise

    def _question(self, text: str, log: TenantLog, size: int | None, now: datetime) -> _Question:
        if size is not None and not 0 <= size <= log.size:
            raise RangeInvalidError(f"expected a tree size of at most {log.size}")
        node = parse_query(text, now=now)
        return _Question(node, log.size if size is None else size, write_query(node))

    def _find(self, log: TenantLog, asked: _Question, place: Cursor, limit: int) -> list[int]:
        """Return indexes of entries that fit, in order; from the index, and beyond it from the log."""
        reached = self._reach(log, asked.size)
        if asked.size - reached > MAX_SCAN:
            raise LogIndexBehindError(f"the log's index reaches {reached} of {asked.size} entries")
        window = Window(*place.window)
        beyond = [row.index for row in self._scan(log, asked, window.narrowed(reached, asked.size))]
        within = window.narrowed(0, reached)
        if place.oldest_first:
            return (self._indexed(log, asked, within, limit, oldest_first=True) + beyond)[:limit]
        beyond = beyond[::-1][:limit]
        wanted = limit - len(beyond)
        return beyond + (self._indexed(log, asked, within, wanted) if wanted else [])

    def _indexed(
        self, log: TenantLog, asked: _Question, within: Window, limit: int, *, oldest_first: bool = False
    ) -> list[int]:
        if within.first >= within.stop:
            return []
        index = self._parts.log_indexes.of(log.tenant)
        try:
            with index.reading() as (connection, _):
                return find(
                    connection, asked.node, asked.size, within, limit=limit, newest_first=not oldest_first
                )
        except IndexUnusableError as error:
            if error.damaged:
                index.discard()
            raise LogIndexBehindError("the log's index had to be thrown away; it is made anew") from None

    def _count(self, log: TenantLog, asked: _Question) -> tuple[Fitting, int]:
        """Return what fits, and up to which index the log was looked at."""
        reached = min(self._reach(log, asked.size), asked.size)
        found = NOTHING
        if reached:
            index = self._parts.log_indexes.of(log.tenant)
            try:
                with index.reading() as (connection, _):
                    found = fitting(connection, asked.node, asked.size, reached)
            except IndexUnusableError as error:
                if error.damaged:
                    index.discard()
                raise LogIndexBehindError("the log's index had to be thrown away; it is made anew") from None
        if asked.size - reached > MAX_SCAN:
            return found, reached
        return with_rows(found, self._scan(log, asked, Window(reached, asked.size))), asked.size

    def _reach(self, log: TenantLog, size: int) -> int:
        """Return up to which index the index is complete; 0 where it can be neither used nor made."""
        try:
            return min(self._parts.log_indexes.of(log.tenant).catch_up(log, seconds=QUERY_SECONDS), size)
        except IndexUnusableError:
            return 0

    def _scan(self, log: TenantLog, asked: _Question, window: Window) -> list[Row]:
        fits = predicate(asked.node, asked.size)
        rows = (row_of(stored) for stored in log.entries(*window))
        return [row for row in rows if fits(row)]

    def _read(self, log: TenantLog, indexes: Sequence[int], asked: _Question) -> Iterator[LogEntry]:
        fits = predicate(asked.node, asked.size)
        held = _stored(log, indexes)
        for index in indexes:
            stored = held.get(index)
            if stored is None:
                raise TamperedError(f"entry {index} of the log is not there")
            if fits(row_of(stored)):
                yield entry_of(stored)
            elif stored.erased_by is None:
                self._parts.log_indexes.of(log.tenant).discard()
                raise LogIndexBehindError("the log's index did not say what the log does; it is made anew")
            # else: its access tier was erased since it was indexed, and it does not fit any more.

    def _note(self, grant: Grant, asked: _Question, figures: dict[str, JsonValue]) -> None:
        """Log the question. Who asks may have pasted a name into it, so free text stands there as its hash."""

        def hashed(text: str) -> str:
            return f"hash:{self._parts.sealers.query_digest(grant.tenant, text)}"

        payload: dict[str, JsonValue] = {
            "query": write_query(asked.node, hashed),
            "size": asked.size,
            **figures,
        }
        self._parts.journal.note(grant, payload, resource=_LOG, event=EventType.AUDIT_QUERY)


def _stored(log: TenantLog, indexes: Sequence[int]) -> dict[int, StoredEntry]:
    """Return entries by index: read together where they lie close together."""
    first, last = min(indexes, default=0), max(indexes, default=-1)
    if last - first <= CLOSE * len(indexes):
        return {stored.index: stored for stored in log.entries(first, last + 1)}
    return {stored.index: stored for index in indexes for stored in log.entries(index, index + 1)}
