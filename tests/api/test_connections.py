"""Connections that ask nothing, or slowly: they end in time, and keep nobody else from an answer."""

import http.client
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.connections import BoundedProtocol, Crowd
from api.errors import ExposureRefusedError
from api.handshakes import TlsProtocol, tls_context
from tests.api.test_processes import Process
from tests.simulators.tls_receiver import Authority
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
def _served(crowd: Crowd, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, int]]:
    class Bounded(BoundedProtocol):
        others = crowd

    class Tls(TlsProtocol):
        def __init__(self, **made: Any) -> None:  # noqa: ANN401  # uvicorn's, passed on
            assert tls is not None
            super().__init__(crowd, tls, partial(Bounded, **made))

    spoken = Bounded if tls is None else Tls
    server = uvicorn.Server(uvicorn.Config(_answering, http=spoken, lifespan="off", log_config=None))
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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "127.0.0.1")


def _hello(authority: Authority, address: tuple[str, int]) -> bytes:
    """Shake hands as one should, ask, and return the answer's first line."""
    context = ssl.create_default_context(cafile=authority.file)
    with _connect(address) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as one:
        one.sendall(WHOLE)
        return one.recv(4096).partition(b"\r\n")[0]


def _expect_none(crowd: Crowd) -> None:
    """See that none is counted that is gone."""
    until = time.monotonic() + 5
    while crowd._open and time.monotonic() < until:
        time.sleep(0.01)
    assert not crowd._open


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"


@pytest.mark.parametrize("said", [b"", HALF_A_HELLO])
def test_a_handshake_that_is_not_finished_ends_in_time(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, said: bytes
) -> None:
    monkeypatch.setattr("api.handshakes.HANDSHAKE_SECONDS", SOON)
    crowd = Crowd(8, 8)
    with _served(crowd, tls_context(authority.server, authority.server)) as address:
        with _connect(address, said) as one:
            assert SOON / 2 < _ended_after(one) < 5
        assert _hello(authority, address) == b"HTTP/1.1 200 OK"
        _expect_none(crowd)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", bytes(600)])
def test_what_is_no_handshake_ends_at_once_and_is_counted_no_more(authority: Authority, said: bytes) -> None:
    crowd = Crowd(8, 8)
    with _served(crowd, tls_context(authority.server, authority.server)) as address:
        with _connect(address, said) as one:
            assert _ended_after(one) < 5
        _expect_none(crowd)
        assert _hello(authority, address) == b"HTTP/1.1 200 OK"


def test_who_begins_many_handshakes_pushes_out_his_own(authority: Authority) -> None:
    context = tls_context(authority.server, authority.server)
    with _served(Crowd(6, 6), context) as address, ExitStack() as stack:
        alone = stack.enter_context(_connect(address, b"", "127.0.0.2"))
        many = [stack.enter_context(_connect(address)) for _ in range(9)]
        assert [_is_open(one) for one in many] == [False] * 4 + [True] * 5
        assert _is_open(alone)
        for _ in range(3):
            assert _hello(authority, address) == b"HTTP/1.1 200 OK"


@pytest.mark.usefixtures("soon")
def test_behind_the_handshake_the_deadline_of_a_request_begins(authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    with (
        _served(Crowd(8, 8), tls_context(authority.server, authority.server)) as address,
        _connect(address) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as one,
    ):
        one.sendall(HALF)
        start = time.monotonic()
        with pytest.raises((OSError, AssertionError)):  # cut off, or ended without a goodbye
            assert one.recv(1)
        assert SOON / 2 < time.monotonic() - start < 5


def test_connections_leave_half_of_the_file_descriptors_to_databases_and_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.connections.resource.getrlimit", lambda _which: (100, 4096))
    assert (Crowd.of(64, shared_address=True).most, Crowd.of(64, shared_address=False).most_of_one) == (
        50,
        25,
    )
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr("api.connections.resource.getrlimit", lambda _which: unlimited)
    assert Crowd.of(64, shared_address=True).most == 256


def test_tls_files_that_are_none_refuse_to_serve(tmp_path: Path, authority: Authority) -> None:
    for certificates in (tmp_path / "absent.pem", authority.file):
        with pytest.raises(ExposureRefusedError, match="TLS files"):
            tls_context(certificates, certificates)


def test_a_witness_with_few_descriptors_answers_while_hundreds_never_finish_their_handshakes(
    tmp_path: Path, authority: Authority
) -> None:
    """Before, 200 silent sockets took all descriptors for a minute."""
    witness = WitnessProcess(tmp_path / "w")
    with witness.start(tls=(authority.server, authority.server), descriptors=200), ExitStack() as stack:
        place = _place(witness.url.replace("https://", "http://"))
        for nth in range(400):
            stack.enter_context(_connect(place, HALF_A_HELLO if nth % 2 else b""))
        for _ in range(3):
            start = time.monotonic()
            assert _hello(authority, place) == b"HTTP/1.1 404 Not Found"
            assert time.monotonic() - start < 8
