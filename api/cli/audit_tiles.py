"""The command `memvault audit tiles`: the log as files that anybody's monitor can follow."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, print_json, say

if TYPE_CHECKING:
    from audit.tile_export import ExportedTiles


@called_by(auditor)
def tiles(
    call: Invocation,
    *,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A new folder, or one of an earlier export.", file_okay=False),
    ],
) -> None:
    """Write what is new of the log into a folder of C2SP tlog-tiles: checkpoint, tiles, entry bundles."""
    with call.session() as opened:
        written: ExportedTiles = opened.memory.export_tiles(folder, purpose=opened.caller.purpose)
        key = str(opened.vault.parts.verifier_key.for_log(opened.principal.tenant))
    if call.as_json:
        from api.cli.shapes import TilesView  # noqa: PLC0415  # loads pydantic; `--help` does not

        print_json(TilesView(size=written.size, since=written.since, files=written.written, verifier_key=key))
        return
    say(
        f"{counted(written.size, 'entry', 'entries')}, {written.size - written.since} of them new,"
        f" {counted(written.written, 'file', 'files')} written; check them with the key {key}"
    )
