"""A time stamp authority of RFC 3161 of our own: keys made anew, answers by the `openssl` command."""

import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HAS_OPENSSL = shutil.which("openssl") is not None
_CONFIG = """\
[tsa]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
"""


class TimeAuthority:
    """Answers time stamp queries; `url` while it serves.

    Args:
        folder: For its keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root.pem"
        self.broken = b""
        """Answered in place of a time stamp, if not empty."""
        self.status = 200
        folder.mkdir()
        root_key, tsa_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        root = _certificate("root", root_key.public_key(), "root", root_key, ca=True)
        tsa = _certificate("tsa", tsa_key.public_key(), "root", root_key, ca=False)
        self.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        (folder / "tsa.pem").write_bytes(tsa.public_bytes(serialization.Encoding.PEM))
        (folder / "tsa.key").write_bytes(
            tsa_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        self._server: HTTPServer | None = None

    def answer(self, query: bytes) -> bytes:
        """Return the response to a query."""
        asked, told = self.folder / "query.tsq", self.folder / "response.tsr"
        asked.write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", str(self.folder / "tsa.cnf"), "-section", "tsa"]
        subprocess.run(
            [*command, "-queryfile", str(asked), "-out", str(told)],
            check=True,
            capture_output=True,
            timeout=30,
        )
        return told.read_bytes()

    def serve(self) -> str:
        """Serve over HTTP on loopback and return the URL."""
        authority = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                body = authority.broken or authority.answer(query)
                self.send_response(authority.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Answering)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/tsr"

    def end(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _certificate(
    name: str, public: rsa.RSAPublicKey, issuer: str, key: rsa.RSAPrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, hashes.SHA256())
