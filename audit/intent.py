"""Intents and outcomes: what was about to be done outside the database, and what became of it.

Owns the payloads of the two entries and the pairing of one with the other. It leaves writing them to
`vault.intents`, and judging a whole log to `audit.replay`. Pure.

An effect outside the database (a file that is written, a key in another database) and the entry that
tells of it cannot be one transaction. So an `effect.intent` entry is durable before the effect begins,
and an `effect.outcome` entry after it, which names the intent by its leaf index:

    {"kind":"audit.export","resource":"audit-log", …}         effect.intent at leaf 41, outcome `ok`
    {"intent":41,"kind":"audit.export"}                       effect.outcome, outcome `ok` or `failed`
    {"intent":41,"kind":"audit.export","reviewed":true}       the same, said by a person afterwards

An intent without an outcome means that nobody knows: the effect may have happened, wholly, partly or not
at all. An outcome of another kind, of a leaf that is no intent, or of one that has its outcome already,
is a stray: an honest vault writes none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Header, Outcome

KIND: Final = "kind"
INTENT: Final = "intent"
REVIEWED: Final = "reviewed"


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent as the log tells it."""

    index: int
    kind: str
    """What was about to be done, as `area.verb`; empty where the payload was erased."""
    resource: str | None
    principal: str
    time: datetime


@dataclass(frozen=True, slots=True)
class StrayOutcome:
    """An outcome that fits no intent."""

    index: int
    intent: int | None
    """The leaf that it names; None where it names none."""


@dataclass(slots=True)
class IntentLedger:
    """Pairs intents with outcomes while a log is gone through in order; keeps the unmatched ones only."""

    _open: dict[int, Intent] = field(default_factory=dict)

    def observe(self, index: int, header: Header, payload: JsonValue) -> Iterator[StrayOutcome]:
        """Take note of one entry; yield it where it is a stray outcome.

        Args:
            index: Its leaf index.
            header: Its header.
            payload: Its payload; None where it was erased, which leaves an outcome out of account.
        """
        if header.event is EventType.EFFECT_INTENT and header.outcome is Outcome.OK:
            kind = _field(payload, KIND)
            self._open[index] = Intent(
                index, kind if isinstance(kind, str) else "", header.resource, header.principal, header.time
            )
        if header.event is EventType.EFFECT_OUTCOME and payload is not None:
            named, kind = _field(payload, INTENT), _field(payload, KIND)
            known = self._open.get(named) if isinstance(named, int) and not isinstance(named, bool) else None
            if known is None or (known.kind not in {"", kind}):
                yield StrayOutcome(index, named if isinstance(named, int) else None)
                return
            del self._open[known.index]

    def unmatched(self) -> tuple[Intent, ...]:
        """Return the intents that have no outcome so far, oldest first."""
        return tuple(self._open.values())


def unmatched_intents(entries: Iterable[tuple[int, Header, JsonValue]]) -> tuple[Intent, ...]:
    """Return the intents of a log that have no outcome, from its entries in order."""
    ledger = IntentLedger()
    for index, header, payload in entries:
        for _stray in ledger.observe(index, header, payload):
            pass  # the verifier's to report; it closes nothing
    return ledger.unmatched()


def intent_payload(kind: str, more: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the payload of an intent."""
    return {**more, KIND: kind}


def outcome_payload(
    intent: Intent, more: Mapping[str, JsonValue], *, reviewed: bool = False
) -> dict[str, JsonValue]:
    """Return the payload of an intent's outcome."""
    told: dict[str, JsonValue] = {**more, INTENT: intent.index, KIND: intent.kind}
    return told | {REVIEWED: True} if reviewed else told


def _field(payload: JsonValue, key: str) -> JsonValue:
    return payload.get(key) if isinstance(payload, Mapping) else None
