"""Questions to a tenant's log: authorised, pinned to a tree size, answered from the index, and logged.

The way of a question:

1. Authorise: only who may read the log; a denial is an entry before it is an answer.
2. Read the question, and say where it is none.
3. Pin it to a tree size: the newest, or the one that a link or a cursor names.
4. Catch up the index, and find; what it does not reach yet is scanned, if that is little.
5. Read what was found from the log itself: the index is believed in nothing that is shown.
6. Log the question, answered or not: its canonical text, the size and the counts. Free text, and values
   that the log does not know, stand there as keyed hashes.

Owns these steps. The grammar, the index and counting are `audit.query`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from audit.canonical import JsonValue
from audit.errors import RangeInvalidError
from audit.event import EventType, Outcome
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
from audit.query.deadline import Deadline, QuestionTooDearError
from audit.query.evaluate import predicate
from audit.query.find import Window, find, is_known
from audit.query.index import IndexUnusableError
from audit.query.parse import parse_query
from audit.query.rows import Row, row_of
from audit.query.syntax import NONE, Field, Node, write_query
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.auditing import LogEntry, entry_of
from vault.errors import (
    BusyError,
    InputInvalidError,
    LogIndexBehindError,
    LogQueryTooDearError,
    TamperedError,
)
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_indexes import QUERY_SECONDS, TenantLog
from vault.parts import Parts

MAX_PAGE: Final = 1_000
MAX_SCAN: Final = 20_000
"""Entries beyond the index that one question reads by itself."""
ANSWER_SECONDS: Final = 5.0
"""How long one question works once its index is caught up; then it is given up."""
KNOWN_SECONDS: Final = 1.0
"""How long is looked for the values of a question in the log before all of them are hashed."""
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


_VOCABULARY: Final = frozenset({Field.EVENT, Field.OUTCOME, Field.DECISION, Field.TIER})
"""Fields whose values are words of ours: nobody's name can stand there."""


@dataclass(frozen=True, slots=True)
class _Question:
    node: Node
    size: int
    canonical: str


@dataclass(frozen=True, slots=True)
class _Held:
    """One state of an index; `connection` is None where nothing is indexed."""

    connection: Connection | None
    reached: int
    """Entries below are in this state."""
    deadline: Deadline


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
            LogQueryTooDearError: it takes too long.
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
            with self._logged_if_failed(grant, asked, "entry"):
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
            DeniedError, QueryInvalidError, RangeInvalidError, LogQueryTooDearError: as for `query`.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.log_indexes.log_of(grant.tenant) as log:
            asked = self._question(text, log, size, self._parts.clock())
            with self._logged_if_failed(grant, asked, "field"):
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
            DeniedError, QueryInvalidError, RangeInvalidError, LogQueryTooDearError: as for `query`; also where so small a unit
                would make too many buckets.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.log_indexes.log_of(grant.tenant) as log:
            asked = self._question(text, log, size, self._parts.clock())
            with self._logged_if_failed(grant, asked, "time" if unit is None else unit.value):
                found, reached = self._count(log, asked)
                histogram = histogram_of(found, unit)
        self._note(grant, asked, {"counted": histogram.total, "by": histogram.unit.value})
        return LogHistogram(asked.canonical, asked.size, reached, histogram)

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
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
        window = Window(*place.window)
        with self._held(log, asked) as held:
            if asked.size - held.reached > MAX_SCAN:
                raise LogIndexBehindError(f"the log's index reaches {held.reached} of {asked.size} entries")
            within, order = window.narrowed(0, held.reached), not place.oldest_first
            found = (
                find(held.connection, asked.node, asked.size, within, limit=limit, newest_first=order)
                if held.connection is not None and within.first < within.stop
                else []
            )
        beyond = [row.index for row in self._scan(log, asked, held, window)]
        if place.oldest_first:
            return (found + beyond)[:limit]
        return (beyond[::-1] + found)[:limit]

    def _count(self, log: TenantLog, asked: _Question) -> tuple[Fitting, int]:
        """Return what fits, and up to which index the log was looked at."""
        found = NOTHING
        with self._held(log, asked) as held:
            if held.connection is not None:
                found = fitting(held.connection, asked.node, asked.size, held.reached, held.deadline)
        if asked.size - held.reached > MAX_SCAN:
            return found, held.reached
        return with_rows(found, self._scan(log, asked, held, Window(0, asked.size))), asked.size

    @contextmanager
    def _held(self, log: TenantLog, asked: _Question) -> Iterator[_Held]:
        """Lend one state of the index, and say how far that very state reaches.

        Threat: between catching up and reading, another thread may have thrown the file away and be making
        it anew. How far it was caught up says nothing of what is read.
        """
        reached = self._reach(log, asked.size)
        deadline = Deadline(ANSWER_SECONDS)
        if not reached:
            yield _Held(None, 0, deadline)
            return
        index = self._parts.log_indexes.of(log.tenant)
        try:
            with index.reading(deadline) as (connection, holds):
                yield _Held(connection, min(reached, holds), deadline)
        except IndexUnusableError as error:
            if error.damaged:
                index.discard()
            raise LogIndexBehindError("the log's index had to be thrown away; it is made anew") from None
        except QuestionTooDearError:
            raise _too_dear() from None

    def _reach(self, log: TenantLog, size: int) -> int:
        """Return up to which index the index is complete; 0 where it can be neither used nor made."""
        try:
            return min(self._parts.log_indexes.of(log.tenant).catch_up(log, seconds=QUERY_SECONDS), size)
        except IndexUnusableError:
            return 0

    def _scan(self, log: TenantLog, asked: _Question, held: _Held, window: Window) -> list[Row]:
        """Return rows of a window that fit, of those that the index does not have."""
        fits = predicate(asked.node, asked.size)
        found: list[Row] = []
        for stored in log.entries(*window.narrowed(held.reached, asked.size)):
            if held.deadline.passed:
                raise _too_dear()
            row = row_of(stored)
            if fits(row):
                found.append(row)
        return found

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

    @contextmanager
    def _logged_if_failed(self, grant: Grant, asked: _Question, by: str) -> Iterator[None]:
        """Log a question whose answer is an error: that, too, tells something of the log."""
        try:
            yield
        except Exception as error:
            refused = isinstance(error, BusyError | RangeInvalidError)
            self._note(grant, asked, {"by": by}, Outcome.REFUSED if refused else Outcome.FAILED)
            raise

    def _note(
        self,
        grant: Grant,
        asked: _Question,
        figures: dict[str, JsonValue],
        outcome: Outcome = Outcome.OK,
    ) -> None:
        """Log the question."""
        written = self.logged_text(grant.tenant, asked.node)
        payload: dict[str, JsonValue] = {"query": written, "size": asked.size, **figures}
        self._parts.journal.note(grant, payload, resource=_LOG, outcome=outcome, event=EventType.AUDIT_QUERY)

    def logged_text(self, tenant: str, node: Node) -> str:
        """Return what an entry says of a question: who asks may have pasted a name, as text or in the form of an id."""

        def hashed(text: str) -> str:
            return f"hash:{self._parts.sealers.query_digest(tenant, text)}"

        with self._known(tenant) as known:

            def shown(field: Field, value: str) -> str:
                return (
                    value if field in _VOCABULARY or value == NONE or known(field, value) else hashed(value)
                )

            return write_query(node, hashed, shown)

    @contextmanager
    def _known(self, tenant: str) -> Iterator[Callable[[Field, str], bool]]:
        """Lend what says whether the log has a value; where the index cannot be asked, it has none."""
        index = self._parts.log_indexes.of(tenant)
        with ExitStack() as stack:
            connection: Connection | None = None
            with suppress(IndexUnusableError, QuestionTooDearError):
                connection, _ = stack.enter_context(index.reading(Deadline(KNOWN_SECONDS)))

            def known(field: Field, value: str) -> bool:
                if connection is None:
                    return False
                try:
                    return is_known(connection, field, value)
                except SQLAlchemyError:
                    return False

            yield known


def _too_dear() -> LogQueryTooDearError:
    return LogQueryTooDearError(
        f"the question takes more than {ANSWER_SECONDS:g} s: ask for a range of indexes, or for less at a time"
    )


def _stored(log: TenantLog, indexes: Sequence[int]) -> dict[int, StoredEntry]:
    """Return entries by index: read together where they lie close together."""
    first, last = min(indexes, default=0), max(indexes, default=-1)
    if last - first <= CLOSE * len(indexes):
        return {stored.index: stored for stored in log.entries(first, last + 1)}
    return {stored.index: stored for index in indexes for stored in log.entries(index, index + 1)}
