"""Logs are signed as they grow, verified before they are signed, and rows of all kinds are compared with them."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from audit.evidence import SYSTEM_LOG, StoredEntry
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, BANK, CLINIC, OWNER, Clinic
from vault.checkpointing import MANY_ENTRIES, Checkpointer, check_heads
from vault.errors import StorageError, TamperedError
from vault.model import Chat, SpeakerRole, Turn
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.row_check import (
    ENTRY_FORM,
    ROW_DIGEST,
    ROW_EDGE,
    ROW_PRESENT,
    ROW_SUBJECT,
    ROW_TRUST,
    ROWS_UNTOLD,
    Rows,
    compare_rows,
)
from vault.storage.store import EdgePlace, EpisodeDigest, RowDigest

HOUR = 3600.0


def checkpointer(clinic: Clinic, seconds: float = HOUR) -> Checkpointer:
    parts = clinic.vault.parts
    return Checkpointer(parts.store, parts.log, lambda: parts.policy.digest, parts.store.tenants, seconds)


@pytest.fixture
def signing(clinic: Clinic) -> Iterator[Checkpointer]:
    made = checkpointer(clinic)
    yield made
    made.end()


def sizes(clinic: Clinic, column: str) -> dict[str, int]:
    table = "audit_head" if column == "size" else "audit_checkpoint"
    rows = clinic.sql(f"SELECT tenant_id, max({column}) FROM {table} GROUP BY tenant_id")  # noqa: S608
    return {str(tenant): int(str(size)) for tenant, size in rows}


def signed(clinic: Clinic) -> bool:
    return sizes(clinic, "size") == sizes(clinic, "tree_size")


def unguard(clinic: Clinic) -> None:
    for (name,) in clinic.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        clinic.sql(f"DROP TRIGGER {name}")


def checks(clinic: Clinic) -> set[str]:
    report = clinic.audit().verify()
    assert not report.passed
    return {finding.check for finding in (*report.log.findings, *report.row_findings)}


def chat(clinic: Clinic) -> tuple[str, ...]:
    turns = (
        Turn("Ana", "My left knee hurts badly since Monday morning."),
        Turn("Bot", "it is gout", SpeakerRole.ASSISTANT),
    )
    return clinic.mem(OWNER).extract(Chat(turns), subject="Ana").memory_ids


def test_signing_leaves_no_log_unsigned_and_then_nothing_to_sign(
    clinic: Clinic, signing: Checkpointer
) -> None:
    chat(clinic)
    assert not signed(clinic)
    assert signing.sign_now() >= 2
    assert signed(clinic)
    entries = sizes(clinic, "size")
    assert [signing.sign_now() for _ in range(3)] == [0, 0, 0]
    assert sizes(clinic, "size") == entries, "signing is no reason to sign again"


def test_a_log_that_grew_is_signed_within_its_time(clinic: Clinic) -> None:
    made = checkpointer(clinic, 0.05)
    chat(clinic)
    until = time.monotonic() + 10
    while not signed(clinic) and time.monotonic() < until:
        time.sleep(0.01)
    made.end()
    assert signed(clinic)
    assert made.failures == 0


def test_many_entries_are_signed_before_their_time(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MANY_ENTRIES == 1_000
    monkeypatch.setattr("vault.checkpointing.MANY_ENTRIES", 3)
    monkeypatch.setattr("vault.checkpointing.LOOKS", 100_000)
    made = checkpointer(clinic, HOUR)
    for _ in range(3):
        chat(clinic)
    until = time.monotonic() + 10
    while sizes(clinic, "tree_size").get(CLINIC, 0) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert sizes(clinic, "tree_size")[CLINIC] >= 3
    made.end()


def test_the_end_signs_what_is_left(clinic: Clinic) -> None:
    made = checkpointer(clinic)
    chat(clinic)
    made.end()
    assert signed(clinic)


def test_a_store_that_is_closed_is_a_failure_and_no_crash(clinic: Clinic) -> None:
    made = checkpointer(clinic)
    clinic.vault.close()
    with pytest.raises(StorageError):
        made.sign_now()
    made.end()
    assert made.failures == 1


def test_a_damaged_log_is_refused_and_does_not_leave_the_others_unsigned(
    clinic: Clinic, signing: Checkpointer
) -> None:
    parts = clinic.vault.parts
    signing.sign_now()
    check_heads(parts.store, parts.log, [CLINIC, BANK])
    unguard(clinic)
    clinic.sql(
        "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE tenant_id = ? AND leaf_index = 1", CLINIC
    )
    clinic.sql("UPDATE audit_checkpoint SET note = 'none' WHERE tenant_id = ?", BANK)
    with pytest.raises(TamperedError, match="the log of clinic is not what was signed"):
        check_heads(parts.store, parts.log, [CLINIC])
    with pytest.raises(TamperedError, match="the last checkpoint of bank is not in its form"):
        check_heads(parts.store, parts.log, [BANK])
    fresh = checkpointer(clinic)
    chat(clinic)
    fresh.sign_now()
    assert fresh.failures
    assert sizes(clinic, "size")[SYSTEM_LOG] == sizes(clinic, "tree_size")[SYSTEM_LOG]
    fresh.end()


def test_a_log_cut_behind_its_checkpoint_is_refused(clinic: Clinic, signing: Checkpointer) -> None:
    signing.sign_now()
    unguard(clinic)
    clinic.sql("DELETE FROM audit_leaf WHERE tenant_id = ? AND leaf_index > 2", CLINIC)
    parts = clinic.vault.parts
    with pytest.raises(TamperedError, match="at its last checkpoint"):
        check_heads(parts.store, parts.log, [CLINIC])


def test_verification_says_how_much_was_unsigned_and_then_signs(
    clinic: Clinic, signing: Checkpointer
) -> None:
    chat(clinic)  # makes the subject's key, which is three entries
    signing.sign_now()
    chat(clinic)
    clinic.mem(OWNER).retrieve("knee")
    report = clinic.audit().verify()
    assert report.passed
    assert report.unsigned == 2
    assert signed(clinic)


def test_a_log_that_fails_its_check_is_neither_signed_by_verification_nor_by_an_export(
    clinic: Clinic, signing: Checkpointer
) -> None:
    chat(clinic)
    signing.sign_now()
    chat(clinic)
    before = clinic.count("audit_checkpoint")
    unguard(clinic)
    clinic.sql(
        "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE tenant_id = ? AND leaf_index = 1", CLINIC
    )
    assert "leaf hash" in checks(clinic)
    clinic.mem(AUDITOR, Purpose.AUDIT).export(io.BytesIO())
    assert clinic.count("audit_checkpoint") == before


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("DELETE FROM memory_subject", ROW_SUBJECT),
        ("UPDATE memory_subject SET subject_id = 'sub_aaaaaaaa'", ROW_SUBJECT),
        ("INSERT INTO memory_subject VALUES ('clinic', 'sub_aaaaaaaa', 'mem_aaaaaaaa')", ROW_SUBJECT),
        ("DELETE FROM episode", ROW_PRESENT),
        ("UPDATE episode SET owner = 'agent-2'", ROW_DIGEST),
        ("UPDATE episode SET leaf_index = 1", ROW_DIGEST),
        ("INSERT INTO edge VALUES ('clinic', 'mem_aaaaaaaa', 'supersedes', 'mem_bbbbbbbb', 0)", ROW_EDGE),
        ("DELETE FROM edge", ROW_PRESENT),
        ("UPDATE edge SET kind = 'forged'", ROW_EDGE),
        ("UPDATE memory SET version = x'01', leaf_index = x'00'", ROW_DIGEST),
        ("UPDATE memory SET owner = cast(x'ff' AS text)", ROW_DIGEST),
        ("DELETE FROM audit_head WHERE tenant_id = 'clinic'", "log that takes an entry"),
    ],
)
def test_rows_of_every_kind_that_were_altered_are_found(clinic: Clinic, statement: str, check: str) -> None:
    for _ in range(2):
        chat(clinic)
    assert clinic.mem(OWNER).organize(subject="Ana").links
    assert clinic.audit().verify().passed
    unguard(clinic)
    clinic.sql(statement)
    assert check in checks(clinic)


@pytest.mark.parametrize(
    "payload",
    [
        '{"digests":',
        '["digests":1]',
        '["digests"]',
        '{"digests":5,"written":7}',
        '{"digests":[1]}',
        '{"trust":{"a":1}}',
        '{"edges":"x"}',
        '{"links":1}',
        '{"links":[["a","b"]]}',
        '{"links":[],"part":"x"}',
        '{"links":[],"parts":null}',
        '{"digests":[],"episode":1}',
        '[{"digests":1}]',
        '{"digests":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_a_payload_of_another_form_is_a_finding_and_no_failure(clinic: Clinic, payload: str) -> None:
    unguard(clinic)
    clinic.sql("UPDATE audit_leaf SET payload = ? WHERE tenant_id = ? AND leaf_index = 1", payload, CLINIC)
    found = checks(clinic)
    assert "payload commitment" in found
    assert ENTRY_FORM in found or '"digests":' not in payload
    if payload[0] == "[":
        with pytest.raises(TamperedError, match="entry 1 of the log"):
            clinic.audit().entries(start=1, limit=1)


def test_edges_of_entries_that_only_counted_them_are_held_against_the_count() -> None:
    entry = StoredEntry(0, "", b"", '{"edges":1,"examined":2}')
    edges = [EdgePlace("supports", "mem_a", f"mem_{nth}", 0) for nth in range(2)]
    found, more, *_ = compare_rows("clinic", [entry], Rows([], [], [], edges))
    assert [finding.check for finding in found] == [ROW_EDGE]
    assert more == 0


def test_edges_that_parts_of_an_entry_name_are_held_against_the_first() -> None:
    first = StoredEntry(3, "", b"", '{"links":[["a","b","c"]],"parts":1}')
    second = StoredEntry(4, "", b"", '{"links":[["a","b","d"]],"part":1}')
    whole = [EdgePlace("a", "b", "c", 3), EdgePlace("a", "b", "d", 3)]
    forged = EdgePlace("a", "b", "e", 3)

    def found(entries: list[StoredEntry], edges: list[EdgePlace]) -> list[str]:
        return [one.check for one in compare_rows("clinic", entries, Rows([], [], [], edges))[0]]

    assert found([first, second], whole) == []
    assert found([first, second], whole[:1]) == [ROW_PRESENT]
    assert found([first, second], [*whole, forged]) == [ROW_EDGE]
    erased = StoredEntry(4, "", None, None)
    assert found([first, erased], [*whole, forged]) == [], "nobody can say what an erased part named"
    later = StoredEntry(5, "", None, None)
    assert found([first, second, later], [*whole, forged]) == [ROW_EDGE]


def test_an_erased_entry_leaves_its_rows_uncompared() -> None:
    entry = StoredEntry(0, "", None, None)
    rows = Rows(
        [RowDigest("mem_a", 1, is_current=True, trust="candidate", leaf_index=0, digest="00", subjects=())],
        [EpisodeDigest("epi_a", 0, "00")],
        [],
        [EdgePlace("supports", "mem_a", "mem_b", 0)],
    )
    assert compare_rows("clinic", [entry], rows) == ((), 0, 0, ())


def test_rows_that_an_erasure_left_uncompared_are_a_warning_since_they_could_be_gone(clinic: Clinic) -> None:
    _, gone = (clinic.mem(OWNER).extract(f"note {nth}", subject="maria") for nth in range(2))
    job = PayloadErasure(clinic.vault.parts)
    job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [gone.leaf_index], ErasureReason.RETENTION)
    for table in ("embedding", "memory_subject", "memory"):
        clinic.sql(f"DELETE FROM {table} WHERE memory_id = ?", gone.memory_ids[0])  # noqa: S608
    found = clinic.audit().verify()
    assert found.passed, "an authorised erasure is no tampering"
    (warning,) = found.row_warnings
    assert (warning.index, warning.check) == (gone.leaf_index, ROWS_UNTOLD)
    assert warning.expected == "the digests of what 1 entry wrote"


@pytest.fixture
def changed(clinic: Clinic) -> tuple[Clinic, str]:
    """A memory of two versions, whose trust was changed before the second."""
    said = (
        Turn("Ana", "My surgery is on the left knee."),
        Turn("Bot", "Your surgery is on the left knee.", SpeakerRole.ASSISTANT),
        Turn("Ana", "Actually, my surgery is on the right knee."),
    )
    clinic.mem(OWNER).extract(Chat(said), subject="Ana")
    first, *_ = clinic.mem(OWNER).organize(subject="Ana").trust
    clinic.mem(OWNER).update(first.memory, "My surgery was on the left knee.")
    stood = clinic.sql("SELECT trust FROM memory WHERE memory_id = ?", first.memory)
    assert stood == [(first.trust.value,)] * 2
    return clinic, first.memory


@pytest.mark.parametrize("version", [1, 2])
def test_the_trust_of_every_version_is_compared_with_the_log(
    changed: tuple[Clinic, str], version: int
) -> None:
    clinic, memory_id = changed
    assert clinic.audit().verify().passed
    clinic.sql("UPDATE memory SET trust = 'revoked' WHERE memory_id = ? AND version = ?", memory_id, version)
    (finding,) = clinic.audit().verify().row_findings
    assert (finding.check, finding.got) == (ROW_TRUST, "'revoked'")
    assert finding.expected.endswith(f"for version {version} of {memory_id}")


def test_a_change_of_trust_holds_from_the_version_on_that_it_was_made_to() -> None:
    def row(version: int, trust: str, leaf_index: int) -> RowDigest:
        return RowDigest("mem_a", version, version == 3, trust, leaf_index, f"{version:02}", ())

    def entry(index: int, payload: str) -> StoredEntry:
        return StoredEntry(index, "", b"", payload)

    entries = [
        entry(0, '{"digests":["01"],"memories":["mem_a"],"trust":["candidate"]}'),
        entry(1, '{"digests":["02"],"memories":["mem_a"],"version":2}'),
        entry(2, '{"links":[],"memories":["mem_a"],"trust":["verified"]}'),
        entry(3, '{"digests":["03"],"memories":["mem_a"],"version":3}'),
        entry(4, '{"links":[],"memories":["mem_a"],"trust":["disputed"]}'),
    ]

    def wrong(*words: str) -> list[str]:
        rows = [row(nth + 1, word, (0, 1, 3)[nth]) for nth, word in enumerate(words)]
        found = compare_rows("clinic", entries, Rows(rows, [], [], []))
        return [one.expected.split(" of ")[0] for one in found.findings]

    assert wrong("candidate", "verified", "disputed") == []
    assert wrong("verified", "verified", "disputed") == ["candidate for version 1"]
    assert wrong("candidate", "disputed", "disputed") == ["verified for version 2"]
    assert wrong("candidate", "verified", "verified") == ["disputed for version 3"]
    assert wrong("disputed", "candidate", "candidate") == [
        "candidate for version 1",
        "verified for version 2",
        "disputed for version 3",
    ]


def test_an_erased_change_of_trust_is_no_tampering_and_what_came_after_it_is_compared(
    changed: tuple[Clinic, str],
) -> None:
    clinic, memory_id = changed
    (index,) = (entry.index for entry in clinic.log() if entry.event == "memory.organize")
    job = PayloadErasure(clinic.vault.parts)
    job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [index], ErasureReason.RETENTION)
    found = clinic.audit().verify()
    assert found.passed
    assert [warning.check for warning in found.row_warnings] == [ROWS_UNTOLD]
    later = clinic.mem(OWNER).extract("tea at four", subject="Ana").memory_ids[0]
    assert clinic.audit().verify().passed
    clinic.sql("UPDATE memory SET trust = 'revoked' WHERE memory_id IN (?, ?)", memory_id, later)
    (finding,) = clinic.audit().verify().row_findings
    assert finding.expected.endswith(later), "of the other nobody can say"


def test_before_an_erased_change_of_trust_nobody_can_say_what_a_version_had() -> None:
    header = '"event":"memory.organize","outcome":"ok"'
    entries = [
        StoredEntry(0, "", b"", '{"digests":["01"],"memories":["mem_a"],"trust":["candidate"]}'),
        StoredEntry(1, "", b"", '{"digests":["02"],"memories":["mem_a"],"version":2}'),
        StoredEntry(2, header, None, None),
        StoredEntry(3, "", b"", '{"links":[],"memories":["mem_a"],"trust":["disputed"]}'),
    ]

    def wrong(first: str, second: str) -> list[str]:
        rows = [
            RowDigest("mem_a", 1, is_current=False, trust=first, leaf_index=0, digest="01", subjects=()),
            RowDigest("mem_a", 2, is_current=True, trust=second, leaf_index=1, digest="02", subjects=()),
        ]
        return [one.check for one in compare_rows("clinic", entries, Rows(rows, [], [], [])).findings]

    assert wrong("candidate", "disputed") == wrong("verified", "disputed") == []
    assert wrong("candidate", "candidate") == [ROW_TRUST]


def test_a_row_whose_index_is_no_number_breaks_no_comparison() -> None:
    later = RowDigest(
        "mem_a", 2, is_current=True, trust="x", leaf_index=cast("Any", "a"), digest="", subjects=()
    )
    rows = Rows([replace(later, version=1, is_current=False), later], [], [], [])
    entry = StoredEntry(0, "", b"", '{"digests":["01"],"memories":["mem_a"],"trust":["candidate"]}')
    found = {one.check for one in compare_rows("clinic", [entry], rows).findings}
    assert found == {ROW_DIGEST, ROW_PRESENT, ROW_TRUST}


def test_findings_of_rows_are_bounded_and_show_nothing_unprintable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.row_check.MAX_FINDINGS", 2)
    rows = Rows([], [], [("sub_a", f"\x1b[31m{nth}") for nth in range(5)], [])
    found, more, *_ = compare_rows("clinic", [], rows)
    assert (len(found), more) == (2, 3)
    assert all("\x1b" not in str(finding) for finding in found)
