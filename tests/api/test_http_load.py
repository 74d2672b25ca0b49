"""What one request may cost: a server on a real socket goes on answering, whatever it is sent."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from itertools import repeat

import httpx
import pytest
import uvicorn
from starlette.types import Message

from api.app import AppOptions, create_app
from api.errors import RequestTooLargeError
from api.middleware import BodyLimits
from api.settings import read_settings
from api.strict_json import MAX_KEYS, MAX_PARTS, parse_json
from policies.model import Role
from tests.api.conftest import CHEAP, Caller, MakeCaller
from tests.api.test_http_hostile import _entrance, _scope, _Sender
from vault.opening import Vault

STALL_SECONDS = 1.0
COSTLY = {
    "700,000 unknown keys": ("/v1/retrieve", b"{" + b",".join(b'"k%d":1' % i for i in range(700_000)) + b"}"),
    "900,000 turns": ("/v1/extract", b'{"chat":{"turns":[' + b",".join([b'{"a":1}'] * 900_000) + b"]}}"),
    "2,000,000 objects": ("/v1/retrieve", b'{"query":[' + b",".join([b"{}"] * 2_000_000) + b"]}"),
    "600,000 metadata entries": (
        "/v1/extract",
        b'{"chat":{"turns":[{"text":"b"}],"metadata":{'
        + b",".join(b'"k%d":1' % i for i in range(500_000))
        + b"}}}",
    ),
    "80,000 faulty turns": ("/v1/extract", b'{"chat":{"turns":[' + b",".join([b'{"a":1}'] * 80_000) + b"]}}"),
    "4,000,000 escapes": ("/v1/retrieve", b'{"query":"' + b"\\n" * 4_000_000 + b'"}'),
}


@pytest.fixture
def address(vault: Vault) -> Iterator[str]:
    """Serve the application on a free port of loopback."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    app = create_app(vault, read_settings({}), AppOptions(key_cost=CHEAP))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    bound.close()


def test_a_costly_body_is_refused_while_the_server_goes_on_answering(
    address: str, caller: MakeCaller
) -> None:
    headers = {**caller(Role.OWNER_AGENT).headers("treatment"), "Content-Type": "application/json"}
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/livez").status_code == 200
        for name, (path, body) in COSTLY.items():
            answers: list[int] = []

            def send(path: str = path, body: bytes = body, answers: list[int] = answers) -> None:
                answers.append(
                    httpx.post(address + path, content=body, headers=headers, timeout=60).status_code
                )

            sending = threading.Thread(target=send)
            sending.start()
            worst = 0.0
            until = time.monotonic() + 120
            while sending.is_alive() and time.monotonic() < until:
                start = time.perf_counter()
                assert client.get("/livez").status_code == 200
                worst = max(worst, time.perf_counter() - start)
                time.sleep(0.01)
            assert answers[0] in {413, 422}, name
            assert worst < STALL_SECONDS, name


def test_the_largest_chat_there_may_be_is_within_the_bound_of_parts() -> None:
    turn = b'{"text":"a, b [c","speaker":"b","role":"user","at":"2026-01-05T09:00:00+00:00","ref":"%d"}'
    body = b'{"chat":{"turns":[' + b",".join(turn % place for place in range(10_000)) + b"]}}"
    assert isinstance(parse_json(body), dict)


def test_commas_within_a_text_are_no_parts() -> None:
    text = '\\",[{' * MAX_PARTS
    assert parse_json(b'{"text":"' + text.encode() + b'"}') == {"text": '",[{' * MAX_PARTS}


@pytest.mark.parametrize("part", [b"1,", b"[", b'{"', b'"",', b'"\\"",'])
def test_more_parts_than_the_bound_are_refused_unparsed(part: bytes) -> None:
    with pytest.raises(RequestTooLargeError, match=str(MAX_PARTS)):
        parse_json(b"[" + part * (MAX_PARTS + 1))


def test_an_object_of_more_keys_than_the_bound_is_refused() -> None:
    fitting = b",".join(b'"%d":1' % place for place in range(MAX_KEYS))
    assert isinstance(parse_json(b"{" + fitting + b"}"), dict)
    with pytest.raises(RequestTooLargeError, match=str(MAX_KEYS)):
        parse_json(b"{" + fitting + b',"x":1}')


def test_pieces_without_a_byte_are_neither_kept_nor_waited_for_without_end(
    vault: Vault, caller: MakeCaller
) -> None:
    # Far more than any machine takes within the time: a guard, should the limit of time fail.
    empty: Message = {"type": "http.request", "body": b"", "more_body": True}
    sender = _Sender(repeat(empty, 5_000_000))
    owner = caller(Role.OWNER_AGENT)
    asyncio.run(_entrance(vault, BodyLimits(10_000, 0.1))(_scope(owner), sender.receive, sender.send))
    assert sender.status == 408


def test_a_piece_beyond_the_limit_is_not_kept(vault: Vault, caller: MakeCaller) -> None:
    sender = _Sender(iter([{"type": "http.request", "body": b"x" * 10_001, "more_body": True}]))
    owner = caller(Role.OWNER_AGENT)
    asyncio.run(_entrance(vault, BodyLimits(10_000, 5))(_scope(owner), sender.receive, sender.send))
    assert (sender.status, sender.read) == (413, 1)


def _twice(owner: Caller, name: str, *values: str) -> int:
    headers = [pair for pair in owner.headers("treatment").items() if pair[0] != name]
    return owner.client.get(
        f"/v1/memories/mem_{'0' * 26}", headers=[*headers, *((name, value) for value in values)]
    ).status_code


@pytest.mark.parametrize("second", ["treatment", "audit", "bogus", ""])
def test_a_purpose_said_twice_is_refused(caller: MakeCaller, second: str) -> None:
    owner = caller(Role.OWNER_AGENT)
    for pair in (("treatment", second), (second, "treatment")):
        assert _twice(owner, "Memvault-Purpose", *pair) == 422
    assert _twice(owner, "Memvault-Purpose", "treatment") == 404


def test_two_keys_are_no_key(caller: MakeCaller) -> None:
    owner, other = caller(Role.OWNER_AGENT), caller(Role.AUDITOR)
    keys = [f"Bearer {one.key}" for one in (owner, other)]
    assert _twice(owner, "Authorization", *keys) == 401
    assert _twice(owner, "Authorization", keys[0]) == 404


@pytest.mark.parametrize(("start", "status"), [(2**53 - 1, 200), (2**53, 422), (10**20, 422)])
def test_a_start_beyond_any_log_is_no_failure(caller: MakeCaller, start: int, status: int) -> None:
    auditor = caller(Role.AUDITOR)
    answer = auditor.client.get(
        "/v1/audit/entries", headers=auditor.headers("audit"), params={"start": start}
    )
    assert answer.status_code == status
