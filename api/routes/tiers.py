"""Routes of the memory tiers and the queue: how tiers stand, the context block for a model, work that is put off."""

from fastapi import APIRouter

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.bodies import ContextBody, TaskBody
from api.schemas.tier_views import ContextView, PutOffView, TiersView
from vault.queueing.task import TaskKind

router = APIRouter(prefix="/v1", tags=["tiers"], responses=ANSWERS, route_class=ParsedRoute)


@router.get("/tiers", operation_id="getTiers", summary="How the memory tiers stand, in numbers")
def tiers(call: CallParameter) -> TiersView:
    """Count memories and bytes by tier, what activation memory was good for, and what context blocks spared."""
    return TiersView.of(call.memory().tiers())


@router.post("/context", operation_id="context", summary="Memories for a model's prompt")
def context(body: ContextBody, call: CallParameter) -> ContextView:
    """Search as `retrieve` does, and return a block within a budget whose beginning changes seldom; masked."""
    memory = call.memory(body.purpose)
    made = ContextView.of(
        memory.context(body.query, tokens=body.tokens, k=body.k, window=body.window, subject=body.subject)
    )
    call.receipt(made.receipt)
    return made


@router.post("/tasks", operation_id="putOff", status_code=202, summary="Organize or distil later")
def put_off(body: TaskBody, call: CallParameter) -> PutOffView:
    """Queue work about a subject, to be done under the caller; 429 with Retry-After where too much waits already."""
    memory = call.memory(body.purpose)
    later = memory.distil_later if body.kind is TaskKind.DISTIL else memory.organize_later
    return PutOffView.of(later(subject=body.subject, priority=body.priority, key=body.key))
