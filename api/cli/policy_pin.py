"""The commands `policy pin` and `policy reload`: below which version no bundle is used, and which one is in force."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Invocation, JsonOption, administrator, called_by
from api.cli.output import print_json, reported, say
from policies.model import Purpose


@called_by(administrator)
def pin(
    call: Invocation,
    *,
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="Folder of a bundle [default: the one that the vault opens with]."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show what is pinned, and pin nothing.")] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Also where what is pinned is newer, or another bundle; the log says so."
        ),
    ] = False,
) -> None:
    """Use no bundle below this version from now on, whoever puts its files there."""
    if show and (replace or bundle is not None):
        raise typer.BadParameter("expected it alone", param_hint="--show")
    from api.assembly import policy_keys  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.schemas.policy_view import PinnedView, PinView  # noqa: PLC0415
    from vault.bundles.pins import Pins  # noqa: PLC0415
    from vault.bundles.source import BundleSource  # noqa: PLC0415

    with call.session() as opened:
        pins = Pins(opened.vault.parts)
        if show:
            found = pins.show(opened.principal, opened.caller.purpose)
        else:
            given = None if bundle is None else BundleSource(bundle, policy_keys(opened.settings)).load()
            found, _ = pins.pin(opened.principal, given, opened.caller.purpose, replace=replace)
    if call.as_json:
        print_json(PinnedView(pin=None if found is None else PinView.of(found)))
    elif found is None:
        say("nothing is pinned")
    else:
        say(f"{found.name} version {found.version} is pinned")
        say(found.digest)


def reload_policy(
    server: Annotated[str, typer.Option("--server", metavar="URL", help="The vault that is served.")],
    api_key_file: Annotated[
        Path, typer.Option("--api-key-file", metavar="FILE", help="A file with the API key of who runs it.")
    ],
    server_ca_file: Annotated[
        Path | None,
        typer.Option("--server-ca-file", metavar="FILE", help="Authorities that may vouch for the server."),
    ] = None,
    purpose: Annotated[Purpose, typer.Option("--purpose", help="Why.")] = Purpose.OPERATIONS,
    *,
    json_: JsonOption = False,
) -> None:
    """Have a served vault use the policies that lie in its folder now; those in force stay if it refuses them."""
    with reported(as_json=json_):
        from api.remote_policy import reload_at  # noqa: PLC0415  # loads the vault; `--help` does not
        from api.remote_stream import Server  # noqa: PLC0415

        done = reload_at(Server.with_key_file(server, api_key_file, server_ca_file), purpose)
    if json_:
        print_json(done)
        return
    named = "" if done.name is None else f"{done.name} version {done.version}, "
    say(f"in force: {named}{done.digest}" + ("" if done.changed else ", as before"))
