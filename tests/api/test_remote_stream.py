"""Following a vault that is served: what arrives is checked, and the key goes to one server alone."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.delivery import Delivery
from api.errors import NotAuthenticatedError, NotReadyError, SettingsInvalidError
from api.remote_stream import RemoteStream, Server
from audit.event import EventType
from audit.siem.formats import Format, formatter_of
from audit.siem.item import LogItem
from policies.errors import DeniedError
from policies.model import Role
from tests.api.conftest import MakeCaller, Memvault
from tests.audit.siem.conftest import Items
from vault.errors import TamperedError
from vault.log_stream import Anchored, StreamRequest
from vault.opening import Vault
from vault.stream_cursor import CursorFile

KEY = "mv_key"


class Answers(BaseHTTPRequestHandler):
    """Answers what a test wants, and notes what it was asked."""

    answer: Callable[[str], tuple[int, bytes]]
    asked: list[tuple[str, str | None]]
    head: dict[str, str]

    def do_GET(self) -> None:  # the library's name
        self.asked.append((self.path, self.headers.get("Authorization")))
        status, text = type(self).answer(self.path)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        for name, value in self.head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


class Served:
    """A server on this machine."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.handler = type(
            "Handler",
            (Answers,),
            {"asked": [], "head": self.head, "answer": staticmethod(lambda _path: (200, b""))},
        )
        self._server = HTTPServer(("127.0.0.1", 0), self.handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def answers(self, answer: Callable[[str], tuple[int, bytes]]) -> RemoteStream:
        """Answer like this from now on; return a stream of it."""
        self.handler.answer = staticmethod(answer)  # type: ignore[attr-defined]  # set above
        return RemoteStream(Server(self.url, KEY))

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def items() -> Items:
    """Makes items."""
    return Items()


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.close()


def line(item: LogItem, **change: object) -> bytes:
    event = json.loads(formatter_of(Format.CLOUDEVENTS)(item))
    data = change.pop("data", {})
    assert isinstance(data, dict)
    return json.dumps(event | change | {"data": event["data"] | data}).encode() + b"\n"


def test_what_the_server_says_of_each_entry_arrives_as_it_was_said(served: Served, items: Items) -> None:
    said = [items(index=0, payload={"count": 1, "reason": "Not Plain"}), items(index=1, erased_by=3)]
    stream = served.answers(lambda _path: (200, b"".join(map(line, said))))
    had = stream.take()
    assert [(one.index, one.leaf, one.fields, one.withheld, one.erased_by) for one in had] == [
        (0, said[0].leaf, {"count": 1}, 1, None),
        (1, said[1].leaf, None, 0, 3),
    ]
    assert served.handler.asked[0] == (  # type: ignore[attr-defined]  # set above
        "/v1/audit/stream?format=cloudevents&limit=500",
        f"Bearer {KEY}",
    )


LIES: dict[str, Any] = {
    "another leaf": {"leafhash": "5f" * 32},
    "another index": {"leafindex": "1"},
    "another log": {"source": "urn:memvault:log:memos-vault/ward-1/bank"},
    "another header": {"data": {"leaf": "{}"}},
    "no header": {"data": {"leaf": None}},
    "no number": {"leafindex": "x"},
    "no payload": {"data": {"payload": 7}},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_is_an_alarm(served: Served, items: Items, lie: str) -> None:
    stream = served.answers(lambda _path: (200, line(items(index=0), **json.loads(json.dumps(LIES[lie])))))
    with pytest.raises(TamperedError):
        stream.take()


@pytest.mark.parametrize("text", [b"no json\n", b"[]\n", b"7\n", b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_entry_is_an_alarm(served: Served, text: bytes) -> None:
    with pytest.raises(TamperedError):
        served.answers(lambda _path: (200, text)).take()


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (401, b"", NotAuthenticatedError),
        (403, b"", DeniedError),
        (500, b"", NotReadyError),
        (503, b"", NotReadyError),
        (302, b"", NotReadyError),
        (500, b'{"type": "urn:memvault:problem:tampered"}', TamperedError),
        (200, b"{broken off", NotReadyError),
    ],
)
def test_a_server_that_does_not_answer_as_it_should_is_told(
    served: Served, status: int, text: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as refused:
        served.answers(lambda _path: (status, text)).take()
    assert KEY not in str(refused.value)


def test_a_server_that_is_not_there_is_told(served: Served) -> None:
    stream = served.answers(lambda _path: (200, b""))
    served.close()
    with pytest.raises(NotReadyError):
        stream.take()


def test_an_answer_without_end_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.remote_stream._MAX_ANSWER", 100)
    with pytest.raises(NotReadyError, match="too long"):
        served.answers(lambda _path: (200, b"x" * 101)).take()


def test_a_cursor_is_held_against_the_log_before_anything_is_taken(served: Served, items: Items) -> None:
    last = items(index=4)

    def answer(size: object, leaf: LogItem) -> Callable[[str], tuple[int, bytes]]:
        def answering(path: str) -> tuple[int, bytes]:
            if "checkpoint" in path:
                return 200, json.dumps({"size": size}).encode()
            return (200, line(leaf)) if "limit=1" in path.split("&") else (200, b"")

        return answering

    server = Server(served.url, KEY)
    good = Anchored(last.origin, 5, last.leaf_hash)
    served.answers(answer(5, last))
    assert RemoteStream(server, good).take() == []
    assert RemoteStream(server, Anchored(last.origin, 0, b"")).take() == []
    for after in (
        Anchored(last.origin, 6, last.leaf_hash),
        Anchored(last.origin, 5, bytes(32)),
        Anchored("memos-vault/ward-1/bank", 5, last.leaf_hash),
    ):
        with pytest.raises(TamperedError):
            RemoteStream(server, after).take()
    for size in ("5", -1, True, None):
        served.answers(answer(size, last))
        with pytest.raises(NotReadyError):
            RemoteStream(server, good).take()
    served.answers(lambda _path: (200, b"[]"))
    with pytest.raises(NotReadyError):
        RemoteStream(server, good).take()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "vault.example.org",
        "http://vault.example.org",
        "http://10.0.0.1:8750",
        "ftp://127.0.0.1",
        "https://",
        "https://a@vault.example.org",
        "https://vault.example.org?x=1",
        "https://vault.example.org#x",
    ],
)
def test_a_key_leaves_this_machine_over_tls_alone(url: str) -> None:
    with pytest.raises(SettingsInvalidError) as refused:
        Server(url, KEY)
    assert KEY not in str(refused.value)


def test_a_key_comes_from_a_file_that_holds_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    server = Server.with_key_file("http://localhost:8750/", file)
    assert (server.url, server.key) == ("http://localhost:8750", KEY)
    assert KEY not in repr(server)
    for text in (b"", b"two words", b"\xff", b"a\nb"):
        file.write_bytes(text)
        with pytest.raises(SettingsInvalidError):
            Server.with_key_file("http://localhost:8750", file)
    with pytest.raises(SettingsInvalidError):
        Server.with_key_file("http://localhost:8750", tmp_path / "absent")
    with pytest.raises(SettingsInvalidError):
        RemoteStream(Server("https://localhost", KEY, tmp_path / "absent.pem"))


class Enough(Exception):  # noqa: N818  # ends a loop that has no end
    """The follower has followed for long enough."""


def test_a_follower_of_a_served_vault_misses_nothing_while_its_server_comes_and_goes(
    served: Served, vault: Vault, caller: MakeCaller, tmp_path: Path
) -> None:
    auditor = caller(Role.AUDITOR, name="siem")
    down = [False]

    def answer(path: str) -> tuple[int, bytes]:
        if down[0]:
            return 503, b""
        found = auditor.client.get(path, headers=auditor.headers("audit"))
        return found.status_code, found.content

    stream = served.answers(answer)
    taken: list[bytes] = []
    notes: list[str] = []
    rounds = [0]

    def sleep(_seconds: float) -> None:
        rounds[0] += 1
        down[0] = rounds[0] in {2, 3}
        if rounds[0] in {1, 4}:
            journal = vault.parts.journal
            journal.write([journal.event(EventType.VAULT_READ, "clinic", {})])
        if rounds[0] == 7:
            raise Enough

    cursor = CursorFile(tmp_path / "siem.cursor", StreamRequest(Format.OCSF))
    delivery = Delivery(stream, formatter_of(Format.OCSF), taken.append, cursor)
    with pytest.raises(Enough):
        delivery.follow(0.01, notes.append, sleep)
    had = [json.loads(one)["metadata"]["sequence"] for batch in taken for one in batch.splitlines()]
    assert had == list(range(len(had)))
    assert len(notes) == 1
    reached = cursor.read()
    assert reached is not None
    assert reached.start == len(had)
    assert RemoteStream(Server(served.url, KEY), reached).take() == []


def test_the_command_follows_a_server_with_a_key_from_a_file(
    served: Served, caller: MakeCaller, tmp_path: Path, shell: CliRunner
) -> None:
    auditor = caller(Role.AUDITOR, name="siem")

    def answer(path: str) -> tuple[int, bytes]:
        found = auditor.client.get(path, headers=auditor.headers("audit"))
        return found.status_code, found.content

    served.answers(answer)
    file, cursor = tmp_path / "key", str(tmp_path / "siem.cursor")
    file.write_text(KEY)
    memvault = Memvault(shell)
    asked = ("audit", "stream", "--format", "ocsf", "--server", served.url, "--api-key-file", str(file))
    done = memvault(*asked, "--from-cursor", cursor)
    assert done.exit_code == 0, done.stderr
    had = [json.loads(one)["metadata"]["sequence"] for one in done.stdout.splitlines()]
    assert had == list(range(len(had)))
    assert memvault(*asked, "--from-cursor", cursor).stdout == ""
    held = Path(cursor).read_bytes()
    other = memvault(*asked, "--query", "event:vault.read", "--from-cursor", cursor)
    assert (other.exit_code, other.stdout) == (1, "")
    assert "take a file for each" in other.stderr
    assert Path(cursor).read_bytes() == held
    served.answers(lambda _path: (401, b""))
    assert memvault(*asked).exit_code == 5


def test_a_narrowed_stream_of_a_served_vault_goes_on_behind_what_was_looked_at(
    served: Served, caller: MakeCaller, vault: Vault, tmp_path: Path
) -> None:
    auditor = caller(Role.AUDITOR, name="siem")
    journal = vault.parts.journal
    journal.write([journal.event(EventType.VAULT_READ, "clinic", {})])

    def answer(path: str) -> tuple[int, bytes]:
        found = auditor.client.get(path, headers=auditor.headers("audit"))
        served.head["Memvault-Log-Range"] = found.headers.get("Memvault-Log-Range", "")
        return found.status_code, found.content

    served.answers(answer)
    cursor = CursorFile(tmp_path / "c", StreamRequest(Format.OCSF, query="event:vault.read"))
    taken: list[bytes] = []
    for _ in range(2):
        stream = RemoteStream(Server(served.url, KEY), cursor.read(), query="event:vault.read")
        Delivery(stream, formatter_of(Format.OCSF), taken.append, cursor).run()
    assert len(taken) == 1
    reached = cursor.read()
    assert reached is not None
    with vault.parts.store.log_connection("clinic") as connection:
        (last,) = vault.parts.log.entries(connection, "clinic", reached.start - 1, reached.start)
    assert reached.leaf_hash == last.leaf_hash
    assert last.event != "vault.read", "behind entries that do not fit"


@pytest.mark.parametrize(
    "told",
    [
        "",
        'log="memos-vault/ward-1/clinic-a", first=0, stop=501, leaf=""',
        'log="memos-vault/ward-1/clinic-a", first=0, stop=2, leaf=""',
        'log="memos-vault/ward-1/clinic-a", first=0, stop=-1, leaf=""',
        'log="memos-vault/ward-1/clinic-a", first=0, stop=9, leaf="xy"',
    ],
)
def test_a_range_that_a_server_cannot_have_looked_at_is_refused(
    served: Served, items: Items, told: str
) -> None:
    served.answers(lambda _path: (200, line(items(index=4))))
    served.head["Memvault-Log-Range"] = told
    stream = RemoteStream(Server(served.url, KEY), query="actor:agent-1")
    with pytest.raises(NotReadyError):
        stream.take()
    assert stream.reached is None


def test_an_entry_outside_the_range_that_was_asked_is_refused(served: Served, items: Items) -> None:
    for wrong in ([items(index=500)], [items(index=4), items(index=3)], [items(index=4), items(index=4)]):
        served.answers(lambda _path, wrong=wrong: (200, b"".join(map(line, wrong))))  # type: ignore[misc]  # bound now
        with pytest.raises(TamperedError):
            RemoteStream(Server(served.url, KEY), query="actor:agent-1").take()
