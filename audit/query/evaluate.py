"""What a query means, said once over single rows.

Owns the meaning. `audit.query.compile` says the same to a database, and a property test holds the two
together; this one also answers for the end of a log that the index does not reach yet.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from audit.event import time_in_microseconds
from audit.query.rows import Row
from audit.query.syntax import (
    NONE,
    PREFIX,
    And,
    Erased,
    Everything,
    Field,
    IndexRange,
    Node,
    Not,
    Or,
    Term,
    Text,
    TimeRange,
)

Predicate = Callable[[Row], bool]


def predicate(node: Node, size: int) -> Predicate:  # noqa: PLR0911  # one a kind of node
    """Return whether a row of the tree of `size` is one that is asked for."""
    match node:
        case Everything():
            return lambda _row: True
        case Term(field, values):
            return lambda row: any(_fits(row.value(field), value) for value in values)
        case Text(text):
            return lambda row: text in row.kind.actor or text in row.resource
        case IndexRange(first, last):
            return lambda row: (first or 0) <= row.index and (last is None or row.index <= last)
        case TimeRange(start, end):
            bounds = time_bounds(start, end)
            return lambda row: bounds[0] <= row.time_us < bounds[1]
        case Erased():
            return lambda row: row.erased_at(size)
        case Not(part):
            inner = predicate(part, size)
            return lambda row: not inner(row)
        case And(parts):
            inners = [predicate(part, size) for part in parts]
            return lambda row: all(inner(row) for inner in inners)
        case _:
            inners = [predicate(part, size) for part in node.parts]
            return lambda row: any(inner(row) for inner in inners)


BEFORE_ALL_TIMES: Final = -(1 << 62)
AFTER_ALL_TIMES: Final = 1 << 62


def time_bounds(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """Return a half-open range of microseconds since 1970."""
    return (
        BEFORE_ALL_TIMES if start is None else time_in_microseconds(start),
        AFTER_ALL_TIMES if end is None else time_in_microseconds(end),
    )


def _fits(has: str, value: str) -> bool:
    if value == NONE:
        return not has
    if value.endswith(PREFIX):
        return has.startswith(value[:-1])
    return has == value


def about_kind_alone(node: Node) -> bool:
    """Say whether a tree asks only for what entries of one kind have in common."""
    match node:
        case Everything():
            return True
        case Term(field):
            return field is not Field.RESOURCE
        case Not(part):
            return about_kind_alone(part)
        case And(parts) | Or(parts):
            return all(about_kind_alone(part) for part in parts)
        case _:
            return False
