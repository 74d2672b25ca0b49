"""The derived index: bounded, disposable, never another log's, and whole after whatever happens to it."""

import os
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from audit.event import EventType
from audit.query.count import fitting
from audit.query.find import Window, find
from audit.query.index import IndexUnusableError, LogIndex, stored_row
from audit.query.parse import parse_query
from audit.query.rows import row_of
from tests.conftest import REPOSITORY
from tests.simulators.paper_log import PaperLog
from tests.simulators.small_blocks import small_blocks
from tests.simulators.small_deployment import START

small = pytest.fixture(autouse=True)(small_blocks)


@pytest.fixture
def log() -> PaperLog:
    made = PaperLog()
    for nth in range(21):
        made.add(
            EventType.MEMORY_WRITE, actor=f"agent-{nth % 3}", resource=f"epi_aaaaaaaa{nth:02}", tier="private"
        )
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log-index" / "clinic.db"


@pytest.fixture
def index(path: Path) -> Iterator[LogIndex]:
    opened = LogIndex(path, "clinic")
    yield opened
    opened.close()


def whole(index: LogIndex, log: PaperLog) -> bool:
    """Say whether the index holds every entry of the log, in rows and in columns."""
    with index.reading() as (connection, reached):
        rows = [stored_row(connection, nth) for nth in range(reached)]
        columns = fitting(connection, parse_query("", now=START), reached, reached)
    expected = [row_of(stored) for stored in log.stored]
    return rows == expected and columns.times.tolist() == [row.time_us for row in expected]


def test_it_is_made_when_it_is_first_asked_for_and_its_owners_alone(
    index: LogIndex, path: Path, log: PaperLog
) -> None:
    assert not index.exists
    before = os.umask(0)
    try:
        assert index.catch_up(log, seconds=60) == 21
    finally:
        os.umask(before)
    assert index.exists
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert whole(index, log)


def test_it_takes_in_only_what_is_new(index: LogIndex, log: PaperLog) -> None:
    index.catch_up(log, seconds=60)
    log.add(actor="agent-9")
    log.reads = 0
    assert index.catch_up(log, seconds=60) == 22
    assert log.reads == 2  # the new one, and the last one it knew, for its hash
    assert whole(index, log)


def test_it_stops_after_a_batch_when_its_time_is_over_and_goes_on_the_next_time(
    index: LogIndex, log: PaperLog
) -> None:
    assert index.catch_up(log, seconds=0) == 5
    assert index.catch_up(log, seconds=0) == 10
    assert index.catch_up(log, seconds=60) == 21
    assert whole(index, log)


def test_it_survives_being_closed_and_opened(index: LogIndex, path: Path, log: PaperLog) -> None:
    index.catch_up(log, seconds=60)
    index.close()
    again = LogIndex(path, "clinic")
    log.reads = 0
    assert again.catch_up(log, seconds=60) == 21
    assert log.reads < 20  # samples, not everything
    assert whole(again, log)
    again.close()


def test_an_empty_log_has_an_empty_index(index: LogIndex) -> None:
    empty = PaperLog()
    assert index.catch_up(empty, seconds=60) == 0
    assert whole(index, empty)


def test_nothing_is_read_before_it_was_caught_up(index: LogIndex) -> None:
    with pytest.raises(IndexUnusableError) as caught, index.reading():
        pass
    assert caught.value.damaged


def test_an_erasure_takes_the_tier_out_and_says_by_which_entry(index: LogIndex, log: PaperLog) -> None:
    index.catch_up(log, seconds=60)
    by = log.erase([3, 20])
    assert index.catch_up(log, seconds=60) == 22
    assert whole(index, log)
    with index.reading() as (connection, _):
        row = stored_row(connection, 3)
        assert row is not None
        assert (row.erased_by, row.kind.tier, row.kind.actor) == (by, "", "agent-0")
        window = Window(0, 22)
        tiers = parse_query("tier:private", now=START)
        assert 3 not in find(connection, tiers, 22, window, limit=50, newest_first=False)
        assert fitting(connection, tiers, 22, 22).times.size == 19
        erased = parse_query("erased:yes", now=START)
        assert find(connection, erased, 22, window, limit=50, newest_first=True) == [20, 3]
        assert find(connection, erased, 21, Window(0, 21), limit=50, newest_first=True) == []


@pytest.mark.parametrize(
    "payload",
    [
        {"entries": [0, 99, -1, "x", None]},
        {"entries": 3},
        {"entries": None},
        {},
        [1],
        "text",
    ],
)
def test_an_erasing_entry_that_says_nonsense_erases_nothing(
    index: LogIndex, log: PaperLog, payload: object
) -> None:
    log.add(EventType.PAYLOAD_ERASE)
    log.rewrite_payload(21, payload)  # type: ignore[arg-type]  # nonsense on purpose
    index.catch_up(log, seconds=60)
    assert whole(index, log)
    log.stored[21] = replace(log.stored[21], payload="{")
    index.discard()
    index.catch_up(log, seconds=60)
    assert whole(index, log)


def other_actor(path: Path) -> None:
    edit(path, "UPDATE kind SET actor = 'agent-8' WHERE actor = 'agent-0'")


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def overwrite(path: Path, data: bytes, at: int = 0) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "it is no database": lambda path: path.write_bytes(
        b"not a database, and longer than a header of one" * 9
    ),
    "it is cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "its head is garbage": lambda path: overwrite(path, b"\xff" * 64),
    "a page is garbage": lambda path: overwrite(path, b"\xff" * 4096, 4096),
    "it is of another version": lambda path: edit(path, "UPDATE state SET version = 0"),
    "it is of another tenant": lambda path: edit(path, "UPDATE state SET tenant = 'bank'"),
    "it is of another log": lambda path: edit(path, "UPDATE state SET last_hash = zeroblob(32)"),
    "its size is too large": lambda path: edit(path, "UPDATE state SET size = 22"),
    "its size is too small": lambda path: edit(path, "UPDATE state SET size = 20"),
    "its size is text": lambda path: edit(path, "UPDATE state SET size = 'x'"),
    "its state is gone": lambda path: edit(path, "DELETE FROM state"),
    "its entries are gone": lambda path: edit(path, "DELETE FROM entry"),
    "a table is gone": lambda path: edit(path, "DROP TABLE entry", "CREATE TABLE entry (leaf_index INTEGER)"),
    "it says another actor": other_actor,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_this_logs_index_is_made_anew(
    index: LogIndex, path: Path, log: PaperLog, damage: str
) -> None:
    index.catch_up(log, seconds=60)
    index.close()
    DAMAGE[damage](path)
    assert index.catch_up(log, seconds=60) == 21
    assert whole(index, log)


def test_another_tenants_file_in_its_place_is_thrown_away(tmp_path: Path, log: PaperLog) -> None:
    bank = PaperLog("bank")
    for _ in range(21):
        bank.add(actor="banker-1")
    theirs, ours = LogIndex(tmp_path / "bank.db", "bank"), LogIndex(tmp_path / "clinic.db", "clinic")
    theirs.catch_up(bank, seconds=60)
    theirs.close()
    (tmp_path / "bank.db").rename(tmp_path / "clinic.db")
    assert ours.catch_up(log, seconds=60) == 21
    assert whole(ours, log)
    ours.close()


def test_a_log_of_another_tenant_is_never_taken_in(index: LogIndex) -> None:
    bank = PaperLog("bank")
    bank.add()
    with pytest.raises(IndexUnusableError, match="another version or tenant"):
        index.catch_up(bank, seconds=60)


def test_a_log_that_was_rewritten_or_is_shorter_has_its_index_made_anew(
    index: LogIndex, log: PaperLog
) -> None:
    index.catch_up(log, seconds=60)
    shorter = PaperLog()
    for _ in range(7):
        shorter.add(actor="agent-5")
    assert index.catch_up(shorter, seconds=60) == 7
    assert whole(index, shorter)


def test_a_log_with_fewer_entries_than_it_says_is_told(index: LogIndex, log: PaperLog) -> None:
    class Short(PaperLog):
        @property
        def size(self) -> int:
            return 30

    short = Short()
    short.stored = log.stored
    with pytest.raises(IndexUnusableError, match="fewer entries"):
        index.catch_up(short, seconds=60)


def test_a_file_that_vanishes_while_it_is_open_is_made_anew_after_a_close(
    index: LogIndex, path: Path, log: PaperLog
) -> None:
    index.catch_up(log, seconds=60)
    index.discard()
    assert not path.exists()
    assert index.catch_up(log, seconds=60) == 21
    assert whole(index, log)


def test_a_full_disk_keeps_what_was_indexed_and_says_so(path: Path, log: PaperLog) -> None:
    for nth in range(3_000):
        log.add(actor=f"agent-{nth}", resource=f"mem_{nth:026}")
    index = LogIndex(path, "clinic", max_pages=40)
    told = index.catch_up(log, seconds=60)
    assert 0 < told < log.size
    with index.reading() as (connection, reached):
        assert reached == told
        assert stored_row(connection, reached) is None
        assert all(stored_row(connection, nth) == row_of(log.stored[nth]) for nth in range(reached))
        assert fitting(connection, parse_query("", now=START), reached, reached).times.size == reached
    assert index.catch_up(log, seconds=60) == told
    index.close()
    roomy = LogIndex(path, "clinic")
    assert roomy.catch_up(log, seconds=60) == log.size
    assert whole(roomy, log)
    roomy.close()


def test_damage_that_shows_while_it_is_caught_up_has_it_made_anew(
    index: LogIndex, path: Path, log: PaperLog
) -> None:
    index.catch_up(log, seconds=60)
    log.add(actor="agent-9")
    edit(path, "DROP TABLE kind")
    assert index.catch_up(log, seconds=60) == 22
    assert whole(index, log)


def test_a_disk_without_any_space_is_told(path: Path, log: PaperLog) -> None:
    index = LogIndex(path, "clinic", max_pages=1)
    with pytest.raises(IndexUnusableError) as caught:
        index.catch_up(log, seconds=60)
    assert not caught.value.damaged
    index.close()
    roomy = LogIndex(path, "clinic")
    assert roomy.catch_up(log, seconds=60) == log.size
    assert whole(roomy, log)
    roomy.close()


def test_a_link_in_its_place_is_not_followed(
    index: LogIndex, path: Path, tmp_path: Path, log: PaperLog
) -> None:
    target = tmp_path / "precious"
    target.write_text("text")
    path.parent.mkdir()
    path.symlink_to(target)
    with pytest.raises(IndexUnusableError, match="cannot be made"):
        index.catch_up(log, seconds=60)
    assert target.read_text() == "text"


def test_a_folder_in_its_place_is_told(index: LogIndex, path: Path, log: PaperLog) -> None:
    path.mkdir(parents=True)
    with pytest.raises(IndexUnusableError, match="cannot be made"):
        index.catch_up(log, seconds=60)


def test_questions_go_on_while_it_is_caught_up(index: LogIndex, log: PaperLog) -> None:
    index.catch_up(log, seconds=60)
    for _ in range(400):
        log.add(actor="agent-1")
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(30):
                with index.reading() as (connection, reached):
                    counted = fitting(connection, parse_query("", now=START), reached, reached)
                    assert counted.times.size == reached
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    index.catch_up(log, seconds=60)
    for thread in asking:
        thread.join(60)
    assert not any(thread.is_alive() for thread in asking)
    assert not failures
    assert whole(index, log)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from audit.query import index as made
    from tests.audit.query.test_index import long_log
    made.BATCH, made.SEGMENT_ENTRIES = 50, 8
    log = long_log()
    index = made.LogIndex(Path(sys.argv[1]), "clinic")
    print("go", flush=True)
    while True:
        index.catch_up(log, seconds=0)
    """
)


def long_log() -> PaperLog:
    """Return the log that parent and child index."""
    log = PaperLog()
    for nth in range(2_000):
        log.add(actor=f"agent-{nth % 50}", resource=f"mem_{nth:026}")
    return log


@pytest.mark.parametrize("milliseconds", [0, 60, 200])
def test_a_kill_at_any_time_leaves_a_prefix_that_is_right(path: Path, milliseconds: int) -> None:
    path.parent.mkdir()
    log = long_log()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )
    assert child.stdout is not None
    with child, child.stdout:
        try:
            assert select.select([child.stdout], [], [], 60)[0], "the child says when it begins"
            child.stdout.readline()
            threading.Event().wait(milliseconds / 1000)
        finally:
            child.send_signal(signal.SIGKILL)
    index = LogIndex(path, "clinic")
    index.catch_up(log, seconds=0)
    with index.reading() as (connection, reached):
        assert all(stored_row(connection, nth) == row_of(log.stored[nth]) for nth in range(0, reached, 7))
    assert index.catch_up(log, seconds=60) == log.size
    with index.reading() as (connection, reached):
        assert fitting(connection, parse_query("", now=START), reached, reached).times.size == log.size
    index.close()
