"""One POST to somebody outside, within a time and a size.

Owns the connection. It leaves what is asked and what an answer means to its callers. No redirect is
followed and no proxy of the environment is used.

Threat: who is asked hangs, or sends a byte every few seconds, and holds a thread for ever. Whatever it
does, the connection is cut when the time is over.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from vault.errors import InputInvalidError

_LATE: Final = "no answer in time"


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    """At most one byte more than was allowed."""
    media_type: str


class NoAnswerError(Exception):
    """Nothing came back; says why as a kind of error, without a stranger's text."""


class Endpoint:
    """Where to post to.

    Args:
        label: Whose it is, for messages.
        url: `https`, or `http`.
        seconds: Longest time of one request, from looking the name up to the last byte.
        authorities: PEM file of the authorities that its certificate may be of; None is the system's.
        plain: Allow `http` beyond this machine: what is sent tells nothing, and what comes back is signed.

    Raises:
        InputInvalidError: the URL is not of that form, or the file cannot be read.
    """

    def __init__(
        self, label: str, url: str, *, seconds: float, authorities: Path | None = None, plain: bool = False
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise InputInvalidError(f"{label}: expected a port from 1 to 65535") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise InputInvalidError(f"{label}: expected a URL of http or https")
        if parts.scheme == "http" and not (plain or _is_loopback(parts.hostname)):
            raise InputInvalidError(f"{label}: beyond this machine expected a URL of https")
        self._host, self._port, self._path = parts.hostname, port, parts.path
        self._tls = _tls(label, authorities) if parts.scheme == "https" else None
        self._seconds = seconds

    def post(self, path: str, body: bytes, media_type: str, limit: int) -> Answer:
        """Post a body below the URL's path and return what came back, up to a size.

        Raises:
            NoAnswerError: nothing came back in time.
        """
        connection, over = self._connection(), threading.Event()
        cut = threading.Timer(self._seconds, _cut, (connection, over))
        cut.daemon = True
        cut.start()
        try:
            connection.connect()
            if over.is_set():  # while the name was looked up: there was nothing to cut yet
                raise NoAnswerError(_LATE)
            headers = {"Content-Type": media_type, "Connection": "close"}
            connection.request("POST", (self._path.rstrip("/") + path) or "/", body, headers)
            response = connection.getresponse()
            content = response.read(limit + 1)
            return Answer(response.status, content, response.headers.get("Content-Type", ""))
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(_LATE if over.is_set() else _reason(error)) from None
        finally:
            cut.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=self._tls)


def _tls(label: str, authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError):
        raise InputInvalidError(f"{label}: the file of its authorities cannot be read") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cut(connection: http.client.HTTPConnection, over: threading.Event) -> None:
    """End a request whatever it waits for; its thread then gets an error."""
    over.set()
    held = connection.sock
    if held is not None:
        with suppress(OSError):
            # The plain socket's: that of TLS would pull its state from under the thread that reads.
            socket.socket.shutdown(held, socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    """Return why nothing came back, as a kind of error: no text of a stranger's."""
    if isinstance(error, TimeoutError):
        return _LATE
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return "connection failed" if isinstance(error, OSError) else "no answer of HTTP"
