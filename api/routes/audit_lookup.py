"""The route of look-ups: whether the log knows a value that the caller holds."""

from fastapi import APIRouter

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.log_views import LookupBody, LookupView
from vault.log_lookup import LogLookup

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)


@router.post("/lookup", operation_id="lookUp", summary="Entries that know a value that you hold")
def look_up(body: LookupBody, call: CallParameter) -> LookupView:
    """Tell which entries know a value: a name, a number, a question, an id. Each look-up is an entry, too."""
    purpose = call.one_purpose(body.purpose)
    call.memory(body.purpose)
    found = LogLookup(call.vault.parts).find(call.principal, purpose, body.value, start=body.start)
    return LookupView.of(found)
