"""The command `audit query`: entries that fit, or how many there are, as tables and small bars."""

import sys
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, flat, note, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from audit.query.count import Unit
    from vault.log_queries import Counted, LogFacets, LogHistogram, QueryPage

MINUS_IS_NO_OPTION: Final = {"ignore_unknown_options": True}
"""`-outcome:allowed` is a part of a query."""
_BAR: Final = 30
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_MANY_VALUES: Final = 10
_WIDTH: Final = 160
_UNITS: Final = ("minute", "hour", "day", "week", "month", "year")


@called_by(auditor)
def query(
    call: Invocation,
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUERY", help="What to ask, best in single quotes; - reads standard input."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries.")] = 50,
    size: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Tree size to ask [default: the present one].")
    ] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first.")] = False,
    facets: Annotated[bool, typer.Option("--facets", help="Count by field instead.")] = False,
    histogram: Annotated[bool, typer.Option("--histogram", help="Count over time instead.")] = False,
    unit: Annotated[
        str | None, typer.Option(help=f"Width of a bar: {', '.join(_UNITS)} [default: what fits].")
    ] = None,
) -> None:
    """Find entries of the log: actor:agent-7 action:memory.retrieve -outcome:allowed since:7d. Asking is an entry."""
    text = _text(words or [])
    if unit is not None and (unit not in _UNITS or not histogram):
        raise typer.BadParameter("expected one of those, together with --histogram", param_hint="--unit")
    check_query(text, as_json=call.as_json)
    if not facets and not histogram:
        _show_page(call, text, size, cursor, limit, oldest=oldest)
        return
    if cursor is not None:
        raise typer.BadParameter("expected it without --facets and --histogram", param_hint="--cursor")
    _show_counts(call, text, size, unit, facets=facets, histogram=histogram)


def _text(words: Sequence[str]) -> str:
    for word in words:
        if word.startswith("--"):
            raise typer.BadParameter("there is no such option", param_hint=word.partition("=")[0])
    if list(words) == ["-"]:
        from audit.query.parse import MAX_LENGTH  # noqa: PLC0415  # loads the parser

        return sys.stdin.read(MAX_LENGTH + 1).strip()
    return " ".join(words)


def check_query(text: str, *, as_json: bool) -> None:
    """See that it is a query before the vault is opened; show where it is none."""
    from audit.errors import QueryInvalidError  # noqa: PLC0415  # loads the parser; `--help` does not
    from audit.query.parse import parse_query, point_at  # noqa: PLC0415
    from vault.clock import system_clock  # noqa: PLC0415

    try:
        parse_query(text, now=system_clock())
    except QueryInvalidError as error:
        if not as_json:
            for line in point_at(text, error.position).split("\n"):
                note(f"  {line}")
        raise


def _show_page(
    call: Invocation, text: str, size: int | None, cursor: str | None, limit: int, *, oldest: bool
) -> None:
    from api.schemas.query_views import QueryView  # noqa: PLC0415  # loads the vault; `--help` does not

    with call.session() as opened:
        page = opened.memory.query_log(
            text,
            size=size,
            cursor=cursor,
            limit=limit,
            oldest_first=oldest,
            purpose=opened.caller.purpose,
        )
    if call.as_json:
        print_json(QueryView.of(page))
        return
    if page.entries:
        _print_entries(page)
    note(f"{counted(len(page.entries), 'entry', 'entries')} of the tree of {page.tree_size}")
    if page.query:
        note(f"again, the same rows: --size {page.tree_size} {quote(page.query)}")
    if page.cursor is not None:
        note(f"more: --cursor {page.cursor}")


def _show_counts(
    call: Invocation, text: str, size: int | None, unit: str | None, *, facets: bool, histogram: bool
) -> None:
    from api.schemas.query_views import CountsView, FacetsView, HistogramView  # noqa: PLC0415
    from audit.query.count import Unit  # noqa: PLC0415

    by_field: LogFacets | None = None
    over_time: LogHistogram | None = None
    with call.session() as opened:
        memory, purpose = opened.memory, opened.caller.purpose
        if facets:
            by_field = memory.log_facets(text, size=size, purpose=purpose)
            size = by_field.tree_size  # the first question is an entry: the second must not count it
        if histogram:
            width = None if unit is None else Unit(unit)
            over_time = memory.log_histogram(text, size=size, unit=width, purpose=purpose)
    if call.as_json:
        shown = CountsView(
            facets=None if by_field is None else FacetsView.of(by_field),
            histogram=None if over_time is None else HistogramView.of(over_time),
        )
        print_json(shown if facets and histogram else shown.facets or shown.histogram or shown)
        return
    if over_time is not None:
        _print_histogram(over_time)
        _note_counted(over_time, over_time.histogram.total)
    if by_field is not None:
        _print_facets(by_field)
        _note_counted(by_field, by_field.counts.total)


def _note_counted(found: "Counted", total: int) -> None:
    note(f"{counted(total, 'entry', 'entries')} of the tree of {found.tree_size}")
    if not found.complete:
        note(f"NOT COMPLETE: only entries below index {found.counted_size} were counted; ask again")


def _print(table: "Table") -> None:
    """Print a table with each row on one line: a window that is narrower breaks it, and cuts nothing off."""
    from rich.console import Console  # noqa: PLC0415  # only tables need it

    console = Console(markup=False, highlight=False, stderr=False)
    if console.is_terminal:
        console.width = max(console.width, _WIDTH)
        console.print(table)
        return
    written = StringIO()
    Console(file=written, width=_WIDTH, markup=False, highlight=False).print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def _print_entries(page: "QueryPage") -> None:
    from rich.table import Table  # noqa: PLC0415  # only tables need it

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("index", justify="right", no_wrap=True)
    for name in ("time", "event", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("actor", "purpose", "resource"):
        table.add_column(name, overflow="fold")
    erased = any(one.erased_by is not None for one in page.entries)
    if erased:
        table.add_column("payload erased by", justify="right", no_wrap=True)
    for one in page.entries:
        head = one.header
        cells = [
            str(one.index),
            f"{head.time:%Y-%m-%d %H:%M:%S}",
            head.event.value,
            head.outcome.value,
            head.principal,
            head.purpose or "-",
            head.resource or "-",
        ]
        if erased:
            cells.append("" if one.erased_by is None else str(one.erased_by))
        table.add_row(*(flat(cell) for cell in cells), style=None if head.outcome == "ok" else "yellow")
    _print(table)


def _print_facets(found: "LogFacets") -> None:
    from rich.table import Table  # noqa: PLC0415  # as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("field", "value"):
        table.add_column(name, no_wrap=True)
    table.add_column("entries", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for field, values in found.counts.fields.items():
        shown = list(values.items())[:_MANY_VALUES]
        for nth, (value, count) in enumerate(shown):
            bar = _bar(count, found.counts.total)
            table.add_row(field.value if nth == 0 else "", flat(value or "none"), f"{count:,}", bar)
        rest = list(values.values())[_MANY_VALUES:]
        if rest:
            table.add_row("", f"and {len(rest)} more", f"{sum(rest):,}", _bar(sum(rest), found.counts.total))
    if found.counts.total:
        _print(table)


def _print_histogram(found: "LogHistogram") -> None:
    from rich.table import Table  # noqa: PLC0415  # as above

    shown = found.histogram
    most = max((bucket.count for bucket in shown.buckets), default=0)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(shown.unit.value, no_wrap=True)
    table.add_column("entries", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for bucket in shown.buckets:
        table.add_row(_start(bucket.start, shown.unit), f"{bucket.count:,}", _bar(bucket.count, most))
    if shown.buckets:
        _print(table)


def _bar(count: int, most: int) -> str:
    """Return a bar as long as the count's share; what is not nothing shows."""
    eighths = max(1, round(count * _BAR * 8 / most)) if count else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _start(at: datetime, unit: "Unit") -> str:
    forms = {"minute": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H:00", "month": "%Y-%m", "year": "%Y"}
    return at.strftime(forms.get(unit.value, "%Y-%m-%d"))
