"""What the commands about emergencies print as JSON. Fields are added over time, never renamed."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.emergency_terms import Declared


class EmergencyView(View):
    """An emergency, as the register has it."""

    emergency: str
    principal: str
    reason: str
    case: str
    purpose: str
    started: str
    until: str
    noticed: Annotated[str | None, Field(description="when the officers were told")]
    stopped: str | None
    stopped_by: Annotated[str | None, Field(description="memvault: its time was up")]
    review_due: str
    reviewed: str | None
    reviewed_by: str | None
    verdict: str | None
    entry: Annotated[int, Field(description="audit leaf index of its start")]

    @classmethod
    def of(cls, one: Declared) -> Self:
        """Return the view of an emergency."""
        return cls(
            emergency=one.emergency_id,
            principal=one.principal,
            reason=one.reason.value,
            case=one.case,
            purpose=one.purpose.value,
            started=one.started.isoformat(),
            until=one.until.isoformat(),
            noticed=_told(one.noticed),
            stopped=_told(one.stopped),
            stopped_by=one.stopped_by,
            review_due=one.review_due.isoformat(),
            reviewed=_told(one.reviewed),
            reviewed_by=one.reviewed_by,
            verdict=None if one.verdict is None else one.verdict.value,
            entry=one.leaf_index,
        )


class EmergenciesView(View):
    """The register of a tenant."""

    tenant: str
    emergencies: list[EmergencyView]


class EmergencyChangedView(View):
    """An emergency to which something was done."""

    emergency: str
    done: Annotated[str, Field(description="ended, revoked, justified, unjustified or escalated")]


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
