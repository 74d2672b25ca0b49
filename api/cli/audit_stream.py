"""The command `audit stream`: the log for a SIEM, in its format, with a place to go on from."""

import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from api.cli.audit_query import check_query
from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, note
from audit.siem.formats import Format, formatter_of, head_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.delivery import Delivery, Sink, Source
    from vault.log_stream import Anchored, StreamRequest


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
    query: Annotated[
        str, typer.Option(metavar="QUERY", help="Give the entries that fit alone, as in `audit query`.")
    ] = "",
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
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A vault that is served; without it, the vault is opened here."),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --server: a file with the API key.")
    ] = None,
    server_ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --server: authorities that may vouch for the server."),
    ] = None,
) -> None:
    """Write the log for a system that watches it; it may get an item twice, and never misses one."""
    wanted = _Wanted(format_, start, from_cursor, to, ca_file, server, api_key_file, server_ca_file, query)
    wanted.check(call)
    if query:
        check_query(query, as_json=False)
    from api.delivery import Delivery, give_up  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.errors import DeliveryFailedError  # noqa: PLC0415
    from vault.log_stream import StreamRequest  # noqa: PLC0415
    from vault.stream_cursor import CursorFile  # noqa: PLC0415

    asked = StreamRequest(format_, start, follow=follow, query=query)
    cursor = None if from_cursor is None else CursorFile(from_cursor, asked)
    after = None if cursor is None else cursor.read()
    sink = wanted.sink()
    write = formatter_of(format_, framed=to is not None, host=socket.gethostname())
    with _source(call, wanted, asked, after) as found:
        try:
            if after is None and (head := head_of(format_)):
                sink(head)
            _deliver(Delivery(found, write, sink, cursor), every if follow else None)
        except DeliveryFailedError:
            if to is None:
                give_up(sys.stdout.buffer)
            raise


class _Wanted(NamedTuple):
    """What the options say."""

    format: Format
    start: int
    cursor: Path | None
    to: str | None
    ca_file: Path | None
    server: str | None
    api_key_file: Path | None
    server_ca_file: Path | None
    query: str

    def check(self, call: Invocation) -> None:
        """See that the options go together.

        Raises:
            BadParameter: they do not.
        """
        here = self.server is None
        for wrong, hint, reason in (
            (
                self.to is not None and self.format is not Format.SYSLOG,
                "--to",
                "a receiver takes syslog alone",
            ),
            (self.to is None and self.ca_file is not None, "--ca-file", "expected it together with --to"),
            (self.start and self.cursor is not None, "--start", "expected it without --from-cursor"),
            (here != (self.api_key_file is None), "--server", "expected it together with --api-key-file"),
            (
                here and self.server_ca_file is not None,
                "--server-ca-file",
                "expected it together with --server",
            ),
            (not here and call.vault is not None, "--vault", "expected it without --server"),
        ):
            if wrong:
                raise typer.BadParameter(reason, param_hint=hint)

    def sink(self) -> "Sink":
        """Return the receiver."""
        from api.delivery import file_sink  # noqa: PLC0415  # as above

        if self.to is None:
            return file_sink(sys.stdout.buffer)
        from api.syslog_tls import Receiver, TlsSyslog  # noqa: PLC0415

        return TlsSyslog(Receiver.parse(self.to), self.ca_file).deliver


@contextmanager
def _source(
    call: Invocation, wanted: _Wanted, asked: "StreamRequest", after: "Anchored | None"
) -> "Iterator[Source]":
    """Yield what the items come from: a vault that is opened here, or one that is served."""
    if wanted.server is not None and wanted.api_key_file is not None:
        from api.remote_stream import RemoteStream, Server  # noqa: PLC0415  # as above

        server = Server.with_key_file(wanted.server, wanted.api_key_file, wanted.server_ca_file)
        yield RemoteStream(server, after, wanted.start, wanted.query)
        return
    with call.session() as opened:
        yield opened.memory.stream(asked, after, version=_version(), purpose=opened.caller.purpose)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # only when it runs

    try:
        return version("memos-vault")
    except PackageNotFoundError:
        return "0"


def _deliver(delivery: "Delivery", every: float | None) -> None:
    try:
        if every is None:
            delivery.run()
        else:
            delivery.follow(every, note)
    finally:
        note(f"{counted(delivery.delivered, 'entry', 'entries')} delivered")
