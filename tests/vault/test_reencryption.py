# ruff: noqa: S608  # statements are made of our own names
"""Re-encryption: every row under the newest key, each vouched for by the log, and a proof that none is left."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from policies.model import Purpose
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, OWNER, Clinic, RawEntry, make_template
from tests.simulators.fakes import fake_options
from vault import reencryption, row_word
from vault.auditing import AuditView
from vault.crypto.aead import key_versions
from vault.crypto.key_record import KeyKind
from vault.crypto.keyring import TenantKeys
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError, LeaseLostError, RootSealedError, TamperedError
from vault.model import Chat, Document, Turn
from vault.opening import Vault
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.reencryption import BATCH, TRIES, Reencrypted, Reencryption
from vault.storage.group_commit import WriteSet
from vault.storage.key_heads import Newest
from vault.storage.schema import MEMORY

HEADS = {
    "memory": ("text", "attributes", "originals", "terms"),
    "embedding": ("vector",),
    "episode": ("attributes",),
    "subject": ("name",),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault that knows Anna alone, Anna with Ben, and Ben alone; one memory in two versions."""
    made = Clinic(template, tmp_path / "vault")
    fill(made)
    yield made
    made.close()


def fill(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    first = view.extract(
        Chat((Turn("Maria Keller", "Maria Keller calls 212-555-0147"), Turn("Dr Ng", "the knee is better"))),
        subject="anna",
    ).memory_ids[0]
    view.update(first, "Maria Keller calls 212-555-0148 now")
    view.extract(Chat((Turn("Dr Ng", "both share a room"),)), subject=("anna", "ben"))
    view.extract(Document("Ben sleeps well", title="Ben's night", tags=("sleep",)), subject="ben")
    assert clinic.vault.wait(20)


def keys_of(clinic: Clinic) -> TenantKeys:
    return clinic.vault.parts.keyring.tenant(CLINIC)


def run(clinic: Clinic) -> Reencrypted:
    *_, last = Reencryption(clinic.vault.parts, CLINIC).run()
    return last


def shown(clinic: Clinic) -> dict[str, tuple[str, str]]:
    """Return what everybody may read, masked and in clear."""
    masked = clinic.mem(OWNER)
    ids = [str(row[0]) for row in clinic.sql("SELECT memory_id FROM memory WHERE is_current = 1 ORDER BY 1")]
    return {one: (masked.get(one).text, masked.reveal(one).text) for one in ids}


def versions(clinic: Clinic) -> set[tuple[int, ...]]:
    """Return the key versions of every sealed value in the store."""
    return {
        key_versions(Sealed(bytes(value)))
        for table, columns in HEADS.items()
        for column in columns
        for (value,) in clinic.sql(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
        if isinstance(value, bytes)
    }


def reencryptions(clinic: Clinic) -> list[RawEntry]:
    return [entry for entry in clinic.log() if entry.event == "key.reencrypt"]


def expect_verified(clinic: Clinic) -> None:
    report = AuditView(clinic.vault.parts).verify(AUDITOR, Purpose.AUDIT)
    assert report.passed, report


def test_after_a_rotation_every_field_of_every_row_is_sealed_anew_and_says_the_same(clinic: Clinic) -> None:
    before, keys = shown(clinic), keys_of(clinic)
    anna, ben = keys.subject_id("anna"), keys.subject_id("ben")
    hits = [hit.memory.id for hit in clinic.mem(OWNER).retrieve("knee room night", k=9).hits]
    assert keys.rotate(anna) == 2
    last = run(clinic)
    assert (last.memories, last.embeddings, last.episodes, last.names) == (4, 3, 2, 1)
    assert (last.remaining, last.unreadable) == (0, [])
    assert [(name.subject, name.version) for name in last.idle] == [(anna, 1)]
    joint = (2, 1) if anna < ben else (1, 2)
    assert versions(clinic) == {(2,), (1,), joint}
    assert shown(clinic) == before
    expect_verified(clinic)
    clinic.reopen()
    assert shown(clinic) == before
    assert [hit.memory.id for hit in clinic.mem(OWNER).retrieve("knee room night", k=9).hits] == hits


def test_the_log_names_each_row_and_says_at_the_end_that_none_is_left(clinic: Clinic) -> None:
    keys = keys_of(clinic)
    marks = {record.name.subject: record.fingerprint for record in keys.records()}
    anna = keys.subject_id("anna")
    keys.rotate(anna)
    run(clinic)
    *batches, end = reencryptions(clinic)
    named = [
        (memory, version)
        for entry in batches
        for memory, version in zip(entry.payload["memories"], entry.payload["versions"], strict=True)  # type: ignore[call-overload]  # JSON
    ]
    moved = clinic.sql("SELECT memory_id, version FROM memory WHERE resealed IS NOT NULL")
    assert sorted(named) == sorted(moved)
    assert len(named) == 4
    assert (end.payload["remaining"], end.payload["fingerprints"]) == (0, [marks[anna]])
    assert (end.payload["count"], end.payload["rows"]) == (4, 10)
    again = run(clinic)
    assert (again.rows, again.remaining) == (0, 0), "nothing is due, and that is proven anew"


def test_all_keys_destroyed_but_the_newest_leave_everything_readable(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, keys = shown(clinic), keys_of(clinic)
    for subject in (keys.subject_id("anna"), keys.subject_id("ben")):
        for _ in range(11):
            keys.rotate(subject)
    last = run(clinic)
    assert len(last.idle) == 22
    assert versions(clinic) == {(12,), (12, 12)}
    clinic.reopen()
    assert len(keys_of(clinic).destroy_retired(last.idle)) == 22
    clinic.reopen()
    assert shown(clinic) == before
    assert run(clinic).remaining == 0
    expect_verified(clinic)


def test_a_row_that_somebody_altered_is_not_vouched_for(clinic: Clinic) -> None:
    """Its sealed fields open; its class of retention is another. A new digest would make that the truth."""
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    (memory,) = clinic.sql("SELECT memory_id FROM memory ORDER BY memory_id LIMIT 1")[0]
    clinic.sql("UPDATE memory SET recorded = recorded - 1 WHERE memory_id = ? AND version = 1", memory)
    before = clinic.sql("SELECT * FROM memory WHERE memory_id = ? AND version = 1", memory)
    last = run(clinic)
    assert last.unreadable == [memory]
    assert (last.remaining, last.idle) == (1, ())
    assert reencryptions(clinic)[-1].payload["remaining"] == 1
    assert clinic.sql("SELECT * FROM memory WHERE memory_id = ? AND version = 1", memory) == before
    report = AuditView(clinic.vault.parts).verify(AUDITOR, Purpose.AUDIT)
    assert [finding.check for finding in report.row_findings] == ["row against log"]


@pytest.mark.parametrize(
    ("table", "column"),
    [("memory", "text"), ("memory", "terms"), ("embedding", "vector"), ("subject", "name")],
)
def test_a_value_that_does_not_open_stays_and_is_told_of(clinic: Clinic, table: str, column: str) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    keys.rotate(keys.subject_id("ben"))
    (place,) = clinic.sql(f"SELECT rowid FROM {table} LIMIT 1")[0]
    whole = clinic.sql(f"SELECT {column} FROM {table} WHERE rowid = ?", place)[0][0]
    assert isinstance(whole, bytes)
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    clinic.sql(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", changed, place)
    last = run(clinic)
    assert len(last.unreadable) == 1
    assert last.remaining == 1
    assert last.idle == ()
    assert clinic.sql(f"SELECT {column} FROM {table} WHERE rowid = ?", place) == [(changed,)]


def test_a_row_of_no_form_is_told_of_and_ends_nothing(clinic: Clinic) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    keys.rotate(keys.subject_id("ben"))
    clinic.sql("UPDATE memory SET trust = 'nonsense' WHERE rowid = (SELECT min(rowid) FROM memory)")
    clinic.sql("UPDATE episode SET access_tier = 'nowhere' WHERE rowid = (SELECT min(rowid) FROM episode)")
    clinic.sql("UPDATE memory SET text = 'clear' WHERE rowid = (SELECT max(rowid) FROM memory)")
    last = run(clinic)
    assert len(last.unreadable) == 3
    assert last.remaining == 3


def test_what_was_shredded_is_passed_over_and_is_not_in_the_way(clinic: Clinic) -> None:
    keys = keys_of(clinic)
    anna, ben = keys.subject_id("anna"), keys.subject_id("ben")
    keys.rotate(ben)
    keys.rotate(anna)
    keys.destroy(anna)
    last = run(clinic)
    assert (last.memories, last.unreadable, last.remaining) == (1, [], 0)
    assert [(name.subject, name.version) for name in last.idle] == [(ben, 1)]
    assert clinic.count("memory", "resealed IS NULL") == 4


def test_an_update_that_overtakes_a_batch_is_kept_and_the_batch_read_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, parts = keys_of(clinic), clinic.vault.parts
    keys.rotate(keys.subject_id("anna"))
    memory = str(clinic.sql("SELECT memory_id FROM memory WHERE is_current = 1 ORDER BY 1 LIMIT 1")[0][0])
    told: list[bool] = []
    real = parts.store.submit

    def submit(work: WriteSet) -> object:
        if not told and work.drafts[0].payload.get("kind") == "memory":
            told.append(True)
            *_, _last = Reencryption(parts, CLINIC).run()  # another worker was faster
            clinic.mem(OWNER).update(memory, "Maria Keller moved away")
        return real(work)

    monkeypatch.setattr(parts.store, "submit", submit)
    last = run(clinic)
    assert told
    assert last.remaining == 0
    assert "moved away" in clinic.mem(OWNER).get(memory).text
    assert clinic.vault.wait(20)
    expect_verified(clinic)


def test_rows_that_change_faster_than_they_are_read_end_the_run_and_lose_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, parts, before = keys_of(clinic), clinic.vault.parts, shown(clinic)
    keys.rotate(keys.subject_id("anna"))
    tried: list[WriteSet] = []
    real = parts.store.submit

    def submit(work: WriteSet) -> object:
        if work.drafts[0].payload.get("kind") == "memory":
            tried.append(work)
            work.changes.insert(0, _change_all)
        return real(work)

    with monkeypatch.context() as patched:
        patched.setattr(parts.store, "submit", submit)
        with pytest.raises(ConflictError):
            run(clinic)
    assert len(tried) == TRIES
    assert shown(clinic) == before
    assert clinic.count("memory", "resealed IS NOT NULL") == 0
    assert run(clinic).remaining == 0


def _change_all(connection: Connection, _leaves: object) -> None:
    connection.execute(update(MEMORY).values(resealed=1))


def test_a_write_under_an_older_key_is_found_by_the_count_and_moved_by_the_next_run(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit of work that began before the rotation may still seal under the older version."""
    keys, parts = keys_of(clinic), clinic.vault.parts
    anna = keys.subject_id("anna")
    held = keys.sealing_key([anna])
    keys.rotate(anna)
    steps = Reencryption(parts, CLINIC).run()
    next(steps)
    with monkeypatch.context() as patched:
        patched.setattr(TenantKeys, "sealing_key", lambda _self, _subjects, **_kw: held)
        clinic.mem(OWNER).extract(Chat((Turn("Dr Ng", "an old hand writes"),)), subject="anna")
    *_, last = steps
    assert clinic.vault.wait(20)
    again = run(clinic)
    assert (last.memories + again.memories, again.remaining) == (5, 0)


def test_a_run_goes_on_only_while_it_may_and_the_next_one_ends_it(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    view.extract(Chat(tuple(Turn("Dr Ng", f"note {nth}") for nth in range(3 * BATCH))), subject="anna")
    assert clinic.vault.wait(20)
    before, keys = shown(clinic), keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    rounds, last = 0, Reencrypted()
    while last.remaining is None and rounds < 20:
        rounds += 1
        left = [True, True, False]
        *_, last = Reencryption(clinic.vault.parts, CLINIC).run(may_go_on=partial(left.pop, 0))
        assert last.rows <= 2 * BATCH
    assert rounds > 2
    assert last.remaining == 0
    assert shown(clinic) == before
    expect_verified(clinic)


def test_a_lost_lease_writes_nothing(clinic: Clinic) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    before = versions(clinic), len(clinic.log())

    def fence(_connection: Connection, _leaves: object) -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        list(Reencryption(clinic.vault.parts, CLINIC).run(fence=fence))
    assert (versions(clinic), len(clinic.log())) == before


def test_a_root_that_cannot_be_used_ends_the_run_and_says_nothing_of_the_rows(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    clinic.reopen()

    def sealed(_boxes: object) -> object:
        raise RootSealedError("the transit server is sealed")

    with monkeypatch.context() as patched:
        patched.setattr(clinic.vault.parts.sealers.root, "unwrap_many", sealed)
        clinic.vault.parts.keyring._keys._leases.clear()
        with pytest.raises(RootSealedError):
            run(clinic)
    last = run(clinic)
    assert (last.remaining, last.unreadable) == (0, [])


@pytest.mark.parametrize("step", ["begin", "logged", "inserted", "committed"])
def test_a_kill_anywhere_leaves_a_vault_that_opens_verifies_and_goes_on(clinic: Clinic, step: str) -> None:
    before, keys = shown(clinic), keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    keys.rotate(keys.subject_id("ben"))
    clinic.close()
    kills = 0
    while run_child(partial(_die_in_a_run, clinic.path, step, kills)).killed:
        kills += 1
        clinic.reopen()
        assert shown(clinic) == before
        expect_verified(clinic)
        clinic.close()
    assert kills >= 2
    clinic.reopen()
    assert run(clinic).remaining == 0
    assert versions(clinic) == {(2,), (2, 2)}
    assert shown(clinic) == before
    expect_verified(clinic)


def _die_in_a_run(path: Path, at: str, after: int, _tell: Tell) -> None:
    passed = [0]

    def probe(step: str) -> None:
        if step != at or not passed[0]:
            return
        if passed[0] > after:
            os.kill(os.getpid(), signal.SIGKILL)
        passed[0] += 1

    vault = Vault.open(path, options=fake_options(probe=probe))
    passed[0] = 1
    with suppress(ConflictError):
        list(Reencryption(vault.parts, CLINIC).run())


def test_heads_are_compared_as_numbers() -> None:
    newest = Newest({"sub_a": 10, "sub_b": 2}, frozenset({"sub_c"}))

    def head(*numbers: int) -> bytes:
        return bytes([1, len(numbers)]) + b"".join(number.to_bytes(4) for number in numbers) + b"rest"

    assert not newest.is_due("sub_a", head(10))
    assert newest.is_due("sub_a", head(9))
    assert not newest.is_due("sub_a", head(100)), "rotated since it was looked which is the newest"
    assert newest.is_due("sub_a sub_b", head(10, 1))
    assert not newest.is_due("sub_a sub_b", head(10, 2))
    assert not newest.is_due("sub_a sub_c", head(1, 1)), "shredded"
    assert not newest.is_due("sub_new", head(1)), "came to be since"
    assert newest.is_due("sub_a", None)
    assert newest.is_due("sub_a", b"\x02")
    assert newest.is_due("", b"")


def test_only_keys_of_subjects_are_looked_at(clinic: Clinic) -> None:
    assert {record.name.kind for record in keys_of(clinic).records()} > {KeyKind.SUBJECT}
    assert run(clinic).idle == ()


def test_a_run_that_is_proven_already_is_left(clinic: Clinic) -> None:
    keys, move = keys_of(clinic), Reencryption(clinic.vault.parts, CLINIC)
    assert [step.remaining for step in move.run(unless_proven=True)] == [0], "no key was ever rotated"
    assert reencryptions(clinic) == []
    keys.rotate(keys.subject_id("anna"))
    *_, last = move.run(unless_proven=True)
    assert (last.memories, last.remaining) == (4, 0)
    told = len(reencryptions(clinic))
    (again,) = move.run(unless_proven=True)
    assert (again.remaining, again.idle, len(reencryptions(clinic))) == (0, last.idle, told)
    keys.rotate(keys.subject_id("ben"))
    *_, other = move.run(unless_proven=True)
    assert other.rows > 0
    assert len(reencryptions(clinic)) > told


def test_rows_whose_entry_was_erased_are_moved_for_nobody_can_say_what_they_were(clinic: Clinic) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))
    wrote = [entry.index for entry in clinic.log() if entry.event in {"memory.write", "memory.update"}]
    erasure = PayloadErasure(clinic.vault.parts)
    erasure.erase(ADMINISTRATOR, Purpose.OPERATIONS, wrote, ErasureReason.ERASURE_REQUEST)
    last = run(clinic)
    assert (last.memories, last.remaining, last.unreadable) == (4, 0, [])


def test_an_entry_that_is_not_what_its_leaf_says_vouches_for_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(clinic)
    keys.rotate(keys.subject_id("anna"))

    def not_so(_stored: object, _index: int, _tenant: str) -> object:
        raise TamperedError("not what its leaf says")

    with monkeypatch.context() as patched:
        patched.setattr(row_word, "checked", not_so)
        last = run(clinic)
    assert (last.memories, last.episodes, last.embeddings, last.names) == (0, 0, 3, 1)
    assert last.remaining == 6
    assert run(clinic).remaining == 0


def test_a_count_that_changes_while_it_is_told_is_told_anew(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([0, 1, 0, 0])
    monkeypatch.setattr(reencryption, "count_due", lambda *_given: next(counts))
    last = run(clinic)
    assert last.remaining == 0
    assert len(reencryptions(clinic)) == 1
    counts = iter(range(100))
    with pytest.raises(ConflictError, match="faster"):
        run(clinic)
    assert len(reencryptions(clinic)) == 1


def test_a_lease_that_is_lost_at_the_end_leaves_the_proof_untold(clinic: Clinic) -> None:
    def fence(_connection: Connection, _leaves: object) -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        list(Reencryption(clinic.vault.parts, CLINIC).run(fence=fence))
    assert reencryptions(clinic) == []
