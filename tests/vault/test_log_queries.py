"""Questions to a vault's log: who may ask, what stays the same for ever, and what is written about asking."""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from audit.errors import QueryInvalidError, RangeInvalidError
from audit.event import EventType
from audit.query.count import Unit
from audit.query.index import LogIndex
from audit.query.syntax import Field
from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    AUDITOR,
    BANK_AUDITOR,
    CLINICIAN,
    MEMBER,
    OWNER,
    SERVICE,
    STRANGER,
    Clinic,
    make_template,
)
from vault import log_queries
from vault.errors import InputInvalidError, LogIndexBehindError, TamperedError
from vault.log_queries import QueryPage
from vault.memos import MemOS
from vault.payload_erasure import ErasureReason, PayloadErasure


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    opened = Clinic(template, tmp_path / "vault")
    owner = MemOS(opened.vault, principal=OWNER, purpose=Purpose.TREATMENT)
    for nth in range(4):
        owner.extract(f"note {nth} about the knee", subject="patient 17")
        owner.retrieve("knee")
    yield opened
    opened.close()


def as_(clinic: Clinic, principal: Principal) -> MemOS:
    return MemOS(clinic.vault, principal=principal)


@pytest.fixture
def auditor(clinic: Clinic) -> MemOS:
    return as_(clinic, AUDITOR)


def indexes(page: QueryPage) -> list[int]:
    return [found.index for found in page.entries]


def last_payload(auditor: MemOS) -> dict[str, object]:
    (entry,) = auditor.entries(limit=1)
    assert entry.header.event is EventType.AUDIT_QUERY
    return dict(entry.payload or {})


def test_a_page_shows_what_fits_newest_first_and_goes_on_where_it_ended(auditor: MemOS) -> None:
    whole = auditor.query_log("actor:agent-1 action:memory.retrieve")
    assert len(whole.entries) == 4
    assert indexes(whole) == sorted(indexes(whole), reverse=True)
    assert {found.header.event for found in whole.entries} == {EventType.MEMORY_SEARCH}
    assert whole.cursor is None
    first = auditor.query_log("actor:agent-1 action:memory.retrieve", limit=3)
    assert first.cursor is not None
    second = auditor.query_log("actor:agent-1 action:memory.retrieve", limit=3, cursor=first.cursor)
    assert indexes(first) + indexes(second) == indexes(whole)
    assert second.cursor is None
    assert second.tree_size == first.tree_size


def test_oldest_first_pages_the_other_way(auditor: MemOS) -> None:
    newest = auditor.query_log("actor:agent-1")
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = auditor.query_log(
            "actor:agent-1", size=newest.tree_size, limit=3, cursor=cursor, oldest_first=cursor is None
        )
        seen += indexes(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == indexes(newest)[::-1]


def test_query_and_size_show_the_same_rows_for_ever(clinic: Clinic, auditor: MemOS) -> None:
    before = auditor.query_log("since:7d actor:agent-1")
    owner = MemOS(clinic.vault, principal=OWNER, purpose=Purpose.TREATMENT)
    owner.extract("one more", subject="patient 17")
    shutil.rmtree(clinic.path / "log-index")
    clinic.vault.parts.log_indexes.close()
    after = auditor.query_log(before.query, size=before.tree_size)
    assert after == before
    assert auditor.query_log(before.query).entries != before.entries
    assert auditor.log_facets(before.query, size=before.tree_size).counts.total == len(before.entries)


def test_a_relative_time_counts_from_the_first_page(clinic: Clinic, auditor: MemOS) -> None:
    first = auditor.query_log("since:1h actor:agent-1", limit=3)
    second = auditor.query_log("since:1h actor:agent-1", limit=3, cursor=first.cursor)
    assert second.query == first.query
    assert indexes(second)[0] < indexes(first)[-1]


@pytest.mark.parametrize("size", [-1, 10**6])
def test_a_size_that_the_log_never_had_is_refused(auditor: MemOS, size: int) -> None:
    for ask in (auditor.query_log, auditor.log_facets, auditor.log_histogram):
        with pytest.raises(RangeInvalidError):
            ask("", size=size)


def test_a_cursor_of_another_question_or_size_is_refused(auditor: MemOS) -> None:
    page = auditor.query_log("actor:agent-1", limit=2)
    for asked in ({"text": "actor:agent-2"}, {"text": "actor:agent-1", "size": 3}):
        with pytest.raises(RangeInvalidError):
            auditor.query_log(**asked, cursor=page.cursor)
    with pytest.raises(RangeInvalidError):
        auditor.query_log("actor:agent-1", cursor="x")


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_out_of_range_is_refused(auditor: MemOS, limit: int) -> None:
    with pytest.raises(InputInvalidError):
        auditor.query_log("", limit=limit)


def test_entries_that_are_erased_later_are_shown_as_erased(clinic: Clinic, auditor: MemOS) -> None:
    before = auditor.query_log("action:write actor:agent-1")
    private = auditor.query_log("tier:private")
    index = before.entries[0].index
    erasure = PayloadErasure(clinic.vault.parts)
    leaf = erasure.erase(ADMINISTRATOR, Purpose.OPERATIONS, [index], ErasureReason.RETENTION).leaf
    after = auditor.query_log(before.query, size=before.tree_size)
    assert indexes(after) == indexes(before)
    assert (after.entries[0].payload, after.entries[0].erased_by) == (None, leaf.index)
    assert after.entries[1:] == before.entries[1:]
    # Which tier it was stood in the payload: nothing of that is left, in the index neither.
    assert indexes(auditor.query_log("tier:private", size=private.tree_size)) == indexes(private)[1:]
    assert indexes(auditor.query_log("erased:yes")) == [index]
    assert auditor.query_log("erased:yes", size=leaf.index).entries == ()
    assert auditor.log_facets("tier:private actor:agent-1").counts.total == 3


def test_an_erasure_that_the_index_did_not_reach_yet_is_seen_in_the_log(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = auditor.query_log("tier:private")
    erasure = PayloadErasure(clinic.vault.parts)
    erasure.erase(ADMINISTRATOR, Purpose.OPERATIONS, [private.entries[0].index], ErasureReason.RETENTION)
    monkeypatch.setattr(LogIndex, "catch_up", lambda *_args, **_options: private.tree_size)
    assert indexes(auditor.query_log("tier:private")) == indexes(private)[1:]


def test_size_zero_is_an_empty_tree(auditor: MemOS) -> None:
    assert auditor.query_log("", size=0).entries == ()
    assert auditor.log_facets("", size=0).counts.total == 0
    found = auditor.log_histogram("", size=0)
    assert (found.histogram.buckets, found.complete) == ((), True)


def test_counts_agree_with_the_rows_and_say_that_they_are_whole(auditor: MemOS) -> None:
    page = auditor.query_log("actor:agent-1 event:memory.*")
    counted = auditor.log_facets("actor:agent-1 event:memory.*", size=page.tree_size)
    assert counted.complete
    assert counted.counts.total == len(page.entries) == 8
    assert counted.counts.fields[Field.EVENT] == {"memory.search": 4, "memory.write": 4}
    assert counted.counts.fields[Field.TIER] == {"": 4, "private": 4}
    over_time = auditor.log_histogram("actor:agent-1 event:memory.*", size=page.tree_size, unit=Unit.HOUR)
    assert over_time.complete
    assert [bucket.count for bucket in over_time.histogram.buckets] == [8]


@pytest.mark.parametrize("who", [OWNER, MEMBER, CLINICIAN, SERVICE, STRANGER])
@pytest.mark.parametrize("ask", ["query_log", "log_facets", "log_histogram"])
def test_only_who_may_read_the_log_may_ask_it_and_a_denial_is_an_entry(
    clinic: Clinic, who: Principal, ask: str
) -> None:
    with pytest.raises(DeniedError):
        getattr(as_(clinic, who), ask)('"a name"')
    entry = as_(clinic, BANK_AUDITOR if who.tenant == "bank" else AUDITOR).entries(limit=1)[0]
    assert (entry.header.event, entry.header.decision, entry.header.principal) == (
        EventType.AUDIT_QUERY,
        "denied",
        who.id,
    )
    assert isinstance(entry.payload, Mapping)
    assert list(entry.payload) == ["asked"], "and nothing of the question"
    assert not (clinic.path / "log-index").exists()


def test_an_auditor_may_not_ask_for_another_purpose(clinic: Clinic, auditor: MemOS) -> None:
    with pytest.raises(DeniedError):
        auditor.query_log("", purpose=Purpose.TREATMENT)


def test_asking_is_an_entry_with_ids_and_counts_and_no_pasted_text(auditor: MemOS) -> None:
    page = auditor.query_log('actor:agent-1 "Maria Keller" OR resource:epi_*', limit=3)
    payload = last_payload(auditor)
    assert payload["size"] == page.tree_size
    assert payload["found"] == len(page.entries) == 3
    assert payload["limit"] == 3
    query = str(payload["query"])
    assert query.startswith('actor:agent-1 "hash:')
    assert query.endswith(" OR resource:epi_*")
    assert "maria" not in json.dumps(payload).lower()
    again = auditor.query_log('actor:agent-1 "maria keller" OR resource:epi_*', limit=3)
    assert last_payload(auditor)["query"] == query, again.query
    auditor.log_facets('"Maria Keller"')
    assert last_payload(auditor)["by"] == "field"
    auditor.log_histogram('"Maria Keller"')
    payload = last_payload(auditor)
    assert payload["by"] == "day"
    assert "maria" not in json.dumps(payload).lower()


def test_no_byte_of_a_pasted_name_lies_in_a_file(clinic: Clinic, auditor: MemOS) -> None:
    auditor.query_log('"Zyxwomir Canaryson"')
    auditor.log_facets('"Zyxwomir Canaryson"')
    clinic.vault.parts.log_indexes.close()
    for file in clinic.path.rglob("*"):
        if file.is_file():
            assert b"canaryson" not in file.read_bytes().lower(), file.name


def test_a_malformed_question_is_answered_with_its_place_and_finds_nothing(auditor: MemOS) -> None:
    before = auditor.query_log("").tree_size
    with pytest.raises(QueryInvalidError) as caught:
        auditor.query_log("actor:agent-1 foo:bar")
    assert caught.value.position == 14
    assert auditor.query_log("").tree_size == before + 1


def test_the_log_of_another_tenant_is_never_in_an_answer(clinic: Clinic, auditor: MemOS) -> None:
    bank = MemOS(clinic.vault, principal=STRANGER, purpose=Purpose.TREATMENT)
    bank.extract("a ledger", subject="client 3")
    theirs = as_(clinic, BANK_AUDITOR)
    ours, other = (
        auditor.query_log("actor:agent-1 event:memory.*"),
        theirs.query_log("actor:agent-1 event:memory.*"),
    )
    assert {found.header.tenant for found in ours.entries} == {"clinic"}
    assert {found.header.tenant for found in other.entries} == {"bank"}
    assert len(other.entries) == 1
    # Even with the files put in each other's place.
    clinic.vault.parts.log_indexes.close()
    folder = clinic.path / "log-index"
    (folder / "bank.db").rename(folder / "spare.db")
    (folder / "clinic.db").rename(folder / "bank.db")
    (folder / "spare.db").rename(folder / "clinic.db")
    assert auditor.query_log(ours.query, size=ours.tree_size) == ours
    assert theirs.query_log(other.query, size=other.tree_size) == other


def test_an_index_that_lies_is_found_out_and_made_anew(clinic: Clinic, auditor: MemOS) -> None:
    honest = auditor.query_log("actor:agent-1")
    with closing(sqlite3.connect(clinic.path / "log-index" / "clinic.db")) as connection:
        connection.execute("UPDATE kind SET actor = 'agent-9' WHERE actor = 'agent-1'")
        connection.commit()
    with pytest.raises(LogIndexBehindError, match="made anew"):
        auditor.query_log("actor:agent-9")
    assert auditor.query_log("actor:agent-9").entries == ()
    assert auditor.query_log(honest.query, size=honest.tree_size) == honest


@pytest.mark.parametrize("ask", ["query_log", "log_facets", "log_histogram"])
def test_an_index_that_is_damaged_while_it_is_open_is_made_anew(
    clinic: Clinic, auditor: MemOS, ask: str
) -> None:
    honest = auditor.query_log("actor:agent-1 event:memory.*")
    with closing(sqlite3.connect(clinic.path / "log-index" / "clinic.db")) as connection:
        connection.execute("DROP TABLE segment")
        connection.commit()
    with pytest.raises(LogIndexBehindError, match="thrown away"):
        getattr(auditor, ask)("since:7d")
    assert auditor.query_log(honest.query, size=honest.tree_size) == honest
    assert auditor.log_facets(honest.query, size=honest.tree_size).counts.total == 8


def test_entries_far_apart_are_read_each_by_itself(auditor: MemOS) -> None:
    assert indexes(auditor.query_log("index:0,11")) == [11, 0]


def tamper(clinic: Clinic, trigger: str, statement: str) -> None:
    """Write to the log behind its guards."""
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection:
        connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
        connection.commit()


def test_an_entry_that_is_gone_raises_the_alarm(clinic: Clinic, auditor: MemOS) -> None:
    auditor.query_log("")
    tamper(
        clinic,
        "audit_leaf_keep",
        "DELETE FROM audit_leaf WHERE tenant_id = 'clinic' AND leaf_index = 5",
    )
    with pytest.raises(TamperedError, match="entry 5 of the log is not there"):
        auditor.query_log("")


def test_a_head_that_is_none_raises_the_alarm(clinic: Clinic, auditor: MemOS) -> None:
    tamper(clinic, "audit_head_grow", "UPDATE audit_head SET nodes = x'00' WHERE tenant_id = 'clinic'")
    with pytest.raises(TamperedError):
        auditor.query_log("")
    clinic.vault.parts.log_indexes.keep_up()


def no_index(clinic: Clinic) -> None:
    """Put a file in the folder's place: the index can neither be used nor made."""
    clinic.vault.parts.log_indexes.close()
    folder = clinic.path / "log-index"
    if folder.exists():
        shutil.rmtree(folder)
    folder.write_text("in the way")


def test_without_an_index_a_short_log_is_scanned_and_the_answer_is_the_same(
    clinic: Clinic, auditor: MemOS
) -> None:
    page = auditor.query_log("actor:agent-1", limit=3)
    facets = auditor.log_facets("actor:agent-1", size=page.tree_size)
    over_time = auditor.log_histogram("actor:agent-1", size=page.tree_size)
    no_index(clinic)
    assert auditor.query_log("actor:agent-1", size=page.tree_size, limit=3).entries == page.entries
    assert auditor.log_facets("actor:agent-1", size=page.tree_size) == facets
    assert auditor.log_histogram("actor:agent-1", size=page.tree_size) == over_time
    oldest = auditor.query_log("actor:agent-1", size=page.tree_size, limit=3, oldest_first=True)
    assert indexes(oldest) == sorted(indexes(oldest))


def test_without_an_index_a_long_log_is_not_scanned_and_the_answer_says_so(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = auditor.query_log("").tree_size
    no_index(clinic)
    monkeypatch.setattr(log_queries, "MAX_SCAN", 3)
    with pytest.raises(LogIndexBehindError, match=f"reaches 0 of {size + 1}"):
        auditor.query_log("")
    counted = auditor.log_facets("")
    assert (counted.complete, counted.counted_size, counted.counts.total) == (False, 0, 0)
    assert not auditor.log_histogram("").complete


def test_an_index_that_is_behind_is_helped_out_by_a_scan(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queries, "QUERY_SECONDS", 0)
    monkeypatch.setattr("audit.query.index.BATCH", 5)
    page = auditor.query_log("", limit=1000)
    assert indexes(page) == list(range(page.tree_size))[::-1]
    assert clinic.vault.parts.log_indexes.of("clinic").exists
    old = auditor.query_log("", size=page.tree_size, limit=1000, oldest_first=True)
    assert indexes(old) == list(range(page.tree_size))
    counted = auditor.log_facets("", size=page.tree_size)
    assert (counted.complete, counted.counts.total) == (True, page.tree_size)


def test_a_full_disk_leaves_the_index_as_it_is_and_the_rest_is_scanned(
    clinic: Clinic, auditor: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = auditor.query_log("").tree_size

    def full(*_arguments: object) -> int:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise OperationalError("", None, error)

    monkeypatch.setattr(LogIndex, "_extend", full)
    page = auditor.query_log("", limit=1000)
    assert page.tree_size == known + 1
    assert indexes(page) == list(range(known + 1))[::-1]
    assert auditor.log_facets("").complete
    monkeypatch.setattr(log_queries, "MAX_SCAN", 1)
    counted = auditor.log_facets("")
    assert (counted.complete, counted.counted_size, counted.counts.total) == (False, known, known)
    with pytest.raises(LogIndexBehindError, match=f"reaches {known} of"):
        auditor.query_log("")


def test_an_entry_that_is_no_entry_raises_the_alarm(clinic: Clinic, auditor: MemOS) -> None:
    auditor.query_log("")
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection:
        connection.execute("DROP TRIGGER audit_leaf_fixed")
        connection.execute(
            "UPDATE audit_leaf SET header = '{}' WHERE tenant_id = 'clinic' AND leaf_index = 5"
        )
        connection.commit()
    with pytest.raises((TamperedError, LogIndexBehindError)):
        auditor.query_log("")
    assert auditor.query_log("actor:agent-1 index:6..").entries


def test_the_index_is_kept_up_once_somebody_has_asked(clinic: Clinic, auditor: MemOS) -> None:
    parts = clinic.vault.parts
    parts.log_indexes.keep_up()
    assert not (clinic.path / "log-index").exists()
    size = auditor.query_log("").tree_size
    parts.log_indexes.keep_up()
    with parts.log_indexes.of("clinic").reading() as (_, reached):
        assert reached == size + 1


def test_keeping_up_never_fails(clinic: Clinic, auditor: MemOS) -> None:
    auditor.query_log("")
    no_index(clinic)
    clinic.vault.parts.log_indexes.keep_up()


def test_a_vault_that_is_opened_again_finds_its_index(clinic: Clinic) -> None:
    before = as_(clinic, AUDITOR).query_log("actor:agent-1")
    clinic.close()
    clinic = Clinic(clinic.path, clinic.path.with_name("copy"), clinic.options)
    assert (clinic.path / "log-index" / "clinic.db").exists()
    after = as_(clinic, AUDITOR).query_log(before.query, size=before.tree_size)
    clinic.close()
    assert after == before


def test_a_clock_that_goes_on_moves_relative_times(clinic: Clinic, auditor: MemOS) -> None:
    assert len(auditor.query_log("since:1h actor:agent-1 event:memory.*").entries) == 8
    clock = clinic.options.clock
    clock.advance(timedelta(hours=2))  # type: ignore[attr-defined]  # a FrozenClock
    assert auditor.query_log("since:1h actor:agent-1 event:memory.*").entries == ()
