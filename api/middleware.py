"""The way in: what happens to a request before any route sees it, and to each answer on its way out.

Owns, in this order: a request id, who calls (the API key alone says so), the body within its limits of
size and time and as strict JSON, parsed once, and the headers of every answer. Requests to `/v1` without a valid key
end here, before their body is read. It leaves errors of routes to `api.app`.
"""

import asyncio
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
    NotAuthenticatedError,
    RequestSlowError,
    RequestTooLargeError,
    RouteUnknownError,
)
from api.problems import EXPECTED
from api.strict_json import parse_json
from policies.model import Principal
from vault.clock import Entropy
from vault.errors import OverloadedError

REQUEST_HEADER: Final = "Memvault-Request"
API_PREFIX: Final = "/v1/"
LIVE_PATH: Final = "/livez"
OPENAPI_PATH: Final = "/v1/openapi.json"
_ID_BYTES: Final = 16
# Parsed at once; a longer body is parsed in a thread, so that the event loop goes on answering.
_SHORT_BODY: Final = 16_384
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


class _RefusedError(Exception):
    """A request that is not let in."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason


class Entrance:
    """ASGI middleware: identity and body of each request.

    Args:
        app: What comes behind.
        authenticator: Says whom a key stands for.
        limits: Of bodies.
        entropy: Source of request ids.
        requests: How many are let in at one time.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        limits: BodyLimits,
        entropy: Entropy,
        *,
        requests: int = 256,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._limits = limits
        self._entropy = entropy
        self._requests = requests
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._entropy(_ID_BYTES).hex()
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _with_headers(send, request_id)
        # On the event loop alone, so a plain counter is exact.
        self._inside += 1
        try:
            body = await self._admit(scope, receive)
            await self._app(scope, _replaying(body, receive), answer)
        except _RefusedError as refusal:
            await problem_response(refusal.reason, request_id)(scope, receive, answer)
        except _GoneError:
            return
        finally:
            self._inside -= 1

    async def _admit(self, scope: Scope, receive: Receive) -> bytes:
        """Identify the caller, then read the body."""
        try:
            if self._inside > self._requests and scope["path"] != LIVE_PATH:
                raise OverloadedError(f"more than {self._requests} requests at one time")
            if scope["path"].startswith(API_PREFIX) and scope["path"] != OPENAPI_PATH:
                scope["state"]["principal"] = await self._identify(scope)
            # Threat: a router's pattern ends with `$`, which a line break behind the path satisfies, too. An id
            # with a break is then another id, or two lines of a log. No route of ours has such a character.
            if not scope["path"].isprintable():
                raise RouteUnknownError("there is nothing at this path")
            return await self._read(scope, receive)
        except EXPECTED as error:
            raise _RefusedError(error) from None

    async def _identify(self, scope: Scope) -> Principal:
        shown = Headers(scope=scope).getlist("authorization")
        if len(shown) > 1:
            raise NotAuthenticatedError("expected one Authorization header")
        header = shown[0] if shown else None
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
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > self._limits.size:
            self._refuse()
        try:
            async with asyncio.timeout(self._limits.seconds):
                body = await self._collect(receive)
        except TimeoutError:
            raise RequestSlowError(f"expected the body within {self._limits.seconds:g} seconds") from None
        if body:
            _check_media(headers.get("content-type", ""))
            short = len(body) <= _SHORT_BODY
            scope["state"]["json"] = parse_json(body) if short else await run_sync(parse_json, body)
        return body

    async def _collect(self, receive: Receive) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            piece = message.get("body", b"")
            if len(body) + len(piece) > self._limits.size:
                self._refuse()
            body += piece
            more = message.get("more_body", False)
            if not piece:
                # Pieces without a byte never reach the limit of size: let the one of time be noticed.
                await asyncio.sleep(0)
        return bytes(body)

    def _refuse(self) -> NoReturn:
        raise RequestTooLargeError(f"expected a body of at most {self._limits.size} bytes")


def _check_media(written: str) -> None:
    kind, _, parameters = written.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise MediaUnsupportedError("expected a body of application/json in UTF-8")


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
