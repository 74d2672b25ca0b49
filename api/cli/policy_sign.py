"""The commands `policy keygen`, `sign` and `verify`: whose bundle it is."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import JsonOption
from api.cli.output import print_json, reported, say

if TYPE_CHECKING:
    from audit.signing import SignerKey
    from policies.bundle import Bundle

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the bundle.")]


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key, e.g. ward-1/policies.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file for the private key.")],
) -> None:
    """Make a key that signs bundles, and show its public half for MEMVAULT_POLICY_KEYS."""
    with reported(as_json=False):
        from secrets import token_bytes  # noqa: PLC0415  # `--help` loads no keys

        from audit.key_file import create_key_file  # noqa: PLC0415
        from audit.key_text import KEY_SIZE  # noqa: PLC0415
        from audit.signing import SignerKey  # noqa: PLC0415

        key = SignerKey(name, token_bytes(KEY_SIZE))
        create_key_file(out, key)
    say(str(key.verifier))


def sign(
    folder: FolderArgument,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key's file.")],
    *,
    json_: JsonOption = False,
) -> None:
    """Sign a bundle that a vault would load, as it is now; the signature is written beside it."""
    from policies.loading import load_folder  # noqa: PLC0415  # `--help` loads no policies
    from vault.bundles.signatures import SIGNATURE, sign_bundle  # noqa: PLC0415

    with reported(as_json=json_):
        signer, bundle = _signer(key), load_folder(folder)
        note = sign_bundle(bundle, signer)
        _write(folder / SIGNATURE, note)
    _show(bundle, [signer.name], as_json=json_)


def verify(
    folder: FolderArgument,
    key: Annotated[
        list[str],
        typer.Option("--key", metavar="VKEY", help="A key that counts; may be given several times."),
    ],
    *,
    json_: JsonOption = False,
) -> None:
    """See that a key signed exactly this bundle."""
    from audit.signing import VerifierKey  # noqa: PLC0415  # as above
    from policies.bundle import Bundle  # noqa: PLC0415
    from vault.bundles.signatures import read_signature, verify_bundle  # noqa: PLC0415

    with reported(as_json=json_):
        keys, bundle = tuple(map(VerifierKey.parse, key)), Bundle.read(folder)
        names = verify_bundle(bundle, read_signature(folder), keys)
    _show(bundle, names, as_json=json_)


def _signer(path: Path) -> "SignerKey":
    from audit.key_file import load_key_file  # noqa: PLC0415  # as above

    return load_key_file(path).current


def _write(path: Path, note: bytes) -> None:
    """Put a signature in its place, whole: a vault may be reading it."""
    from policies.errors import PolicyInvalidError  # noqa: PLC0415  # as above

    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise PolicyInvalidError(f"the signature cannot be written: {error.strerror}") from None


def _show(bundle: "Bundle", names: Sequence[str], *, as_json: bool) -> None:
    from api.schemas.policy_view import SignatureView  # noqa: PLC0415  # as above
    from vault.bundles.signatures import signed_text  # noqa: PLC0415

    _, name, version, digest = signed_text(bundle).splitlines()
    if as_json:
        print_json(SignatureView(name=name, version=int(version), digest=digest, signed_by=list(names)))
        return
    say(f"{name} version {version}")
    say(digest)
    say(f"signed by {', '.join(names)}")
