"""A certificate of erasure as one HTML page to be printed: no script, nothing loaded, everything escaped.

The page is for people; what is verified is the file. Both name the digest under which the log has the certificate.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.certificate import parse_carried_certificate
from audit.certificate_check import verify_certificate
from audit.signing import VerifierKey
from audit.trust import Trust
from vault.erasure import Erased


def certificate_page(erased: Erased, key: VerifierKey) -> bytes:
    """Return the page of a certificate, after verifying it with the log's public key.

    Raises:
        VerificationError: it does not hold.
    """
    found = verify_certificate(erased.certificate, Trust((key,)))
    environment = Environment(
        loader=PackageLoader("api.cli", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    steps = parse_carried_certificate(erased.certificate).certificate.steps
    page = environment.get_template("certificate.html").render(
        one=found.certificate, found=found, steps=steps, key=str(key)
    )
    return page.encode()
