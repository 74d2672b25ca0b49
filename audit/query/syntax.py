"""The typed tree of a query, and its one canonical text.

Owns the shapes and their normal form: nested conjunctions are flat, values sorted and single, no double
negation. `parse_query(str(tree))` is `tree` again. It leaves reading text to `audit.query.parse` and
meaning to `audit.query.evaluate`, which says in ten lines what the SQL must answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

NONE: Final = "none"
"""The value of a field that an entry does not have."""
PREFIX: Final = "*"
"""Ends a value that stands for all that begin so."""

_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


class Field(StrEnum):
    """What an entry is asked for by value."""

    ACTOR = "actor"
    EVENT = "event"
    ACTION = "action"
    OUTCOME = "outcome"
    DECISION = "decision"
    PURPOSE = "purpose"
    TIER = "tier"
    POLICY = "policy"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Everything:
    """Every entry: the empty query."""


@dataclass(frozen=True, slots=True)
class Term:
    """A field has one of some values; `none` is a field without one, `*` at the end any ending."""

    field: Field
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Actor or resource contains it."""

    text: str
    """Lower case: so are ids."""


@dataclass(frozen=True, slots=True)
class IndexRange:
    """Leaf indexes, both ends included; None is open, and one end is not."""

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times in UTC from `start` on and before `end`; None is open, and one end is not."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Erased:
    """The payload was erased by an entry of the tree that is asked."""


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of these; two or more, none of them `And`."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of these; two or more, none of them `Or`."""

    parts: tuple["Node", ...]


Node = Everything | Term | Text | IndexRange | TimeRange | Erased | Not | And | Or


def term(field: Field, values: Iterable[str]) -> Term:
    """Return a term with its values in order, each once."""
    return Term(field, tuple(sorted(set(values))))


def all_of(parts: Iterable[Node]) -> Node:
    """Return the conjunction of parts, flat."""
    flat = [
        inner
        for part in parts
        for inner in (part.parts if isinstance(part, And) else (part,))
        if not isinstance(inner, Everything)
    ]
    if len(flat) > 1:
        return And(tuple(flat))
    return flat[0] if flat else Everything()


def any_of(parts: Iterable[Node]) -> Node:
    """Return the disjunction of one or more parts, flat."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return Or(tuple(flat)) if len(flat) > 1 else flat[0]


def negated(part: Node) -> Node:
    """Return the negation of a part, without a double one."""
    return part.part if isinstance(part, Not) else Not(part)


def depth_of(node: Node) -> int:
    """Return how deep a tree nests; it is bounded by whoever made the tree."""
    match node:
        case Not(part):
            return 1 + depth_of(part)
        case And(parts) | Or(parts):
            return 1 + max(depth_of(part) for part in parts)
        case _:
            return 1


def _plain_text(text: str) -> str:
    return text


def _plain_value(_field: Field, value: str) -> str:
    return value


def write_query(  # noqa: PLR0911  # one a kind of node
    node: Node,
    show_text: Callable[[str], str] = _plain_text,
    show_value: Callable[[Field, str], str] = _plain_value,
) -> str:
    """Return the canonical text of a tree.

    Args:
        node: The tree.
        show_text: Stands in for free text where that must not be shown, such as in an entry.
        show_value: The same for the values of fields.
    """
    match node:
        case Everything():
            return ""
        case Term(field, values):
            return f"{field}:{','.join(show_value(field, value) for value in values)}"
        case Text(text):
            return _quoted(show_text(text))
        case IndexRange():
            return f"index:{_index_range(node)}"
        case TimeRange():
            return _time_range(node)
        case Erased():
            return "erased:yes"
        case Not(part):
            return f"-{_inner(part, show_text, show_value)}"
        case And(parts):
            return " ".join(_inner(part, show_text, show_value) for part in parts)
        case _:
            return " OR ".join(write_query(part, show_text, show_value) for part in node.parts)


def _inner(part: Node, show_text: Callable[[str], str], show_value: Callable[[Field, str], str]) -> str:
    text = write_query(part, show_text, show_value)
    # OR binds least: only there may several words stand bare.
    return f"({text})" if isinstance(part, And | Or) else text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _index_range(node: IndexRange) -> str:
    if node.first == node.last and node.first is not None:
        return str(node.first)
    first, last = ("" if end is None else str(end) for end in (node.first, node.last))
    return f"{first}..{last}"


def _time_range(node: TimeRange) -> str:
    if node.end is None:
        return f"since:{_first(node.start)}"
    if node.start is None:
        return f"until:{_last(node.end)}"
    return f"time:{_first(node.start)}..{_last(node.end)}"


def _first(at: datetime | None) -> str:
    assert at is not None  # noqa: S101  # narrows: a range has one end at least
    return at.date().isoformat() if at == _midnight(at) else _full(at)


def _last(end: datetime) -> str:
    """Return the coarsest text whose end is `end`: the day, the second or the microsecond before it."""
    if end == _midnight(end):
        return (end - _DAY).date().isoformat()
    return _full(end - (_MICROSECOND if end.microsecond else _SECOND))


def _full(at: datetime) -> str:
    text = at.isoformat(timespec="microseconds" if at.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
