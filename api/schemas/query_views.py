"""Views of what the log answered to a query. The same over HTTP and with `--json`."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import EntryView, View
from audit.query.count import Unit
from vault.log_queries import Counted, LogFacets, LogHistogram, QueryPage


class QueryView(View):
    """One page of the entries that fit."""

    query: Annotated[
        str,
        Field(
            description="canonical, with absolute times: with tree_size it shows the same rows for ever",
            examples=["actor:agent-7 event:memory.search -decision:allowed"],
        ),
    ]
    tree_size: Annotated[int, Field(description="size of the tree that was asked")]
    entries: list[EntryView]
    cursor: Annotated[str | None, Field(description="asks for the next page; null after the last")]

    @classmethod
    def of(cls, page: QueryPage) -> Self:
        """Show a page."""
        entries = [EntryView.of(entry) for entry in page.entries]
        return cls(query=page.query, tree_size=page.tree_size, entries=entries, cursor=page.cursor)


class _CountedView(View):
    query: Annotated[str, Field(description="canonical, with absolute times")]
    tree_size: Annotated[int, Field(description="size of the tree that was asked")]
    counted_size: Annotated[int, Field(description="entries below this index were looked at")]
    complete: Annotated[bool, Field(description="whether that is the whole tree")]
    total: int


def _counted(found: Counted) -> dict[str, str | int | bool]:
    return {
        "query": found.query,
        "tree_size": found.tree_size,
        "counted_size": found.counted_size,
        "complete": found.complete,
    }


class FacetValueView(View):
    """How many entries have a value."""

    value: Annotated[str | None, Field(description="null where an entry has none")]
    count: int


class FacetsView(_CountedView):
    """How many entries fit, by the values of each field, the most frequent first."""

    fields: dict[str, list[FacetValueView]]

    @classmethod
    def of(cls, found: LogFacets) -> Self:
        """Show counts."""
        fields = {
            field.value: [FacetValueView(value=value or None, count=count) for value, count in values.items()]
            for field, values in found.counts.fields.items()
        }
        return cls.model_validate({**_counted(found), "total": found.counts.total, "fields": fields})


class BucketView(View):
    """Entries from a time on, before the next bucket."""

    start: datetime
    count: int


class HistogramView(_CountedView):
    """How many entries fit, over time; gaps are buckets of zero."""

    unit: Unit
    buckets: list[BucketView]

    @classmethod
    def of(cls, found: LogHistogram) -> Self:
        """Show counts over time."""
        shown = found.histogram
        buckets = [BucketView(start=one.start, count=one.count) for one in shown.buckets]
        return cls.model_validate(
            {**_counted(found), "total": shown.total, "unit": shown.unit, "buckets": buckets}
        )


class CountsView(View):
    """Both counts of one question."""

    facets: FacetsView | None
    histogram: HistogramView | None
