"""Asking a witness over HTTP: add-checkpoint of C2SP tlog-witness, within a time and a size.

Owns one request and what its answer means. It leaves when to ask, and what follows, to
`vault.witnessing`. No redirect is followed, no proxy of the environment is used, and beyond this machine
only TLS is spoken.

Threat: a witness that hangs, or sends a byte every few seconds, holds its own thread for ever. Whatever
it does, the connection is cut when the time is over.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audit.cosignature import MAX_LINES_SIZE, WitnessVerifierKey, parse_cosignatures
from audit.errors import MalformedError, VerificationError
from audit.note import Signature, parse_note
from audit.witness import SIZE_TYPE, Submission, parse_size
from vault.errors import InputInvalidError

SECONDS: Final = 5.0
"""Longest time of one request, from connecting to the last byte."""
_PATH: Final = "/add-checkpoint"
_LATE: Final = "no answer in time"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The witness cosigned the checkpoint, and its signature holds."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class HasSize:
    """The witness has seen another size, or another root at this one (409)."""

    size: int


@dataclass(frozen=True, slots=True)
class ProofRefused:
    """The witness has seen this old size, and the checkpoint does not extend it (422)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The witness answered anything else: it does not know the log or its key, or is no witness."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The witness did not answer in time, or cannot be reached."""

    reason: str


Reply = Cosigned | HasSize | ProofRefused | Refused | Unreachable


class HttpWitness:
    """One witness: its key and where it is reached.

    Args:
        key: What its cosignatures are verified with.
        url: Submission prefix; `https`, or `http` on this machine.
        seconds: Longest time of one request.
        authorities: PEM file of the authorities that its certificate may be of; None is the system's.

    Raises:
        InputInvalidError: the URL is not of that form.
    """

    def __init__(
        self,
        key: WitnessVerifierKey,
        url: str,
        *,
        seconds: float = SECONDS,
        authorities: Path | None = None,
    ) -> None:
        self.key = key
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise InputInvalidError(f"witness {key.name}: expected a port from 1 to 65535") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise InputInvalidError(f"witness {key.name}: expected a URL of http or https")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise InputInvalidError(f"witness {key.name}: beyond this machine expected a URL of https")
        self._host, self._port = parts.hostname, port
        self._path = parts.path.rstrip("/") + _PATH
        self._tls = _tls(authorities) if parts.scheme == "https" else None
        self._seconds = seconds

    def submit(self, submission: Submission) -> Reply:
        """Submit a checkpoint and return what the witness made of it; never raises for what it does."""
        connection, over = self._connection(), threading.Event()
        cut = threading.Timer(self._seconds, _cut, (connection, over))
        cut.daemon = True
        cut.start()
        try:
            connection.connect()
            if over.is_set():  # while the name was looked up: there was nothing to cut yet
                return Unreachable(_LATE)
            headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
            connection.request("POST", self._path, submission.encode(), headers)
            response = connection.getresponse()
            body = response.read(MAX_LINES_SIZE + 1)
            return self._read(submission, response.status, body, response.headers.get("Content-Type", ""))
        except (OSError, http.client.HTTPException) as error:
            return Unreachable(_LATE if over.is_set() else _reason(error))
        finally:
            cut.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=self._tls)

    def _read(self, submission: Submission, status: int, body: bytes, media_type: str) -> Reply:
        if status == http.client.OK:
            return self._cosigned(submission, body)
        if status == http.client.CONFLICT and media_type.partition(";")[0].strip() == SIZE_TYPE:
            size = parse_size(body.decode("ascii", "replace").removesuffix("\n"))
            return Refused("409 without a size") if size is None else HasSize(size)
        if status == http.client.UNPROCESSABLE_ENTITY:
            return ProofRefused()
        return Refused(f"answered {status}")

    def _cosigned(self, submission: Submission, body: bytes) -> Reply:
        """Take the line that this witness's key signed; lines of other keys are passed over."""
        try:
            text = parse_note(submission.note).text.encode()
            for signature in parse_cosignatures(body):
                if (signature.name, signature.key_id) == (self.key.name, self.key.key_id):
                    self.key.verify(text, signature.value)
                    return Cosigned(signature)
        except (MalformedError, VerificationError):
            return Refused("answered a cosignature that does not hold")
        return Refused("answered no cosignature by its key")


def _tls(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError):
        raise InputInvalidError("the file of the witnesses' authorities cannot be read") from None


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
    """Return why a witness was not reached, as a kind of error: no text of a stranger's."""
    if isinstance(error, TimeoutError):
        return _LATE
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return "connection failed" if isinstance(error, OSError) else "no answer of HTTP"
