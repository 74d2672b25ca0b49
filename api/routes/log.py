"""Routes of the audit log."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.views import CheckpointView, EntriesView, EntryView

MAX_INDEX: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact; no log is so long."""

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)


@router.get("/entries", operation_id="listEntries", summary="Entries of the log, oldest first")
def list_entries(
    call: CallParameter,
    start: Annotated[
        int | None, Query(ge=0, le=MAX_INDEX, description="first index; without it, the last entries")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> EntriesView:
    """Return entries of the caller's tenant's log. Looking is an entry, too."""
    purpose = call.one_purpose()
    entries = call.memory().entries(start=start, limit=limit, purpose=purpose)
    return EntriesView(entries=[EntryView.of(entry) for entry in entries])


@router.get("/checkpoint", operation_id="getCheckpoint", summary="The log, signed as it stands")
def get_checkpoint(call: CallParameter) -> CheckpointView:
    """Sign the log's size and root. Keep the note elsewhere: only then does a cut tail show."""
    return CheckpointView.of(call.memory().checkpoint(purpose=call.one_purpose()))
