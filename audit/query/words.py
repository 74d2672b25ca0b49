"""The words of a query: names of fields, what each takes, and the names that people use for ours.

Owns the vocabulary. Values of fields with a fixed vocabulary must be of it, so that a typing error is told
and not answered with nothing; the others must have the form of an id, so that nobody's name, number or
address gets into an entry by way of a query.
"""

import re
from collections.abc import Mapping
from typing import Final

from audit.event import EventType, Outcome, Verdict
from audit.query.syntax import NONE, PREFIX, Field, Node, any_of, term

TIERS: Final = ("private", "institutional", "public")
"""Access tiers; a test holds them against the vault's."""

FIELDS: Final[Mapping[str, str]] = {
    "actor": "principal that called",
    "action": "what was asked for; also the name of an event",
    "event": "kind of entry",
    "outcome": "what became of it; also allowed or denied, as the policy decided",
    "decision": "what the policy decided",
    "purpose": "why",
    "tier": "access tier that the entry's payload names",
    "resource": "the one thing that it was about",
    "policy": "digest of the policy bundle",
    "index": "leaf index or range of them",
    "since": "from this time on",
    "until": "up to and with this time",
    "time": "within this time or range of times",
    "erased": "yes or no: whether the payload was erased",
}
SYNONYMS: Final[Mapping[str, str]] = {"principal": "actor"}

EVENT_SYNONYMS: Final[Mapping[str, EventType]] = {
    "memory.retrieve": EventType.MEMORY_SEARCH,
    "memory.extract": EventType.MEMORY_WRITE,
    "memory.get": EventType.MEMORY_READ,
}
"""What the facade's calls are named in the log."""
ACTION_SYNONYMS: Final[Mapping[str, str]] = {"retrieve": "search", "extract": "write", "get": "read"}

_WORDS: Final = re.compile(r"[a-z]+(?:[.-][a-z]+)*[.-]?\*?", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*[._-]?\*?", re.ASCII)
_VAULT_ID: Final = re.compile(r"[a-z]{2,12}_[a-z0-9]{0,64}\*?", re.ASCII)
_RUN: Final = re.compile(r"(?:[0-9][._-]?){7}", re.ASCII)
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,63}\*|[0-9a-f]{64})", re.ASCII)
_MAX_ID: Final = 80


class ValueRefusedError(ValueError):
    """A value is not one that the field takes; `expected` says which are."""

    def __init__(self, reason: str, expected: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.expected = expected


def values_node(name: str, values: list[str]) -> Node:
    """Return what a field with values asks for.

    Raises:
        ValueRefusedError: see `field_values`.
    """
    chosen: dict[Field, list[str]] = {}
    for value in values:
        field, meant = _meant(name, value)
        chosen.setdefault(field, []).append(meant)
    return any_of(term(field, meant) for field, meant in chosen.items())


def _meant(name: str, value: str) -> tuple[Field, str]:  # noqa: PLR0911  # one a kind of field
    value = value.lower()
    if name == "action":
        return _action(value)
    if name == "outcome" and value == Verdict.ALLOWED:
        return Field.DECISION, value
    field = Field(name)
    match field:
        case Field.EVENT:
            return field, _event(value)
        case Field.OUTCOME:
            return field, _one_of(value, (*Outcome, Verdict.ALLOWED))
        case Field.DECISION:
            return field, _one_of(value, tuple(Verdict))
        case Field.TIER:
            return field, _one_of(value, (*TIERS, NONE))
        case Field.PURPOSE:
            return field, _form(value, _WORDS, "a purpose: words of letters")
        case Field.POLICY:
            return field, _digest(value)
        case _:
            return field, _identifier(field, value)


def _action(value: str) -> tuple[Field, str]:
    """Return an action; a name with a dot is that of an event, as in `memory.search`."""
    if "." in value:
        return Field.EVENT, _event(value)
    value = ACTION_SYNONYMS.get(value, value)
    return Field.ACTION, _form(value, _WORDS, "an action: words of letters")


def _event(value: str) -> str:
    if value.endswith(PREFIX):
        # A beginning of no letters would ask for everything, and is a typing error.
        begins = value != PREFIX and tuple(event for event in EventType if event.startswith(value[:-1]))
        if not begins:
            raise ValueRefusedError("expected the beginning of an event", tuple(EventType))
        return value
    return _one_of(EVENT_SYNONYMS.get(value, value), tuple(EventType))


def _one_of(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueRefusedError(f"expected one of {', '.join(known)}", tuple(str(word) for word in known))
    return value


def _form(value: str, form: re.Pattern[str], said: str) -> str:
    if len(value) > _MAX_ID or not form.fullmatch(value):
        raise ValueRefusedError(f"expected {said}")
    return value


def _digest(value: str) -> str:
    found = _DIGEST.fullmatch(value)
    if found is None:
        raise ValueRefusedError("expected a policy digest: 64 hex digits, or its beginning and *")
    return f"sha256:{found[1]}"


def _identifier(field: Field, value: str) -> str:
    if field is Field.RESOURCE and len(value) <= _MAX_ID and _VAULT_ID.fullmatch(value):
        return value
    # An id has no run of seven digits: a number of a person's is refused, not logged.
    if len(value) > _MAX_ID or not _ID.fullmatch(value) or _RUN.search(value):
        raise ValueRefusedError("expected an id, or the beginning of one and *")
    return value
