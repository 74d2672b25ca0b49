"""Which entries answer a query, page by page: indexed SQL.

Owns the two plans. Where few kinds fit, each kind's entries are read from its own end of the index, so that
two rare conditions together cost no more than one; where many do, the log is walked from the end that was
asked. A range of times becomes a range of indexes first, by the bounds that blocks of entries carry.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, true

from audit.query.compile import Clause, any_value, entry_clause, kind_clause, split
from audit.query.evaluate import time_bounds
from audit.query.schema import ENTRY, KIND, SEGMENT, SEGMENT_ENTRIES
from audit.query.syntax import And, Everything, Field, IndexRange, Node, TimeRange

FEW_KINDS: Final = 1_000


class Window(NamedTuple):
    """Leaf indexes in `[first, stop)`."""

    first: int
    stop: int

    def narrowed(self, first: int, stop: int) -> "Window":
        """Return what both cover."""
        return Window(max(self.first, first), min(self.stop, stop))


def find(
    connection: Connection, node: Node, size: int, window: Window, *, limit: int, newest_first: bool
) -> list[int]:
    """Return the first so many leaf indexes of entries in a window that fit, in order.

    Args:
        connection: To the index.
        node: What is asked.
        size: Size of the tree that is asked.
        window: Where to look.
        limit: How many.
        newest_first: Whether from the highest index down.
    """
    kinds, rest = split(node)
    narrow = window_of(connection, rest, window)
    within = and_(
        ENTRY.c.leaf_index >= narrow.first,
        ENTRY.c.leaf_index < narrow.stop,
        true() if isinstance(rest, Everything) else entry_clause(rest, size),
    )
    ids = None if isinstance(kinds, Everything) else _few_kinds(connection, kinds)
    if ids is None:
        plan = _Plan(select(ENTRY.c.leaf_index).where(within, entry_clause(kinds, size)), ENTRY.c.leaf_index)
    else:
        plan = _by_kind(ids, within, limit, newest_first=newest_first)
    query = plan.query.order_by(_ordered(plan.order_by, newest_first=newest_first)).limit(limit)
    return [row[0] for row in connection.execute(query)]


def is_known(connection: Connection, field: Field, value: str) -> bool:
    """Say whether any entry of the log has this value, or one that begins so."""
    column = ENTRY.c.resource if field is Field.RESOURCE else KIND.c[field.value]
    return connection.execute(select(column).where(any_value(column, (value,))).limit(1)).first() is not None


def window_of(connection: Connection, node: Node, window: Window) -> Window:
    """Return the part of a window outside of which nothing fits: by index, and by the times of blocks."""
    for part in node.parts if isinstance(node, And) else (node,):
        match part:
            case IndexRange(first, last):
                window = window.narrowed(first or 0, window.stop if last is None else last + 1)
            case TimeRange():
                window = _window_of_time(connection, part, window)
            case _:
                pass
    return window


def _window_of_time(connection: Connection, asked: TimeRange, window: Window) -> Window:
    start, end = time_bounds(asked.start, asked.end)
    blocks = select(func.min(SEGMENT.c.number), func.max(SEGMENT.c.number))
    first, last = connection.execute(blocks.where(SEGMENT.c.last_us >= start, SEGMENT.c.first_us < end)).one()
    newest = connection.execute(select(func.coalesce(func.max(SEGMENT.c.number), -1))).scalar_one()
    tail = (newest + 1) * SEGMENT_ENTRIES
    times = select(func.min(ENTRY.c.time_us), func.max(ENTRY.c.time_us)).where(ENTRY.c.leaf_index >= tail)
    earliest, latest = connection.execute(times).one()
    in_tail = earliest is not None and latest >= start and earliest < end
    return window.narrowed(
        tail if first is None else first * SEGMENT_ENTRIES,
        window.stop if in_tail else tail if last is None else (last + 1) * SEGMENT_ENTRIES,
    )


class _Plan(NamedTuple):
    query: Select[int]
    order_by: ColumnElement[int]


def _few_kinds(connection: Connection, kinds: Node) -> list[int] | None:
    """Return the kinds that fit, or None where there are too many to look at one by one."""
    fitting = select(KIND.c.kind_id).where(kind_clause(kinds)).limit(FEW_KINDS + 1)
    ids = list(connection.execute(fitting).scalars())
    return None if len(ids) > FEW_KINDS else ids


def _by_kind(ids: Sequence[int], within: Clause, limit: int, *, newest_first: bool) -> _Plan:
    """Return the query that reads the first entries of each kind by itself and merges them."""
    driving, found = KIND.alias("driving"), ENTRY.alias("found")
    of_kind = (
        select(ENTRY.c.leaf_index)
        .where(ENTRY.c.kind_id == driving.c.kind_id, within)
        .order_by(_ordered(ENTRY.c.leaf_index, newest_first=newest_first))
        .limit(limit)
        .correlate(driving)
    )
    joined = driving.join(found, found.c.leaf_index.in_(of_kind))
    query = select(found.c.leaf_index).select_from(joined).where(driving.c.kind_id.in_(ids))
    return _Plan(query, found.c.leaf_index)


def _ordered(column: ColumnElement[int], *, newest_first: bool) -> ColumnElement[int]:
    return column.desc() if newest_first else column.asc()
