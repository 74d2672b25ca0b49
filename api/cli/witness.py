"""`memvault witness`: a standalone witness, with its own key, state and settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import JsonOption
from api.cli.output import flat, note, print_json, reported, say

if TYPE_CHECKING:
    from api.cli.witness_view import EvidenceView
    from api.settings import WitnessSettings
    from audit.witness import TrustList
    from audit.witness_files import WitnessDirectory
    from audit.witness_store import WitnessStore

app = typer.Typer(
    help="Witness the logs of others: cosign what grows, refuse what was rolled back or forked.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory", metavar="DIR", help="The witness's directory [default: MEMWITNESS_DIRECTORY]."
    ),
]


def _settings(directory: Path | None) -> "tuple[WitnessSettings, WitnessDirectory]":
    from api.errors import SettingsInvalidError  # noqa: PLC0415
    from api.settings import read_witness_settings  # noqa: PLC0415
    from audit.witness_files import WitnessDirectory  # noqa: PLC0415

    settings = read_witness_settings()
    chosen = directory or settings.directory
    if chosen is None:
        raise SettingsInvalidError("expected --directory or MEMWITNESS_DIRECTORY")
    return settings, WitnessDirectory(chosen)


@app.command("init")
def init(
    *,
    name: Annotated[
        str, typer.Argument(help="Name of the witness: a URL without a scheme, e.g. witness.example/w1.")
    ],
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new witness, and show its verifier key: who relies on it puts that into the policy."""
    with reported(as_json=as_json):
        from secrets import token_bytes  # noqa: PLC0415

        from api.cli.witness_view import WitnessView  # noqa: PLC0415
        from audit.cosignature import WitnessSignerKey  # noqa: PLC0415
        from audit.key_text import KEY_SIZE  # noqa: PLC0415

        _, place = _settings(directory)
        key = WitnessSignerKey(name, token_bytes(KEY_SIZE))
        place.create(key)
        made = WitnessView(directory=str(place.path), verifier_key=str(key.verifier), trusted=[])
    if as_json:
        print_json(made)
        return
    say(made.verifier_key)
    note("Trust a vault's logs: memvault witness trust KEY --deployment; serve: memvault witness serve")


@app.command("trust")
def trust(
    *,
    key: Annotated[
        str, typer.Argument(metavar="VKEY", help="The log's verifier key, got from its operator.")
    ],
    deployment: Annotated[
        bool, typer.Option("--deployment", help="Trust it for every log under its name, one a tenant.")
    ] = False,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trust a log, or all logs of a deployment; a witness that runs takes it up at once."""
    with reported(as_json=as_json):
        from api.cli.witness_view import WitnessView  # noqa: PLC0415
        from audit.signing import VerifierKey  # noqa: PLC0415

        _, place = _settings(directory)
        trusted = place.trust(VerifierKey.parse(key.strip()), deployment=deployment)
        lines = trusted.encode().splitlines()
        shown = WitnessView(
            directory=str(place.path), verifier_key=str(place.load_key().verifier), trusted=lines
        )
    if as_json:
        print_json(shown)
        return
    for line in shown.trusted:
        say(line)


@app.command("evidence")
def evidence(*, directory: DirectoryOption = None, as_json: JsonOption = False) -> None:
    """Show the forks that are kept, two notes each, and the notes that were refused; --json has the notes."""
    with reported(as_json=as_json):
        from audit.witness_store import WitnessStore  # noqa: PLC0415

        _, place = _settings(directory)
        shown = _evidence_of(WitnessStore(place.state), place.load_trusted())
    if as_json:
        print_json(shown)
        return
    say(f"{'signed':<8}{'size':>12}  {'cosigned':<46}{'shown':<46}log")
    for fork in shown.forks:
        signed = "yes" if fork.signed else "NO"
        say(f"{signed:<8}{fork.size:>12}  {fork.seen_root:<46}{fork.shown_root:<46}{flat(fork.log)}")
    if not shown.refused:
        return
    say("refused, proves nothing by itself: compare with the log's own checkpoint of the size")
    for one in shown.refused:
        signed = "yes" if one.signed else "NO"
        said = f"{one.time:%Y-%m-%d %H:%M:%S} {one.reason}"
        say(f"{signed:<8}{one.size:>12}  {one.root:<46}{said:<46}{flat(one.log)}")


def _evidence_of(store: "WitnessStore", trusted: "TrustList") -> "EvidenceView":
    from base64 import b64encode  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from api.cli.witness_view import EvidenceView, ForkView, RefusedNoteView  # noqa: PLC0415

    origins = [origin for origin, _ in store.logs()]
    forks = [
        ForkView(
            log=fork.origin,
            size=fork.size,
            signed=fork.is_signed(trusted.keys_of(fork.origin)),
            seen_root=b64encode(fork.roots[0]).decode(),
            shown_root=b64encode(fork.roots[1]).decode(),
            seen=fork.seen.decode(),
            shown=fork.shown.decode(),
        )
        for origin in origins
        for fork in store.evidence(origin)
    ]
    refused = [
        RefusedNoteView(
            log=one.origin,
            size=one.size,
            root=b64encode(one.root).decode(),
            time=datetime.fromtimestamp(one.time, UTC),
            seen=one.seen,
            reason=one.reason.value,
            signed=one.is_signed(trusted.keys_of(one.origin)),
            note=one.note.decode(),
        )
        for origin in origins
        for one in store.refused(origin)
    ]
    return EvidenceView(forks=forks, refused=refused)


@app.command("serve")
def serve(
    *,
    directory: DirectoryOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address [default: MEMWITNESS_HOST, or 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one [default: MEMWITNESS_PORT, or 8760]."),
    ] = None,
) -> None:
    """Serve add-checkpoint until told to end. Bound to loopback unless told otherwise; beyond it with TLS."""
    with reported(as_json=False):
        import time  # noqa: PLC0415
        from dataclasses import replace  # noqa: PLC0415

        from api.serving import check_transport, listen, run_server  # noqa: PLC0415
        from api.witness_app import create_witness_app  # noqa: PLC0415

        given, place = _settings(directory)
        settings = replace(given, host=host or given.host, port=given.port if port is None else port)
        check_transport(settings, "MEMWITNESS_BEHIND_PROXY")
        witness = place.open(lambda: int(time.time()))
        with listen(settings) as bound:
            address, number = bound.getsockname()[:2]
            scheme = "http" if settings.tls_certificate_file is None else "https"
            shown = f"[{address}]" if ":" in address else address
            app = create_witness_app(witness, settings)
            run_server(app, settings, bound, lambda: note(f"witness at {scheme}://{shown}:{number}"))
