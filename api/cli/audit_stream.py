"""The command `audit stream`: the log for a SIEM, in its format, with a place to go on from."""

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, note
from audit.siem.formats import Format, formatter_of, head_of

if TYPE_CHECKING:
    from api.delivery import Delivery, Sink


@called_by(auditor, without=("as_json",))
def stream(
    call: Invocation,
    *,
    format_: Annotated[Format, typer.Option("--format", help="What each entry is written as.")],
    from_cursor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on where this file says, and keep the place there."),
    ] = None,
    start: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="First index, without a cursor.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on when the end is reached.")] = False,
    every: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds between two looks, with --follow.")
    ] = 2.0,
    to: Annotated[
        str | None,
        typer.Option(metavar="tls://HOST:PORT", help="A syslog receiver; without it, standard output."),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authorities that may vouch for it [default: the system's]."),
    ] = None,
) -> None:
    """Write the log for a system that watches it; it may get an item twice, and never misses one."""
    if to is not None and format_ is not Format.SYSLOG:
        raise typer.BadParameter("a receiver takes syslog alone", param_hint="--to")
    if to is None and ca_file is not None:
        raise typer.BadParameter("expected it together with --to", param_hint="--ca-file")
    if start and from_cursor is not None:
        raise typer.BadParameter("expected it without --from-cursor", param_hint="--start")
    from api.delivery import Delivery  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.log_stream import StreamRequest  # noqa: PLC0415
    from vault.stream_cursor import CursorFile  # noqa: PLC0415

    cursor = None if from_cursor is None else CursorFile(from_cursor)
    after = None if cursor is None else cursor.read()
    sink = _sink(to, ca_file)
    write = formatter_of(format_, framed=to is not None, host=socket.gethostname())
    with call.session() as opened:
        asked = StreamRequest(format_, start, follow=follow)
        found = opened.memory.stream(asked, after, purpose=opened.caller.purpose)
        if after is None and (head := head_of(format_)):
            sink(head)
        _deliver(Delivery(found, write, sink, cursor), every if follow else None)


def _deliver(delivery: "Delivery", every: float | None) -> None:
    try:
        if every is None:
            delivery.run()
        else:
            delivery.follow(every, note)
    finally:
        note(f"{counted(delivery.delivered, 'entry', 'entries')} delivered")


def _sink(to: str | None, ca_file: Path | None) -> "Sink":
    from api.delivery import file_sink  # noqa: PLC0415  # as above

    if to is None:
        return file_sink(sys.stdout.buffer)
    from api.syslog_tls import Receiver, TlsSyslog  # noqa: PLC0415

    return TlsSyslog(Receiver.parse(to), ca_file).deliver
