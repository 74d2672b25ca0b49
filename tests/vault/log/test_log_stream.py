"""The log as a stream: whole, in order, itself logged, and silent where nothing happens."""

import hmac
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from audit.event import EventType
from audit.siem.formats import Format, formatter_of
from audit.siem.item import LogItem
from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import AUDITOR, BANK, BANK_AUDITOR, CLINIC, OWNER, Clinic
from vault.errors import InputInvalidError, StorageError, TamperedError
from vault.log_stream import AHEAD, MAX_LIMIT, Anchored, LogStream, StreamRequest
from vault.stream_cursor import CursorFile


def whole(
    clinic: Clinic, start: int = 0, *, limit: int | None = None, chosen: Format = Format.OCSF
) -> list[LogItem]:
    stream = clinic.audit().stream(StreamRequest(chosen, start, limit))
    return [item for batch in stream.batches() for item in batch]


def test_a_stream_gives_every_entry_once_in_order_with_its_place_and_leaf(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("Maria Keller has a sore knee", subject="maria")
    before = clinic.log()
    items = whole(clinic)
    assert [item.index for item in items] == list(range(len(before)))
    assert [item.header.event.value for item in items] == [entry.event for entry in before]
    for item in items:
        assert item.leaf_hash == sha256(b"\x00" + item.leaf.encode()).digest()
        assert item.origin == "memos-vault/embedded/clinic"
        assert item.index < item.tree_size == len(before) + 1


def test_a_stream_is_one_entry_however_long_and_says_what_may_have_left(clinic: Clinic) -> None:
    size = len(clinic.log())
    whole(clinic, 1)
    (told,) = clinic.log()[size:]
    assert (told.event, told.resource, told.principal) == ("audit.export", "audit-log", AUDITOR.id)
    assert told.payload == {
        "count": size - 1,
        "first": 1,
        "follow": False,
        "format": "ocsf",
        "stop": size,
        "tree_size": size,
    }


def test_a_collector_that_polls_does_not_keep_a_silent_log_growing(clinic: Clinic) -> None:
    had = len(whole(clinic))
    grown = len(clinic.log())
    for _ in range(5):
        assert whole(clinic, had) == []
        assert whole(clinic, had, chosen=Format.CSV) == []
    assert len(clinic.log()) == grown
    clinic.mem(OWNER).extract("something new")
    events = [item.header.event for item in whole(clinic, had)]
    assert events[:2] == [EventType.AUDIT_EXPORT, EventType.EFFECT_INTENT]
    assert events[-1] == EventType.MEMORY_WRITE


def test_a_caller_that_takes_one_at_a_time_comes_to_an_end(clinic: Clinic) -> None:
    size, at = len(clinic.log()), 0
    while taken := whole(clinic, at, limit=1):
        at += len(taken)
        assert at <= size
    assert at == size


def test_a_follower_is_an_entry_for_every_thousand_items_and_none_of_its_own_making(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("the owner's key is made")
    size = len(clinic.log())
    stream = clinic.audit().stream(StreamRequest(Format.OCSF, follow=True))
    seen = [item.index for batch in stream.batches() for item in batch]
    assert seen == list(range(size + 1)), "its own entry, too"
    for _ in range(3):
        assert stream.take() == []
    for nth in range(3):
        clinic.mem(OWNER).extract(f"note {nth}")
        assert [item.header.event for item in stream.take()] == [EventType.MEMORY_WRITE]
    assert stream.entries_written == 1
    assert clinic.log()[size].payload["stop"] == AHEAD


def test_two_followers_do_not_wake_each_other(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.log_stream.AHEAD", 2)
    streams = [clinic.audit().stream(StreamRequest(chosen, follow=True)) for chosen in Format]
    for _ in range(20):
        for stream in streams:
            list(stream.batches())
    settled = len(clinic.log())
    for _ in range(20):
        assert [stream.take() for stream in streams] == [[], [], [], []]
    assert len(clinic.log()) == settled


def test_only_who_may_audit_may_stream_and_a_denial_is_an_entry(clinic: Clinic) -> None:
    with pytest.raises(DeniedError):
        clinic.mem(OWNER).stream(StreamRequest(Format.OCSF))
    assert (clinic.last().decision, clinic.last().principal) == ("denied", OWNER.id)
    with pytest.raises(DeniedError):
        clinic.audit().stream(StreamRequest(Format.OCSF), purpose=Purpose.TREATMENT)


def test_another_tenants_entries_are_in_no_stream(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("of the clinic")
    stream = clinic.mem(BANK_AUDITOR, Purpose.AUDIT).stream(StreamRequest(Format.OCSF))
    items = [item for batch in stream.batches() for item in batch]
    assert {item.header.tenant for item in items} == {BANK}
    assert len(items) == len(clinic.log(BANK)) - 1


@pytest.mark.parametrize(("start", "limit"), [(-1, None), (0, 0), (0, MAX_LIMIT + 1)])
def test_bounds_are_kept(clinic: Clinic, start: int, limit: int | None) -> None:
    size = len(clinic.log())
    with pytest.raises(InputInvalidError):
        clinic.audit().stream(StreamRequest(Format.OCSF, start, limit))
    assert len(clinic.log()) == size
    assert whole(clinic, 2**53) == []


DAMAGE = {
    "header": "UPDATE audit_leaf SET header = replace(header, 'vault.init', 'vault.open') WHERE leaf_index = 1",
    "payload": 'UPDATE audit_leaf SET payload = \'{"deployment":"x"}\' WHERE leaf_index = 1',
    "payload form": "UPDATE audit_leaf SET payload = 'no' WHERE leaf_index = 1",
    "hash": "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE leaf_index = 1",
    "gap": "DELETE FROM audit_leaf WHERE leaf_index = 1",
    "no header": "UPDATE audit_leaf SET header = 'x' WHERE leaf_index = 1",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_stream_ends_at_the_first_entry_that_is_not_what_its_leaf_says(clinic: Clinic, damage: str) -> None:
    for name in ("audit_leaf_keep", "audit_leaf_fixed", "audit_leaf_erase"):
        clinic.sql(f"DROP TRIGGER {name}")
    clinic.sql(DAMAGE[damage])
    with pytest.raises(TamperedError):
        whole(clinic)
    assert [item.index for item in whole(clinic, 0, limit=1)] == [0]


def test_a_stream_goes_on_where_it_stopped_and_not_on_another_log(clinic: Clinic) -> None:
    first = whole(clinic, limit=2)
    stopped = Anchored(first[-1].origin, 2, first[-1].leaf_hash)
    clinic.mem(OWNER).extract("news")
    again: LogStream = clinic.audit().stream(StreamRequest(Format.OCSF), stopped)
    assert again.take()[0].index == 2
    assert again.position == again.end
    size = len(clinic.log())
    for other, kind in (
        (replace(stopped, leaf_hash=bytes(32)), TamperedError),
        (replace(stopped, start=10**9), TamperedError),
        (replace(stopped, origin="memos-vault/embedded/bank"), InputInvalidError),
    ):
        with pytest.raises(kind):
            clinic.audit().stream(StreamRequest(Format.OCSF), other)
    assert len(clinic.log()) == size
    begun = Anchored(again.origin, 0, b"")
    assert clinic.audit().stream(StreamRequest(Format.OCSF), begun).take()[0].index == 0


def test_payloads_leave_as_ids_and_fixed_words_alone(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("Maria Keller has a sore knee, 212-555-0147", subject="maria keller")
    clinic.mem(OWNER).retrieve("whose knee?")
    for chosen in Format:
        text = b"".join(map(formatter_of(chosen), whole(clinic, chosen=chosen))).lower()
        for word in (b"maria", b"keller", b"knee", b"555-0147"):
            assert word not in text
    search = next(item for item in whole(clinic) if item.header.event is EventType.MEMORY_SEARCH)
    assert set(search.fields or {}) == {"memories", "count", "k", "query", "asked"}
    assert search.withheld == 0


def test_a_cursor_is_written_whole_privately_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "siem.cursor"
    cursor = CursorFile(path, OCSF)
    assert cursor.read() is None
    for start in (1, 2, 3):
        reached = Anchored("memos-vault/embedded/clinic", start, bytes([start]) * 32)
        cursor.write(reached)
        assert cursor.read() == reached
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["siem.cursor"]


OCSF = StreamRequest(Format.OCSF)
GOOD = {
    "asked": hmac.digest(bytes(16), b"ocsf\n", "sha256").hex(),
    "cursor": "memvault-stream/2",
    "key": "00" * 16,
    "leaf_hash": "5f" * 32,
    "next": 3,
    "origin": "memos-vault/ward-1/clinic",
}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "nonsense", json.dumps(GOOD), "[" * 100_000]
    + [
        json.dumps(GOOD | change, sort_keys=True, separators=(",", ":")) + "\n"
        for change in (
            {"cursor": "memvault-stream/1"},
            {"asked": "5F" * 32},
            {"asked": ""},
            {"key": "00"},
            {"key": 0},
            {"leaf_hash": "5F" * 32},
            {"leaf_hash": ""},
            {"next": 0},
            {"next": -1},
            {"next": True},
            {"next": "3"},
            {"origin": 7},
            {"more": 1},
        )
    ],
)
def test_a_file_that_is_no_cursor_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "siem.cursor"
    path.write_text(text)
    with pytest.raises(InputInvalidError):
        CursorFile(path, OCSF).read()
    assert path.read_text() == text
    path.write_text(json.dumps(GOOD, sort_keys=True, separators=(",", ":")) + "\n")
    assert CursorFile(path, OCSF).read() == Anchored("memos-vault/ward-1/clinic", 3, b"\x5f" * 32)


def test_a_cursor_that_cannot_be_written_or_read_says_so_and_the_old_one_stands(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "absent" / "siem.cursor", OCSF)
    with pytest.raises(StorageError):
        cursor.write(Anchored("o", 1, bytes(32)))
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError):
        CursorFile(tmp_path / "folder", OCSF).read()
    stands = CursorFile(tmp_path / "siem.cursor", OCSF)
    stands.write(Anchored("o", 1, bytes(32)))
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    import os  # noqa: PLC0415  # of this test alone

    (tmp_path / f"siem.cursor.{os.getpid()}.new").symlink_to(victim)
    stands.write(Anchored("o", 2, bytes(32)))
    assert victim.read_text() == "untouched"
    assert stands.read() == Anchored("o", 2, bytes(32))


OTHERS = [
    StreamRequest(Format.CSV),
    StreamRequest(Format.OCSF, query="outcome:denied"),
    StreamRequest(Format.OCSF, query="OUTCOME:denied"),
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_cursor_is_refused_for_another_query_or_format_and_left_alone(
    other: StreamRequest, tmp_path: Path
) -> None:
    """Behind what one query looked at, another receiver never had anything."""
    path, reached = tmp_path / "siem.cursor", Anchored("memos-vault/ward-1/clinic", 3, bytes(32))
    for mine, wrong in ((OCSF, other), (other, OCSF)):
        path.unlink(missing_ok=True)
        CursorFile(path, mine).write(reached)
        before = path.read_bytes()
        with pytest.raises(InputInvalidError, match="take a file for each"):
            CursorFile(path, wrong).read()
        assert path.read_bytes() == before
        again = CursorFile(path, replace(mine, start=7, limit=9, follow=True, query=f" {mine.query}\n"))
        assert again.read() == reached
        again.write(reached)
        assert path.read_bytes() == before, "the key stays the file's own"


def test_no_two_cursors_tell_that_they_are_of_the_same_query(tmp_path: Path) -> None:
    asked = StreamRequest(Format.OCSF, query="actor:anna")
    reached = Anchored("memos-vault/ward-1/clinic", 3, bytes(32))
    for name in ("a", "b"):
        CursorFile(tmp_path / name, asked).write(reached)
    told = [json.loads((tmp_path / name).read_bytes())["asked"] for name in ("a", "b")]
    assert told[0] != told[1]
    assert b"anna" not in (tmp_path / "a").read_bytes()


def fitting(stream: LogStream) -> list[int]:
    return [item.index for batch in stream.batches() for item in batch]


def test_a_query_gives_what_fits_and_the_place_moves_behind_what_was_looked_at(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.log_stream.BATCH", 3)
    for nth in range(5):
        clinic.mem(OWNER).extract(f"note {nth}")
    before = clinic.log()
    wanted = [entry.index for entry in before if entry.event == "memory.write"]
    stream = clinic.audit().stream(StreamRequest(Format.OCSF, query="event:memory.write"))
    places = []
    got = []
    for batch in stream.batches():
        got += [item.index for item in batch]
        assert stream.reached is not None
        places.append(stream.reached.start)
    assert got == wanted
    assert places == [*range(3, len(before), 3), len(before)], "behind batches in which nothing fits, too"
    (told,) = clinic.log()[len(before) :]
    assert told.payload == {
        "first": 0,
        "follow": False,
        "format": "ocsf",
        "query": "event:memory.write",
        "stop": len(before),
        "tree_size": len(before),
    }


def test_a_stream_in_which_nothing_fits_is_an_entry_all_the_same_and_can_be_gone_on_with(
    clinic: Clinic,
) -> None:
    """That nobody did a thing is an answer, too, and answers are logged."""
    clinic.mem(OWNER).extract("a note")
    size = len(clinic.log())
    stream = clinic.audit().stream(StreamRequest(Format.OCSF, query="actor:nobody-1"))
    assert fitting(stream) == []
    assert stream.reached is not None
    assert (stream.reached.start, stream.entries_written, len(clinic.log())) == (size, 1, size + 1)
    told = clinic.log()[size]
    assert (told.event, told.payload["first"], told.payload["stop"]) == ("audit.export", 0, size)
    assert str(told.payload["query"]).startswith("actor:")
    assert (
        fitting(clinic.audit().stream(StreamRequest(Format.OCSF, query="actor:nobody-1"), stream.reached))
        == []
    )
    assert len(clinic.log()) == size + 1, (
        "and there is no end of entries about looking at entries about looking"
    )
    clinic.mem(OWNER).extract("another")
    again = clinic.audit().stream(StreamRequest(Format.OCSF, query="actor:agent-1"), stream.reached)
    assert [clinic.log()[index].event for index in fitting(again)] == ["memory.write"]
    forged = replace(stream.reached, leaf_hash=bytes(32))
    with pytest.raises(TamperedError):
        clinic.audit().stream(StreamRequest(Format.OCSF, query="actor:agent-1"), forged)


@pytest.mark.parametrize("query", ["event:audit.export", "event:audit.export OR event:memory.write"])
def test_followers_that_ask_for_exports_do_not_wake_each_other_and_miss_none(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr("vault.log_stream.AHEAD", 2)
    asked = StreamRequest(Format.OCSF, follow=True, query=query)
    streams = [clinic.audit().stream(asked) for _ in range(2)]
    had: list[list[int]] = [[], []]
    for turn in range(30):
        if turn in {0, 5, 10}:
            clinic.mem(OWNER).extract(f"note {turn}")
        for stream, found in zip(streams, had, strict=True):
            found.extend(fitting(stream))
        if turn == 15:
            settled = len(clinic.log())
    assert len(clinic.log()) == settled
    clinic.mem(OWNER).extract("the last")
    for stream, found in zip(streams, had, strict=True):
        while more := fitting(stream):
            found.extend(more)
    words = {"audit.export", "memory.write"} if "memory" in query else {"audit.export"}
    wanted = [entry.index for entry in clinic.log() if entry.event in words]
    for found in had:
        assert found == wanted[: len(found)], "in order, none left out, none twice"
        assert len(found) >= len([index for index in wanted if index < settled])


def test_an_entry_that_does_not_fit_is_checked_all_the_same(clinic: Clinic) -> None:
    for name in ("audit_leaf_keep", "audit_leaf_fixed", "audit_leaf_erase"):
        clinic.sql(f"DROP TRIGGER {name}")
    clinic.sql(DAMAGE["hash"])
    with pytest.raises(TamperedError):
        fitting(clinic.audit().stream(StreamRequest(Format.OCSF, query="actor:nobody-1")))


def test_a_query_may_hold_a_name_and_the_entry_does_not(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("a note")
    query = '-"maria keller" -actor:maria.keller'
    assert fitting(clinic.audit().stream(StreamRequest(Format.OCSF, query=query))) != []
    told = str(clinic.last().payload["query"])
    assert "maria" not in told
    assert told.count("hash:") == 2


def test_a_start_beyond_the_log_is_no_place_before_it(clinic: Clinic) -> None:
    stream = clinic.audit().stream(StreamRequest(Format.OCSF, 10**9, query="actor:agent-1"))
    assert stream.take() == []
    assert (stream.end, stream.last_hash(), stream.reached) == (10**9, None, None)


def test_the_tenant_of_a_stream_is_the_callers(clinic: Clinic) -> None:
    assert clinic.audit(CLINIC).stream(StreamRequest(Format.OCSF)).origin.endswith("/clinic")
