"""Routes of the memory itself."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.bodies import ExtractBody, OrganizeBody, RetrieveBody, RevealBody, UpdateBody
from api.schemas.views import MEMORY_EXAMPLE, AnswerView, MemoryView, OrganizedView, WrittenView
from vault.model import Memory

router = APIRouter(prefix="/v1", tags=["memories"], responses=ANSWERS, route_class=ParsedRoute)

MemoryId = Annotated[str, Path(description="a memory's id", examples=[MEMORY_EXAMPLE])]


@router.post("/extract", operation_id="extract", status_code=201, summary="Write a chat or a document")
def extract(body: ExtractBody, call: CallParameter) -> WrittenView:
    """Screen, seal, store and log one chat session or document as one episode of memories."""
    memory = call.memory(body.purpose)
    receipt = memory.extract(body.source(), subject=body.subject, access_tier=body.access_tier)
    written = WrittenView.of(receipt)
    call.receipt(written.receipt)
    return written


@router.post("/retrieve", operation_id="retrieve", summary="Find the memories that answer a question")
def retrieve(body: RetrieveBody, call: CallParameter) -> AnswerView:
    """Search what the caller may search for this purpose; masked unless `reveal` is asked for and allowed."""
    memory = call.memory(body.purpose)
    answer = memory.retrieve(body.query, k=body.k, subject=body.subject, reveal=body.reveal)
    found = AnswerView.of(answer)
    call.receipt(found.receipt)
    return found


@router.get("/memories/{memory_id}", operation_id="getMemory", summary="One memory, masked")
def get_memory(memory_id: MemoryId, call: CallParameter) -> MemoryView:
    """Return one memory, masked. One out of reach and one that never was are told apart by nobody."""
    return _read(call, call.memory().get(memory_id))


@router.patch("/memories/{memory_id}", operation_id="updateMemory", summary="A new version of a memory")
def update_memory(memory_id: MemoryId, body: UpdateBody, call: CallParameter) -> WrittenView:
    """Write a new version of the text; tokens that still stand in it keep their originals."""
    memory = call.memory(body.purpose)
    written = WrittenView.of(memory.update(memory_id, body.text, expected_version=body.expected_version))
    call.receipt(written.receipt)
    return written


@router.post(
    "/memories/{memory_id}/reveal", operation_id="revealMemory", summary="One memory with its originals"
)
def reveal_memory(memory_id: MemoryId, call: CallParameter, body: RevealBody | None = None) -> MemoryView:
    """Return one memory with originals in place of tokens, where role and purpose allow it."""
    return _read(call, call.memory(None if body is None else body.purpose).reveal(memory_id))


@router.post("/organize", operation_id="organize", summary="Link, correct and confirm")
def organize(call: CallParameter, body: OrganizeBody | None = None) -> OrganizedView:
    """Link, supersede and verify what is known about a subject, by rule."""
    asked = body or OrganizeBody()
    done = OrganizedView.of(call.memory(asked.purpose).organize(subject=asked.subject))
    call.receipt(done.receipt)
    return done


def _read(call: CallParameter, memory: Memory) -> MemoryView:
    """Show a memory that was read by its id, with the receipt of the read in the header, too."""
    shown = MemoryView.of(memory)
    if shown.receipt is not None:
        call.receipt(shown.receipt)
    return shown
