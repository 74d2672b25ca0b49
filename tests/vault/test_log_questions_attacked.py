"""Questions to a log while its index is thrown away, swapped or behind, while others write, and with bad intent."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import SQLAlchemyError

from audit.canonical import JsonValue
from audit.errors import QueryInvalidError, RangeInvalidError
from audit.event import EventType, Outcome
from audit.query.count import Unit
from audit.query.index import LogIndex, LogSource
from audit.query.words import FIELDS
from policies.model import Purpose
from tests.simulators.clinic import AUDITOR, BANK_AUDITOR, OWNER, Clinic, make_template
from vault import log_queries
from vault.auditing import LogEntry
from vault.errors import LogIndexBehindError, LogQueryTooDearError, TamperedError
from vault.memos import MemOS

HASHED = 5 + 32
ASKS = ("query_log", "log_facets", "log_histogram")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    opened = Clinic(template, tmp_path / "vault")
    owner = MemOS(opened.vault, principal=OWNER, purpose=Purpose.TREATMENT)
    for nth in range(4):
        owner.extract(f"note {nth} about the knee", subject="patient 17")
    yield opened
    opened.close()


@pytest.fixture
def auditor(clinic: Clinic) -> MemOS:
    return MemOS(clinic.vault, principal=AUDITOR)


def last_entry(auditor: MemOS) -> LogEntry:
    (entry,) = auditor.entries(limit=1)
    assert entry.header.event is EventType.AUDIT_QUERY
    return entry


def logged(auditor: MemOS, outcome: Outcome = Outcome.OK) -> dict[str, JsonValue]:
    """Return the payload of the newest entry: reading it is an entry, so that it is read once."""
    entry = last_entry(auditor)
    assert entry.header.outcome is outcome
    return {key: value for key, value in dict(entry.payload or {}).items() if key != "asked"}


def thrown_away_before_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another thread make the file anew between catching up and reading, a few entries far."""
    monkeypatch.setattr("audit.query.index.BATCH", 4)
    honest = LogIndex.catch_up

    def raced(self: LogIndex, log: LogSource, *, seconds: float) -> int:
        reached = honest(self, log, seconds=seconds)
        self.discard()
        assert honest(self, log, seconds=0) == 4
        return reached

    monkeypatch.setattr(LogIndex, "catch_up", raced)


def test_an_index_made_anew_before_the_read_loses_no_row_and_no_count(
    auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = auditor.query_log("actor:agent-1", limit=500)
    assert len(truth.entries) >= 4
    thrown_away_before_the_read(monkeypatch)
    assert auditor.query_log(truth.query, size=truth.tree_size, limit=500) == truth
    facets = auditor.log_facets(truth.query, size=truth.tree_size)
    assert (facets.complete, facets.counts.total) == (True, len(truth.entries))
    over_time = auditor.log_histogram(truth.query, size=truth.tree_size)
    assert (over_time.complete, over_time.histogram.total) == (True, len(truth.entries))


def test_an_index_made_anew_before_the_read_of_a_long_log_says_so(
    auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = auditor.query_log("").tree_size
    thrown_away_before_the_read(monkeypatch)
    monkeypatch.setattr(log_queries, "MAX_SCAN", 1)
    with pytest.raises(LogIndexBehindError, match=f"reaches 4 of {size}"):
        auditor.query_log("", size=size)
    counted = auditor.log_facets("", size=size)
    assert (counted.complete, counted.counted_size, counted.counts.total) == (False, 4, 4)


def _kept(work: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # shown by the test
        failed.append(error)


def test_answers_are_whole_while_others_write_and_throw_the_index_away(
    clinic: Clinic, auditor: MemOS
) -> None:
    truth = auditor.query_log("actor:agent-1", limit=500)
    done, failed = threading.Event(), list[BaseException]()

    def write() -> None:
        owner = MemOS(clinic.vault, principal=OWNER, purpose=Purpose.TREATMENT)
        while not done.is_set():
            owner.retrieve("knee")

    def discard() -> None:
        while not done.wait(0.02):
            clinic.vault.parts.log_indexes.of("clinic").discard()

    threads = [threading.Thread(target=_kept, args=(work, failed)) for work in (write, write, discard)]
    for thread in threads:
        thread.start()
    answered = 0
    try:
        for _ in range(25):
            try:
                page = auditor.query_log(truth.query, size=truth.tree_size, limit=500)
                counted = auditor.log_facets(truth.query, size=truth.tree_size)
                newest = auditor.log_facets("")
            except LogIndexBehindError:
                continue  # says so, and answers nothing
            assert page == truth
            assert (counted.complete, counted.counts.total) == (True, len(truth.entries))
            assert newest.counts.total == newest.counted_size
            answered += 1
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not failed
    assert answered


@pytest.mark.parametrize("ask", ["log_facets", "log_histogram", "query_log"])
def test_another_tenants_file_put_in_place_while_open_answers_nothing(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    """What was caught up is the right file, what is read the wrong one: a swap between the two."""
    truth = getattr(auditor, ask)("actor:agent-1", size=8)
    MemOS(clinic.vault, principal=BANK_AUDITOR).query_log("")
    honest, folder = LogIndex.catch_up, clinic.path / "log-index"

    def swapped(self: LogIndex, log: LogSource, *, seconds: float) -> int:
        reached = honest(self, log, seconds=seconds)
        clinic.vault.parts.log_indexes.of("bank").close()
        self.close()
        (folder / "clinic.db").write_bytes((folder / "bank.db").read_bytes())
        with monkeypatch.context() as patched:
            patched.setattr(LogIndex, "_expect", lambda *_: 0)
            patched.setattr(LogIndex, "_compare_samples", lambda *_: None)
            with self._lock, clinic.vault.parts.log_indexes.log_of("clinic") as source:
                self._open(source)
        return reached

    with monkeypatch.context() as patched:
        patched.setattr(LogIndex, "catch_up", swapped)
        with pytest.raises(LogIndexBehindError, match="thrown away"):
            getattr(auditor, ask)("", size=8)
    assert not (folder / "clinic.db").exists()
    assert getattr(auditor, ask)("actor:agent-1", size=8) == truth


@pytest.mark.parametrize(
    "text", ["event:*", "-event:*", "action:memory.read,event:*", "action:*", 'event:"*"']
)
@pytest.mark.parametrize("ask", ASKS)
def test_a_beginning_of_no_letters_is_refused_with_its_place(auditor: MemOS, ask: str, text: str) -> None:
    with pytest.raises(QueryInvalidError) as caught:
        getattr(auditor, ask)(text)
    assert caught.value.position <= len(text)


VALUES = st.sampled_from(
    [
        "*",
        "none",
        "a*",
        "m*",
        "agent-1",
        "memory.*",
        "ok",
        "7",
        "..9",
        "7d",
        "yes",
        "no",
        '"*"',
        '"%"',
        "9a*",
        "-",
    ]
)
TERMS = st.builds(lambda name, value: f"{name}:{value}", st.sampled_from(sorted(FIELDS)), VALUES)
PARTS = st.one_of(
    TERMS, VALUES, st.sampled_from(["OR", "AND", "NOT", "-", "(", ")", ",", '"']), st.text(max_size=4)
)


def test_any_text_is_answered_or_is_no_query(auditor: MemOS) -> None:
    answered = 0

    @given(parts=st.lists(PARTS, max_size=5))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(parts: list[str]) -> None:
        nonlocal answered
        try:
            page = auditor.query_log(" ".join(parts), limit=1000, size=8)
        except QueryInvalidError:
            return
        facets = auditor.log_facets(page.query, size=8)
        over_time = auditor.log_histogram(page.query, size=8)
        assert facets.counts.total == over_time.histogram.total == len(page.entries)
        answered += 1

    ask()
    assert answered


def test_a_unit_too_small_is_an_entry_before_it_is_an_error(
    auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.query.count.MAX_BUCKETS", 1)
    size = auditor.query_log("").tree_size
    with pytest.raises(RangeInvalidError):
        auditor.log_histogram("actor:agent-1", unit=Unit.MINUTE)
    assert logged(auditor, Outcome.REFUSED) == {"query": "actor:agent-1", "size": size + 1, "by": "minute"}


@pytest.mark.parametrize("ask", ASKS)
def test_a_question_that_takes_too_long_is_given_up_and_logged(
    auditor: MemOS, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    auditor.query_log("")
    monkeypatch.setattr(log_queries, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr("audit.query.deadline._STEPS", 1)
    with pytest.raises(LogQueryTooDearError, match="ask for a range"):
        getattr(auditor, ask)("-actor:agent-9")
    query = logged(auditor, Outcome.REFUSED)["query"]
    assert query == f"-actor:{hashed(auditor, 'agent-9')}"


def test_a_scan_that_takes_too_long_is_given_up(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clinic.path / "log-index").write_text("in the way")
    monkeypatch.setattr(log_queries, "ANSWER_SECONDS", 0.0)
    with pytest.raises(LogQueryTooDearError):
        auditor.query_log("")
    assert last_entry(auditor).header.outcome is Outcome.REFUSED


def test_a_log_too_far_ahead_of_its_index_is_an_entry(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clinic.path / "log-index").write_text("in the way")
    monkeypatch.setattr(log_queries, "MAX_SCAN", 1)
    with pytest.raises(LogIndexBehindError):
        auditor.query_log("outcome:ok")
    assert logged(auditor, Outcome.REFUSED)["query"] == "outcome:ok"


def test_an_alarm_is_an_entry_too(auditor: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queries, "_stored", lambda *_: {})
    with pytest.raises(TamperedError):
        auditor.query_log("")
    assert last_entry(auditor).header.outcome is Outcome.FAILED


def hashed(auditor: MemOS, text: str) -> str:
    """Return how a text stands in the log, by asking for it as text."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_queries, "ANSWER_SECONDS", 5.0)
        auditor.query_log(f'"{text}"')
    shown = str(logged(auditor)["query"]).strip('"')
    assert len(shown) == HASHED
    return shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "anna.schmidt"),
        ("actor", "anna*"),
        ("resource", "anna-schmidt-1961-04"),
        ("purpose", "anna.schmidt"),
        ("action", "schmidt"),
    ],
)
def test_a_value_that_the_log_does_not_know_stands_there_as_its_hash(
    auditor: MemOS, field: str, value: str
) -> None:
    page = auditor.query_log(f"actor:agent-1 -{field}:{value}")
    assert value in page.query
    assert logged(auditor)["query"] == f"actor:agent-1 -{field}:{hashed(auditor, value)}"
    assert not [
        entry for entry in auditor.entries(limit=100) if value.strip("*") in json.dumps(entry.payload)
    ]


def test_values_that_the_log_knows_and_words_of_ours_stay_readable(auditor: MemOS) -> None:
    text = "actor:agent* purpose:none,treatment tier:public event:memory.*"
    auditor.query_log(text)
    assert logged(auditor)["query"] == text


def test_an_index_that_cannot_be_asked_knows_no_value(
    auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> bool:
        raise SQLAlchemyError

    monkeypatch.setattr(log_queries, "is_known", broken)
    auditor.query_log("actor:agent-1")
    assert logged(auditor)["query"] == f"actor:{hashed(auditor, 'agent-1')}"
