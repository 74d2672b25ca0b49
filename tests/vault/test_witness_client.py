"""Asking a witness: every answer has one meaning, and none makes a caller wait or believe."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import MAX_LINES_SIZE, WitnessSignerKey
from audit.merkle import leaf_hash
from audit.note import parse_note
from audit.signing import SignerKey
from audit.witness import SIZE_TYPE, Submission, parse_submission
from vault.errors import InputInvalidError
from vault.witness_client import Cosigned, HasSize, HttpWitness, ProofRefused, Refused, Reply, Unreachable

KEY = WitnessSignerKey("witness.example/w1", bytes(32))
OTHER = WitnessSignerKey("witness.example/w1", bytes(range(32)))
LOG = SignerKey("memos-vault/ward-1/clinic-a", bytes(32))
SENT = Submission(0, (), sign_checkpoint(Checkpoint(LOG.name, 1, leaf_hash(b"x")), [LOG]).note)
TEXT = parse_note(SENT.note).text
LINE = str(KEY.cosign(TEXT, 7)).encode()


class Scripted:
    """A server that answers what it is told, and remembers what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.status, self.body, self.media_type = 200, b"", "text/plain"
        self.seconds = 0.0
        self.asked: list[tuple[str, bytes]] = []
        scripted = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                scripted.asked.append((self.path, self.rfile.read(length)))
                time.sleep(scripted.seconds)
                self.send_response(scripted.status)
                self.send_header("Content-Type", scripted.media_type)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(scripted.body)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Answering)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.end()


def ask(port: int, *, prefix: str = "", seconds: float = 5) -> Reply:
    return HttpWitness(KEY.verifier, f"http://127.0.0.1:{port}{prefix}", seconds=seconds).submit(SENT)


def test_a_cosignature_by_the_key_is_taken_and_others_are_passed_over(scripted: Scripted) -> None:
    scripted.body = str(OTHER.cosign(TEXT, 7)).encode() + LINE
    reply = ask(scripted.port, prefix="/w1/")
    assert reply == Cosigned(KEY.cosign(TEXT, 7))
    ((path, body),) = scripted.asked
    assert path == "/w1/add-checkpoint"
    assert parse_submission(body) == SENT


@pytest.mark.parametrize(
    ("status", "media_type", "body", "reply"),
    [
        (409, SIZE_TYPE, b"8\n", HasSize(8)),
        (409, SIZE_TYPE + "; charset=utf-8", b"0\n", HasSize(0)),
        (409, SIZE_TYPE, b"08\n", Refused("409 without a size")),
        (409, SIZE_TYPE, b"", Refused("409 without a size")),
        (409, SIZE_TYPE, b"\xff", Refused("409 without a size")),
        (409, SIZE_TYPE, b"9" * 40, Refused("409 without a size")),
        (409, "text/plain", b"8\n", Refused("answered 409")),
        (422, "text/plain", b"", ProofRefused()),
        (403, "text/plain", b"secret", Refused("answered 403")),
        (404, "text/plain", b"", Refused("answered 404")),
        (301, "text/plain", b"", Refused("answered 301")),
        (200, "text/plain", b"", Refused("answered a cosignature that does not hold")),
        (200, "text/plain", b"\xff" * 99, Refused("answered a cosignature that does not hold")),
        (
            200,
            "text/plain",
            b"x" * (MAX_LINES_SIZE + 9),
            Refused("answered a cosignature that does not hold"),
        ),
        (
            200,
            "text/plain",
            str(OTHER.cosign(TEXT, 7)).encode(),
            Refused("answered no cosignature by its key"),
        ),
        (
            200,
            "text/plain",
            str(KEY.cosign("another\n", 7)).encode(),
            Refused("answered a cosignature that does not hold"),
        ),
    ],
)
def test_every_answer_has_one_meaning(
    scripted: Scripted, status: int, media_type: str, body: bytes, reply: Reply
) -> None:
    scripted.status, scripted.media_type, scripted.body = status, media_type, body
    assert ask(scripted.port) == reply
    assert len(scripted.asked) == 1, "no redirect is followed"


def test_a_witness_that_is_slow_is_given_up_on(scripted: Scripted) -> None:
    scripted.seconds = 3
    started = time.monotonic()
    assert ask(scripted.port, seconds=0.3) == Unreachable("no answer in time")
    assert time.monotonic() - started < 2


def test_a_witness_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert ask(port) == Unreachable("connection refused")


def test_what_is_no_http_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def babble() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        assert ask(listening.getsockname()[1]) == Unreachable("no answer of HTTP")
        thread.join(20)


def test_a_name_that_is_looked_up_too_long_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda _self: time.sleep(0.4))
    assert ask(1, seconds=0.1) == Unreachable("no answer in time")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://127.0.0.1",
        "http://",
        "http://witness.example",
        "http://10.0.0.1:80",
        "https://w1.example/?x",
        "https://w1.example/#x",
        "https://w1.example:0x50",
        "https://w1.example:99999",
    ],
)
def test_a_url_that_is_none_or_without_tls_is_refused(url: str) -> None:
    with pytest.raises(InputInvalidError, match=r"witness witness\.example/w1"):
        HttpWitness(KEY.verifier, url)


def test_localhost_needs_no_tls() -> None:
    HttpWitness(KEY.verifier, "http://localhost:1")
    HttpWitness(KEY.verifier, "http://[::1]:1")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own authority for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "witness")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "witness.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_is_verified_against_the_authorities_that_are_named(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Scripted(context)
    server.body = LINE
    try:
        url = f"https://127.0.0.1:{server.port}"
        trusting = HttpWitness(KEY.verifier, url, authorities=certificate)
        assert isinstance(trusting.submit(SENT), Cosigned)
        assert HttpWitness(KEY.verifier, url).submit(SENT) == Unreachable("TLS failed")
        with pytest.raises(InputInvalidError, match="authorities"):
            HttpWitness(KEY.verifier, url, authorities=tmp_path / "nowhere.pem")
    finally:
        server.end()
