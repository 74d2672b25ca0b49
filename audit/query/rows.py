"""What is known of an entry in the index: its header's columns, and one word of its payload.

Owns the row and how it is read from a stored entry. An entry that is not in its form has a row of empty
values, so that one bad entry never fails a list; reading it says what is wrong.
"""

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit.errors import MalformedError
from audit.event import parse_header, time_in_microseconds
from audit.evidence import StoredEntry
from audit.query.syntax import Field
from audit.query.words import TIERS

_LATEST: Final = 253_402_300_799_999_999
"""The end of the year 9999, in microseconds since 1970."""
_TIER_KEY: Final = '"access_tier":"'


class Kind(NamedTuple):
    """What many entries have in common; an empty value is none."""

    actor: str
    event: str
    action: str
    outcome: str
    decision: str
    purpose: str
    tier: str
    policy: str


UNREADABLE: Final = Kind("", "", "", "", "", "", "", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry, as the index knows it."""

    index: int
    time_us: int
    kind: Kind
    resource: str
    """Empty where there is none."""
    erased_by: int | None

    def value(self, field: Field) -> str:
        """Return the value of a field, empty where there is none."""
        if field is Field.RESOURCE:
            return self.resource
        value: str = getattr(self.kind, field.value)
        return value

    def erased_at(self, size: int) -> bool:
        """Say whether an entry of the tree of `size` erased the payload."""
        return self.erased_by is not None and self.erased_by < size


def row_of(stored: StoredEntry) -> Row:
    """Return the row of an entry."""
    try:
        header = parse_header(stored.header)
    except MalformedError:
        time_us = min(max(stored.time_us or 0, 0), _LATEST)
        return Row(stored.index, time_us, UNREADABLE, "", stored.erased_by)
    kind = Kind(
        actor=header.principal,
        event=header.event,
        action=header.action,
        outcome=header.outcome,
        decision=header.decision,
        purpose=header.purpose or "",
        tier=_tier(stored.payload),
        policy=header.policy,
    )
    return Row(stored.index, time_in_microseconds(header.time), kind, header.resource or "", stored.erased_by)


def _tier(payload: str | None) -> str:
    if payload is None or _TIER_KEY not in payload:
        return ""
    try:
        tier = json.loads(payload)["access_tier"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return tier if tier in TIERS else ""
