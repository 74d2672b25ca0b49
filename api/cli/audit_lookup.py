"""Commands about what the log says of a person: whether it knows a value, and dropping payloads."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Invocation, administrator, auditor, called_by
from api.cli.output import counted, note, print_json, say


class Reason(StrEnum):
    """Why payloads are dropped; as `vault.payload_erasure` has it."""

    ERASURE_REQUEST = "erasure-request"
    RETENTION = "retention"
    ENTERED_IN_ERROR = "entered-in-error"
    COURT_ORDER = "court-order"


@called_by(auditor)
def lookup(
    call: Invocation,
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file with the value; - is standard input.")
    ] = "-",
    start: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="First index to go through.")] = 0,
) -> None:
    """Tell which entries know a value that you hold: a name, a number, a question, an id. It is an entry.

    The value is never an argument: arguments of a process are visible to others.
    """
    from api.schemas.log_views import LookupView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.log_lookup import LogLookup  # noqa: PLC0415

    value = _read(file)
    with call.session() as opened:
        found = LogLookup(opened.vault.parts).find(
            opened.principal, opened.caller.purpose, value, start=start
        )
    if call.as_json:
        print_json(LookupView.of(found))
        return
    for one in found.occurrences:
        say(f"{one.index:>6}  {one.event:<17} {', '.join(one.forms)}")
    note(f"{counted(len(found.occurrences), 'entry', 'entries')} in [{found.start}, {found.stop})")
    if found.erased:
        note(f"payloads erased in that range: {found.erased}; what they said is not known")
    if not found.complete:
        note(f"not the whole log: go on with --start {found.stop}")


def _read(file: str) -> str:
    from vault.errors import InputInvalidError  # noqa: PLC0415
    from vault.log_lookup import MAX_VALUE  # noqa: PLC0415

    try:
        if file == "-":
            raw = sys.stdin.buffer.read(4 * MAX_VALUE + 2)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(4 * MAX_VALUE + 2)
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise InputInvalidError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputInvalidError("expected the value as text in UTF-8") from None


@called_by(administrator)
def erase_payload(
    call: Invocation,
    *,
    index: Annotated[
        list[int], typer.Argument(min=0, max=2**53 - 1, metavar="INDEX…", help="Of the entries.")
    ],
    reason_code: Annotated[Reason, typer.Option(help="Why; it stands in the log.")],
) -> None:
    """Drop the payloads of entries about memories, for good; header, tree and every proof stand."""
    from api.schemas.log_views import ErasedView  # noqa: PLC0415
    from vault.payload_erasure import ErasureReason, PayloadErasure  # noqa: PLC0415

    with call.session() as opened:
        done = PayloadErasure(opened.vault.parts).erase(
            opened.principal, opened.caller.purpose, index, ErasureReason(reason_code.value)
        )
    if call.as_json:
        print_json(ErasedView.of_erasure(done))
        return
    note(f"{counted(len(index), 'payload', 'payloads')} erased by entry {done.leaf.index}")
    if done.bytes_may_remain:
        note("their bytes may stand in the write-ahead log until the vault is closed: a reader holds it")
