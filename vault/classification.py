"""Which retention class a memory gets when it is written or changed, and when its term ends.

Owns the step from what is known of a memory (the kinds of personal data in its text, its source, purpose, access
tier and time) to the class, the rule and the start that its row carries. It leaves the rules to
`policies.retention`, and what happens at the end to `vault.expiry`. Pure.

Kinds are those of the memory's own text, as the gate masked it: a speaker's name would make every turn of a chat
personal. An event's time is rounded up to a whole day: it stands in clear in the row, and is never early by that.

A change of a memory never shortens its term: its former versions stay as long as it does, and what was taken out
of the text still stands in them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from policies.privacy import EntityType
from policies.retention_model import Place, RetentionRules, StartPoint
from vault.clock import from_microseconds, microseconds
from vault.model import Retention, Screened

_DAY: Final = 24 * 60 * 60 * 1_000_000
"""Microseconds."""
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)
_LAST_DAY: Final = microseconds(_FOR_EVER.replace(hour=0, minute=0, second=0, microsecond=0))


@dataclass(frozen=True, slots=True)
class Written:
    """What of a write its class depends on, beside its text."""

    place: Place
    recorded: int
    """Microseconds since 1970 UTC."""
    event: datetime | None
    """When it was said or written in the world; naive is UTC."""


def classify(rules: RetentionRules, written: Written, text: Screened) -> Retention:
    """Return the class of a new memory."""
    class_id, rule = rules.choose(written.place, kinds_of(text))
    return retention_of(rules, class_id, rule, written.recorded, written.event)


def classify_again(rules: RetentionRules, written: Written, text: Screened, before: Retention) -> Retention:
    """Return the class of a memory's next version: the one of its text, unless that would shorten its term.

    When it was last used is in the log alone; that it may have been used just now errs on the side of keeping it.
    """
    after, now = classify(rules, written, text), written.recorded
    return after if ends(rules, after, now) >= ends(rules, before, now) else before


def retention_of(
    rules: RetentionRules, class_id: str, rule: str, recorded: int, event: datetime | None
) -> Retention:
    """Return a class with the start of its term."""
    found = rules.of_class(class_id)
    if found is None or found.start is not StartPoint.EVENT or event is None:
        return Retention(class_id, rule, recorded)
    return Retention(class_id, rule, _whole_day(event))


def ends(rules: RetentionRules, retention: Retention, last_used: int = 0) -> datetime:
    """Return when a term ends; the end of the calendar where it does not, or the class is not known any more.

    Args:
        rules: In force.
        retention: What the row says.
        last_used: When the memory was last used, for classes whose term runs from there.
    """
    found = rules.of_class(retention.class_id)
    if found is None or found.term is None:
        return _FOR_EVER
    start = retention.start
    if found.start is StartPoint.LAST_USED:
        start = max(start, last_used)
    return found.term.after(from_microseconds(start))


def kinds_of(text: Screened) -> frozenset[EntityType]:
    """Return the kinds of personal data in a text, as the gate masked it."""
    return frozenset([EntityType(found.entity_type) for found in text.replacements])


def _whole_day(at: datetime) -> int:
    """Round a time up to a whole day, in microseconds; before 1970 and beyond the calendar, to what the row can say."""
    return min(max(0, -(-microseconds(at) // _DAY) * _DAY), _LAST_DAY)
