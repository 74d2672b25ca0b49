"""A syslog receiver with TLS and an authority of its own, on a real socket of this machine.

Owns its certificates and how it behaves: as a receiver should, or as receivers do. What it took is what
its application read, not what arrived at its machine.
"""

import ipaddress
import re
import socket
import ssl
import struct
import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = timedelta(days=1)
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Manner(StrEnum):
    """How a receiver behaves."""

    TAKES = "reads all, answers the goodbye"
    LEAVES = "reads all, closes without a word"
    HANGS_UP = "reads a little, says goodbye and closes"
    RESETS = "reads a little and resets"
    HOLDS = "reads all and never closes"
    DEAF = "never reads"


class Authority:
    """An authority that vouches for one name."""

    def __init__(self, folder: Path, name: str = "localhost", *, days: int = 1) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = folder / f"{name}-ca.pem"
        self.server = folder / f"{name}-server.pem"
        own = self._certificate(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0)
        )
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        known: x509.GeneralName = x509.DNSName(name)
        if re.fullmatch(r"[0-9.]+", name):
            known = x509.IPAddress(ipaddress.ip_address(name))
        made = self._certificate(subject, key.public_key(), x509.SubjectAlternativeName([known]), days=days)
        self.server.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        days: int = 1,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


class TlsReceiver:
    """Listens, and notes what it read.

    Args:
        authority: Whose certificate it shows.
        manner: How it behaves, one for each connection; the last one stays.
    """

    def __init__(self, authority: Authority, *manner: Manner) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.server)
        self._manners = list(manner) or [Manner.TAKES]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.connections: list[bytes] = []
        self._ending = threading.Event()
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)
        for held in self._held:
            held.close()

    @property
    def read(self) -> bytes:
        """All that was read, over all connections."""
        return b"".join(self.connections)

    def messages(self) -> list[bytes]:
        """Return the whole messages that were read, by their counts."""
        found = []
        for text in self.connections:
            at = 0
            while (head := re.compile(rb"([1-9][0-9]*) ").match(text, at)) and head.end() + int(
                head[1]
            ) <= len(text):
                found.append(text[head.end() : head.end() + int(head[1])])
                at = head.end() + int(head[1])
        return found

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            manner = self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]
            plain.settimeout(10)
            if manner is Manner.HANGS_UP:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            try:
                with self._context.wrap_socket(plain, server_side=True) as secured:
                    self._receive(secured, manner)
            except (OSError, ValueError):
                plain.close()

    def _receive(self, secured: ssl.SSLSocket, manner: Manner) -> None:
        at = len(self.connections)
        self.connections.append(b"")
        if manner is Manner.DEAF:
            self._held.append(socket.fromfd(secured.fileno(), socket.AF_INET, socket.SOCK_STREAM))
            self._ending.wait(10)
            return
        while piece := secured.recv(1_024):
            self.connections[at] += piece
            if manner is Manner.RESETS:
                secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                secured.close()
                return
            if manner is Manner.HANGS_UP:
                break
        if manner is Manner.HOLDS:
            self._ending.wait(10)
        if manner in {Manner.TAKES, Manner.HANGS_UP}:
            secured.settimeout(0.2)
            secured.unwrap()
