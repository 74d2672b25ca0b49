"""Commands about the keys that seal memories: look, rotate, rewrap, seal anew, move to another root.

Owns options and what is told of progress, on standard error. It leaves what is done, and who may, to
`vault.key_life`. Each of them can be cut off and begun again.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from api.cli.options import Invocation, administrator, called_by
from api.cli.output import note, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.cli.session import Session
    from api.cli.shapes import KeysView, RootChangedView
    from api.settings import Settings
    from vault.key_life import KeyLife, RootChanged
    from vault.storage.directory import VaultDirectory

keys = typer.Typer(help="The keys that seal memories.", no_args_is_help=True, rich_markup_mode=None)

_NEW_PASSPHRASE: Final = "--new-passphrase-file"  # noqa: S105  # an option
NewPassphrase = Annotated[
    Path | None,
    typer.Option(
        _NEW_PASSPHRASE,
        metavar="FILE",
        help="Protects the new local root [default: MEMVAULT_PASSPHRASE_FILE].",
    ),
]


@keys.command("status")
@called_by(administrator)
def status(call: Invocation) -> None:
    """Show root, log key and the states, versions and counts of the sealing keys; never a key."""
    with call.session() as opened:
        shown = _keys(opened)
    if call.as_json:
        print_json(shown)
        return
    say(f"root        {shown.root_kind} {shown.root_fingerprint}")
    if shown.moving:
        say("            a move to another root was begun: `memvault keys migrate` goes on with it")
    say(f"log key     {shown.log_key}")
    say("keys        " + (", ".join(f"{count} {state}" for state, count in shown.counts.items()) or "none"))
    for key in shown.keys:
        say(
            f"{key.kind:<12} {key.subject or '-':<31} v{key.version:<3} {key.state:<10} "
            f"{key.fingerprint[:16]} up to {key.seals_reserved} seals of {key.seals_limit}"
        )


@keys.command("rotate")
@called_by(administrator)
def rotate(
    call: Invocation,
    *,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT", help="Name of the person; - reads it from standard input: argv can be seen."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every subject of the tenant.")] = False,
) -> None:
    """Give a person, or everybody, a newer key; the older one opens what it sealed until `re-encrypt`."""
    if (subject is None) != all_:
        raise typer.BadParameter("expected the name of a person, or --all", param_hint="SUBJECT")
    named = None if subject is None else subject_of(call, subject)
    with _life(call) as (opened, life):
        sealers = opened.vault.parts.sealers
        ids = None if named is None else sealers.subject_ids(opened.tenant, [named])
        done, unreadable = 0, tuple[str, ...]()
        for step in life.rotate(opened.principal, opened.caller.purpose, ids):
            done, unreadable = step.done, step.unreadable
            _tell(call, f"{step.done} of {step.of} keys rotated")
    if call.as_json:
        from api.cli.shapes import RotatedView  # noqa: PLC0415

        print_json(RotatedView(rotated=done, unreadable=list(unreadable)))
        return
    for one in unreadable:
        note(f"the key of {one} does not open, and was left as it is")
    say(f"{done} keys rotated; `memvault keys re-encrypt` seals what lies under the older ones anew")


@keys.command("rewrap")
@called_by(administrator)
def rewrap(
    call: Invocation,
    *,
    new_version: Annotated[
        bool,
        typer.Option("--new-version", help="Have the server make a newer version of the transit key first."),
    ] = False,
    new_passphrase_file: NewPassphrase = None,
) -> None:
    """Wrap every key anew: under the newest version of the transit key, or under a fresh local root."""
    from vault.crypto.root import RootKind  # noqa: PLC0415

    with _life(call) as (opened, life):
        kind = opened.vault.parts.keyring.root.kind
        protected = kind is RootKind.PASSPHRASE or new_passphrase_file is not None
        passphrase = _passphrase(opened.settings, new_passphrase_file) if protected else None
        steps = life.rewrap(
            opened.principal, opened.caller.purpose, new_version=new_version, passphrase=passphrase
        )
        shown = _changed(call, steps)
    _end(call, shown)


@keys.command("re-encrypt")
@called_by(administrator)
def reencrypt(
    call: Invocation,
    *,
    destroy_retired: Annotated[
        bool,
        typer.Option(
            "--destroy-retired", help="Then destroy the older keys; backups from before open no more."
        ),
    ] = False,
) -> None:
    """Seal what lies under older keys anew under the newest, and prove in the log that nothing is left.

    Ends with 1 where rows are left.
    """
    from api.cli.shapes import ReencryptedView  # noqa: PLC0415
    from vault.key_life import Moved  # noqa: PLC0415
    from vault.reencryption import Reencrypted  # noqa: PLC0415

    last = Moved(Reencrypted())
    with _life(call) as (opened, life):
        for last in life.reencrypt(opened.principal, opened.caller.purpose, destroy=destroy_retired):
            _tell(call, f"{last.rows.memories} memories, {last.rows.rows} rows sealed anew")
    rows = last.rows
    shown = ReencryptedView(
        memories=rows.memories,
        embeddings=rows.embeddings,
        episodes=rows.episodes,
        names=rows.names,
        unreadable=rows.unreadable,
        remaining=rows.remaining or 0,
        entry=rows.leaf_index,
        retired=len(rows.idle) - len(last.destroyed),
        destroyed=list(last.destroyed),
    )
    if call.as_json:
        print_json(shown)
    else:
        say(
            f"{rows.memories} memories sealed anew, {rows.embeddings} vectors, {rows.episodes} episodes,"
            f" {rows.names} names"
        )
        say(f"{shown.remaining} rows left under older keys: entry {shown.entry} of the log says so")
        for row_id in rows.unreadable:
            say(f"could not be opened, or is not what the log says: {row_id}")
        if last.destroyed or last.kept:
            say(f"{len(last.destroyed)} older keys destroyed, {last.kept} kept for now")
        elif shown.retired:
            say(f"{shown.retired} older keys seal and open nothing: --destroy-retired destroys them")
    if shown.remaining:
        raise typer.Exit(1)


@keys.command("migrate")
@called_by(administrator)
def migrate(
    call: Invocation,
    *,
    to: Annotated[
        Literal["file", "passphrase", "transit"],
        typer.Option("--to", help="Where the root is to be; a transit key is that of the settings."),
    ],
    new_passphrase_file: NewPassphrase = None,
) -> None:
    """Move every key under another root. Cut off anywhere, the vault opens, and the command goes on."""
    from api.assembly import transit_of  # noqa: PLC0415
    from api.cli.session import settings_for  # noqa: PLC0415
    from vault.crypto.root import RootKind  # noqa: PLC0415
    from vault.root_move import NextRoot  # noqa: PLC0415

    settings, kind = settings_for(call.vault), RootKind(to)
    if (new_passphrase_file is not None) and kind is not RootKind.PASSPHRASE:
        raise typer.BadParameter("expected it with --to passphrase alone", param_hint=_NEW_PASSPHRASE)
    place = transit_of(settings) if kind is RootKind.TRANSIT else None
    if kind is RootKind.TRANSIT and place is None:
        raise typer.BadParameter("expected settings that say where the server is", param_hint="--to")
    passphrase = _passphrase(settings, new_passphrase_file) if kind is RootKind.PASSPHRASE else None
    with _life(call, of_present_root=True) as (opened, life):
        wanted = NextRoot(kind, passphrase, place)
        shown = _changed(call, life.migrate(opened.principal, opened.caller.purpose, wanted))
    _end(call, shown)
    if not call.as_json and kind is RootKind.FILE:
        note("the root key lies in a file beside the data: whoever copies both reads everything")


def subject_of(call: Invocation, subject: str) -> str:
    """Return the name that an argument gives, or the one on standard input."""
    from api.cli.erase import subject_of as read  # noqa: PLC0415  # as for a person who is erased

    return read(call, subject)


@contextmanager
def _life(call: Invocation, *, of_present_root: bool = False) -> "Iterator[tuple[Session, KeyLife]]":
    """Open the vault, and what changes its keys; whatever root it gets lives as long as it is open."""
    from api.assembly import open_vault, vault_path  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.cli.session import Session, settings_for  # noqa: PLC0415
    from vault.key_life import KeyLife  # noqa: PLC0415
    from vault.storage.directory import VaultDirectory  # noqa: PLC0415

    settings = settings_for(call.vault)
    directory = VaultDirectory(vault_path(settings))
    chosen = _of_present_root(settings, directory) if of_present_root else settings
    with ExitStack() as resources, open_vault(chosen) as vault:
        yield Session(vault, settings, call.caller), KeyLife(vault.parts, directory, resources)


def _of_present_root(settings: "Settings", directory: "VaultDirectory") -> "Settings":
    """Return the settings without what is for the root to come."""
    from vault.crypto.root import RootKind  # noqa: PLC0415
    from vault.root_move import settle  # noqa: PLC0415
    from vault.roots import root_kind  # noqa: PLC0415

    directory.expect()
    held = directory.hold()
    try:
        settle(directory)
        kind = root_kind(directory)
    finally:
        held.release()
    if kind is not RootKind.TRANSIT:
        settings = replace(settings, transit_url=None, transit_key=None, transit_credential_file=None)
    return settings if kind is RootKind.PASSPHRASE else replace(settings, passphrase_file=None)


def _passphrase(settings: "Settings", file: Path | None) -> str:
    from api.assembly import read_passphrase  # noqa: PLC0415

    chosen = file or settings.passphrase_file
    if chosen is None:
        raise typer.BadParameter("expected a file with the passphrase", param_hint=_NEW_PASSPHRASE)
    return read_passphrase(chosen)


def _changed(call: Invocation, steps: "Iterator[RootChanged]") -> "RootChangedView":
    from api.cli.shapes import RootChangedView  # noqa: PLC0415
    from vault.key_life import RootChanged  # noqa: PLC0415

    last = RootChanged(0, 0)
    for last in steps:
        _tell(call, f"{last.done} of {last.of} keys wrapped anew")
    return RootChangedView(
        root_kind="" if last.root is None else last.root.kind.value,
        root_fingerprint="" if last.root is None else last.root.fingerprint,
        wrapped=last.done,
        remaining=last.remaining or 0,
        faults=list(last.faults),
    )


def _end(call: Invocation, shown: "RootChangedView") -> None:
    if call.as_json:
        print_json(shown)
    else:
        say(f"root        {shown.root_kind} {shown.root_fingerprint}")
        say(f"{shown.wrapped} keys wrapped anew, {shown.remaining} left under the older one")
        for fault in shown.faults:
            say(fault)
    if shown.remaining:
        raise typer.Exit(1)


def _tell(call: Invocation, text: str) -> None:
    """Tell how far it is, beside the answer."""
    if not call.as_json:
        note(text)


def _keys(opened: "Session") -> "KeysView":
    from api.assembly import vault_path  # noqa: PLC0415
    from api.cli.shapes import KeysView, KeyView  # noqa: PLC0415
    from vault.administration import Administration  # noqa: PLC0415
    from vault.root_move import is_under_way  # noqa: PLC0415
    from vault.storage.directory import VaultDirectory  # noqa: PLC0415

    report = Administration(opened.vault.parts).keys(opened.principal, opened.caller.purpose)
    directory = VaultDirectory(vault_path(opened.settings))
    states = [key.state for key in report.keys]
    return KeysView(
        root_kind=report.root_kind.value,
        root_fingerprint=report.root_fingerprint,
        moving=is_under_way(directory),
        log_key=str(opened.vault.parts.verifier_key),
        counts={state: states.count(state) for state in sorted(set(states))},
        keys=[
            KeyView(
                tenant=opened.tenant,
                kind=key.kind,
                subject=key.subject,
                version=key.version,
                state=key.state,
                fingerprint=key.fingerprint,
                seals_reserved=key.seals_reserved,
                seals_limit=report.seals_limit,
                created=key.created.isoformat(),
            )
            for key in report.keys
        ],
    )
