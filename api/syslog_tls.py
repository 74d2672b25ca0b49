"""Sending syslog over TLS (RFC 5425), with a receipt that means something.

Owns the connection: always TLS 1.2 or later, always with the receiver's certificate and name verified,
there is no switch. It leaves the frames to `audit.siem.syslog` and what to do after a failure to its
caller, who sends a batch again.

Syslog has no acknowledgement: what `send` returned may lie in a buffer of either machine. So each batch
is one connection, and counts as taken only when, in this order,

1. all of it was sent, and the receiver had not hung up before,
2. our close_notify was sent, and every octet was acknowledged by the receiver's machine,
3. the receiver closed its side in order (its close_notify, or the end of its stream). A receiver that
   died, or closed with octets unread, shows as a reset instead.

What this does not show: that the receiver wrote it to a disk.
"""

import fcntl
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from api.errors import DeliveryFailedError, SettingsInvalidError

SECONDS: Final = 10.0
"""Longest wait for the receiver at each step."""
DEFAULT_PORT: Final = 6514
_POLL: Final = 0.02
_CHUNK: Final = 4_096


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to send."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `tls://host:port`.

        Raises:
            SettingsInvalidError: another scheme, no host, or more than host and port.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            host, port, parts = None, 0, urlsplit("")
        extra = parts.path or parts.query or parts.fragment or parts.username or parts.password
        if parts.scheme != "tls" or not host or extra:
            raise SettingsInvalidError("expected a receiver as tls://host:port")
        return cls(host, port)


class TlsSyslog:
    """Delivers batches of frames to one receiver.

    Args:
        receiver: Where to.
        authorities: PEM file of the authorities that may vouch for it; None takes the system's.
        seconds: Longest wait at each step.

    Raises:
        SettingsInvalidError: the file holds no certificates.
    """

    def __init__(self, receiver: Receiver, authorities: Path | None = None, seconds: float = SECONDS) -> None:
        self._receiver = receiver
        self._seconds = seconds
        try:
            self._context = ssl.create_default_context(cafile=authorities)
        except OSError:
            raise SettingsInvalidError("expected a PEM file of certificates as the authorities") from None
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def deliver(self, frames: bytes) -> None:
        """Send frames and wait until the receiver has taken all of them.

        Raises:
            DeliveryFailedError: nobody knows how much of it was taken: send it again.
        """
        try:
            with self._connect() as connection:
                connection.sendall(frames)
                _expect_open(connection)
                self._end(connection)
        except ssl.SSLCertVerificationError as error:
            raise DeliveryFailedError(
                f"the receiver's certificate does not hold: {error.verify_message}"
            ) from None
        except OSError as error:
            raise DeliveryFailedError(f"the receiver did not take the batch: {_kind(error)}") from None

    def _connect(self) -> ssl.SSLSocket:
        place = (self._receiver.host, self._receiver.port)
        plain = socket.create_connection(place, timeout=self._seconds)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._receiver.host)
        except BaseException:
            plain.close()
            raise

    def _end(self, connection: ssl.SSLSocket) -> None:
        """Say goodbye and wait for the receiver's."""
        # The end of its stream without a close_notify is an end, too, now that ours is sent.
        with suppress(ssl.SSLEOFError):
            plain = connection.unwrap()
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(_CHUNK):
                pass  # whatever it still says; a reset raises
        self._expect_acknowledged(connection)

    def _expect_acknowledged(self, connection: socket.socket) -> None:
        """See that no octet waits in this machine, and that the connection was not reset.

        Raises:
            ConnectionResetError: it was, or octets still wait after so many seconds.
        """
        until = time.monotonic() + self._seconds
        while (waiting := _unacknowledged(connection)) and time.monotonic() < until:
            time.sleep(_POLL)
        if waiting or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionResetError


def _expect_open(connection: ssl.SSLSocket) -> None:
    """See that the receiver has not hung up.

    Raises:
        ConnectionAbortedError: it has.
    """
    seconds = connection.gettimeout()
    connection.settimeout(0)
    try:
        with suppress(ssl.SSLWantReadError):
            if connection.recv(1) == b"":
                raise ConnectionAbortedError
    finally:
        connection.settimeout(seconds)


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many octets the receiver's machine has not acknowledged (Linux: SIOCOUTQ)."""
    held = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", held)[0])


def _kind(error: OSError) -> str:
    return "it did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__
