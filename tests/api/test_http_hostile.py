"""Hostile requests: each gets a clear problem of its own, none is repeated, and nothing is lost by it."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.app import AppOptions, create_app
from api.auth import Authenticator
from api.errors import RequestUnreadableError
from api.middleware import BodyLimits, Entrance
from api.settings import read_settings
from api.strict_json import parse_json
from policies.model import Role
from tests.api.conftest import CHEAP, Caller, MakeCaller
from vault.clock import monotonic, system_entropy
from vault.credentials import Credentials
from vault.opening import Vault

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def owner(caller: MakeCaller) -> Caller:
    return caller(Role.OWNER_AGENT)


def _text(value: str) -> bytes:
    return b'{"document":{"text":"' + value.encode() + b'"}}'


CASES: dict[str, tuple[bytes, int, str]] = {
    "invalid UTF-8": (b'{"document":{"text":"hunter2\xff"}}', 400, "body-unreadable"),
    "UTF-16": ('{"document":{"text":"hunter2"}}'.encode("utf-16"), 400, "body-unreadable"),
    "no JSON": (b"hunter2", 400, "body-unreadable"),
    "cut JSON": (b'{"document":{"text":"hunter2"', 400, "body-unreadable"),
    "two values": (b"{} {}", 400, "body-unreadable"),
    "100,000 brackets": (b"[" * 100_000, 400, "body-unreadable"),
    "100,000 nested objects": (b'{"a":' * 100_000, 400, "body-unreadable"),
    "a repeated key": (b'{"document":{"text":"hunter2","text":"b"}}', 400, "body-unreadable"),
    "NaN": (b'{"query":NaN}', 400, "body-unreadable"),
    "infinity": (b'{"query":-Infinity}', 400, "body-unreadable"),
    "a number of 5,000 digits": (b'{"query":' + b"9" * 5000 + b"}", 400, "body-unreadable"),
    "a list": (b"[]", 422, "argument-invalid"),
    "null": (b"null", 422, "argument-invalid"),
    "an empty object": (b"{}", 422, "argument-invalid"),
    "a number for a text": (b'{"document":{"text":7}}', 422, "argument-invalid"),
    "an unknown field": (b'{"document":{"text":"a"},"hunter2":1}', 422, "argument-invalid"),
    "an unknown tier": (b'{"document":{"text":"a"},"access_tier":"hunter2"}', 422, "argument-invalid"),
    "an unknown role": (b'{"chat":{"turns":[{"text":"a","role":"hunter2"}]}}', 422, "argument-invalid"),
    "a chat as a document": (b'{"document":{"text":"a","kind":"chat"}}', 422, "argument-invalid"),
    "chat and document": (b'{"document":{"text":"a"},"chat":{"turns":[]}}', 422, "argument-invalid"),
    "a metadata value that is a number": (
        b'{"document":{"text":"a","metadata":{"hunter2":1}}}',
        422,
        "argument-invalid",
    ),
    "no turn": (b'{"chat":{"turns":[]}}', 422, "text-empty"),
    "an empty text": (_text(""), 422, "text-empty"),
    "white space": (_text("\\n \\t"), 422, "text-empty"),
    "zero-width characters alone": (_text("\u200b\u200d"), 422, "text-empty"),
    "NUL": (_text("hunter2\\u0000"), 422, "text-invalid"),
    "a lone surrogate": (_text("hunter2\\ud800"), 422, "text-invalid"),
    "a bidirectional override": (_text("hunter2\u202e"), 422, "text-invalid"),
    "the year 0": (b'{"document":{"text":"a","written":"0000-01-01"}}', 422, "time-invalid"),
    "no date": (b'{"document":{"text":"a","written":"hunter2"}}', 422, "time-invalid"),
    "a broken JSON document": (b'{"document":{"text":"{hunter2","kind":"json"}}', 422, "document-invalid"),
    "a turn beyond the limit": (
        json.dumps({"chat": {"turns": [{"text": "hunter2" * 5000}]}}).encode(),
        413,
        "input-too-large",
    ),
    "a million tags": (
        b'{"document":{"text":"a","tags":[' + b",".join([b'"t"'] * 1_000_000) + b"]}}",
        413,
        "body-too-large",
    ),
    "2,000 tags": (
        b'{"document":{"text":"a","tags":[' + b",".join([b'"t"'] * 2_000) + b"]}}",
        422,
        "argument-invalid",
    ),
    "100 tags": (
        b'{"document":{"text":"a","tags":[' + b",".join([b'"t"'] * 100) + b"]}}",
        413,
        "input-too-large",
    ),
    "9 MB": (_text("x" * 9_000_000), 413, "body-too-large"),
    "a subject without a visible character": (
        b'{"document":{"text":"a"},"subject":" "}',
        422,
        "identifier-invalid",
    ),
    "turns with one ref": (
        b'{"chat":{"turns":[{"text":"a","ref":"1"},{"text":"b","ref":"1"}]}}',
        422,
        "identifier-invalid",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_body_gets_a_problem_of_its_own_and_writes_nothing(
    vault: Vault, owner: Caller, case: str
) -> None:
    body, status, slug = CASES[case]
    answer = owner.client.post("/v1/extract", headers={**owner.headers("treatment"), **JSON}, content=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:memvault:problem:{slug}")
    assert "hunter2" not in answer.text
    assert vault.parts.indexes.size("clinic") == 0
    after = owner.client.post(
        "/v1/extract", headers=owner.headers("treatment"), json={"document": {"text": "tea"}}
    )
    assert after.status_code == 201


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/xml", "application/json; charset=latin-1", "multipart/form-data"]
)
def test_another_media_type_is_unsupported(owner: Caller, media: str) -> None:
    headers = {**owner.headers("treatment"), "Content-Type": media}
    answer = owner.client.post("/v1/extract", headers=headers, content=b'{"document":{"text":"a"}}')
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:memvault:problem:media-unsupported")


@pytest.mark.parametrize("media", ["application/json", 'Application/JSON; charset="UTF-8"'])
def test_json_is_supported_however_its_type_is_written(owner: Caller, media: str) -> None:
    headers = {**owner.headers("treatment"), "Content-Type": media}
    answer = owner.client.post("/v1/extract", headers=headers, content=b'{"document":{"text":"a"}}')
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "query.limit"),
        ({"limit": "1001"}, "query.limit"),
        ({"limit": "hunter2"}, "query.limit"),
        ({"start": "-1"}, "query.start"),
    ],
)
def test_a_number_out_of_range_is_a_field_at_fault(
    caller: MakeCaller, query: dict[str, str], field: str
) -> None:
    auditor = caller(Role.AUDITOR)
    answer = auditor.client.get("/v1/audit/entries", headers=auditor.headers("audit"), params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert "hunter2" not in answer.text


def test_a_start_beyond_any_log_answers_an_empty_page(caller: MakeCaller) -> None:
    auditor = caller(Role.AUDITOR)
    answer = auditor.client.get(
        "/v1/audit/entries", headers=auditor.headers("audit"), params={"start": 10**6}
    )
    assert (answer.status_code, answer.json()) == (200, {"entries": []})


@pytest.mark.parametrize("k", [0, -1, 201, 10**30, "5", 1.5, True, None])
def test_a_count_that_is_none_is_refused(owner: Caller, k: object) -> None:
    answer = owner.client.post(
        "/v1/retrieve", headers=owner.headers("treatment"), json={"query": "x", "k": k}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "wrong", ["x", "mem_", f"mem_{'u' * 26}", f"MEM_{'0' * 26}", "%00", "..%2f..%2fetc", "%ff%fe"]
)
def test_an_id_that_is_none_is_refused_without_being_repeated(owner: Caller, wrong: str) -> None:
    answer = owner.client.get(f"/v1/memories/{wrong}", headers=owner.headers("treatment"))
    assert answer.status_code in {404, 422}
    assert answer.json()["type"].rpartition(":")[2] in {"identifier-invalid", "route-unknown"}


def test_html_comes_back_as_json_and_is_no_page(owner: Caller) -> None:
    body = {"document": {"text": "<script>alert(1)</script>"}}
    written = owner.client.post("/v1/extract", headers=owner.headers("treatment"), json=body).json()
    answer = owner.client.get(f"/v1/memories/{written['memory_ids'][0]}", headers=owner.headers("treatment"))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=50) | _VALUES.map(json.dumps).map(str.encode))
def test_bytes_are_json_or_unreadable(body: bytes) -> None:
    try:
        found = parse_json(body)
    except RequestUnreadableError:
        return
    assert json.loads(body) == found


@hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    path=st.sampled_from(
        ["/v1/extract", "/v1/retrieve", "/v1/organize", f"/v1/memories/mem_{'0' * 26}/reveal"]
    ),
    body=st.dictionaries(
        st.sampled_from(["chat", "document", "subject", "query", "k", "text", "purpose", "turns", "x"]),
        _VALUES,
    ),
)
def test_no_body_of_json_breaks_the_server(owner: Caller, path: str, body: dict[str, object]) -> None:
    answer = owner.client.post(path, headers=owner.headers("treatment"), json=body)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["type"].startswith("urn:memvault:problem:")


class _Sender:
    """A client that sends a body piece by piece, and hears the answer."""

    def __init__(self, pieces: Iterator[Message]) -> None:
        self._pieces = pieces
        self.status: int | None = None
        self.body = b""
        self.read = 0

    async def receive(self) -> Message:
        for message in self._pieces:
            self.read += 1
            return message
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


def _scope(owner: Caller, *headers: tuple[bytes, bytes]) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/extract",
        "raw_path": b"/v1/extract",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {owner.key}".encode()), *headers],
        "client": ("127.0.0.1", 1),
    }


async def _never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the application must not be reached")


def _entrance(vault: Vault, limits: BodyLimits) -> Entrance:
    authenticator = Authenticator(Credentials(vault.parts), system_entropy, monotonic, cost=CHEAP)
    return Entrance(_never, authenticator, limits, system_entropy)


def test_a_body_beyond_the_limit_is_refused_while_it_is_read(vault: Vault, owner: Caller) -> None:
    piece: Message = {"type": "http.request", "body": b"x" * 1000, "more_body": True}
    sender = _Sender(iter([piece] * 1000))
    asyncio.run(_entrance(vault, BodyLimits(10_000, 5))(_scope(owner), sender.receive, sender.send))
    assert (sender.status, sender.read) == (413, 11)


def test_a_body_announced_as_too_large_is_refused_unread(vault: Vault, owner: Caller) -> None:
    sender = _Sender(iter(()))
    scope = _scope(owner, (b"content-length", b"10001"))
    asyncio.run(_entrance(vault, BodyLimits(10_000, 5))(scope, sender.receive, sender.send))
    assert (sender.status, sender.read) == (413, 0)


def test_a_body_that_does_not_come_is_refused_in_time(vault: Vault, owner: Caller) -> None:
    sender = _Sender(iter([{"type": "http.request", "body": b"{", "more_body": True}]))
    asyncio.run(_entrance(vault, BodyLimits(10_000, 0.05))(_scope(owner), sender.receive, sender.send))
    assert sender.status == 408


def test_a_client_that_goes_away_gets_no_answer(vault: Vault, owner: Caller) -> None:
    sender = _Sender(iter([{"type": "http.disconnect"}]))
    asyncio.run(_entrance(vault, BodyLimits(10_000, 5))(_scope(owner), sender.receive, sender.send))
    assert (sender.status, sender.body) == (None, b"")


def test_the_body_of_a_stranger_is_not_read(vault: Vault) -> None:
    sender = _Sender(iter([{"type": "http.request", "body": b"x" * 99_999, "more_body": False}]))
    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/extract", "headers": [], "client": None}
    asyncio.run(_entrance(vault, BodyLimits(10_000, 5))(scope, sender.receive, sender.send))
    assert (sender.status, sender.read) == (401, 0)


def test_input_limits_are_settings(vault: Vault, caller: MakeCaller) -> None:
    settings = read_settings({"MEMVAULT_REQUEST_BYTES": "1024"})
    owner = caller(Role.OWNER_AGENT)
    with TestClient(create_app(vault, settings, AppOptions(key_cost=CHEAP))) as client:
        answer = client.post(
            "/v1/extract", headers=owner.headers("treatment"), json={"document": {"text": "x" * 2000}}
        )
    assert answer.status_code == 413
    assert "1024" in answer.json()["detail"]


def test_more_requests_at_one_time_than_allowed_are_answered_503_and_the_process_still_lives(
    vault: Vault, owner: Caller
) -> None:
    authenticator = Authenticator(Credentials(vault.parts), system_entropy, monotonic, cost=CHEAP)
    entrance = Entrance(_live, authenticator, BodyLimits(10_000, 0.2), system_entropy, requests=1)
    slow = _Sender(iter(()))
    second, live = _Sender(iter(())), _Sender(iter(()))

    async def crowd() -> None:
        first = asyncio.create_task(entrance(_scope(owner), slow.receive, slow.send))
        await asyncio.sleep(0.05)
        await entrance(_scope(owner), second.receive, second.send)
        await entrance({**_scope(owner), "method": "GET", "path": "/livez"}, live.receive, live.send)
        await first

    asyncio.run(crowd())
    assert (slow.status, second.status, live.status) == (408, 503, 200)
    assert json.loads(second.body)["type"] == "urn:memvault:problem:overloaded"
    assert entrance._inside == 0


async def _live(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


ROUTES = [
    ("GET", "/livez"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/memories/mem_aaaaaaaa"),
    ("POST", "/v1/memories"),
    ("GET", "/v1/logs/clinic/checkpoint"),
]


@pytest.mark.parametrize("tail", ["%0A", "%0D", "%00", "%7F", "%C2%85", "%E2%80%A8"])
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[path for _, path in ROUTES])
def test_a_path_that_ends_with_a_control_is_not_found(
    owner: Caller, method: str, path: str, tail: str
) -> None:
    body = b'{"document":{"text":"a"}}' if method == "POST" else None
    answer = owner.client.request(method, path + tail, headers={**owner.headers(), **JSON}, content=body)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:memvault:problem:route-unknown")


def test_a_path_with_a_control_says_nothing_to_a_caller_without_a_key(owner: Caller) -> None:
    assert owner.client.get("/v1/memories/mem_aaaaaaaa%0A").status_code == 401
