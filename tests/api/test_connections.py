"""Connections that ask nothing, or slowly: they end in time, and keep nobody else from an answer."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.connections import BoundedProtocol, Crowd
from tests.api.test_processes import Process
from tests.simulators.witness_process import WitnessProcess

HALF = b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SOON = 0.4
"""Seconds of the deadline in these tests."""


async def _answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, without reading a body; `/body` reads it first."""
    if scope["type"] != "http":
        return
    while scope["path"] == "/body" and (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def _served(crowd: Crowd) -> Iterator[tuple[str, int]]:
    class Bounded(BoundedProtocol):
        others = crowd

    server = uvicorn.Server(uvicorn.Config(_answering, http=Bounded, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connections.HEAD_SECONDS", SOON)


def _connect(address: tuple[str, int], said: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    one = socket.create_connection(address, timeout=10, source_address=(source, 0))
    one.sendall(said)
    return one


def _ended_after(one: socket.socket) -> float:
    """Read until the server ends the connection, and return how long that took."""
    start = time.monotonic()
    try:
        while one.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - start


def _drip(one: socket.socket, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one.sendall(b"G")
        time.sleep(0.05)


def _is_open(one: socket.socket) -> bool:
    one.settimeout(0.2)
    try:
        return one.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("said", [b"", b"P", HALF])
def test_a_connection_without_a_whole_head_ends_in_time(said: bytes) -> None:
    with _served(Crowd(8, 8)) as address, _connect(address, said) as one:
        assert SOON / 2 < _ended_after(one) < 5


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "before", [b"", WHOLE, WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 999\r\n\r\n")]
)
def test_a_byte_now_and_then_does_not_lengthen_it(before: bytes) -> None:
    """Also behind an answer, where each byte puts off the time that uvicorn itself gives."""
    with _served(Crowd(8, 8)) as address, _connect(address, before) as one:
        start = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            _drip(one, seconds=8)
        assert time.monotonic() - start < 5


@pytest.mark.usefixtures("soon")
def test_a_body_has_the_time_that_the_application_gives_it() -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    with _served(Crowd(8, 8)) as address, _connect(address, head) as one:
        for _ in range(3):
            time.sleep(SOON / 2)
            one.sendall(b"x")
        assert one.recv(4096).startswith(b"HTTP/1.1 200")


def test_who_has_the_most_connections_pushes_out_his_own() -> None:
    with _served(Crowd(6, 6)) as address, ExitStack() as stack:
        alone = stack.enter_context(_connect(address, HALF, "127.0.0.2"))
        many = [stack.enter_context(_connect(address, HALF)) for _ in range(9)]
        assert [_is_open(one) for one in many] == [False] * 4 + [True] * 5
        assert _is_open(alone)
        alone.sendall(b"\r\n")
        assert alone.recv(4096).startswith(b"HTTP/1.1 200")


def test_one_address_has_no_more_than_its_share_and_the_newest_is_heard() -> None:
    with _served(Crowd(100, 3)) as address, ExitStack() as stack:
        many = [stack.enter_context(_connect(address, HALF)) for _ in range(5)]
        assert [_is_open(one) for one in many] == [False, False, True, True, True]
        last = stack.enter_context(_connect(address, WHOLE))
        assert last.recv(4096).startswith(b"HTTP/1.1 200")


def test_behind_a_proxy_all_have_one_address() -> None:
    assert Crowd.of(64, shared_address=False).most_of_one == 128
    assert Crowd.of(64, shared_address=True).most_of_one == Crowd.of(64, shared_address=True).most == 256


def _status(url: str, method: str, path: str) -> int:
    asked = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        asked.request(method, path, b"x" if method == "POST" else None)
        return asked.getresponse().status
    finally:
        asked.close()


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("said", [HALF, HALF + b"Content-Length: 100\r\n\r\na"])
def test_a_witness_answers_while_hundreds_of_connections_say_half_of_what_they_should(
    tmp_path: Path, said: bytes
) -> None:
    with WitnessProcess(tmp_path / "w").start() as witness, ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(_connect(_place(witness.url), said))
        for _ in range(3):
            assert _status(witness.url, "POST", "/add-checkpoint") == 400, "judged, and malformed"


def test_the_server_answers_while_many_connections_say_half_a_head(tmp_path: Path) -> None:
    memvault = Process(tmp_path)
    memvault.run("init", "--tenant", "clinic")
    memvault.environment["MEMVAULT_REQUESTS"] = "8"
    with memvault.serving() as (_, url), ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(_connect(_place(url), HALF))
        for _ in range(3):
            assert _status(url, "GET", "/livez") == 200
            assert _status(url, "GET", "/v1/memories") == 401
