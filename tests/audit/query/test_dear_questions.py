"""Questions that are made to be expensive are answered once, within their window, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import event

from audit.errors import QueryInvalidError
from audit.event import EventType
from audit.query import count
from audit.query.compile import kind_clause
from audit.query.count import fitting
from audit.query.deadline import Deadline, QuestionTooDearError
from audit.query.find import Window, find
from audit.query.index import IndexUnusableError, LogIndex
from audit.query.parse import MAX_SEARCHED, parse_query
from audit.query.schema import KIND
from audit.query.syntax import Field, Node, Or, Term, term
from tests.simulators.paper_log import PaperLog
from tests.simulators.small_blocks import small_blocks
from tests.simulators.small_deployment import START

small = pytest.fixture(autouse=True)(small_blocks)
SIZE = 30
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LogIndex]:
    log = PaperLog()
    for nth in range(SIZE):
        log.add(EventType.MEMORY_READ, resource=f"mem_{nth % 3}aaaaaaaa")
    made = LogIndex(tmp_path / "index" / "clinic.db", "clinic")
    assert made.catch_up(log, seconds=60) == SIZE
    yield made
    made.close()


def selects(index: LogIndex, text: str) -> tuple[list[str], int]:
    """Return what SQLite was asked for a count, and how many fitted."""
    asked: list[str] = []
    with index.reading() as (connection, size):
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append(str(args[2])))
        found = fitting(connection, parse_query(text, now=START), size, size)
    return asked, sum(found.by_kind.values())


def test_the_same_term_is_asked_once_however_often_it_stands_there(index: LogIndex) -> None:
    many = " OR ".join(f"(resource:mem_0* index:{nth}..{SIZE})" for nth in range(MAX_SEARCHED))
    asked, fitted = selects(index, many)
    assert fitted == SIZE // 3
    assert len([one for one in asked if "entry.resource" in one]) == 1


@pytest.mark.parametrize("text", ["resource:mem_0*", '"mem_0"'])
def test_what_a_count_collects_lies_within_the_window(
    index: LogIndex, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    honest = count._Masker._found

    def seen(self: count._Masker, node: Node) -> NDArray[np.int64]:
        found = honest(self, node)
        collected.extend(found.tolist())
        return found

    monkeypatch.setattr(count._Masker, "_found", seen)
    assert selects(index, f"{text} index:6..9")[1] == 2
    assert set(collected) == {6, 9}


@pytest.mark.parametrize(
    "part",
    [
        "resource:mem_{}*",
        "resource:mem_{}aaaaaaaa",
        "since:2026-11-{:02}",
        "time:2026-11-{:02}",
        "erased:yes",
    ],
)
def test_searches_are_limited_as_texts_are(part: str) -> None:
    parts = [f"({part.format(nth + 1)} index:{nth}..)" for nth in range(MAX_SEARCHED + 1)]
    assert isinstance(parse_query(" OR ".join(parts[:-1]), now=START), Or)
    with pytest.raises(QueryInvalidError, match=f"at most {MAX_SEARCHED}") as caught:
        parse_query(" OR ".join(parts), now=START)
    assert caught.value.position > len(" OR ".join(parts[:-1]))


def test_beginnings_in_one_term_are_searches_and_whole_ids_are_one() -> None:
    whole = parse_query("resource:" + ",".join(f"mem_{nth}" for nth in range(100)), now=START)
    assert isinstance(whole, Term)
    assert len(whole.values) == 100
    with pytest.raises(QueryInvalidError, match=f"at most {MAX_SEARCHED}"):
        parse_query("resource:" + ",".join(f"mem_{nth}*" for nth in range(MAX_SEARCHED + 1)), now=START)


def test_sqlite_stops_at_the_deadline_and_the_connection_answers_on(index: LogIndex) -> None:
    with pytest.raises(QuestionTooDearError), index.reading(Deadline(0.05)) as (connection, _):
        connection.exec_driver_sql(ENDLESS).scalar_one()
    with index.reading() as (connection, size):
        assert find(
            connection, parse_query("", now=START), size, Window(0, 2), limit=5, newest_first=True
        ) == [1, 0]


def test_counting_stops_at_the_deadline(index: LogIndex) -> None:
    with index.reading() as (connection, size), pytest.raises(QuestionTooDearError):
        fitting(connection, parse_query("", now=START), size, size, Deadline(0))


def test_a_deadline_that_has_not_passed_lets_go_on() -> None:
    waiting = Deadline(60)
    waiting.check()
    assert not waiting.passed


def test_an_empty_beginning_is_every_value(index: LogIndex) -> None:
    with index.reading() as (connection, _):
        every = connection.execute(KIND.select().where(kind_clause(term(Field.EVENT, ["*"])))).all()
        assert len(every) == 1


def test_a_file_of_another_tenant_is_not_read(index: LogIndex) -> None:
    with index.reading() as (connection, _):
        connection.exec_driver_sql("UPDATE state SET tenant = 'bank'")
        connection.commit()
    with pytest.raises(IndexUnusableError, match="another version or tenant") as caught, index.reading():
        pass
    assert caught.value.damaged
