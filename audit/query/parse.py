"""From text to tree, with the place of every fault, in bounded time and memory.

Owns the grammar (Lark, LALR: linear in the text, no recursion over it) and the limits. It leaves words to
`audit.query.words`, times to `audit.query.moments`. Messages name positions and what was expected, never
the text: a query may hold what its author pasted into it.

Example:
    >>> write_query(parse_query("actor:agent-7 -outcome:allowed", now=clock()))
    'actor:agent-7 -decision:allowed'
"""

import unicodedata
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from lark import Lark, Token, UnexpectedCharacters, UnexpectedToken, v_args
from lark.exceptions import VisitError
from lark.visitors import Transformer_NonRecursive

from audit.errors import QueryInvalidError
from audit.query.moments import read_moment
from audit.query.syntax import (
    PREFIX,
    And,
    Erased,
    Everything,
    IndexRange,
    Node,
    Not,
    Or,
    Text,
    TimeRange,
    all_of,
    any_of,
    negated,
)
from audit.query.words import FIELDS, SYNONYMS, ValueRefusedError, values_node

MAX_LENGTH: Final = 2_000
MAX_DEPTH: Final = 24
MAX_VALUES: Final = 200
MAX_TEXTS: Final = 16
"""Each text is looked for in every id of the log: two hundred would take seconds."""
MAX_SEARCHED: Final = 16
"""Times, `erased` and beginnings of resources: each is a search of its own through the log."""
MAX_TEXT: Final = 200
MAX_INDEX: Final = 2**53 - 1
_INDEX_DIGITS: Final = 16

_GRAMMAR: Final = r"""
start: [any]
any: all (_OR all)*
all: unary
   | all unary
   | all _AND unary
?unary: (MINUS | NOT) unary -> negation
   | atom
?atom: LPAR any RPAR -> group
   | FIELD value (_COMMA value)* -> field
   | QUOTED -> quoted
   | BARE -> bare
   | SMALL -> small
?value: VALUE | QUOTED

_OR.5: /OR(?![^\s()",])/
_AND.5: /AND(?![^\s()",])/
NOT.5: /NOT(?![^\s()",])/
SMALL.4: /(or|and|not)(?![^\s()",])/i
FIELD.3: /[A-Za-z][A-Za-z_-]*:/
MINUS: "-"
LPAR: "("
RPAR: ")"
_COMMA: ","
QUOTED: /"(?:[^"\\]|\\.)*"/s
BARE: /[^\s()":,\-][^\s()":,]*/
VALUE: /[^\s()",]+/
%ignore /\s+/
"""
_TERM: Final = "a term such as actor:agent-7, text in quotes, or ("
_SAID: Final = {
    "FIELD": _TERM,
    "LPAR": _TERM,
    "QUOTED": _TERM,
    "BARE": _TERM,
    "MINUS": _TERM,
    "NOT": _TERM,
    "SMALL": _TERM,
    "VALUE": "a value",
    "RPAR": ")",
    "_OR": "OR",
    "_AND": "AND",
    "_COMMA": ", and another value",
    "$END": "the end",
}


def parse_query(text: str, *, now: datetime) -> Node:
    """Return what a text asks for.

    Args:
        text: At most 2,000 characters.
        now: What relative times such as `7d` count from.

    Raises:
        QueryInvalidError: it is no query, with the place where it stops being one.
    """
    _check_characters(text)
    try:
        tree = _parser().parse(text)
        built = _Builder(now).transform(tree)
    except UnexpectedCharacters as error:
        # All others begin a word of the grammar.
        place = int(str(error.pos_in_stream))  # declared as None
        raise QueryInvalidError("expected the closing quote of this text", position=place) from None
    except UnexpectedToken as error:
        raise _unexpected(error, text) from None
    except VisitError as error:
        raise error.orig_exc from None
    return built.node


def point_at(text: str, position: int, width: int = 72) -> str:
    """Return the line of a text that a position is in and, below it, a caret under that place.

    A long line is cut to `width` columns around the place, and what cannot be seen stands as `?`.
    """
    shown = "".join(character if character.isprintable() else "?" for character in text)
    start = max(0, min(position - width // 2, len(shown) - width))
    cut = shown[start : start + width]
    columns = sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in cut[: position - start])
    return f"{cut}\n{' ' * columns}^"


@cache
def _parser() -> Lark:
    """Return the parser, built when the first query comes."""
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual")


def _check_characters(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise QueryInvalidError(
            f"expected at most {MAX_LENGTH} characters, got {len(text)}", position=MAX_LENGTH
        )
    for position, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\t\n\r":
            raise QueryInvalidError("expected no control character and no half of a pair", position=position)


def _unexpected(error: UnexpectedToken, text: str) -> QueryInvalidError:
    position = len(text) if error.token.type == "$END" else _place(error.token)
    expected = error.accepts or error.expected
    names = {"VALUE"} if "VALUE" in expected else expected
    said = tuple(dict.fromkeys(_SAID[name] for name in sorted(names) if name in _SAID))
    reason = f"expected {' or '.join(said)}"
    if text[position : position + 1] == ":":
        reason = "expected quotes around text with a colon"
    return QueryInvalidError(reason, position=position, expected=said)


class _Part(NamedTuple):
    node: Node
    depth: int


@v_args(inline=True)
class _Builder(Transformer_NonRecursive[Token, _Part]):
    """Makes the tree from the inside out, without recursion: brackets may nest as deep as a text is long."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self._now = now
        self._values = 0
        self._texts = 0
        self._searched = 0

    def start(self, part: _Part | None = None) -> _Part:
        return _Part(Everything(), 1) if part is None else part

    def any(self, *parts: _Part) -> _Part:
        node = any_of(part.node for part in parts)
        return _joined(node, parts, Or)

    def all(self, *parts: _Part) -> _Part:
        node = all_of(part.node for part in parts)
        return _joined(node, parts, And)

    def negation(self, _sign: Token, part: _Part) -> _Part:
        return _Part(negated(part.node), part.depth + (-1 if isinstance(part.node, Not) else 1))

    def group(self, opening: Token, part: _Part, _closing: Token) -> _Part:
        if part.depth > MAX_DEPTH:
            raise QueryInvalidError(f"expected a nesting of at most {MAX_DEPTH}", position=_place(opening))
        return part

    def quoted(self, token: Token) -> _Part:
        return self._text(token, _unquoted(token))

    def bare(self, token: Token) -> _Part:
        return self._text(token, str(token))

    def small(self, token: Token) -> _Part:
        wrong = "expected OR, AND and NOT in capitals, or quotes around the word"
        raise QueryInvalidError(f"expected {_TERM}" if token.isupper() else wrong, position=_place(token))

    def field(self, name: Token, *values: Token) -> _Part:
        field = SYNONYMS.get(name[:-1].lower(), name[:-1].lower())
        if field not in FIELDS:
            raise QueryInvalidError(
                f"expected a known field: {', '.join(FIELDS)}", position=_place(name), expected=tuple(FIELDS)
            )
        self._count(values[0], len(values))
        self._count_searches(field, values)
        parts = [self._value(field, value) for value in values]
        if field in _BY_WORDS:
            # Values of one field stay together: `outcome:denied,refused` is one term.
            return _Part(values_node(field, [_unquoted(value) for value in values]), 2)
        if field not in {"index", "time"} and len(parts) > 1:
            raise QueryInvalidError("expected one value", position=_place(values[1]))
        return _Part(any_of(parts), 2)

    def _text(self, token: Token, text: str) -> _Part:
        self._count(token, 1)
        self._texts += 1
        if self._texts > MAX_TEXTS:
            raise QueryInvalidError(f"expected at most {MAX_TEXTS} texts", position=_place(token))
        if not text.strip() or len(text) > MAX_TEXT:
            raise QueryInvalidError(f"expected a text of 1 to {MAX_TEXT} characters", position=_place(token))
        return _Part(Text(text.lower()), 1)

    def _count(self, token: Token, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise QueryInvalidError(f"expected at most {MAX_VALUES} values", position=_place(token))

    def _count_searches(self, field: str, values: tuple[Token, ...]) -> None:
        if field == "resource":
            self._searched += max(1, sum(_unquoted(value).endswith(PREFIX) for value in values))
        elif field in _SEARCHED:
            self._searched += len(values)
        if self._searched > MAX_SEARCHED:
            raise QueryInvalidError(
                f"expected at most {MAX_SEARCHED} resource terms or beginnings, times and erased together",
                position=_place(values[0]),
            )

    def _value(self, field: str, token: Token) -> Node:
        value = _unquoted(token)
        try:
            match field:
                case "index":
                    return _index(value)
                case "since":
                    return TimeRange(read_moment(value, self._now)[0], None)
                case "until":
                    return TimeRange(None, read_moment(value, self._now)[1])
                case "time":
                    return _time(value, self._now)
                case "erased":
                    return _erased(value)
                case _:
                    return values_node(field, [value])
        except ValueRefusedError as error:
            raise QueryInvalidError(str(error), position=_place(token), expected=error.expected) from None
        except ValueError as error:
            raise QueryInvalidError(str(error), position=_place(token)) from None


_SEARCHED: Final = frozenset({"since", "until", "time", "erased"})
_BY_WORDS: Final = frozenset(FIELDS) - _SEARCHED - {"index"}


def _joined(node: Node, parts: tuple[_Part, ...], kind: type[And | Or]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(node, 1 + max(part.depth - isinstance(part.node, kind) for part in parts))


def _place(token: Token) -> int:
    return token.start_pos or 0


def _unquoted(token: Token) -> str:
    if token.type != "QUOTED":
        return str(token)
    inner, text, escaped = token[1:-1], [], False
    for character in inner:
        if character == "\\" and not escaped:
            escaped = True
            continue
        text.append(character)
        escaped = False
    return "".join(text)


def _index(value: str) -> IndexRange:
    first, dots, last = value.partition("..")
    if not dots:
        return IndexRange(_whole(first), _whole(first))
    if not first and not last:
        raise ValueError("expected an index or a range of them, such as 10..20")
    bounds = _whole(first) if first else None, _whole(last) if last else None
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        raise ValueError("expected a range that does not end before it begins")
    return IndexRange(*bounds)


def _whole(digits: str) -> int:
    # The length first: turning thousands of digits into a number is the slow part.
    if len(digits) > _INDEX_DIGITS or not digits.isascii() or not digits.isdigit() or int(digits) > MAX_INDEX:
        raise ValueError("expected an index or a range of them, such as 10..20")
    return int(digits)


def _time(value: str, now: datetime) -> TimeRange:
    first, dots, last = value.partition("..")
    if not first and not last:
        raise ValueError("expected a time or a range of times")
    start = read_moment(first, now) if first else None
    end = read_moment(last, now) if last else None
    bounds = start and start[0], end[1] if end else start[1] if start and not dots else None
    if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
        raise ValueError("expected a range that does not end before it begins")
    return TimeRange(*bounds)


def _erased(value: str) -> Node:
    match value.lower():
        case "yes":
            return Erased()
        case "no":
            return Not(Erased())
        case _:
            raise ValueRefusedError("expected yes or no", ("yes", "no"))
