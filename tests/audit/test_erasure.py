"""The UPDATE that drops payloads, held against the database's own guards."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from audit.erasure import MAX_ERASED, erase_payloads
from audit.errors import EntryInvalidError, RangeInvalidError
from audit.event import ERASABLE, EventType
from audit.evidence import SYSTEM_LOG
from audit.reader import verify_stored
from audit.selection import count_erased, count_since, entries_holding, entries_of
from tests.simulators.small_deployment import START, SmallDeployment, draft


def erasing(small: SmallDeployment, *indexes: int, tenant: str = "clinic-a") -> int:
    entry = draft(
        EventType.PAYLOAD_ERASE,
        tenant=tenant,
        time=small.now,
        action="administer",
        resource="audit-log",
        purpose="operations",
        payload={"entries": list(indexes), "log": tenant},
    )
    (leaf,) = small.log.append(small.connection, [entry])
    erase_payloads(small.connection, tenant, indexes, by=leaf.index)
    return leaf.index


def index_of(small: SmallDeployment, event: EventType, tenant: str = "clinic-a") -> int:
    return next(entries_of(small.connection, tenant, [event])).index


def test_dropping_payloads_leaves_a_log_that_verifies(lived: SmallDeployment) -> None:
    reads = [entry.index for entry in entries_of(lived.connection, "clinic-a", [EventType.MEMORY_READ])]
    before = lived.log.head(lived.connection, "clinic-a").root()
    erasing(lived, *reads[:2])
    size = lived.log.head(lived.connection, "clinic-a").size
    assert lived.log.consistency_proof(lived.connection, "clinic-a", size - 1, size)
    assert before != lived.log.head(lived.connection, "clinic-a").root()
    lived.sign()
    report = verify_stored(lived.connection, lived.key)
    assert report.passed, report.findings
    assert count_erased(lived.connection, "clinic-a", range(size)) == 2
    assert count_erased(lived.connection, "clinic-a", range(reads[0])) == 0


def test_an_erasure_that_no_entry_tells_of_is_refused_by_the_database(lived: SmallDeployment) -> None:
    read = index_of(lived, EventType.MEMORY_READ)
    last = lived.log.head(lived.connection, "clinic-a").size - 1
    with pytest.raises(IntegrityError, match="only erased"):
        erase_payloads(lived.connection, "clinic-a", [read], by=last)


def test_kinds_that_stay_are_refused(lived: SmallDeployment) -> None:
    for tenant, event in (("clinic-a", EventType.POLICY_LOAD), (SYSTEM_LOG, EventType.LOG_CHECKPOINT)):
        with pytest.raises(EntryInvalidError, match="stays"):
            erasing(lived, index_of(lived, event, tenant), tenant=tenant)
    assert not ERASABLE & {
        event
        for event in EventType
        if event.value.partition(".")[0] in {"audit", "log", "payload", "principal"}
    }
    assert EventType.EFFECT_OUTCOME not in ERASABLE


def test_a_second_erasure_and_indexes_that_are_none_are_refused(lived: SmallDeployment) -> None:
    read = index_of(lived, EventType.MEMORY_READ)
    erasing(lived, read)
    with pytest.raises(EntryInvalidError, match="already"):
        erasing(lived, read)
    size = lived.log.head(lived.connection, "clinic-a").size
    for indexes in ([], [read + 1] * 2, [-1], [size], [10**9], list(range(MAX_ERASED + 1))):
        with pytest.raises(RangeInvalidError):
            erase_payloads(lived.connection, "clinic-a", indexes, by=size)
    erased = text("SELECT count(*) FROM audit_leaf WHERE payload IS NULL")
    assert lived.connection.execute(erased).scalar() == 1


def test_entries_are_found_by_what_stands_in_them(lived: SmallDeployment) -> None:
    size = lived.log.head(lived.connection, "clinic-a").size
    holding = entries_holding(lived.connection, "clinic-a", ['"mem_aaaaaaaa0"'], range(size), 10)
    assert [entry.event for entry in holding] == ["memory.write", "memory.read"]
    first = entries_holding(lived.connection, "clinic-a", ['"mem_aaaaaaaa0"', "nothing"], range(size), 1)
    assert first == holding[:1]
    beyond = range(holding[0].index + 1, holding[1].index)
    assert entries_holding(lived.connection, "clinic-a", ['"mem_aaaaaaaa0"'], beyond, 10) == []
    assert entries_holding(lived.connection, "clinic-b", ['"mem_aaaaaaaa0"'], range(size), 10) == []
    assert entries_holding(lived.connection, "clinic-a", ["%", "_x"], range(size), 10) == []


def test_entries_are_counted_by_event_and_time(lived: SmallDeployment) -> None:
    since = int(START.timestamp() * 10**6)
    reveals = count_since(lived.connection, "clinic-a", EventType.MEMORY_REVEAL, since)
    assert reveals == 2
    assert count_since(lived.connection, "clinic-a", EventType.MEMORY_REVEAL, since * 2) == 0
