"""From a tree to SQL: expressions of SQLAlchemy Core with every value bound, never text put together.

Owns the translation and which part of a query is asked of which table: what entries of one kind have in
common is asked of the few hundred kinds, the rest of the entries. Empty text stands for no value, so that
negation never meets SQL's third truth value.
"""

from sqlalchemy import ColumnElement, and_, func, literal, not_, or_, select, true

from audit.query.evaluate import about_kind_alone, time_bounds
from audit.query.schema import ENTRY, KIND
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
    all_of,
)

Clause = ColumnElement[bool]


def split(node: Node) -> tuple[Node, Node]:
    """Return the part of a conjunction that kinds answer, and the rest."""
    parts = node.parts if isinstance(node, And) else (node,)
    kinds = [part for part in parts if about_kind_alone(part)]
    return all_of(kinds), all_of(part for part in parts if not about_kind_alone(part))


def kind_clause(node: Node) -> Clause:
    """Return the condition on a kind.

    Raises:
        ValueError: the tree asks for more than kinds know.
    """
    match node:
        case Everything():
            return true()
        case Term(field, values) if field is not Field.RESOURCE:
            return any_value(KIND.c[field.value], values)
        case Not(part):
            return not_(kind_clause(part))
        case And(parts):
            return and_(*(kind_clause(part) for part in parts))
        case Or(parts):
            return or_(*(kind_clause(part) for part in parts))
        case _:
            raise ValueError("expected a question about kinds alone")


def entry_clause(node: Node, size: int) -> Clause:  # noqa: PLR0911  # one a kind of node
    """Return the condition on an entry of the tree of `size`."""
    if about_kind_alone(node):
        return true() if isinstance(node, Everything) else _of_kinds(kind_clause(node))
    match node:
        case Term(_, values):
            return any_value(ENTRY.c.resource, values)
        case Text(text):
            return or_(_of_kinds(_contains(KIND.c.actor, text)), _contains(ENTRY.c.resource, text))
        case IndexRange(first, last):
            bounds = [] if first is None else [ENTRY.c.leaf_index >= first]
            return and_(true(), *bounds, *([] if last is None else [ENTRY.c.leaf_index <= last]))
        case TimeRange(start, end):
            since, until = time_bounds(start, end)
            return and_(ENTRY.c.time_us >= since, ENTRY.c.time_us < until)
        case Erased():
            return and_(ENTRY.c.erased_by.is_not(None), ENTRY.c.erased_by < size)
        case Not(part):
            return not_(entry_clause(part, size))
        case And(parts):
            return and_(*(entry_clause(part, size) for part in parts))
        case Or(parts):
            return or_(*(entry_clause(part, size) for part in parts))
        case _:  # pragma: no cover - what is left asks for kinds alone
            raise ValueError("expected a node")


def _of_kinds(clause: Clause) -> Clause:
    # The sum keeps SQLite from walking its index of kinds and sorting what it found.
    return (ENTRY.c.kind_id + literal(0)).in_(select(KIND.c.kind_id).where(clause).correlate(None))


def _contains(column: ColumnElement[str], text: str) -> Clause:
    # Not LIKE: % and _ of the text would be wildcards.
    return func.instr(column, text) > 0


def any_value(column: ColumnElement[str], values: tuple[str, ...]) -> Clause:
    """Return the condition that a column has one of the values of a term."""
    exact = [
        "" if value == NONE else value for value in values if value == NONE or not value.endswith(PREFIX)
    ]
    begins = [value[:-1] for value in values if value.endswith(PREFIX)]
    either = [column.in_(exact)] if exact else []
    return or_(*either, *(_begins(column, prefix) for prefix in begins))


def _begins(column: ColumnElement[str], prefix: str) -> Clause:
    # A range of an index, where LIKE would read every row; values are ASCII, so the next one is, too.
    if not prefix:
        return true()
    return and_(column >= prefix, column < prefix[:-1] + chr(ord(prefix[-1]) + 1))
