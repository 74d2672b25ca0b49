"""Commands about certificates of erasure: show, verify."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli.erase import SubjectArgument, subject_of
from api.cli.options import Invocation, called_by, officer
from api.cli.output import note, print_json, reported, say

app = typer.Typer(help="Certificates of erasure.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
@called_by(officer)
def show(
    call: Invocation,
    *,
    subject: SubjectArgument,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="A new file; - prints it.")] = "-",
    html: Annotated[
        bool, typer.Option("--html", help="As a page to be printed, not to be verified.")
    ] = False,
) -> None:
    """Give the certificate of a person's erasure again, with proofs under the log's last checkpoint."""
    from api.cli.audit_export import new_file  # noqa: PLC0415  # loads the vault; `--help` does not
    from api.cli.certificate_page import certificate_page  # noqa: PLC0415
    from api.cli.certificate_view import ErasedView  # noqa: PLC0415
    from vault.erasure import Erasures  # noqa: PLC0415

    name = subject_of(call, subject)
    with call.session() as opened:
        found = Erasures(opened.vault.parts).certificate(opened.principal, name, opened.caller.purpose)
        key = opened.vault.parts.verifier_key
    with new_file(out) as target:
        target.write(certificate_page(found, key) if html else found.certificate)
    if call.as_json and out != "-":
        file = None if html else out
        print_json(
            ErasedView(
                erasure=found.erasure_id, subject=found.subject, again=True, file=file, verifier_key=str(key)
            )
        )
        return
    note(f"verify with: memvault certificate verify {'FILE' if out == '-' else out} --key {key}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate.")],
    *,
    key: Annotated[
        list[str], typer.Option(metavar="VKEY", help="The log's verifier key, or a file of keys.")
    ],
    witness: Annotated[
        list[str] | None, typer.Option(metavar="VKEY", help="A witness's key, or a file of keys.")
    ] = None,
    required: Annotated[
        int, typer.Option(min=0, max=100, help="Cosignatures by witnesses without which it fails.")
    ] = 0,
    handover: Annotated[
        list[Path] | None, typer.Option(metavar="NOTE", help="Where one log key hands over to the next.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Verify a certificate with public keys alone: it needs no vault."""
    with reported(as_json=as_json):
        from api.cli.certificate_view import CertificateView  # noqa: PLC0415
        from api.errors import NotCheckableError  # noqa: PLC0415
        from audit.certificate_check import ProvenErasure  # noqa: PLC0415
        from audit.errors import CertificateMalformedError  # noqa: PLC0415
        from audit.offline import Terms, describe, verify_file  # noqa: PLC0415

        try:
            terms = Terms(list(key), tuple(witness or ()), required, handovers=tuple(handover or ()))
            found = verify_file(file, terms, now=datetime.now(UTC))
        except OSError as error:
            raise NotCheckableError(f"a file cannot be read: {error.strerror}") from None
        if not isinstance(found, ProvenErasure):
            raise CertificateMalformedError("expected a certificate, got other evidence")
        if as_json:
            print_json(CertificateView.of(found))
            return
        for line in describe(found):
            say(line)
