"""A transit server in this process, with the faults that a real one has only at its worst.

Owns enough of the API for what a vault asks: encrypt, decrypt, rewrap, rotate, the key's versions, a token's life
and two logins, with the words of OpenBao 2.7. The real server is in `tests.simulators.openbao`.
"""

import base64
import binascii
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN: Final = "s.of-the-simulator"
ROLE: Final = "role-1"
SECRET: Final = "secret-1"
OLD: Final = "ciphertext or signature version is disallowed by policy (too old)"
Answer = tuple[int, object]


@dataclass
class Fault:
    """What happens to one request."""

    status: int | None = None
    """Answered instead."""
    body: bytes | None = None
    """Sent in place of the answer's body."""
    seconds: float = 0.0
    """Waited before anything else."""
    drop: bool = False
    """The connection ends before the request is looked at."""
    drop_after: bool = False
    """It ends after the work is done: between request and answer."""
    drip: bool = False
    """The answer comes a byte at a time."""
    path: str = ""
    """Only a request whose path has this."""


@dataclass
class Token:
    """What a token may, and for how long."""

    ttl: int = 0
    renewable: bool = True
    denied: bool = False
    may_look: bool = True
    expires: float | None = None


@dataclass
class State:
    """A server's memory."""

    keys: dict[int, AESGCM] = field(default_factory=dict)
    min_decryption: int = 1
    sealed: bool = False
    tokens: dict[str, Token] = field(default_factory=lambda: {TOKEN: Token()})
    login_ttl: int = 0
    login_renewable: bool = True


class TransitSimulator:
    """A server on loopback.

    Attributes:
        state: May be changed at any time.
        faults: Happen to the next requests, each to one.
        asked: Paths of all requests, in order.
        headers: Of the last request.
    """

    def __init__(self) -> None:
        self.state = State(keys={1: AESGCM(os.urandom(32))})
        self.faults: deque[Fault] = deque()
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.over: Callable[[str, dict[str, Any]], Answer | None] = lambda _path, _body: None
        self._logins = 0
        self._ending = threading.Event()
        simulator = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                simulator._serve(self)

            do_GET = do_PUT = do_POST  # noqa: N815  # the server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that left in the midst of an answer is what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Requests)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def rotate(self) -> None:
        """Make a new version."""
        self.state.keys[max(self.state.keys) + 1] = AESGCM(os.urandom(32))

    def replace_key(self) -> None:
        """Put another key under the same name, as after a deletion."""
        self.state.keys = {1: AESGCM(os.urandom(32))}

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append(request.path)
        self.headers = dict(request.headers.items())
        first = self.faults[0] if self.faults else None
        fault = self.faults.popleft() if first is not None and first.path in request.path else Fault()
        self._ending.wait(fault.seconds)
        if fault.drop:
            request.close_connection = True
            return
        status, told = self._answer(request.path, json.loads(content) if content else {}, self.headers)
        if fault.drop_after:
            request.close_connection = True
            return
        body = json.dumps(told).encode() if fault.body is None else fault.body
        status = fault.status or status
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for start in range(0, len(body), 1 if fault.drip else len(body) or 1):
            request.wfile.write(body[start : start + 1] if fault.drip else body)
            if fault.drip and self._ending.wait(0.05):
                return

    def _answer(  # noqa: PLR0911  # one return an API
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> Answer:
        special = self.over(path, body)
        if special is not None:
            return special
        if self.state.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if path in {"/v1/auth/approle/login", "/v1/auth/kubernetes/login"}:
            return self._log_in(body)
        name = headers.get("X-Vault-Token", "")
        token = self.state.tokens.get(name)
        if token is None or (token.expires is not None and time.monotonic() >= token.expires):
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/lookup-self":
            if not token.may_look:
                return 403, {"errors": ["permission denied"]}
            return 200, {"data": {"ttl": token.ttl, "renewable": token.renewable}}
        if path == "/v1/auth/token/renew-self":
            token.expires = time.monotonic() + token.ttl
            return 200, {"auth": {"client_token": name, "lease_duration": token.ttl, "renewable": True}}
        if token.denied:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        return self._transit(path, body)

    def _log_in(self, body: dict[str, Any]) -> Answer:
        if body not in ({"role_id": ROLE, "secret_id": SECRET}, {"role": ROLE, "jwt": SECRET}):
            return 400, {"errors": ["invalid role or secret ID"]}
        self._logins += 1
        name = f"s.login-{self._logins}"
        ttl = self.state.login_ttl
        expires = time.monotonic() + ttl if ttl else None
        self.state.tokens[name] = Token(ttl=ttl, expires=expires)
        return 200, {
            "auth": {"client_token": name, "lease_duration": ttl, "renewable": self.state.login_renewable}
        }

    def _transit(self, path: str, body: dict[str, Any]) -> Answer:
        state = self.state
        if path == "/v1/transit/keys/memvault" and state.keys:
            latest = max(state.keys)
            return 200, {"data": {"latest_version": latest, "min_decryption_version": state.min_decryption}}
        if path == "/v1/transit/keys/memvault/rotate":
            self.rotate()
            return 200, {"data": {}}
        operation = {
            "/v1/transit/encrypt/memvault": self._encrypt,
            "/v1/transit/decrypt/memvault": self._decrypt,
            "/v1/transit/rewrap/memvault": self._rewrap,
        }.get(path)
        if operation is None:
            return 404, {"errors": ["no handler for route"]}
        if not state.keys:
            return 400, {"errors": ["encryption key not found"]}
        results = [operation(item) for item in body["batch_input"]]
        failed = any("error" in result for result in results)
        return (400 if failed else 200), {"data": {"batch_results": results}}

    def _encrypt(self, item: dict[str, str]) -> dict[str, str]:
        version, nonce = max(self.state.keys), os.urandom(12)
        box = nonce + self.state.keys[version].encrypt(nonce, base64.b64decode(item["plaintext"]), None)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(box).decode()}"}

    def _decrypt(self, item: dict[str, str]) -> dict[str, str]:
        _, number, text = item["ciphertext"].split(":")
        try:
            version, box = int(number[1:]), base64.b64decode(text, validate=True)
        except binascii.Error:
            return {"error": "invalid ciphertext: could not decode base64"}
        if version < self.state.min_decryption:
            return {"error": OLD}
        if version not in self.state.keys:
            return {"error": "invalid ciphertext: version is too new"}
        try:
            clear = self.state.keys[version].decrypt(box[:12], box[12:], None)
        except InvalidTag:
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(clear).decode()}

    def _rewrap(self, item: dict[str, str]) -> dict[str, str]:
        clear = self._decrypt(item)
        return clear if "error" in clear else self._encrypt(clear)
