"""What an emergency access is made of: why, for which case, for how long, and how it was judged.

Owns the values and their bounds. It leaves declaring, ending and judging to `vault.emergencies`, and the rows to
`vault.storage.declaring`.

Reasons are words of a fixed list and the case is an id: what is written of an emergency stands in the log for ever,
so there is no free text in which somebody's name or illness could stand.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from policies.emergencies import MAX_MINUTES
from policies.model import Purpose, check_id
from vault.errors import InputInvalidError

MIN_MINUTES: Final = 1
REVIEW_WITHIN: Final = timedelta(days=3)
"""How soon after its end an emergency is to be judged."""


class EmergencyReason(StrEnum):
    """Why the glass is broken."""

    LIFE_THREAT = "life-threat"
    UNRESPONSIVE = "unresponsive"
    """The person cannot say what is needed, nor consent."""
    NO_TEAM_REACHABLE = "no-team-reachable"
    """Nobody who may see it can be reached in time."""
    TRANSFER = "transfer"
    """The person arrived from elsewhere, and nobody is on a team yet."""
    DANGER_TO_OTHERS = "danger-to-others"
    OTHER = "other"


class EmergencyVerdict(StrEnum):
    """How it was judged afterwards."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"
    ESCALATED = "escalated"
    """Somebody else has to decide: an inquiry goes on outside the vault."""


@dataclass(frozen=True, slots=True)
class Declaring:
    """What somebody declares.

    Raises:
        InputInvalidError: the reason is none of the list, or the minutes are out of range.
        RequestInvalidError: the case is no id.
    """

    reason: EmergencyReason
    case: str
    """Id of the case at the institution; no name of a person."""
    minutes: int

    def __post_init__(self) -> None:
        if not isinstance(self.reason, EmergencyReason):
            raise InputInvalidError(f"expected a reason, one of {', '.join(EmergencyReason)}")
        check_id("case", self.case)
        if type(self.minutes) is not int or not MIN_MINUTES <= self.minutes <= MAX_MINUTES:
            raise InputInvalidError(f"expected {MIN_MINUTES} to {MAX_MINUTES} minutes")


@dataclass(frozen=True, slots=True)
class Declared:
    """An emergency, as the register has it."""

    emergency_id: str
    principal: str
    reason: EmergencyReason
    case: str
    purpose: Purpose
    started: datetime
    until: datetime
    noticed: datetime | None
    """When the officers' notice went out; None: it has not, or nobody set up where to."""
    stopped: datetime | None
    stopped_by: str | None
    """`memvault` where its time was up."""
    reviewed: datetime | None
    reviewed_by: str | None
    verdict: EmergencyVerdict | None
    leaf_index: int
    """Of the entry that tells of its start."""

    @property
    def review_due(self) -> datetime:
        """By when it is to be judged."""
        return (self.stopped or self.until) + REVIEW_WITHIN
