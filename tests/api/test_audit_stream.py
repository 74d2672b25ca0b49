"""The log's stream as an operator and as a collector sees it."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.delivery import Delivery, file_sink, give_up
from api.errors import DeliveryFailedError
from audit.event import EventType
from audit.siem.formats import Format, formatter_of
from policies.model import Purpose, Role
from tests.api.conftest import MakeCaller, Memvault
from tests.conftest import REPOSITORY
from tests.simulators.clinic import AUDITOR
from tests.simulators.tls_receiver import Authority, Manner, TlsReceiver
from vault.errors import TamperedError
from vault.log_stream import LogStream, StreamRequest
from vault.memos import MemOS
from vault.opening import Vault
from vault.stream_cursor import CursorFile


def indexes(text: str) -> list[int]:
    return [json.loads(line)["metadata"]["sequence"] for line in text.splitlines()]


def test_a_stream_with_a_cursor_goes_on_where_it_stopped(memvault: Memvault, tmp_path: Path) -> None:
    cursor = str(tmp_path / "siem.cursor")
    first = memvault("audit", "stream", "--format", "ocsf", "--from-cursor", cursor)
    assert first.exit_code == 0, first.stderr
    had = indexes(first.stdout)
    assert had == list(range(len(had)))
    memvault("extract", "-", stdin="something new")
    again = indexes(memvault("audit", "stream", "--format", "ocsf", "--from-cursor", cursor).stdout)
    assert again == list(range(len(had), len(had) + len(again)))
    assert "delivered" in first.stderr


def test_a_stream_without_a_cursor_begins_where_it_is_told(memvault: Memvault) -> None:
    assert indexes(memvault("audit", "stream", "--format", "ocsf", "--start", "2").stdout)[0] == 2
    nothing = memvault("audit", "stream", "--format", "csv", "--start", "1000000")
    assert nothing.stdout.count("\n") == 1, "its head"
    rows = list(
        csv.DictReader(io.StringIO(memvault("audit", "stream", "--format", "csv").stdout, newline=""))
    )
    assert [row["index"] for row in rows] == [str(nth) for nth in range(len(rows))]


def test_a_cursor_of_another_log_and_a_log_that_was_rolled_back_are_refused(
    memvault: Memvault, tmp_path: Path
) -> None:
    path = tmp_path / "siem.cursor"
    memvault("audit", "stream", "--format", "ocsf", "--from-cursor", str(path))
    kept = path.read_text()
    ahead = json.loads(kept) | {"next": 10**6}
    for text, code in (
        (json.dumps(ahead, sort_keys=True, separators=(",", ":")) + "\n", 3),
        (kept.replace("/clinic", "/bank"), 1),
        ("no cursor", 1),
    ):
        path.write_text(text)
        refused = memvault("audit", "stream", "--format", "ocsf", "--from-cursor", str(path))
        assert (refused.exit_code, refused.stdout) == (code, "")
        assert path.read_text() == text


def test_syslog_over_tls_moves_the_cursor_only_when_it_was_taken(memvault: Memvault, tmp_path: Path) -> None:
    authority, cursor = Authority(tmp_path), tmp_path / "siem.cursor"
    with TlsReceiver(authority, Manner.RESETS, Manner.TAKES) as receiver:
        to = ("--to", f"tls://localhost:{receiver.port}", "--ca-file", str(authority.file))
        command = ("audit", "stream", "--format", "syslog", *to, "--from-cursor", str(cursor))
        failed = memvault(*command)
        assert failed.exit_code == 1
        assert "did not take" in failed.stderr
        assert not cursor.exists()
        assert memvault(*command).exit_code == 0
        found = [message for message in receiver.messages() if b'index="0"' in message]
        assert found
        assert json.loads(cursor.read_text())["next"] == receiver.connections[-1].count(b"memvault@32473")


def test_a_reader_that_goes_away_ends_the_stream_without_a_traceback(
    memvault: Memvault, tmp_path: Path
) -> None:
    program = [sys.executable, str(REPOSITORY / "tests/simulators/memvault_with_fakes.py")]
    command = [*program, "audit", "stream", "--format", "csv", "--from-cursor", str(tmp_path / "c")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=120,
    )
    os.close(writing)
    assert done.returncode == 1
    assert "did not take" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "ocsf", "--to", "tls://localhost:1"),
        ("--format", "syslog", "--ca-file", "ca.pem"),
        ("--format", "syslog", "--to", "tcp://localhost:1"),
        ("--format", "ocsf", "--start", "3", "--from-cursor", "x"),
        ("--format", "ocsf", "--server", "https://localhost"),
        ("--format", "ocsf", "--api-key-file", "k"),
        ("--format", "ocsf", "--server-ca-file", "k"),
        ("--format", "ocsf", "--server", "http://10.0.0.1", "--api-key-file", "k"),
        ("--format", "ocsf", "--server", "http://localhost", "--api-key-file", "/dev/null"),
        ("--format", "ocsf", "--server", "https://localhost", "--api-key-file", "k", "--vault", "v"),
        ("--format", "xml"),
        (),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    memvault: Memvault, options: tuple[str, ...]
) -> None:
    assert memvault("audit", "stream", *options).exit_code == 2


def test_whoever_may_not_audit_gets_no_stream(memvault: Memvault) -> None:
    denied = memvault("audit", "stream", "--format", "ocsf", "--role", "owner-agent")
    assert (denied.exit_code, denied.stdout) == (4, "")


class Enough(Exception):  # noqa: N818  # ends a loop that has no end
    """The follower has followed for long enough."""


def stream_of(vault: Vault) -> LogStream:
    memory = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
    return memory.stream(StreamRequest(Format.OCSF, follow=True))


def test_a_follower_sends_again_what_a_receiver_did_not_take(vault: Vault, tmp_path: Path) -> None:
    taken: list[bytes] = []
    fails = [True, True, False, True]
    pauses: list[float] = []
    notes: list[str] = []

    def sink(batch: bytes) -> None:
        if fails and fails.pop(0):
            raise DeliveryFailedError("the receiver did not take the batch")
        taken.append(batch)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            journal = vault.parts.journal
            journal.write([journal.event(EventType.VAULT_READ, "clinic", {})])
        if len(pauses) == 6:
            raise Enough

    cursor = CursorFile(tmp_path / "siem.cursor", StreamRequest(Format.OCSF))
    delivery = Delivery(stream_of(vault), formatter_of(Format.OCSF), sink, cursor)
    with pytest.raises(Enough):
        delivery.follow(1.0, notes.append, sleep)
    had = [index for batch in taken for index in indexes(batch.decode())]
    assert had == list(range(len(had)))
    assert delivery.delivered == len(had)
    assert pauses == [1.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert len(notes) == 2
    reached = cursor.read()
    assert reached is not None
    assert reached.start == len(had)


def test_an_output_that_is_full_or_gone_has_not_taken_a_batch(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(DeliveryFailedError):
        file_sink(full)(b"x")
    with (tmp_path / "events").open("wb") as file:
        file_sink(file)(b"x")
        file.write(b"left in the buffer")
        give_up(file)
    assert (tmp_path / "events").read_bytes() == b"x"
    memory = io.BytesIO()
    file_sink(memory)(b"x")
    give_up(memory)
    assert memory.getvalue() == b"x"


def test_a_collector_reads_the_log_over_http_and_asks_for_what_comes_after(caller: MakeCaller) -> None:
    auditor = caller(Role.AUDITOR, name="siem")
    url, headers = "/v1/audit/stream", auditor.headers("audit")
    first = auditor.client.get(url, params={"format": "ocsf"}, headers=headers)
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/x-ndjson"
    had = indexes(first.text)
    assert had == list(range(len(had)))
    assert first.headers["Memvault-Log-Range"].partition(", leaf=")[0].endswith(f"first=0, stop={len(had)}")
    after: dict[str, str | int] = {"format": "ocsf", "after": had[-1]}
    for _ in range(3):
        assert auditor.client.get(url, params=after, headers=headers).text == ""
    caller(Role.MEMBER, name="new-one")
    again = indexes(auditor.client.get(url, params=after, headers=headers).text)
    assert again == list(range(len(had), len(had) + 2))
    rows = auditor.client.get(url, params={"format": "csv", "limit": 2}, headers=headers).text
    assert rows.count("\r\n") == 3
    one = auditor.client.get(url, params={"format": "cloudevents", "limit": 1}, headers=headers).text
    assert json.loads(one)["id"] == "0"
    line = auditor.client.get(url, params={"format": "syslog", "limit": 1}, headers=headers).text
    assert line.startswith("<110>1 ")


def test_an_answer_of_many_batches_is_one_entry_and_has_no_seam(
    caller: MakeCaller, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.log_stream.BATCH", 7)
    journal = vault.parts.journal
    journal.write([journal.event(EventType.VAULT_READ, "clinic", {"count": nth}) for nth in range(50)])
    auditor = caller(Role.AUDITOR, name="siem")
    for chosen, limit, count in (("ocsf", 40, 40), ("ocsf", 10_000, None)):
        query: dict[str, str | int] = {"format": chosen, "limit": limit}
        text = auditor.client.get("/v1/audit/stream", params=query, headers=auditor.headers("audit")).text
        had = indexes(text)
        assert had == list(range(count or len(had)))
    told = [
        item
        for batch in stream_of(vault).batches()
        for item in batch
        if item.header.principal == "siem" and item.header.event is EventType.AUDIT_EXPORT
    ]
    assert len(told) == 2


def test_an_entry_that_was_altered_breaks_the_answer_off(
    caller: MakeCaller, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.log_stream.BATCH", 2)
    auditor = caller(Role.AUDITOR, name="siem")
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as connection, connection:
        connection.execute("DROP TRIGGER audit_leaf_erase")
        connection.execute("UPDATE audit_leaf SET payload = '{}' WHERE event = 'principal.create'")
    with pytest.raises(RuntimeError, match="response already started") as broken:
        TestClient(auditor.client.app).get("/v1/audit/stream", headers=auditor.headers("audit"))
    assert isinstance(broken.value.__cause__, TamperedError)
    beyond = auditor.client.get("/v1/audit/stream", params={"after": 1}, headers=auditor.headers("audit"))
    assert (beyond.status_code, beyond.json()["type"]) == (500, "urn:memvault:problem:tampered")
    first = auditor.client.get("/v1/audit/stream", params={"limit": 1}, headers=auditor.headers("audit"))
    assert indexes(first.text) == [0]
    assert vault.parts.log.origin("clinic") in first.headers["Memvault-Log-Range"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"format": "xml"}, 422),
        ({"format": "ocsf", "limit": 0}, 422),
        ({"format": "ocsf", "limit": 10_001}, 422),
        ({"format": "ocsf", "after": -1}, 422),
        ({"format": "ocsf", "after": 2**53}, 422),
        ({"format": "ocsf", "after": 2**53 - 1}, 200),
    ],
)
def test_questions_out_of_range_are_refused_before_anything_is_read(
    caller: MakeCaller, query: dict[str, str], status: int
) -> None:
    auditor = caller(Role.AUDITOR, name="siem")
    answer = auditor.client.get("/v1/audit/stream", params=query, headers=auditor.headers("audit"))
    assert answer.status_code == status
    if status == 200:
        assert answer.text == ""


def test_roles_that_may_not_audit_get_a_problem_and_no_line(caller: MakeCaller) -> None:
    for role in (Role.OWNER_AGENT, Role.ADMINISTRATOR, Role.CLINICIAN):
        other = caller(role, name=f"other-{role.value}")
        answer = other.client.get("/v1/audit/stream?format=ocsf", headers=other.headers("audit"))
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_stream_that_a_query_narrows_keeps_its_place_where_nothing_fits(
    memvault: Memvault, tmp_path: Path
) -> None:
    path = tmp_path / "siem.cursor"
    command = ("audit", "stream", "--format", "ocsf", "--from-cursor", str(path))
    memvault("extract", "-", stdin="a note")
    nothing = memvault(*command, "--query", "outcome:denied event:memory.*")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    place = json.loads(path.read_text())["next"]
    assert place > 0
    assert memvault("extract", "-", "--role", "auditor", stdin="denied").exit_code == 4
    found = memvault(*command, "--query", "outcome:denied event:memory.*")
    (index,) = indexes(found.stdout)
    assert index >= place
    assert json.loads(path.read_text())["next"] > index
    assert indexes(memvault(*command, "--query", "outcome:denied event:memory.*").stdout) == []
    told = memvault.json("audit", "tail", "-n", "1000")
    exports = [one["payload"] for one in told["entries"] if one["event"] == "audit.export"]
    asked = 3 * ["outcome:denied event:memory.*"]
    assert [one["query"] for one in exports] == asked, "each asking, whether or not something fitted"


def test_a_query_that_is_none_is_shown_with_its_place_and_streams_nothing(memvault: Memvault) -> None:
    wrong = memvault("audit", "stream", "--format", "ocsf", "--query", "actor:x foo:bar")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "        ^" in wrong.stderr


def test_a_collector_narrows_its_stream_and_goes_on_where_the_head_says(caller: MakeCaller) -> None:
    auditor = caller(Role.AUDITOR, name="siem")
    owner = caller(Role.OWNER_AGENT, name="agent-1")
    url, headers = "/v1/audit/stream", auditor.headers("audit")
    assert owner.client.get("/v1/audit/query", headers=owner.headers("audit")).status_code == 403
    after, found = -1, []
    for _ in range(50):
        wanted = {"limit": "2", "q": "outcome:denied"} | ({"after": str(after)} if after >= 0 else {})
        answer = auditor.client.get(url, params=wanted, headers=headers)
        assert answer.status_code == 200
        found += indexes(answer.text)
        stop = int(answer.headers["Memvault-Log-Range"].partition("stop=")[2].partition(",")[0])
        if stop == after + 1:
            break
        after = stop - 1
    else:
        pytest.fail("a stream that nothing new fits came to no end")
    assert len(found) == 1
    refused = auditor.client.get(url, params={"q": "foo:bar"}, headers=headers)
    assert (refused.status_code, refused.json()["position"]) == (422, 0)
