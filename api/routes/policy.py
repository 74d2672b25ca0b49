"""Routes of the policies: for who runs the vault."""

from typing import Final

from fastapi import APIRouter

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.policy_view import PolicyReloadView

RELOAD_PATH: Final = "/v1/policy/reload"
router = APIRouter(tags=["policy"], responses=ANSWERS, route_class=ParsedRoute)


@router.post(RELOAD_PATH, operation_id="reloadPolicy", summary="Take the policies that lie in the folder now")
def reload_policy(call: CallParameter) -> PolicyReloadView:
    """Read, lint, test and verify them, and use them from the next call on; or keep those in force, and say why."""
    return PolicyReloadView.of(call.vault.reload_policy(call.principal, call.one_purpose()))
