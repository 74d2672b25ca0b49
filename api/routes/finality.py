"""What a receipt is worth, over HTTP."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated

from fastapi import APIRouter, Query

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.routes.log import MAX_INDEX
from api.schemas.finality_view import FinalityView, receipt_of
from vault.errors import InputInvalidError

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)


@router.get("/finality", operation_id="getFinality", summary="What a receipt is worth now")
def get_finality(
    call: CallParameter,
    leaf_index: Annotated[int, Query(ge=0, le=MAX_INDEX, description="of the receipt")],
    leaf_hash: Annotated[str, Query(min_length=44, max_length=44, description="of the receipt, base64")],
) -> FinalityView:
    """Say whether a receipt is pending, signed or final, and what is missing; who holds it may ask."""
    try:
        value = b64decode(leaf_hash, validate=True)
    except Base64Error:
        raise InputInvalidError("expected leaf_hash in base64") from None
    return FinalityView.of(call.memory(call.one_purpose()).finality(receipt_of(leaf_index, value)))
