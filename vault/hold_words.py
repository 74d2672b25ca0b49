"""What the log says of legal holds, and whether the rows say the same.

Owns the fixed words of holds, the reading of their entries, and the comparison with the rows. It leaves placing and
releasing to `vault.holds`, and reading the log to `vault.row_check`. No entry of a hold may be erased, so that
what a hold names can always be told from the log.

Threat: whoever writes the store drops a hold, one of its targets, or marks it as released; then what it kept
expires. The log says that it was placed, over what, and that nobody released it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EventType, Header, Outcome, Verdict, parse_header, time_in_microseconds
from audit.evidence import StoredEntry
from vault.storage.removal import TargetKind

HOLD_EVENTS: Final = (EventType.HOLD_PLACE, EventType.HOLD_RELEASE, EventType.HOLD_REVIEW)
_MEMORY: Final = "mem_"
_SHOWABLE: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)


class HoldScope(StrEnum):
    """What a hold is over."""

    SUBJECT = "subject"
    """Persons: all that is and will be known of them."""
    MATTER = "matter"
    """What was named for a legal matter: persons, single memories."""
    QUERY = "query"
    """The memories that had some words when it was placed."""
    TENANT = "tenant"
    """All there is and will be."""


class HoldReason(StrEnum):
    """Why something is held."""

    LITIGATION = "litigation"
    INVESTIGATION = "investigation"
    REGULATOR = "regulator"
    COMPLAINT = "complaint"
    AUDIT = "audit"
    OTHER = "other"


class ReleaseStep(StrEnum):
    """How far a release came, under `step` of its entry."""

    ASKED = "asked"
    RELEASED = "released"


class Target(NamedTuple):
    """What a hold names."""

    kind: str
    id: str


@dataclass(slots=True)
class LoggedHold:
    """A hold as the log tells of it; the row has the same fields."""

    hold_id: str
    scope: str
    matter: str | None
    reason: str
    placed_by: str
    placed: int
    review: int
    leaf_index: int
    asked_by: str | None = None
    asked: int | None = None
    released_by: str | None = None
    released: int | None = None
    targets: dict[Target, int] = field(default_factory=dict)
    """With the entry that named each."""

    def fields(self) -> dict[str, object]:
        """Return what its row must hold, beside the tenant."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "targets"}


class HoldRows(NamedTuple):
    """The rows of one tenant's holds."""

    holds: Iterable[Mapping[str, object]]
    targets: Iterable[tuple[str, Target, int]]
    """Hold, what it names, and the entry that named it."""


class Difference(NamedTuple):
    """Where rows and log do not say the same."""

    entry: int | None
    expected: str
    got: str


class HoldWords:
    """Collects what the entries of one log say of holds.

    Args:
        tenant: Whose log.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self.holds: Final[dict[str, LoggedHold]] = {}

    def read(self, entry: StoredEntry) -> None:
        """Take an entry's word, if it is one of a hold; a refusal says nothing of rows.

        Raises:
            ValueError: it is not of the form of one.
        """
        try:
            header = parse_header(entry.header)
        except MalformedError:
            return  # the log's own check says so
        told = header.outcome is Outcome.OK and header.decision is Verdict.ALLOWED
        # Without a hold's id it is a reminder that reviews are due.
        if header.event not in HOLD_EVENTS or not told or header.resource is None:
            return
        try:
            payload = parse_canonical(entry.payload or "")
        except MalformedError:
            raise ValueError("expected an entry of a hold") from None
        if not isinstance(payload, Mapping):
            raise ValueError("expected an entry of a hold")  # noqa: TRY004  # a matter of form, as above
        self._take(header, payload, entry.index)

    def _take(self, header: Header, payload: Mapping[str, JsonValue], index: int) -> None:
        hold_id, at = header.resource or "", time_in_microseconds(header.time)
        if header.event is EventType.HOLD_PLACE and "scope" in payload:
            self.holds[hold_id] = LoggedHold(
                hold_id=hold_id,
                scope=_word(payload["scope"]),
                matter=None if payload.get("matter") is None else _word(payload["matter"]),
                reason=_word(payload["reason"]),
                placed_by=header.principal,
                placed=at,
                review=_number(payload["review"]),
                leaf_index=index,
            )
        hold = self.holds.get(hold_id)
        if hold is None:
            raise ValueError("expected an entry of a hold that was placed")
        if header.event is EventType.HOLD_PLACE:
            for target in targets_of(self._tenant, hold.scope, _words(payload.get("targets", []))):
                hold.targets.setdefault(target, index)
            hold.asked_by = hold.asked = None
        elif header.event is EventType.HOLD_REVIEW:
            hold.review = _number(payload["review"])
            hold.asked_by = hold.asked = None
        elif payload.get("step") == ReleaseStep.ASKED.value:
            hold.asked_by, hold.asked = header.principal, at
        elif payload.get("step") == ReleaseStep.RELEASED.value:
            hold.released_by, hold.released = header.principal, at

    def take_back(self, bodies: JsonValue) -> None:
        """Take the word of a restore on holds that it had from the ledger: the log that told of them was lost.

        Raises:
            ValueError: it is not of the form of one.
        """
        if not isinstance(bodies, list):
            raise ValueError("expected holds of the ledger")  # noqa: TRY004  # a matter of form
        for body in bodies:
            if not isinstance(body, Mapping):
                raise ValueError("expected a hold of the ledger")  # noqa: TRY004  # as above
            try:
                fields: dict[str, Any] = {
                    name: body[name] for name in LoggedHold.__slots__ if name != "targets"
                }
                targets = {
                    Target(_word(kind), _word(one)): _number(index) for kind, one, index in body["targets"]
                }
            except (KeyError, TypeError):
                raise ValueError("expected a hold of the ledger") from None
            standing = self.holds.get(str(fields["hold_id"]))
            named = targets if standing is None else {**standing.targets, **targets}
            self.holds[str(fields["hold_id"])] = LoggedHold(**fields, targets=named)

    def differences(self, rows: HoldRows) -> Iterator[Difference]:
        """Yield where the rows say something else, or nothing."""
        unseen = dict(self.holds)
        for row in rows.holds:
            hold = unseen.pop(str(row["hold_id"]), None)
            if hold is None:
                yield Difference(None, "a hold that the log tells of", f"a row of {_shown(row['hold_id'])}")
                continue
            for name, expected in hold.fields().items():
                if row[name] != expected:
                    wanted = f"{_shown(expected)} as {name} of {_shown(hold.hold_id)}"
                    yield Difference(hold.leaf_index, wanted, _shown(row[name]))
        for hold_id, hold in sorted(unseen.items()):
            yield Difference(hold.leaf_index, f"a row of {_shown(hold_id)}", "none")
        yield from self._targets(rows.targets)

    def _targets(self, rows: Iterable[tuple[str, Target, int]]) -> Iterator[Difference]:
        unseen = {
            (hold_id, target): index
            for hold_id, hold in self.holds.items()
            for target, index in hold.targets.items()
        }
        for hold_id, target, index in rows:
            told = unseen.pop((hold_id, target), None)
            if told != index:
                got = f"a target of {_shown(hold_id)} with entry {_shown(index)}"
                yield Difference(told, "a target that this entry names", got)
        for (hold_id, target), index in sorted(unseen.items()):
            wanted = f"{_shown(target.kind)} {_shown(target.id)} as target of {_shown(hold_id)}"
            yield Difference(index, wanted, "none")


def _shown(value: object) -> str:
    """Return a value for a finding: findings go to terminals, and a column may hold anything."""
    text = str(value)
    return text if _SHOWABLE.fullmatch(text) else "something unnamed"


def targets_of(tenant: str, scope: str, ids: Iterable[str]) -> Iterator[Target]:
    """Yield what an entry's ids name; a hold over the tenant names no id."""
    if scope == HoldScope.TENANT.value:
        yield Target(TargetKind.TENANT.value, tenant)
        return
    for one in ids:
        kind = TargetKind.MEMORY if one.startswith(_MEMORY) else TargetKind.SUBJECT
        yield Target(kind.value, one)


def _word(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a word in an entry of a hold")  # noqa: TRY004  # a matter of form
    return value


def _words(value: JsonValue) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("expected words in an entry of a hold")  # noqa: TRY004  # as above
    return [_word(one) for one in value]


def _number(value: JsonValue) -> int:
    if type(value) is not int:
        raise ValueError("expected a number in an entry of a hold")
    return value
