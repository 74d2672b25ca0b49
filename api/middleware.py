"""The way in: what happens to a request before any route sees it, and to each answer on its way out.

Owns, in this order: a request id, who calls (the API key alone says so), the body within its limits of
size and time and as strict JSON, and the headers of every answer. Requests to `/v1` without a valid key
end here, before their body is read. It leaves errors of routes to `api.app`.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answers import problem_response
from api.auth import Authenticator
from api.errors import (
    MediaUnsupportedError,
    RequestSlowError,
    RequestTooLargeError,
    RequestUnreadableError,
)
from api.problems import EXPECTED
from policies.model import Principal
from vault.clock import Entropy

REQUEST_HEADER: Final = "Memvault-Request"
API_PREFIX: Final = "/v1/"
OPENAPI_PATH: Final = "/v1/openapi.json"
_ID_BYTES: Final = 16
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a request's body."""

    size: int
    """Bytes."""
    seconds: float
    """In which it has to arrive."""


class _GoneError(Exception):
    """The client went away while it was sending."""


class Entrance:
    """ASGI middleware: identity and body of each request.

    Args:
        app: What comes behind.
        authenticator: Says whom a key stands for.
        limits: Of bodies.
        entropy: Source of request ids.
    """

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, limits: BodyLimits, entropy: Entropy
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._limits = limits
        self._entropy = entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._entropy(_ID_BYTES).hex()
        answer = _with_headers(send, request_id)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        try:
            if scope["path"].startswith(API_PREFIX) and scope["path"] != OPENAPI_PATH:
                state["principal"] = await self._identify(scope)
            body = await self._read(scope, receive)
        except EXPECTED as error:
            await problem_response(error, request_id)(scope, receive, answer)
            return
        except _GoneError:
            return
        await self._app(scope, _replaying(body, receive), answer)

    async def _identify(self, scope: Scope) -> Principal:
        header = Headers(scope=scope).get("authorization")
        known = self._authenticator.remembered(header)
        if known is not None:
            return known
        address = scope["client"][0] if scope.get("client") else "unknown"
        return await run_sync(self._authenticator.authenticate, header, address)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] in _BODILESS:
            return b""
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced[:20]) > self._limits.size:
            self._refuse()
        try:
            async with asyncio.timeout(self._limits.seconds):
                body = await self._collect(receive)
        except TimeoutError:
            raise RequestSlowError(f"expected the body within {self._limits.seconds:g} seconds") from None
        if body:
            _check_media(headers.get("content-type", ""))
            parse_json(body)
        return body

    async def _collect(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.size:
                self._refuse()
            more = message.get("more_body", False)
        return b"".join(parts)

    def _refuse(self) -> NoReturn:
        raise RequestTooLargeError(f"expected a body of at most {self._limits.size} bytes")


def _check_media(written: str) -> None:
    kind, _, parameters = written.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise MediaUnsupportedError("expected a body of application/json in UTF-8")


def parse_json(body: bytes) -> object:
    """Read JSON strictly: UTF-8, no repeated keys, no numbers beyond JSON, no bottomless nesting.

    Raises:
        RequestUnreadableError: it is anything else. The parser's own error, which holds the body, is dropped.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise RequestUnreadableError("expected a body in UTF-8") from None
    except RecursionError:
        raise RequestUnreadableError("expected JSON that is not nested so deep") from None
    except ValueError:
        raise RequestUnreadableError("expected a body of JSON") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RequestUnreadableError("expected JSON objects without a repeated key")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise RequestUnreadableError("expected numbers of JSON: no NaN and no infinity")


def _with_headers(send: Send, request_id: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers[REQUEST_HEADER] = request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _replaying(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
