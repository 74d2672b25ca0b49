"""Time stamps of checkpoints as in RFC 3161: somebody else's clock says when a tree was there.

Owns asking and verifying, over the text of a checkpoint. It leaves the way to the authority to
`vault.time_stamping` and keeping to `audit.anchor`. It needs the extra `timestamps`; the only module that
imports `rfc3161_client`.

What a time stamp shows: the tree of this root was there no later than this, if the authority is honest.
It does not show that there was no other tree.
"""

from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Final

from cryptography import x509

from audit.errors import MalformedError, VerificationError

MAX_RESPONSE_SIZE: Final = 64 * 1024
QUERY_TYPE: Final = "application/timestamp-query"
_CHECK: Final = "time stamp"


@dataclass(frozen=True, slots=True)
class TimeStampQuery:
    """What is sent to the authority."""

    der: bytes
    nonce: int | None
    """Comes back in the answer: an old answer is not taken for one to this question."""


def is_installed() -> bool:
    """Say whether the extra `timestamps` is there."""
    return find_spec("rfc3161_client") is not None


def query_for(text: str) -> TimeStampQuery:
    """Return the query for a checkpoint's text, by SHA-256, with a nonce and the authority's certificate."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415  # the extra is optional

    request = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
    return TimeStampQuery(request.as_bytes(), request.nonce)


def parse_roots(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of trusted authorities.

    Raises:
        MalformedError: there is none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise MalformedError("expected certificates of time stamp authorities in PEM") from None


def verify_time_stamp(
    response: bytes, text: str, roots: tuple[x509.Certificate, ...], nonce: int | None = None
) -> datetime:
    """Check an authority's answer over a checkpoint's text, and return its time.

    Args:
        response: DER of the TimeStampResp.
        text: Of the checkpoint.
        roots: Whom to trust.
        nonce: Of the query; None where an answer is looked at that was kept.

    Raises:
        MalformedError: it is no time stamp.
        VerificationError: it is none of this text, or by nobody who is trusted.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response  # noqa: PLC0415  # as above
    from rfc3161_client.errors import VerificationError as Refusal  # noqa: PLC0415  # as above

    if len(response) > MAX_RESPONSE_SIZE:
        raise MalformedError(
            f"expected a time stamp of at most {MAX_RESPONSE_SIZE} bytes, got {len(response)}"
        )
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        decoded = decode_timestamp_response(response)
        builder.build().verify_message(decoded, text.encode())
    except Refusal:
        raise VerificationError(_CHECK, expected="a valid one of this checkpoint", got="another") from None
    except ValueError:
        # What the decoder says may hold the bytes that it choked on.
        raise MalformedError("expected a time stamp in the form of RFC 3161") from None
    return decoded.tst_info.gen_time
