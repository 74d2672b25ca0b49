"""The consistency check: each kind of damage is found, told with its weight, and put right where a rule allows."""

import json
from datetime import timedelta
from functools import partial
from typing import cast

import pytest

from audit.event import EventType
from audit.intent import intent_payload
from lifecycle.jobs.consistency import ConsistencyJob
from lifecycle.running import Runner, RunOutcome, Scheduled
from tests.simulators.clinic import CLINIC, OWNER, Clinic
from tests.simulators.fakes import FrozenClock
from vault.checking.finding import MAX_FINDINGS
from vault.clock import microseconds
from vault.consistency import STAGES, Check, Consistency, Finding, Findings, Severity
from vault.errors import LeaseLostError, NotFoundError, RootUnreachableError, TamperedError
from vault.model import Chat, Turn
from vault.quarantine import BadVersion, Quarantine, QuarantineReason
from vault.storage.group_commit import WriteSet
from vault.storage.leasing import Leases
from vault.storage.removal import Removal

NOWHERE = "mem_00000000000000000000000000"


@pytest.fixture
def ids(clinic: Clinic) -> list[str]:
    """Six memories about three people, with edges between some, and all vectors made."""
    view = clinic.mem(OWNER)
    written: list[str] = []
    for name in ("maria", "anna", "ines"):
        turns = (
            Turn("Maria Keller", f"The left knee of {name} hurts."),
            Turn("Maria Keller", "It is the right knee."),
        )
        written += view.extract(Chat(turns), subject=name).memory_ids
    view.organize(subject="maria")
    assert clinic.vault.wait(20)
    return written


def check(clinic: Clinic, **options: object) -> Findings:
    found = Consistency(clinic.vault.parts).run(CLINIC, **options)  # type: ignore[arg-type]  # the test's own
    assert clinic.vault.wait(20)
    return found


def of(found: Findings, kind: Check) -> list[Finding]:
    return [one for one in found.found if one.check is kind]


def repairs(clinic: Clinic) -> list[tuple[str, object]]:
    told = ("vault.repair", "memory.quarantine")
    return [
        (entry.event, entry.payload.get("about", entry.payload.get("reason")))
        for entry in clinic.log()
        if entry.event in told
    ]


def found_by(clinic: Clinic) -> set[str]:
    return {hit.memory.id for hit in clinic.mem(OWNER).retrieve("which knee hurts?", k=50).hits}


def test_a_sound_vault_has_no_finding_and_gets_no_entry(clinic: Clinic, ids: list[str]) -> None:
    before = len(clinic.log())
    found = check(clinic)
    assert found.complete
    assert found.found == []
    assert (found.counts["rows"], found.counts["episodes"]) == (len(ids), 3)
    assert len(clinic.log()) == before


DAMAGE: dict[str, tuple[str, Check, QuarantineReason]] = {
    "another row's text": (
        "UPDATE memory SET text = (SELECT text FROM memory WHERE memory_id <> ?1 LIMIT 1) WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "no sealed value": (
        "UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "a number for a text": (
        "UPDATE memory SET attributes = 17 WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "terms that were cut": (
        "UPDATE memory SET terms = substr(terms, 1, 20) WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "another owner": (
        "UPDATE memory SET owner = 'agent-2' WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "a wider tier": (
        "UPDATE memory SET access_tier = 'public' WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.SEAL,
    ),
    "a tier that is none": (
        "UPDATE memory SET access_tier = 'all' WHERE memory_id = ?1",
        Check.ROW,
        QuarantineReason.FORM,
    ),
    "a longer term": (
        "UPDATE memory SET term_start = term_start + 1000000 WHERE memory_id = ?1",
        Check.WORD,
        QuarantineReason.LOG,
    ),
    "another detector": (
        "UPDATE memory SET detector = 'newer/2' WHERE memory_id = ?1",
        Check.WORD,
        QuarantineReason.LOG,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_row_is_found_and_served_no_more_while_the_others_are(
    clinic: Clinic, ids: list[str], damage: str
) -> None:
    statement, kind, reason = DAMAGE[damage]
    bad = ids[2]
    clinic.sql(statement, bad)
    found = check(clinic)
    (told,) = of(found, kind)
    assert (told.severity, told.where) == (Severity.ERROR, bad)
    assert found.counts["quarantined"] == 1
    assert repairs(clinic) == [("memory.quarantine", reason.value)]
    assert clinic.log()[-1].payload == {"unreadable": [bad], "version": 1, "reason": reason.value}
    assert found_by(clinic) == set(ids) - {bad}
    with pytest.raises((TamperedError, NotFoundError)):
        clinic.mem(OWNER).get(bad)
    with pytest.raises((TamperedError, NotFoundError)):
        clinic.mem(OWNER).update(bad, "the right knee")
    assert clinic.count("memory") == len(ids), "evidence stays"


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_in_quarantine_is_told_of_and_not_put_there_again(
    clinic: Clinic, ids: list[str], damage: str
) -> None:
    clinic.sql(DAMAGE[damage][0], ids[0])
    check(clinic)
    before = len(clinic.log())
    found = check(clinic)
    (notice,) = of(found, Check.QUARANTINE)
    assert (notice.severity, notice.where) == (Severity.NOTICE, ids[0])
    assert (found.counts["quarantined"], found.counts["in-quarantine"]) == (0, 1)
    assert len(clinic.log()) == before


def test_quarantine_outlives_the_process_and_a_row_that_was_put_back_is_served_again(
    clinic: Clinic, ids: list[str]
) -> None:
    ((original,),) = clinic.sql("SELECT detector FROM memory WHERE memory_id = ?", ids[1])
    clinic.sql("UPDATE memory SET detector = 'newer/2' WHERE memory_id = ?", ids[1])
    check(clinic)
    clinic.reopen()
    assert found_by(clinic) == set(ids) - {ids[1]}
    clinic.sql("UPDATE memory SET detector = ? WHERE memory_id = ?", original, ids[1])
    assert found_by(clinic) == set(ids) - {ids[1]}, "not before it was looked at"
    (told,) = of(check(clinic), Check.QUARANTINE)
    assert (told.severity, told.repaired) == (Severity.NOTICE, True)
    assert repairs(clinic)[-1] == ("memory.quarantine", "released")
    assert found_by(clinic) == set(ids)
    assert check(clinic).found == []


def test_without_repair_nothing_is_changed_at_all(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?", ids[0])
    clinic.sql("DELETE FROM memory_subject WHERE memory_id = ?", ids[1])
    clinic.sql("DELETE FROM embedding WHERE memory_id = ?", ids[2])
    clinic.vault.parts.indexes.remove(CLINIC, [ids[3]])
    clinic.sql("INSERT INTO edge VALUES (?, ?, 'supports', ?, 1)", CLINIC, ids[4], NOWHERE)
    before = (len(clinic.log()), clinic.state(), clinic.count("quarantine"))
    found = check(clinic, repair=False)
    assert {one.check for one in found.found} == {
        Check.ROW,
        Check.SUBJECT,
        Check.VECTOR,
        Check.EDGE,
        Check.LOG,
        Check.INDEX,
    }
    assert not any(one.repaired for one in found.found)
    assert (len(clinic.log()), clinic.state(), clinic.count("quarantine")) == before


def test_whom_a_memory_is_about_is_put_right_from_its_own_row(clinic: Clinic, ids: list[str]) -> None:
    before = clinic.sql("SELECT * FROM memory_subject ORDER BY 2, 3")
    ((other,),) = clinic.sql("SELECT subject_id FROM memory_subject WHERE memory_id = ?", ids[4])
    clinic.sql("DELETE FROM memory_subject WHERE memory_id = ?", ids[0])
    clinic.sql("INSERT INTO memory_subject VALUES (?, ?, ?)", CLINIC, other, ids[1])
    told = of(check(clinic), Check.SUBJECT)
    assert {(one.where, one.severity, one.repaired) for one in told} == {
        (ids[0], Severity.ERROR, True),
        (ids[1], Severity.ERROR, True),
    }
    assert clinic.sql("SELECT * FROM memory_subject ORDER BY 2, 3") == before
    assert repairs(clinic) == [("vault.repair", "subject-rows")] * 2
    assert check(clinic).found == []


def test_whom_a_bad_row_says_that_it_is_about_is_not_believed(clinic: Clinic, ids: list[str]) -> None:
    """Threat: a row's subjects are changed, so that the check writes them where an erasure looks."""
    ((other,),) = clinic.sql("SELECT subject_id FROM memory_subject WHERE memory_id = ?", ids[4])
    clinic.sql("UPDATE memory SET subjects = ? WHERE memory_id = ?", other, ids[0])
    before = clinic.sql("SELECT * FROM memory_subject ORDER BY 2, 3")
    found = check(clinic)
    assert [one.where for one in of(found, Check.ROW)] == [ids[0]]
    assert clinic.sql("SELECT * FROM memory_subject ORDER BY 2, 3") == before


def test_a_missing_or_bad_vector_is_made_anew(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("DELETE FROM embedding WHERE memory_id = ?", ids[0])
    clinic.sql("UPDATE embedding SET vector = zeroblob(60) WHERE memory_id = ?", ids[1])
    told = of(check(clinic), Check.VECTOR)
    assert {(one.where, one.severity, one.repaired) for one in told} == {
        (ids[0], Severity.WARNING, True),
        (ids[1], Severity.WARNING, True),
    }
    assert clinic.count("embedding") == len(ids)
    assert repairs(clinic) == [("vault.repair", "vectors")] * 2
    assert check(clinic).found == []


def test_an_index_that_lacks_rows_or_has_too_many_is_built_anew(clinic: Clinic, ids: list[str]) -> None:
    indexes = clinic.vault.parts.indexes
    indexes.remove(CLINIC, [ids[0]])
    state = indexes._state(CLINIC).index
    state._rows[NOWHERE] = state._rows[ids[1]]
    told = of(check(clinic), Check.INDEX)
    assert {(one.where, one.severity, one.repaired) for one in told} == {
        (ids[0], Severity.WARNING, True),
        (NOWHERE, Severity.WARNING, True),
    }
    assert found_by(clinic) == set(ids)
    assert repairs(clinic) == [("vault.repair", "index")]
    assert check(clinic).found == []


def _remove(clinic: Clinic, memory_id: str) -> None:
    parts = clinic.vault.parts
    removal = Removal(
        CLINIC, [memory_id], [parts.sealers.tombstones(CLINIC).memory(memory_id)], microseconds(parts.clock())
    )
    draft = parts.journal.event(EventType.MEMORY_EXPIRE, CLINIC, {"gone": [memory_id], "count": 1})
    parts.store.submit(WriteSet(drafts=[draft], changes=[removal.change]))
    parts.indexes.remove(CLINIC, [memory_id])


def test_what_hangs_on_a_memory_that_was_removed_goes_and_what_hangs_on_a_lost_one_stays(
    clinic: Clinic, ids: list[str]
) -> None:
    _remove(clinic, ids[0])
    clinic.sql("INSERT INTO edge VALUES (?, ?, 'supports', ?, 1)", CLINIC, ids[1], ids[0])
    clinic.sql("INSERT INTO usage VALUES (?, ?, 5)", CLINIC, ids[0])
    clinic.sql("INSERT INTO edge VALUES (?, ?, 'supports', ?, 1)", CLINIC, ids[2], NOWHERE)
    told = of(check(clinic), Check.EDGE)
    assert sorted((one.where, one.severity.value, one.repaired) for one in told) == sorted(
        [
            (NOWHERE, "error", False),
            (ids[0], "warning", True),
            (ids[0], "warning", True),
        ]
    )
    assert clinic.count("usage") == 0
    assert clinic.count("edge", f"target_id = '{ids[0]}'") == 0
    assert clinic.count("edge", f"target_id = '{NOWHERE}'") == 1, "evidence of a row that is missing"
    assert repairs(clinic) == [("vault.repair", "hanging-rows")]


def test_a_memory_that_was_removed_and_is_there_again_is_not_served(clinic: Clinic, ids: list[str]) -> None:
    columns = [str(row[1]) for row in clinic.sql("PRAGMA table_info(memory)")]
    (row,) = clinic.sql("SELECT * FROM memory WHERE memory_id = ?", ids[0])
    _remove(clinic, ids[0])
    clinic.sql(f"INSERT INTO memory VALUES ({', '.join('?' for _ in columns)})", *row)  # noqa: S608  # question marks
    clinic.reopen()
    assert ids[0] in found_by(clinic)
    found = check(clinic)
    (told,) = of(found, Check.TOMBSTONE)
    assert (told.where, told.severity) == (ids[0], Severity.ERROR)
    assert of(found, Check.LOG), "the log knows, too"
    assert found_by(clinic) == set(ids) - {ids[0]}
    assert repairs(clinic)[0] == ("memory.quarantine", "removed")


def test_a_row_that_is_missing_is_told_of_and_nothing_is_made_up(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("DELETE FROM memory WHERE memory_id = ?", ids[0])
    found = check(clinic)
    assert any(ids[0] in one.expected for one in of(found, Check.LOG))
    assert found.errors >= 1
    assert repairs(clinic) == [("vault.repair", "index")], "it can be found no more, and that is all"


def test_an_episode_and_a_name_that_are_others_are_told_of(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("UPDATE episode SET attributes = zeroblob(80) WHERE rowid = (SELECT min(rowid) FROM episode)")
    clinic.sql("UPDATE subject SET name = (SELECT name FROM subject LIMIT 1 OFFSET 1) WHERE rowid = 1")
    found = check(clinic)
    assert [one.severity for one in of(found, Check.EPISODE)] == [Severity.ERROR]
    assert [one.severity for one in of(found, Check.NAME)] == [Severity.ERROR]
    assert found_by(clinic) == set(ids)


def test_rows_that_no_program_of_ours_wrote_do_not_stop_the_check(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("UPDATE memory SET memory_id = 'Maria Keller' WHERE memory_id = ?", ids[0])
    clinic.sql("UPDATE memory SET version = 'x' WHERE memory_id = ?", ids[1])
    clinic.sql("UPDATE episode SET recorded = 'x' WHERE rowid = 1")
    clinic.sql("UPDATE memory SET leaf_index = 'x' WHERE memory_id = ?", ids[2])
    found = check(clinic)
    assert found.complete
    assert found.errors >= 4
    told = json.dumps([(one.where, one.expected, one.got) for one in found.found])
    assert "Maria" not in told
    assert not any("Maria" in json.dumps(entry.payload) for entry in clinic.log())


def test_a_class_that_the_rules_do_not_know_is_told_of(clinic: Clinic, ids: list[str]) -> None:
    """As after a change of retention.yaml: the row is what the log says, and its class is no more."""
    parts = clinic.vault.parts
    kept = parts.retention
    used = {str(row[0]) for row in clinic.sql("SELECT DISTINCT retention FROM memory")}
    fewer = kept.model_copy(update={"classes": tuple(one for one in kept.classes if one.id not in used)})
    object.__setattr__(parts, "retention", fewer)
    try:
        told = of(check(clinic), Check.RETENTION)
    finally:
        object.__setattr__(parts, "retention", kept)
    assert {one.where for one in told} == set(ids)
    assert {one.severity for one in told} == {Severity.WARNING}
    assert repairs(clinic) == []


def test_keys_are_held_against_the_log(clinic: Clinic, ids: list[str]) -> None:
    rows = clinic.sql("SELECT subject_id, fingerprint FROM keys WHERE kind = 'subject'", file="keys.db")
    (near, _), (back, fingerprint), (gone, _) = rows
    limit = clinic.vault.parts.sealers.key_limits.seals
    clinic.vault.close()
    clinic.sql(
        "UPDATE keys SET seal_reserved = ? WHERE subject_id = ?",
        int(0.9 * limit),
        near,
        file="keys.db",
    )
    clinic.sql(
        "UPDATE keys SET wrapped = x'', state = 'destroyed' WHERE subject_id = ?", gone, file="keys.db"
    )
    clinic.reopen()
    parts = clinic.vault.parts
    told: dict[str, object] = {"fingerprints": [fingerprint], "subjects": [back]}
    parts.journal.write([parts.journal.event(EventType.KEY_DESTROY, CLINIC, cast("dict[str, str]", told))])
    found = of(check(clinic), Check.KEY)
    assert {(one.where, one.severity) for one in found} == {
        (near, Severity.WARNING),
        (back, Severity.ERROR),
        (gone, Severity.ERROR),
    }
    assert repairs(clinic) == []


def test_rows_whose_key_was_destroyed_are_no_tampering(clinic: Clinic, ids: list[str]) -> None:
    ((subject,),) = clinic.sql("SELECT subject_id FROM memory_subject WHERE memory_id = ?", ids[0])
    clinic.vault.parts.sealers.destroy(CLINIC, str(subject))
    found = check(clinic)
    assert {(one.where, one.severity) for one in of(found, Check.ROW)} == {
        (ids[0], Severity.WARNING),
        (ids[1], Severity.WARNING),
    }
    assert clinic.count("quarantine") == 0


def test_an_old_intent_without_outcome_is_told_of_and_a_young_one_is_not(
    clinic: Clinic, ids: list[str]
) -> None:
    parts = clinic.vault.parts
    draft = parts.journal.event(EventType.EFFECT_INTENT, CLINIC, intent_payload("audit.export", {}))
    parts.journal.write([draft])
    assert of(check(clinic), Check.INTENT) == []
    cast("FrozenClock", clinic.options.clock).advance(timedelta(hours=1))
    (told,) = of(check(clinic), Check.INTENT)
    assert told.severity is Severity.WARNING


def test_a_check_that_is_cut_short_anywhere_goes_on_and_finds_the_same(
    clinic: Clinic, ids: list[str]
) -> None:
    clinic.sql("UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?", ids[3])
    clinic.sql("UPDATE episode SET attributes = zeroblob(80) WHERE rowid = 2")
    whole = check(clinic, repair=False)
    assert whole.complete
    pieces: list[Finding] = []
    cursor, rounds, rows, stages = "", 0, 0, set()
    while True:
        asked = iter([True, True])
        piece = check(clinic, repair=False, batch=2, cursor=cursor, may_go_on=partial(next, asked, None))
        pieces += piece.found
        rows += piece.counts["rows"]
        rounds += 1
        if piece.complete:
            break
        cursor = piece.cursor
        stages.add(cursor.split(" ")[0])
        assert rounds < 60
    assert sorted(pieces, key=repr) == sorted(whole.found, key=repr)
    assert rows == len(ids)
    assert stages >= {"memories", "episodes", "names"}


def test_a_job_whose_time_is_out_goes_on_with_the_check_where_it_was(clinic: Clinic, ids: list[str]) -> None:
    asked = iter([0.0] * 10)
    runner = Runner(clinic.vault.parts, monotonic=lambda: next(asked, 1_000.0))
    job = Scheduled(ConsistencyJob(), "checks", None, seconds=600, batch=2)
    first = runner.run(job, CLINIC)
    assert first is not None
    assert first.outcome is RunOutcome.PARTIAL
    assert runner.state(CLINIC, "consistency").cursor.startswith("memories mem_")
    rest = Runner(clinic.vault.parts).run(job, CLINIC)
    assert rest is not None
    assert rest.outcome is RunOutcome.COMPLETE
    assert first.counts["rows"] + rest.counts["rows"] == len(ids)


def test_no_more_findings_are_kept_than_anybody_reads_and_all_are_counted() -> None:
    findings = Findings()
    for nth in range(MAX_FINDINGS + 7):
        findings.add(Finding(Check.ROW, Severity.ERROR, f"mem_{nth}", "a row", "none"))
    assert (len(findings.found), findings.more, findings.errors) == (MAX_FINDINGS, 7, MAX_FINDINGS + 7)


def test_a_key_of_a_row_that_is_not_there_is_no_destroyed_one(clinic: Clinic, ids: list[str]) -> None:
    ((subject,),) = clinic.sql("SELECT subject_id FROM memory_subject WHERE memory_id = ?", ids[0])
    clinic.vault.close()
    clinic.sql("DELETE FROM keys WHERE subject_id = ?", subject, file="keys.db")
    clinic.reopen()
    found = check(clinic)
    assert {one.where for one in of(found, Check.ROW)} == {ids[0], ids[1]}
    assert repairs(clinic) == [("memory.quarantine", "key-missing")] * 2
    assert [one.where for one in of(found, Check.NAME)] == [subject]


def test_an_entry_of_a_destruction_that_was_altered_is_not_believed(clinic: Clinic, ids: list[str]) -> None:
    """Threat: an entry is altered so that it tells of a key that nobody destroyed by the rules."""
    ((subject, fingerprint),) = clinic.sql(
        "SELECT subject_id, fingerprint FROM keys WHERE kind = 'subject' LIMIT 1", file="keys.db"
    )
    parts = clinic.vault.parts
    parts.journal.write([parts.journal.event(EventType.KEY_DESTROY, CLINIC, {"fingerprints": []})])
    guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_leaf'"
    for (trigger,) in clinic.sql(guards):
        clinic.sql(f"DROP TRIGGER {trigger}")
    forged = json.dumps({"fingerprints": [fingerprint]}, separators=(",", ":"))
    clinic.sql("UPDATE audit_leaf SET payload = ? WHERE event = 'key.destroy'", forged)
    clinic.vault.parts.sealers.destroy(CLINIC, str(subject))
    assert [one.where for one in of(check(clinic), Check.KEY)] == [subject]


def test_a_cursor_that_is_none_begins_anew(clinic: Clinic, ids: list[str]) -> None:
    for cursor in ("nowhere", "", "index-x mem_0", " "):
        assert check(clinic, cursor=cursor).counts["rows"] == len(ids)
    assert check(clinic, cursor=f"{STAGES[-1]} ").counts["rows"] == 0


def test_who_lost_the_lease_puts_nothing_right(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?", ids[0])
    leases = Leases(clinic.vault.parts.store, clinic.vault.parts.clock)
    lease = leases.take(CLINIC, "consistency", "one", 60)
    assert lease is not None
    leases.release(lease)
    with pytest.raises(LeaseLostError):
        check(clinic, fence=leases.fence(lease))
    assert clinic.count("quarantine") == 0
    assert repairs(clinic) == []


def test_a_root_that_cannot_be_asked_says_nothing_of_rows(
    clinic: Clinic, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise RootUnreachableError("no answer")

    monkeypatch.setattr(type(clinic.vault.parts.sealers), "open_memory", unreachable)
    with pytest.raises(RootUnreachableError):
        check(clinic)
    assert clinic.count("quarantine") == 0


def test_a_row_that_changed_since_it_was_seen_is_not_put_into_quarantine(
    clinic: Clinic, ids: list[str]
) -> None:
    quarantine = Quarantine(clinic.vault.parts)
    bad = BadVersion(ids[0], 1, "00" * 32, QuarantineReason.SEAL)
    assert not quarantine.put(CLINIC, bad)
    assert not quarantine.put(CLINIC, BadVersion(NOWHERE, 1, "00" * 32, QuarantineReason.SEAL))
    assert clinic.count("quarantine") == 0
    assert repairs(clinic) == []
    assert found_by(clinic) == set(ids)


def test_what_is_in_quarantine_can_still_be_removed(clinic: Clinic, ids: list[str]) -> None:
    clinic.sql("UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?", ids[0])
    check(clinic)
    _remove(clinic, ids[0])
    assert (clinic.count("quarantine"), clinic.count("memory")) == (0, len(ids) - 1)
    assert check(clinic).found == []


def test_the_check_runs_beside_writers_and_finds_nothing_that_they_do(clinic: Clinic, ids: list[str]) -> None:
    import threading  # noqa: PLC0415

    stop, errors = threading.Event(), []

    def write() -> None:
        view = clinic.mem(OWNER)
        try:
            while not stop.is_set():
                receipt = view.extract(Chat((Turn("Maria Keller", "Another knee hurts."),)), subject="maria")
                view.update(receipt.memory_ids[0], "It was the elbow.")
        except Exception as error:  # noqa: BLE001  # the test's to tell
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            found = Consistency(clinic.vault.parts).run(CLINIC, batch=7)
            assert [one for one in found.found if one.check is not Check.VECTOR] == []
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert errors == []
    assert len(ids) < clinic.count("memory")
