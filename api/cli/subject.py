"""Commands about the rights of a person: told, taken along, put right, restricted, objected to."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.audit_export import new_file
from api.cli.erase import SubjectArgument, subject_of
from api.cli.options import Invocation, called_by, officer
from api.cli.output import counted, note, print_json, say
from policies.model import Purpose

if TYPE_CHECKING:
    from vault.disclosure import Disclosure, DisclosureTerms

app = typer.Typer(help="The rights of a person.", no_args_is_help=True, rich_markup_mode=None)
_REASONS: Final = ("inaccurate", "incomplete", "outdated")


class ReportForm(StrEnum):
    """In which form a report is written."""

    HTML = "html"
    JSON = "json"


OutOption = Annotated[
    str, typer.Option("-o", "--out", metavar="FILE", help="A new file; - is standard output.")
]
OriginalsOption = Annotated[
    bool, typer.Option("--originals", help="Personal data in clear, but where others are concerned, too.")
]
PurposesOption = Annotated[Purpose, typer.Option("--against", help="The purpose.")]


@app.command("report")
@called_by(officer)
def report(
    call: Invocation,
    *,
    subject: SubjectArgument,
    out: OutOption,
    form: Annotated[
        ReportForm, typer.Option("--format", help="For people or for programs.")
    ] = ReportForm.HTML,
    originals: OriginalsOption = False,
    tell_holds: Annotated[
        bool, typer.Option("--tell-holds", help="Tell that a legal hold applies; that may be forbidden.")
    ] = False,
) -> None:
    """Write what is held of a person, since when, why, until when, where from, and who read it."""
    from vault.disclosure import DisclosureTerms  # noqa: PLC0415  # loads the vault; `--help` does not

    _write(call, subject, DisclosureTerms(originals=originals, holds=tell_holds), form, out)


@app.command("export")
@called_by(officer)
def export(
    call: Invocation, *, subject: SubjectArgument, out: OutOption, originals: OriginalsOption = False
) -> None:
    """Write what is held of a person for another system, as JSON of a published schema."""
    from vault.disclosure import DisclosureTerms  # noqa: PLC0415  # as above

    terms = DisclosureTerms(originals=originals, readers=False)
    _write(call, subject, terms, ReportForm.JSON, out)


@app.command("rectify")
@called_by(officer)
def rectify(
    call: Invocation,
    *,
    memory: Annotated[str, typer.Argument(metavar="ID", help="A memory's id: mem_…")],
    reason_code: Annotated[str, typer.Option(metavar="CODE", help=f"Why: {', '.join(_REASONS)}.")],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What is right; - reads it from standard input.")
    ] = "-",
    version: Annotated[
        int | None, typer.Option(min=1, help="Only if the memory still has this version.")
    ] = None,
) -> None:
    """Put a memory right, as a new version; the older ones stay for the record."""
    if reason_code not in _REASONS:
        raise typer.BadParameter(f"expected one of {', '.join(_REASONS)}", param_hint="--reason-code")
    from api.schemas.views import WrittenView  # noqa: PLC0415  # as above
    from vault.subject_rights import Rectification, RectificationReason, SubjectRights  # noqa: PLC0415

    asked = Rectification(memory, subject_of(call, text), RectificationReason(reason_code), version)
    with call.session() as opened:
        rights = SubjectRights(opened.vault.parts)
        receipt = rights.rectify(opened.principal, asked, opened.caller.purpose)
    if call.as_json:
        print_json(WrittenView.of(receipt))
        return
    note(f"{memory} has a new version; entry {receipt.leaf_index}")


@app.command("restrict")
@called_by(officer)
def restrict(call: Invocation, *, subject: SubjectArgument) -> None:
    """Let nothing of a person be used until it is lifted; it is kept."""
    from vault.restrictions import Restrictions  # noqa: PLC0415  # as above

    name = subject_of(call, subject)
    with call.session() as opened:
        Restrictions(opened.vault.parts).restrict(opened.principal, name, opened.caller.purpose)
    _done(call, "restricted")


@app.command("object")
@called_by(officer)
def object_(call: Invocation, *, subject: SubjectArgument, against: PurposesOption) -> None:
    """Let nothing of a person be used for one purpose until it is lifted."""
    from vault.restrictions import Restrictions  # noqa: PLC0415  # as above

    name = subject_of(call, subject)
    with call.session() as opened:
        made = Restrictions(opened.vault.parts)
        made.object_to(opened.principal, name, against, opened.caller.purpose)
    _done(call, "objected")


@app.command("lift")
@called_by(officer)
def lift(
    call: Invocation,
    *,
    subject: SubjectArgument,
    against: Annotated[
        Purpose | None, typer.Option("--against", help="Lift the objection to this purpose.")
    ] = None,
) -> None:
    """Lift a person's restriction, or the objection to one purpose."""
    from vault.restrictions import Restrictions  # noqa: PLC0415  # as above

    name = subject_of(call, subject)
    with call.session() as opened:
        made = Restrictions(opened.vault.parts)
        made.lift(opened.principal, name, against, opened.caller.purpose)
    _done(call, "lifted")


@app.command("restrictions")
@called_by(officer)
def restrictions(call: Invocation, *, subject: SubjectArgument) -> None:
    """Show what a person restricted or objected to."""
    from api.cli.subject_view import RestrictionsView, RestrictionView  # noqa: PLC0415  # as above
    from vault.restrictions import Restrictions  # noqa: PLC0415

    name = subject_of(call, subject)
    with call.session() as opened:
        made = Restrictions(opened.vault.parts)
        found = made.standing(opened.principal, name, opened.caller.purpose)
    views = [RestrictionView.of(one) for one in found]
    if call.as_json:
        print_json(RestrictionsView(restrictions=views))
        return
    for view in views:
        say(f"{view.kind}  {view.purpose or 'all purposes'}  since {view.since[:19]}")
    note(counted(len(views), "stands", "stand"))


def _write(call: Invocation, subject: str, terms: "DisclosureTerms", form: ReportForm, out: str) -> None:
    from api.cli.subject_page import page_pieces  # noqa: PLC0415  # as above
    from vault.disclosure_json import json_pieces  # noqa: PLC0415
    from vault.subject_rights import SubjectRights  # noqa: PLC0415

    pieces: Callable[[Disclosure], Iterator[str]] = page_pieces if form is ReportForm.HTML else json_pieces
    name = subject_of(call, subject)
    digest = sha256()
    with call.session() as opened:
        rights = SubjectRights(opened.vault.parts)
        purpose = opened.caller.purpose
        with rights.disclosing(opened.principal, name, terms, purpose) as told, new_file(out) as file:
            for piece in pieces(told):
                encoded = piece.encode(errors="replace")
                digest.update(encoded)
                file.write(encoded)
    if call.as_json and out != "-":
        from api.cli.subject_view import DisclosedView  # noqa: PLC0415

        print_json(
            DisclosedView(
                file=out, sha256=digest.hexdigest(), memories=told.told, unreadable=list(told.unreadable)
            )
        )
        return
    note(f"{counted(told.told, 'memory', 'memories')} told")
    if told.unreadable:
        note(f"{counted(len(told.unreadable), 'memory', 'memories')} could not be opened")


def _done(call: Invocation, done: str) -> None:
    if call.as_json:
        from api.cli.subject_view import SubjectChangedView  # noqa: PLC0415

        print_json(SubjectChangedView(done=done))
        return
    say(done)
