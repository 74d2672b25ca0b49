"""Time stamps of RFC 3161, by an authority of our own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.checkpoint import Checkpoint
from audit.errors import MalformedError, VerificationError
from audit.timestamp import MAX_RESPONSE_SIZE, is_installed, parse_roots, query_for, verify_time_stamp
from tests.simulators.time_authority import HAS_OPENSSL, TimeAuthority

pytestmark = pytest.mark.skipif(
    not (HAS_OPENSSL and is_installed()), reason="needs the openssl command and the extra timestamps"
)
TEXT = Checkpoint("memos-vault/ward-1/system", 7, bytes(32)).encode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimeAuthority:
    return TimeAuthority(tmp_path_factory.mktemp("tsa") / "authority")


def test_a_time_stamp_of_a_checkpoint_verifies_and_tells_the_time(authority: TimeAuthority) -> None:
    query = query_for(TEXT)
    response = authority.answer(query.der)
    roots = parse_roots(authority.root.read_bytes())
    time = verify_time_stamp(response, TEXT, roots, query.nonce)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert verify_time_stamp(response, TEXT, roots) == time


def test_a_time_stamp_of_another_checkpoint_nonce_or_authority_is_refused(
    authority: TimeAuthority, tmp_path: Path
) -> None:
    query = query_for(TEXT)
    assert query.nonce is not None
    response, roots = authority.answer(query.der), parse_roots(authority.root.read_bytes())
    stranger = parse_roots(TimeAuthority(tmp_path / "stranger").root.read_bytes())
    for text, trusted, nonce in (
        (TEXT.replace("7", "8"), roots, query.nonce),
        (TEXT, roots, query.nonce + 1),
        (TEXT, stranger, query.nonce),
    ):
        with pytest.raises(VerificationError, match="time stamp: expected a valid one of this checkpoint"):
            verify_time_stamp(response, text, trusted, nonce)


@pytest.mark.parametrize("response", [b"", b"noise", bytes(200), bytes(MAX_RESPONSE_SIZE + 1)])
def test_what_is_no_time_stamp_is_malformed(authority: TimeAuthority, response: bytes) -> None:
    with pytest.raises(MalformedError):
        verify_time_stamp(response, TEXT, parse_roots(authority.root.read_bytes()))


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_time_stamp_with_a_flipped_byte_is_refused(authority: TimeAuthority, at: int) -> None:
    response = bytearray(authority.answer(query_for(TEXT).der))
    response[at] ^= 1
    with pytest.raises((MalformedError, VerificationError)):
        verify_time_stamp(bytes(response), TEXT, parse_roots(authority.root.read_bytes()))


def test_certificates_that_are_none_are_refused() -> None:
    with pytest.raises(MalformedError, match="in PEM"):
        parse_roots(b"noise")
