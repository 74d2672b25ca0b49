"""Commands about legal holds: what they name is removed by nothing until two people let it go."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Invocation, called_by, officer
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from api.cli.hold_view import PlacedView
    from vault.hold_terms import Hold, Targets

app = typer.Typer(
    help="Legal holds: kept until two people let go.", no_args_is_help=True, rich_markup_mode=None
)
_SCOPES: Final = ("subject", "matter", "query", "tenant")
_REASONS: Final = ("litigation", "investigation", "regulator", "complaint", "audit", "other")
HoldArgument = Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id, hld_…: see `hold list`.")]
SubjectsOption = Annotated[
    list[str] | None, typer.Option("--subject", metavar="NAME", help="A person; may be given several times.")
]
SubjectFileOption = Annotated[
    Path | None,
    typer.Option(
        "--subject-file", metavar="FILE", help="The same, one name a line: argv can be seen by others."
    ),
]
MemoriesOption = Annotated[
    list[str] | None,
    typer.Option("--memory", metavar="ID", help="A memory, mem_…; several times if need be."),
]
QueriesOption = Annotated[
    list[str] | None,
    typer.Option("--query", metavar="WORDS", help="Memories that have all these words; several times: any."),
]
QueryFileOption = Annotated[
    Path | None, typer.Option("--query-file", metavar="FILE", help="The same, one query a line.")
]
ReviewOption = Annotated[
    str, typer.Option(metavar="DATE", help="When somebody looks at it again: 2027-03-31, UTC.")
]
UntilOption = Annotated[
    str, typer.Option(metavar="DATE", help="When somebody looks at it next: 2027-03-31, UTC.")
]


@app.command("place")
@called_by(officer)
def place(
    call: Invocation,
    *,
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help=f"Over what: {', '.join(_SCOPES)}.")],
    reason_code: Annotated[str, typer.Option(metavar="CODE", help=f"Why: {', '.join(_REASONS)}.")],
    review: ReviewOption,
    matter: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of the legal matter; no name of a person.")
    ] = None,
    subject: SubjectsOption = None,
    subject_file: SubjectFileOption = None,
    memory: MemoriesOption = None,
    query: QueriesOption = None,
    query_file: QueryFileOption = None,
) -> None:
    """Place a hold; what it names is kept from expiry, erasure and every other removal."""
    if scope not in _SCOPES:
        raise typer.BadParameter(f"expected one of {', '.join(_SCOPES)}", param_hint="SCOPE")
    if reason_code not in _REASONS:
        raise typer.BadParameter(f"expected one of {', '.join(_REASONS)}", param_hint="--reason-code")
    from api.cli.hold_view import PlacedView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.hold_terms import Placing  # noqa: PLC0415
    from vault.hold_words import HoldReason, HoldScope  # noqa: PLC0415
    from vault.holds import Holds  # noqa: PLC0415

    until = _date(review)
    targets = _targets(call, subject, subject_file, memory, query, query_file)
    placing = Placing(HoldScope(scope), HoldReason(reason_code), until, targets, matter)
    with call.session() as opened:
        placed = Holds(opened.vault.parts).place(opened.principal, placing, opened.caller.purpose)
    _tell(call, PlacedView.of(placed))


@app.command("add")
@called_by(officer)
def add(
    call: Invocation,
    *,
    hold: HoldArgument,
    subject: SubjectsOption = None,
    subject_file: SubjectFileOption = None,
    memory: MemoriesOption = None,
    query: QueriesOption = None,
    query_file: QueryFileOption = None,
) -> None:
    """Let a hold name more; by words: what has them by now. The words are not kept: give them again."""
    from api.cli.hold_view import PlacedView  # noqa: PLC0415
    from vault.holds import Holds  # noqa: PLC0415

    targets = _targets(call, subject, subject_file, memory, query, query_file)
    with call.session() as opened:
        placed = Holds(opened.vault.parts).extend(opened.principal, hold, targets, opened.caller.purpose)
    _tell(call, PlacedView.of(placed))


@app.command("list")
@called_by(officer)
def list_(call: Invocation) -> None:
    """Show all holds, the released ones, too."""
    from api.cli.hold_view import HoldsView, HoldView  # noqa: PLC0415
    from vault.holds import Holds  # noqa: PLC0415

    with call.session() as opened:
        tenant = opened.tenant
        found = Holds(opened.vault.parts).all(opened.principal, opened.caller.purpose)
    if call.as_json:
        print_json(HoldsView(tenant=tenant, holds=[HoldView.of(hold) for hold in found]))
        return
    for hold in found:
        say(_line(hold))
    note(counted(sum(hold.in_force for hold in found), "hold is in force", "holds are in force"))


@app.command("show")
@called_by(officer)
def show(call: Invocation, *, hold: HoldArgument) -> None:
    """Show a hold and the vault ids that it names; no content."""
    from api.cli.hold_view import HoldView  # noqa: PLC0415
    from vault.holds import Holds  # noqa: PLC0415

    with call.session() as opened:
        found, ids = Holds(opened.vault.parts).named(opened.principal, hold, opened.caller.purpose)
    if call.as_json:
        print_json(HoldView.of(found, ids))
        return
    say(_line(found))
    for one in ids:
        say(f"  {one}")


@app.command("review")
@called_by(officer)
def review(call: Invocation, *, hold: HoldArgument, until: UntilOption) -> None:
    """Say that a hold was looked at and stays, and when it is looked at next."""
    from vault.holds import Holds  # noqa: PLC0415

    moment = _date(until)
    with call.session() as opened:
        Holds(opened.vault.parts).review(opened.principal, hold, moment, opened.caller.purpose)
    _done(call, hold, "reviewed")


@app.command("ask-release")
@called_by(officer)
def ask_release(call: Invocation, *, hold: HoldArgument) -> None:
    """Ask that a hold be released; a second person does it."""
    from vault.holds import Holds  # noqa: PLC0415

    with call.session() as opened:
        Holds(opened.vault.parts).ask_release(opened.principal, hold, opened.caller.purpose)
    _done(call, hold, "release-asked")


@app.command("release")
@called_by(officer)
def release(call: Invocation, *, hold: HoldArgument) -> None:
    """Release a hold, as somebody who neither placed it nor asked for its release."""
    from vault.holds import Holds  # noqa: PLC0415

    with call.session() as opened:
        Holds(opened.vault.parts).release(opened.principal, hold, opened.caller.purpose)
    _done(call, hold, "released")


def _targets(  # noqa: PLR0917  # the options, as they come
    call: Invocation,
    subject: list[str] | None,
    subject_file: Path | None,
    memory: list[str] | None,
    query: list[str] | None,
    query_file: Path | None,
) -> "Targets":
    from vault.hold_terms import Targets  # noqa: PLC0415

    subjects = (*(subject or ()), *_lines(call, subject_file))
    return Targets(subjects, tuple(memory or ()), (*(query or ()), *_lines(call, query_file)))


def _lines(call: Invocation, file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    from api.cli.sources import read_bytes  # noqa: PLC0415
    from vault.pipeline.documents import decode  # noqa: PLC0415

    limits = call.limits()
    text = decode(read_bytes(file, limits), limits.document_bytes)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _date(text: str) -> datetime:
    """Read a date or a time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected a date such as 2027-03-31", param_hint="--review") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _tell(call: Invocation, view: "PlacedView") -> None:
    if call.as_json:
        print_json(view)
        return
    say(view.hold)
    named = f"{counted(view.subjects, 'person', 'persons')}, {counted(view.memories, 'memory', 'memories')}"
    note(f"{named}; entry {view.entry}")
    if view.unreadable:
        note(f"{counted(view.unreadable, 'memory', 'memories')} could not be looked into")


def _done(call: Invocation, hold: str, done: str) -> None:
    if call.as_json:
        from api.cli.hold_view import HoldChangedView  # noqa: PLC0415

        print_json(HoldChangedView(hold=hold, done=done))
        return
    say(f"{hold}  {done}")


def _line(hold: "Hold") -> str:
    """Return a hold as one line."""
    state = "in force"
    if hold.released is not None:
        state = f"released by {hold.released_by} on {hold.released:%Y-%m-%d}"
    elif hold.asked_by is not None:
        state = f"in force; {hold.asked_by} asks for its release"
    over = hold.scope.value if hold.matter is None else f"{hold.scope.value} {hold.matter}"
    named = f"{counted(hold.subjects, 'person', 'persons')}, {counted(hold.memories, 'memory', 'memories')}"
    what = "everything" if hold.scope.value == "tenant" else named
    return f"{hold.hold_id}  {over}  {what}  {hold.reason.value}  review {hold.review:%Y-%m-%d}  {state}"
