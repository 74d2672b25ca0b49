"""Commands about evidence: export, prove, verify, verifier."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from api.cli.options import Invocation, auditor, called_by
from api.cli.output import counted, note, print_json, say

if TYPE_CHECKING:
    from audit.offline import Proven

_MAX_INDEX = 2**53 - 1


@called_by(auditor)
def export(
    call: Invocation,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is standard output.")],
    first: Annotated[
        int, typer.Option(min=0, max=_MAX_INDEX, help="First index; taken down to a multiple of 256.")
    ] = 0,
    stop: Annotated[
        int | None,
        typer.Option(min=1, max=_MAX_INDEX, help="Index after the last; taken up to a multiple of 256."),
    ] = None,
    without_payloads: Annotated[
        bool, typer.Option("--without-payloads", help="Leave salts and payloads out.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write verify.html, which checks it in a browser, beside it.")
    ] = False,
) -> None:
    """Write the tenant's log as an evidence bundle that can be verified without the vault."""
    from api.cli.shapes import ExportView  # noqa: PLC0415  # loads the vault; `--help` does not
    from vault.log_exports import ExportTerms  # noqa: PLC0415

    if html and file == "-":
        raise typer.BadParameter("expected a file to write it beside", param_hint="--html")
    with call.session() as opened:
        with new_file(file) as target:
            terms = ExportTerms(first, stop, payloads=not without_payloads)
            written = opened.memory.export(target, terms, purpose=opened.caller.purpose)
        key = str(opened.vault.parts.verifier_key)
    if html:
        _write_page(str(Path(file).with_name("verify.html")))
    if call.as_json and file != "-":
        print_json(ExportView(file=file, entries=written.entries, verifier_key=key))
        return
    shown = counted(written.entries, "entry", "entries")
    span = (
        ""
        if written.entries == written.size
        else f", {written.first} to {written.stop - 1} of {written.size}"
    )
    if written.cosigned < written.awaited:
        lag = f"{written.cosigned} of {written.awaited} witnesses have cosigned it so far"
        note(f"{lag}: a verification with --required needs --may-lag, or an export when they answer")
    note(f"{shown}{span}; verify with: memvault audit verify {file} --key {key}")


@called_by(auditor)
def prove(
    call: Invocation,
    *,
    index: Annotated[
        int, typer.Argument(min=0, max=_MAX_INDEX, help="Leaf index, as `audit tail` shows it.")
    ],
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="A new file, by custom with .tlog-proof.")
    ] = "-",
    without_payload: Annotated[
        bool, typer.Option("--without-payload", help="Carry the header alone.")
    ] = False,
) -> None:
    """Prove that an entry stands in the signed log, as a C2SP tlog-proof that is checked alone."""
    with call.session() as opened:
        proof = opened.memory.prove_entry(index, payload=not without_payload, purpose=opened.caller.purpose)
        key = str(opened.vault.parts.verifier_key)
    with new_file(out) as target:
        target.write(proof.encode())
    if call.as_json and out != "-":
        from api.cli.shapes import ProofFileView  # noqa: PLC0415

        print_json(ProofFileView(file=out, index=index, verifier_key=key))
        return
    note(f"verify with: memvault audit verify {'FILE' if out == '-' else out} --key {key}")


@called_by(auditor)
def verify(
    call: Invocation,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A bundle, a proof or a certificate to verify offline; none: the vault."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="VKEY", help="The log's verifier key, or a file of keys; not from the bundle."),
    ] = None,
    key_file: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="The same, always as a file.")
    ] = None,
    witness: Annotated[
        list[str] | None, typer.Option(metavar="VKEY", help="A witness's key, or a file of keys.")
    ] = None,
    required: Annotated[
        int, typer.Option(min=0, max=100, help="Cosignatures by witnesses without which it fails.")
    ] = 0,
    may_lag: Annotated[
        int,
        typer.Option(
            min=0, max=_MAX_INDEX, metavar="ENTRIES", help="Entries at the end that these need not cover yet."
        ),
    ] = 0,
    remembered: Annotated[
        list[Path] | None,
        typer.Option(
            "--remembered",
            "--remember",
            metavar="NOTE",
            help="A checkpoint that was kept: only these show that a tail was cut.",
        ),
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The entry of a proof that carries none.")
    ] = None,
    handover: Annotated[
        list[Path] | None,
        typer.Option(metavar="NOTE", help="Where one log key hands over to the next, signed by both."),
    ] = None,
) -> None:
    """Recompute the whole log: of the vault, against its rows; or of a file, with public keys only."""
    keys: list[str | Path] = [*(key or []), *(key_file or [])]
    if (file is None) != (not keys):
        raise typer.BadParameter(
            "expected a bundle or proof together with --key or --key-file", param_hint="FILE"
        )
    if file is None:
        from api.cli.log import verify_vault  # noqa: PLC0415

        if witness or required or may_lag or remembered or entry or handover:
            raise typer.BadParameter("expected these options together with a file", param_hint="FILE")
        verify_vault(call)
        return
    from api.errors import NotCheckableError  # noqa: PLC0415
    from audit.offline import Terms, describe, verify_file  # noqa: PLC0415
    from audit.verify_bundle import BundleReport  # noqa: PLC0415

    try:
        witnesses = tuple(witness or ())
        terms = Terms(keys, witnesses, required, remembered or [], entry, handover or [], may_lag)
        found = verify_file(file, terms, now=datetime.now(UTC))
    except OSError as error:
        raise NotCheckableError(f"a file cannot be read: {error.strerror}") from None
    if call.as_json:
        _print_found(found)
    else:
        for line in describe(found):
            say(line)
    if isinstance(found, BundleReport) and not found.report.passed:
        raise typer.Exit(3)


def _print_found(found: "Proven") -> None:
    from api.cli.certificate_view import CertificateView  # noqa: PLC0415
    from api.cli.shapes import ProvenView  # noqa: PLC0415
    from api.schemas.views import ReportView  # noqa: PLC0415
    from audit.proof import ProvenEntry  # noqa: PLC0415
    from audit.verify_bundle import BundleReport  # noqa: PLC0415

    if isinstance(found, BundleReport):
        print_json(ReportView.of(found.report))
    else:
        print_json(ProvenView.of(found) if isinstance(found, ProvenEntry) else CertificateView.of(found))


def verifier(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is standard output.")],
) -> None:
    """Write verify.html: one page that checks bundles and proofs in a browser, without a network."""
    from api.cli.output import reported  # noqa: PLC0415

    with reported(as_json=False):
        _write_page(file)


def _write_page(name: str) -> None:
    from audit.verify_html import build_page  # noqa: PLC0415

    with new_file(name) as target:
        target.write(build_page())


@contextmanager
def new_file(name: str) -> Iterator[BinaryIO]:
    """Open a file that did not exist, for its owner alone; what was begun is removed on failure.

    Raises:
        ConflictError: it exists.
        StorageError: it cannot be made.
    """
    from vault.errors import ConflictError, StorageError  # noqa: PLC0415

    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConflictError("the file exists already; it is not overwritten") from None
    except OSError as error:
        raise StorageError(f"the file cannot be made: {error.strerror}") from None
    whole = False
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
        whole = True
    finally:
        if not whole:
            Path(name).unlink(missing_ok=True)
