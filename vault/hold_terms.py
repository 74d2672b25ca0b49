"""What is asked of legal holds and what is answered: values, and the checks that need no vault.

Owns which targets fit which hold. It leaves placing and releasing to `vault.holds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from policies.model import check_id
from vault.clock import from_microseconds
from vault.errors import InputInvalidError
from vault.hold_words import HoldReason, HoldScope
from vault.ids import IdKind, check_vault_id
from vault.storage.removal import TargetKind

MAX_NAMED: Final = 10_000
"""Targets of one entry, which may have 1 MiB; a hold over more has several entries in one transaction."""
MAX_NAMES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Targets:
    """What is to be held."""

    subjects: tuple[str, ...] = field(default=(), repr=False)
    """The caller's names of persons; also of some who are not known here yet."""
    memories: tuple[str, ...] = ()
    queries: tuple[str, ...] = field(default=(), repr=False)
    """Words; a memory that has all words of one of them is held."""


@dataclass(frozen=True, slots=True)
class Placing:
    """A hold that is to be placed."""

    scope: HoldScope
    reason: HoldReason
    review: datetime
    """When somebody is to look whether it is still needed; aware."""
    targets: Targets = field(default_factory=Targets)
    matter: str | None = None
    """Id of the legal matter: lower-case words, no name of a person."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What a hold got."""

    hold_id: str
    subjects: int
    memories: int
    """Named by id, or by words; what is held by person or tenant is not counted."""
    unreadable: int
    """Memories that no query could be held against."""
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it stands."""

    hold_id: str
    scope: HoldScope
    matter: str | None
    reason: HoldReason
    placed_by: str
    placed: datetime
    review: datetime
    asked_by: str | None
    asked: datetime | None
    released_by: str | None
    released: datetime | None
    subjects: int
    memories: int

    @property
    def in_force(self) -> bool:
        """Whether it holds."""
        return self.released is None


def check_placing(placing: Placing, now: datetime) -> None:
    """See that a hold can be placed as it is asked for.

    Raises:
        RequestInvalidError: the matter's id is not acceptable.
        InputInvalidError: the targets do not fit the scope, there is no matter, or the review lies not ahead.
    """
    check_review(placing.review, now)
    if placing.matter is not None:
        check_id("matter", placing.matter)
    elif placing.scope is HoldScope.MATTER:
        raise InputInvalidError("expected the id of the matter that the hold is for")
    check_targets(placing.scope, placing.targets)


def check_review(review: datetime, now: datetime) -> None:
    """See that a review comes: a hold that nobody looks at again holds for ever."""
    if review.tzinfo is None or review <= now:
        raise InputInvalidError("expected a time of review that lies ahead")


_TAKES: Final = {
    HoldScope.SUBJECT: frozenset({"subjects"}),
    HoldScope.MATTER: frozenset({"subjects", "memories"}),
    HoldScope.QUERY: frozenset({"queries"}),
    HoldScope.TENANT: frozenset[str](),
}


def check_targets(scope: HoldScope, targets: Targets) -> None:
    """See that targets fit what a hold is over; one that names nothing holds nothing."""
    given = {name for name in ("subjects", "memories", "queries") if getattr(targets, name)}
    takes = _TAKES[scope]
    if given - takes or bool(given) is not bool(takes):
        wanted = " or ".join(sorted(takes)) or "nothing named"
        raise InputInvalidError(f"expected {wanted} for a hold over {scope.value}")
    if max(map(len, (targets.subjects, targets.queries))) > MAX_NAMES or len(targets.memories) > MAX_NAMED:
        raise InputInvalidError(f"expected at most {MAX_NAMES} names and {MAX_NAMED} memories at once")
    for memory in targets.memories:
        check_vault_id(IdKind.MEMORY, memory)


def hold_of(row: Mapping[str, object], counts: Mapping[str, int]) -> Hold:
    """Return a hold of its row and the number of its targets by kind."""
    values = cast("Any", row)  # columns, whose types the schema says

    def when(name: str) -> datetime | None:
        return None if values[name] is None else from_microseconds(values[name])

    return Hold(
        hold_id=values["hold_id"],
        scope=HoldScope(values["scope"]),
        matter=values["matter"],
        reason=HoldReason(values["reason"]),
        placed_by=values["placed_by"],
        placed=from_microseconds(values["placed"]),
        review=from_microseconds(values["review"]),
        asked_by=values["asked_by"],
        asked=when("asked"),
        released_by=values["released_by"],
        released=when("released"),
        subjects=counts.get(TargetKind.SUBJECT.value, 0),
        memories=counts.get(TargetKind.MEMORY.value, 0),
    )
