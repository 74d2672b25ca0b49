"""`memvault audit forensics` and `memvault audit anchor`: what works where the vault does not open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.new_file import write_new
from api.cli.options import JsonOption, VaultOption
from api.cli.output import counted, note, print_json, reported, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.cli.forensics_view import ForensicsView
    from audit.signing import VerifierKey
    from vault.storage.directory import VaultDirectory


def forensics(
    *,
    vault: VaultOption = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VKEY", help="The log's verifier key, from elsewhere than the vault."),
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The anchor [default: MEMVAULT_ANCHOR_FILE].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file for the whole outcome, as JSON.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a log that the vault refuses disagrees with what was seen of it. Changes nothing.

    Needs no secret key and does not open the vault. Ends with 3 where something disagrees. That it was
    made is written to the anchor, or beside the vault: a damaged log takes no entry.
    """
    with reported(as_json=as_json):
        shown = _examine(vault, key or [], anchor)
        if out is not None:
            write_new(out, shown.model_dump_json(indent=2).encode() + b"\n")
    if as_json:
        print_json(shown)
    else:
        _say(shown)
    if not shown.clean:
        raise typer.Exit(3)


def _examine(vault: Path | None, texts: "Sequence[str]", anchor: Path | None) -> "ForensicsView":
    from api.assembly import vault_path  # noqa: PLC0415  # loads the rooms; `--help` does not
    from api.cli.forensics_view import ForensicsView  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415
    from audit.anchor import FileAnchor  # noqa: PLC0415
    from audit.signing import VerifierKey  # noqa: PLC0415
    from vault.clock import system_clock  # noqa: PLC0415
    from vault.forensics import examine, keep  # noqa: PLC0415
    from vault.storage.directory import VaultDirectory  # noqa: PLC0415

    settings = settings_for(vault)
    directory = VaultDirectory(vault_path(settings))
    keys = [VerifierKey.parse(text.strip()) for text in texts] or _own_keys(directory)
    place = anchor or settings.anchor_file
    opened = None if place is None else FileAnchor(place)
    try:
        found = examine(directory, keys, opened)
        where = keep(found, system_clock(), directory, opened)
    finally:
        if opened is not None:
            opened.close()
    return ForensicsView.of(found, where, has_anchor=opened is not None)


def _own_keys(directory: "VaultDirectory") -> "Sequence[VerifierKey]":
    """Return the public keys in the vault's own key file: better than none, worse than a copy kept elsewhere."""
    from audit.key_file import load_key_file  # noqa: PLC0415

    note("warning: the log's key is taken from the vault itself; --key names the one that you kept")
    return load_key_file(directory.log_key).verifiers


def _say(shown: "ForensicsView") -> None:
    say(f"store            SHA-256 {shown.store_sha256}")
    for log in shown.logs:
        seen = counted(log.points, "checkpoint", "checkpoints")
        say(
            f"{log.log:<16} {counted(log.size, 'entry', 'entries')}, {seen} seen, agrees up to {log.agrees_up_to}"
        )
        if log.differs_at is not None:
            say(
                f"{'DIFFERS':<16} from an index in [{log.agrees_up_to}, {log.differs_at}) on: {log.seen_by} saw another"
            )
        if log.first_bad_entry is not None:
            say(f"{'DIFFERS':<16} the first entry that is missing or not its own: {log.first_bad_entry}")
    for finding in shown.findings:
        say(f"{'FAILED':<16} {finding}")
    if shown.more_findings:
        say(f"and {shown.more_findings} more")
    if not shown.has_anchor:
        note("no anchor was given: an old copy of the whole store would agree with itself")
    note(f"that this was looked into is written to {shown.kept_in}")
    asked = "the store and the anchor hold" if shown.has_anchor else "the store itself holds"
    say(
        f"nothing disagrees with what {asked}; no witness was asked"
        if shown.clean
        else "the log is not what was seen of it"
    )


def anchor(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A new file [default: MEMVAULT_ANCHOR_FILE].")
    ] = None,
) -> None:
    """Make the anchor of a vault that has none yet. Put it on another volume, at best append-only.

    A vault never makes it by itself: one that is gone must be missed.
    """
    with reported(as_json=False):
        from api.errors import SettingsInvalidError  # noqa: PLC0415
        from api.settings import read_settings  # noqa: PLC0415
        from audit.anchor import FileAnchor  # noqa: PLC0415

        chosen = file or read_settings().anchor_file
        if chosen is None:
            raise SettingsInvalidError("expected a file, or MEMVAULT_ANCHOR_FILE")
        FileAnchor.create(chosen).close()
    note("Set MEMVAULT_ANCHOR_FILE to it; keep it where whoever writes the database cannot.")
