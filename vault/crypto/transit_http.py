"""One HTTP request to a transit server, within a time and a size.

Owns the connections: kept open between requests, shared by threads, each used by one at a time. It leaves
what is asked to `vault.crypto.transit_hvac`. No redirect is followed and no proxy of the environment is used:
a token would go along.

Threat: a server, or who stands in its place, hangs, sends a byte every few seconds, or never ends. A request is
over when its time is over, wherever it stands, and an answer beyond its size is none. What remains: looking a
name up takes as long as the system's resolver lets it.
"""

import http.client
import io
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from vault.crypto.transit_place import TransitPlace
from vault.errors import InputInvalidError, RootAnswerError, RootUnreachableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_ANSWER: Final = 1 << 20
_LATE: Final = "the transit server gave no answer in time"
_IDLE: Final = 8


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


class _StaleError(Exception):
    """The server closed a kept connection before it took the request."""


class _TimedReader(io.RawIOBase):
    """Reads a socket until a moment, however slowly bytes come."""

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)


class _TimedResponse(http.client.HTTPResponse):
    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        *,
        left: Callable[[], float],
    ) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock, left))


class Connections:
    """Connections to one server.

    Args:
        place: Where, and with which certificates.
        monotonic: Seconds from a clock that never goes back.

    Raises:
        InputInvalidError: a certificate's file cannot be read.
    """

    def __init__(self, place: TransitPlace, monotonic: Callable[[], float]) -> None:
        parts = urlsplit(place.url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._tls = _tls(place) if parts.scheme == "https" else None
        self._monotonic = monotonic
        self._idle: deque[http.client.HTTPConnection] = deque()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        once: bool = False,
    ) -> Answer:
        """Send a request and return what came back.

        A kept connection may have been closed meanwhile; then the request is sent again on another.

        Args:
            method: Of HTTP.
            path: Behind the server's URL.
            body: What is sent.
            headers: Besides the usual.
            seconds: Longest time.
            once: It must not be sent twice: takes a new connection.

        Raises:
            RootUnreachableError: nothing came back in time.
            RootAnswerError: more came back than any answer has.
        """
        request, end = _Request(method, path, body, headers), self._monotonic() + seconds

        def left() -> float:
            remaining = end - self._monotonic()
            if remaining <= 0:
                raise TimeoutError
            return remaining

        try:
            while self._idle and not once:
                try:
                    return self._exchange(self._idle.pop(), request, left)
                except (_StaleError, IndexError):
                    continue  # closed while nobody used it, or taken by another thread
            return self._exchange(self._connected(left), request, left)
        except TimeoutError:
            raise RootUnreachableError(_LATE) from None
        except (OSError, http.client.HTTPException, _StaleError) as error:
            raise RootUnreachableError(f"the transit server: {_reason(error)}") from None

    def close(self) -> None:
        """Close what is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _connected(self, left: Callable[[], float]) -> http.client.HTTPConnection:
        seconds = left()
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=seconds)
            if self._tls is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _exchange(
        self, connection: http.client.HTTPConnection, request: _Request, left: Callable[[], float]
    ) -> Answer:
        kept = False
        try:
            answer, kept = _exchanged(connection, request, left)
        finally:
            if kept and len(self._idle) < _IDLE:
                self._idle.append(connection)
            else:
                connection.close()
        return answer


def _exchanged(
    connection: http.client.HTTPConnection, request: _Request, left: Callable[[], float]
) -> tuple[Answer, bool]:
    """Return what came back, and whether the connection can be used again."""
    connection.sock.settimeout(left())
    connection.response_class = partial(_TimedResponse, left=left)  # type: ignore[assignment]  # made by a call
    try:
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        raise _StaleError from None
    content = response.read(MAX_ANSWER + 1)
    if len(content) > MAX_ANSWER:
        raise RootAnswerError(f"the transit server answered more than {MAX_ANSWER} bytes")
    return Answer(response.status, content), response.isclosed() and not response.will_close


def _tls(place: TransitPlace) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=place.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if place.certificate_file is not None:
            # An empty password: a key file that asks for one is refused, and nobody is asked at a terminal.
            context.load_cert_chain(place.certificate_file, place.certificate_key_file, password=lambda: "")
    except (OSError, ssl.SSLError):
        raise InputInvalidError("a certificate's file for the transit server cannot be read") from None
    return context


def _reason(error: Exception) -> str:
    """Return why nothing came back, as a kind of error: no text of a stranger's."""
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return "connection lost" if isinstance(error, OSError | _StaleError) else "no answer of HTTP"
