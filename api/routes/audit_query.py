"""Routes that ask the log: entries, counts by field, counts over time."""

from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.routes.call import CallParameter, ParsedRoute
from api.routes.described import ANSWERS
from api.schemas.query_views import FacetsView, HistogramView, QueryView
from audit.query.count import Unit

MAX_INDEX: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact; no log is so long."""

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=ANSWERS, route_class=ParsedRoute)


class Order(StrEnum):
    """Which end comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


QParameter = Annotated[
    str,
    Query(
        description="a query as docs/log/queries.md has it; empty asks for every entry",
        examples=["actor:agent-7 action:memory.retrieve -outcome:allowed since:7d"],
    ),
]
SizeParameter = Annotated[
    int | None,
    Query(ge=0, le=MAX_INDEX, description="tree size to ask; without it, the present one"),
]


@router.get("/query", operation_id="queryLog", summary="Entries that fit a query")
def query_log(
    call: CallParameter,
    *,
    q: QParameter = "",
    size: SizeParameter = None,
    cursor: Annotated[str | None, Query(max_length=64, description="from the last page")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    order: Annotated[Order, Query(description="a cursor keeps its own")] = Order.NEWEST,
) -> QueryView:
    """Return a page. The answer's `query` and `tree_size` name the same rows for ever. Asking is an entry."""
    purpose = call.one_purpose()
    page = call.memory().query_log(
        q,
        size=size,
        cursor=cursor,
        limit=limit,
        oldest_first=order is Order.OLDEST,
        purpose=purpose,
    )
    return QueryView.of(page)


@router.get("/facets", operation_id="countLogByField", summary="How many entries fit, by field")
def count_by_field(call: CallParameter, q: QParameter = "", size: SizeParameter = None) -> FacetsView:
    """Return counts, and whether all of the tree was counted. Asking is an entry."""
    return FacetsView.of(call.memory().log_facets(q, size=size, purpose=call.one_purpose()))


@router.get("/histogram", operation_id="countLogOverTime", summary="How many entries fit, over time")
def count_over_time(
    call: CallParameter,
    q: QParameter = "",
    size: SizeParameter = None,
    unit: Annotated[Unit | None, Query(description="without it, one that makes at most 60 buckets")] = None,
) -> HistogramView:
    """Return counts with gaps as zeros, and whether all of the tree was counted. Asking is an entry."""
    return HistogramView.of(call.memory().log_histogram(q, size=size, unit=unit, purpose=call.one_purpose()))
