"""How many entries answer a query: by value of each field, and over time.

Owns counting. Full blocks are read as two columns of numbers and masked at once; the end of the log that
fills no block yet is read row by row. Counts are exact for the entries that the index has, and the caller
says whether these are all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, literal, select

from audit.errors import RangeInvalidError
from audit.query.compile import entry_clause, kind_clause
from audit.query.deadline import ENDLESS, Deadline
from audit.query.evaluate import about_kind_alone, time_bounds
from audit.query.find import FEW_KINDS, Window, window_of
from audit.query.rows import Kind, Row
from audit.query.schema import ENTRY, KIND, SEGMENT, SEGMENT_ENTRIES
from audit.query.syntax import And, Field, IndexRange, Node, Not, Or, Text, TimeRange

COUNTED: Final = (
    Field.EVENT,
    Field.ACTION,
    Field.ACTOR,
    Field.OUTCOME,
    Field.DECISION,
    Field.PURPOSE,
    Field.TIER,
)
MAX_BUCKETS: Final = 10_000
FEW_BUCKETS: Final = 60
"""The unit is chosen so that there are no more."""

_Mask = NDArray[np.bool_]


class Unit(StrEnum):
    """Width of a bucket, in UTC; a week begins on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Entries from `start` on, before the next bucket."""

    start: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries fit, by the values of each field, the most frequent first."""

    total: int
    fields: dict[Field, dict[str, int]]
    """An empty value is none."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many entries fit, over time; gaps are buckets of zero."""

    total: int
    unit: Unit
    buckets: tuple[Bucket, ...]


class Columns(NamedTuple):
    """Some entries as numbers, one place each."""

    indexes: NDArray[np.int64]
    times: NDArray[np.int64]
    kinds: NDArray[np.int64]


class Fitting(NamedTuple):
    """What fits a query, before it is told by field or time."""

    by_kind: dict[Kind, int]
    times: NDArray[np.int64]


NOTHING: Final = Fitting({}, np.empty(0, np.int64))


def fitting(
    connection: Connection, node: Node, size: int, stop: int, deadline: Deadline = ENDLESS
) -> Fitting:
    """Return kinds and times of all entries before `stop` that fit, in the tree of `size`.

    Raises:
        QuestionTooDearError: the deadline passed.
    """
    window = window_of(connection, node, Window(0, stop))
    masker = _Masker(connection, node, size, window)
    counts = np.zeros(masker.kinds, np.int64)
    times: list[NDArray[np.int64]] = []
    for block in _blocks(connection, window):
        deadline.check()
        mask = masker.mask(block)
        counts += np.bincount(block.kinds[mask], minlength=len(counts))
        times.append(block.times[mask])
    by_kind = _named(connection, counts)
    return Fitting(by_kind, np.concatenate(times) if times else NOTHING.times)


def _named(connection: Connection, counts: NDArray[np.int64]) -> dict[Kind, int]:
    """Return the counts that are not zero, by kind."""
    ids = np.flatnonzero(counts).tolist()
    query = select(KIND) if len(ids) > FEW_KINDS else select(KIND).where(KIND.c.kind_id.in_(ids))
    # The last kinds may belong to entries that the counting has not seen.
    rows = (row for row in connection.execute(query).all() if row[0] < len(counts) and counts[row[0]])
    return {Kind(*row[1:]): int(counts[row[0]]) for row in rows}


def with_rows(found: Fitting, rows: Sequence[Row]) -> Fitting:
    """Return what fits together with rows that the index does not have."""
    by_kind = dict(found.by_kind)
    for row in rows:
        by_kind[row.kind] = by_kind.get(row.kind, 0) + 1
    return Fitting(by_kind, np.concatenate([found.times, np.array([row.time_us for row in rows], np.int64)]))


def counts_of(found: Fitting) -> Counts:
    """Return the counts by field."""
    fields: dict[Field, dict[str, int]] = {}
    for field in COUNTED:
        values: dict[str, int] = {}
        for kind, count in found.by_kind.items():
            value: str = getattr(kind, field.value)
            values[value] = values.get(value, 0) + count
        fields[field] = dict(sorted(values.items(), key=lambda one: (-one[1], one[0])))
    return Counts(sum(found.by_kind.values()), fields)


def histogram_of(found: Fitting, unit: Unit | None = None) -> Histogram:
    """Return the counts over time, from the first entry that fits to the last.

    Raises:
        RangeInvalidError: so small a unit would make more than 10,000 buckets.
    """
    times = found.times
    if not len(times):
        return Histogram(0, unit or Unit.DAY, ())
    first, last = _datetime(int(times.min())), _datetime(int(times.max()))
    if unit is None:
        unit = next((one for one in Unit if _buckets_between(first, last, one) <= FEW_BUCKETS), Unit.YEAR)
    if unit is not Unit.YEAR and _buckets_between(first, last, unit) > MAX_BUCKETS:
        raise RangeInvalidError(f"expected a unit that makes at most {MAX_BUCKETS} buckets")
    starts = list(_starts(first, last, unit))
    edges = np.array([_microseconds(start) for start in starts], np.int64)
    # Times are nearly in order, so that sorting them is one pass; every bucket is then two places in them.
    places = np.searchsorted(np.sort(times, kind="stable"), edges)
    counted = np.diff(np.append(places, len(times)))
    buckets = tuple(Bucket(start, int(count)) for start, count in zip(starts, counted, strict=True))
    return Histogram(len(times), unit, buckets)


class _Masker:
    """Says of a block of entries which fit."""

    def __init__(self, connection: Connection, node: Node, size: int, window: Window) -> None:
        self._connection = connection
        self._window = window
        self._size = size
        self._node = node
        newest: int | None = connection.execute(select(func.max(KIND.c.kind_id))).scalar_one()
        self.kinds = 0 if newest is None else newest + 1
        # By what is asked, not by where it stands: a query may say the same sixty times.
        self._kinds: dict[Node, _Mask] = {}
        self._indexes: dict[Node, NDArray[np.int64]] = {}

    def mask(self, block: Columns) -> _Mask:
        """Return one truth value an entry."""
        return self._mask(self._node, block)

    def _mask(self, node: Node, block: Columns) -> _Mask:  # noqa: PLR0911  # one a kind of node
        if about_kind_alone(node):
            fits: _Mask = self._kind_table(node)[block.kinds]
            return fits
        match node:
            case IndexRange(first, last):
                return _between(block.indexes, first or 0, 1 << 62 if last is None else last + 1)
            case TimeRange(start, end):
                return _between(block.times, *time_bounds(start, end))
            case Not(part):
                return ~self._mask(part, block)
            case And(parts):
                return reduce(np.logical_and, (self._mask(part, block) for part in parts))
            case Or(parts):
                return reduce(np.logical_or, (self._mask(part, block) for part in parts))
            case _:
                return _among(block.indexes, self._found(node))

    def _kind_table(self, node: Node) -> _Mask:
        """Return one truth value a kind, asked once."""
        table = self._kinds.get(node)
        if table is None:
            table = self._kinds[node] = np.zeros(self.kinds, np.bool_)
            query = select(KIND.c.kind_id).where(kind_clause(node))
            table[list(self._connection.execute(query).scalars())] = True
        return table

    def _found(self, node: Node) -> NDArray[np.int64]:
        """Return the indexes of entries that fit what numbers do not tell, such as a resource; asked once."""
        found = self._indexes.get(node)
        if found is None:
            # A text is looked for row by row of the window; the sum has others found by their own index.
            place = ENTRY.c.leaf_index if isinstance(node, Text) else ENTRY.c.leaf_index + literal(0)
            query = select(ENTRY.c.leaf_index).where(
                entry_clause(node, self._size), place >= self._window.first, place < self._window.stop
            )
            found = np.sort(np.array(self._connection.execute(query).scalars().all(), np.int64))
            self._indexes[node] = found
        return found


def _among(indexes: NDArray[np.int64], found: NDArray[np.int64]) -> _Mask:
    """Say which indexes of a block are among the sorted ones that were found."""
    first, stop = np.searchsorted(found, (indexes.min(initial=1 << 62), indexes.max(initial=-1) + 1))
    fits: _Mask = np.isin(indexes, found[first:stop], assume_unique=True)
    return fits


def _between(values: NDArray[np.int64], first: int, stop: int) -> _Mask:
    fits: _Mask = (values >= first) & (values < stop)
    return fits


def _blocks(connection: Connection, window: Window) -> Iterator[Columns]:
    """Yield the entries of a window: full blocks as they lie there, then the end row by row."""
    numbers = select(SEGMENT.c.number, SEGMENT.c.times, SEGMENT.c.kinds).where(
        SEGMENT.c.number >= window.first // SEGMENT_ENTRIES,
        SEGMENT.c.number * SEGMENT_ENTRIES < window.stop,
    )
    reached = window.first
    for number, times, kinds in connection.execute(numbers.order_by(SEGMENT.c.number)).all():
        first = number * SEGMENT_ENTRIES
        yield from _rows(connection, reached, first)
        begin, end = max(window.first - first, 0), min(window.stop - first, SEGMENT_ENTRIES)
        reached = first + end
        yield Columns(
            np.arange(first + begin, reached, dtype=np.int64),
            np.frombuffer(times, "<i8")[begin:end].astype(np.int64, copy=False),
            np.frombuffer(kinds, "<i4")[begin:end].astype(np.int64),
        )
    yield from _rows(connection, reached, window.stop)


def _rows(connection: Connection, first: int, stop: int) -> Iterator[Columns]:
    """Yield entries that lie in no block: the end of the log."""
    if first >= stop:
        return
    query = select(ENTRY.c.leaf_index, ENTRY.c.time_us, ENTRY.c.kind_id)
    found = connection.execute(query.where(ENTRY.c.leaf_index >= first, ENTRY.c.leaf_index < stop))
    # Plain tuples: numpy asks each of SQLAlchemy's rows for attributes that it does not have.
    rows = np.array([tuple(row) for row in found.all()], np.int64).reshape(-1, 3)
    yield Columns(rows[:, 0], rows[:, 1], rows[:, 2])


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_WIDTHS: Final = {
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
    Unit.DAY: timedelta(days=1),
    Unit.WEEK: timedelta(weeks=1),
    Unit.MONTH: timedelta(days=28),
    Unit.YEAR: timedelta(days=365),
}


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _datetime(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _buckets_between(first: datetime, last: datetime, unit: Unit) -> int:
    """Return about how many buckets there are, never too few."""
    return (last - first) // _WIDTHS[unit] + 2


def _starts(first: datetime, last: datetime, unit: Unit) -> Iterator[datetime]:
    start = _floor(first, unit)
    while start <= last:
        yield start
        if start > _LAST - timedelta(days=366):
            return
        start = _next(start, unit)


def _floor(at: datetime, unit: Unit) -> datetime:
    minute = at.replace(second=0, microsecond=0)
    day = minute.replace(hour=0, minute=0)
    match unit:
        case Unit.MINUTE:
            return minute
        case Unit.HOUR:
            return minute.replace(minute=0)
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return max(_FIRST, day) - timedelta(days=min(day.weekday(), (day - _FIRST).days))
        case Unit.MONTH:
            return day.replace(day=1)
        case _:
            return day.replace(month=1, day=1)


def _next(start: datetime, unit: Unit) -> datetime:
    if unit is Unit.YEAR:
        return start.replace(year=start.year + 1)
    if unit is Unit.MONTH:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + _WIDTHS[unit]
