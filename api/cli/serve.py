"""`memvault serve`: the HTTP API over one vault."""

from dataclasses import replace
from typing import Annotated

import typer

from api.cli.options import JsonOption, VaultOption
from api.cli.output import note, reported


def serve(
    *,
    vault: VaultOption = None,
    host: Annotated[str | None, typer.Option(help="Address [default: MEMVAULT_HOST, or 127.0.0.1].")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one [default: MEMVAULT_PORT, or 8750]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the HTTP API until it is told to end.

    Bound to loopback unless told otherwise; beyond it, TLS or a proxy and a protected root key are expected.
    """
    with reported(as_json=as_json):
        from api.app import create_app  # noqa: PLC0415  # loads the vault; `--help` does not
        from api.assembly import open_vault, start_timetable, start_workers, vault_path  # noqa: PLC0415
        from api.cli.session import settings_for  # noqa: PLC0415
        from api.serving import check_exposure, listen  # noqa: PLC0415
        from api.serving import serve as run  # noqa: PLC0415
        from vault.crypto.root import RootKind  # noqa: PLC0415
        from vault.roots import root_kind  # noqa: PLC0415
        from vault.storage.directory import VaultDirectory  # noqa: PLC0415

        given = settings_for(vault)
        settings = replace(given, host=host or given.host, port=given.port if port is None else port)
        directory = VaultDirectory(vault_path(settings))
        directory.expect()
        root = root_kind(directory)
        check_exposure(settings, root)
        if root is RootKind.FILE:
            note(
                "warning: the root key lies in a file beside the data; this server is for this machine alone"
            )
        with listen(settings) as bound, open_vault(settings) as opened:
            address, number = bound.getsockname()[:2]
            scheme = "http" if settings.tls_certificate_file is None else "https"
            shown = f"[{address}]" if ":" in address else address
            app = create_app(opened, settings)
            start_timetable(opened, settings)
            start_workers(opened, settings)
            run(app, settings, bound, lambda: note(f"serving at {scheme}://{shown}:{number}"))
