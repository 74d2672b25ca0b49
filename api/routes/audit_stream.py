"""The route of the log's stream: entries in a SIEM's format, a piece at a time.

The entry that tells of it is written before the first byte of the answer leaves. A collector asks again
with the last index that it has had: it gets nothing, and the log does not grow, while nothing is new. Where a
query narrows the stream, the head of the answer says up to where was looked, and the collector goes on there.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.remote_stream import RANGE_HEADER
from api.routes.audit_query import QParameter
from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from audit.siem.formats import MEDIA_TYPES, Format, Formatter, formatter_of, head_of
from audit.siem.item import LogItem
from vault.log_stream import MAX_LIMIT, LogStream, StreamRequest

_MAX_INDEX: Final = 2**53 - 1

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)


@router.get(
    "/stream",
    operation_id="streamLog",
    summary="Entries of the log in a SIEM's format",
    response_class=StreamingResponse,
)
def stream_log(
    call: CallParameter,
    format_: Annotated[
        Format, Query(alias="format", description="ocsf, cloudevents, syslog or csv")
    ] = Format.OCSF,
    after: Annotated[
        int | None,
        Query(ge=0, le=_MAX_INDEX, description="last index that was had; none: from the beginning"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="most entries that are looked at")] = 1000,
    q: QParameter = "",
) -> StreamingResponse:
    """Return entries after an index, oldest first, one a line. Each range that leaves is an entry, too."""
    start = 0 if after is None else after + 1
    asked = StreamRequest(format_, start, limit, query=q)
    purpose = call.one_purpose()
    found = call.memory().stream(asked, version=_version(), purpose=purpose)
    # The first batch is read here: what is wrong with it is still told as a problem.
    first = found.take()
    head = head_of(format_) if after is None else b""
    return StreamingResponse(
        _written(head, first, found, formatter_of(format_)),
        media_type=MEDIA_TYPES[format_],
        headers={
            RANGE_HEADER: f'log="{found.origin}", first={start}, stop={found.end}, leaf="{_last_hash(found)}"'
        },
    )


def _written(head: bytes, first: list[LogItem], found: LogStream, write: Formatter) -> Iterator[bytes]:
    yield head
    for items in chain([first] if first else [], found.batches()):
        yield b"".join(map(write, items))


def _last_hash(found: LogStream) -> str:
    last = found.last_hash()
    return "" if last is None else last.hex()


def _version() -> str:
    try:
        return version("memos-vault")
    except PackageNotFoundError:
        return "0"
