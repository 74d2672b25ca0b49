# ruff: noqa: S608  # statements are made of our own tables' names
"""The four walls between tenants, each removed in turn: the others hold. Then rows changed by whoever owns the disk.

Policy, query, sealed binding, database: the tests below take one away by name and try to get through.
"""

import sqlite3
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from policies.errors import DeniedError
from policies.model import DECISION_ISSUER, AccessTier, Action, Decision, Purpose, Request, Role
from tests.simulators.clinic import BANK, CLINIC, CLINICIAN, MEMBER, OTHER_OWNER, OWNER, STRANGER, Clinic
from vault.errors import KeyMissingError, NotFoundError, TamperedError, VaultError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.memos import MemOS
from vault.model import SpeakerRole, Turn
from vault.parts import Parts
from vault.storage.engine import reading
from vault.storage.found import FoundRows, found_rows
from vault.storage.read_unit import ReadUnit
from vault.storage.rows import StoredMemory, stored_memory
from vault.storage.schema import MEMORY, WALLED_TABLES

KNEE = "Maria Keller hurt her knee"


class YesToAll:
    """A decider that was bribed."""

    digest = "sha256:" + "00" * 32
    consent = frozenset[Purpose]()
    tells_teams = False
    emergency_minutes = MappingProxyType[Role, int]({})

    def decide(self, request: Request) -> Decision:
        """Allow."""
        return Decision(
            request, allowed=True, bundle_digest=self.digest, rule="bribed", issuer=DECISION_ISSUER
        )


def bribed(clinic: Clinic) -> MemOS:
    """Return the stranger's view of a vault whose policy allows everything."""
    view = clinic.mem(STRANGER)
    parts: Parts = replace(clinic.vault.parts, policy=YesToAll())
    for path in (view._write, view._read, view._update, view._organizer, view._audit):
        path._parts = parts
    return view


def a_memory(clinic: Clinic, tier: AccessTier = AccessTier.PRIVATE) -> str:
    """Write one memory and return its id."""
    principal = OWNER if tier is AccessTier.PRIVATE else MEMBER
    return clinic.mem(principal).extract(KNEE, subject="maria", access_tier=tier).memory_ids[0]


def grant_of_stranger() -> Grant:
    """Return everything that a bribed decider grants the stranger."""
    return authorise(YesToAll(), STRANGER, Action.READ, Purpose.TREATMENT, over=EVERY_MEMORY)


@pytest.mark.parametrize("tier", list(AccessTier))
def test_without_the_policy_wall_the_other_tenant_still_sees_nothing(
    clinic: Clinic, tier: AccessTier
) -> None:
    memory_id = a_memory(clinic, tier if tier is not AccessTier.PUBLIC else AccessTier.INSTITUTIONAL)
    view = bribed(clinic)
    size = len(clinic.log())
    for attempt in (
        lambda: view.get(memory_id),
        lambda: view.reveal(memory_id),
        lambda: view.update(memory_id, "mine"),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert view.retrieve("knee Maria Keller", reveal=True).hits == ()
    assert view.organize(subject="maria").examined == 0
    assert {entry.header.tenant for entry in view.entries(start=0)} == {BANK}
    assert len(clinic.log()) == size


def test_no_decision_about_another_tenant_makes_a_grant() -> None:
    request = Request(
        STRANGER, CLINIC, AccessTier.PRIVATE, EVERY_MEMORY[0][1], Action.READ, Purpose.TREATMENT
    )
    decision = YesToAll().decide(request)
    with pytest.raises(DeniedError):
        Grant(STRANGER, Action.READ, Purpose.TREATMENT, (decision,))


def test_a_grant_of_another_call_opens_nothing(clinic: Clinic) -> None:
    decisions = grant_of_stranger().decisions
    with pytest.raises(DeniedError):
        Grant(OWNER, Action.READ, Purpose.TREATMENT, decisions)
    with pytest.raises(DeniedError):
        Grant(STRANGER, Action.REVEAL, Purpose.TREATMENT, decisions)
    with pytest.raises(DeniedError):
        Grant(STRANGER, Action.READ, Purpose.RESEARCH, decisions)


class Forgetful(ReadUnit):
    """A unit of work whose author forgot the tenant, the owner and the tier."""

    def everything(self) -> list[StoredMemory]:
        """Return what the database gives."""
        return [stored_memory(row) for row in self._connection.execute(select(MEMORY))]


def test_without_the_query_wall_the_database_still_shows_its_own_tenant_alone(clinic: Clinic) -> None:
    a_memory(clinic)
    mine = clinic.mem(STRANGER).extract("a note of the bank").memory_ids[0]
    with reading(clinic.vault.parts.store._readers, BANK) as connection:
        rows = Forgetful(connection, grant_of_stranger()).everything()
    assert [row.memory_id for row in rows] == [mine]
    assert clinic.count("memory") == 2


def test_without_the_policy_and_the_query_wall_the_binding_still_holds(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    (row,) = clinic.vault.parts.store.unembedded(CLINIC) or [_stored(clinic, memory_id)]
    with pytest.raises((KeyMissingError, TamperedError)):
        clinic.vault.parts.sealers.open_memory(BANK, row)
    assert clinic.vault.parts.sealers.open_memory(CLINIC, row).text.endswith("hurt her knee")


def _stored(clinic: Clinic, memory_id: str) -> StoredMemory:
    with reading(clinic.vault.parts.store._readers, CLINIC) as connection:
        query = select(MEMORY).where(MEMORY.c.memory_id == memory_id)
        return stored_memory(connection.execute(query).one())


def test_without_the_database_wall_the_query_still_asks_for_its_own_tenant(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    with clinic.without_wall() as bare:
        assert bare.execute(select(MEMORY)).all(), "this connection has no wall"
        unit = ReadUnit(bare, grant_of_stranger())
        assert unit.memories([memory_id]) == {}
        assert unit.versions(memory_id) == []
        assert unit.about(str(clinic.sql("SELECT subject_id FROM subject")[0][0])) == []
        assert found_rows(bare, grant_of_stranger(), [memory_id]) == FoundRows()


LOG_TABLES = ("leaf", "tile", "subtree", "cosignature")
WALLED = [*sorted(table.name for table in WALLED_TABLES), *(f"audit_{name}" for name in LOG_TABLES)]


@pytest.mark.parametrize("table", WALLED)
def test_the_database_wall_refuses_each_table_but_through_its_view(clinic: Clinic, table: str) -> None:
    a_memory(clinic)
    assert clinic.vault.wait(5)
    with reading(clinic.vault.parts.store._readers, BANK) as connection:
        through_view = connection.execute(text(f"SELECT * FROM {table}")).mappings().all()
        assert {row["tenant_id"] for row in through_view} <= {BANK}
    for way in (
        f"SELECT * FROM main.{table}",
        f"SELECT count(tenant_id) FROM main.{table}",
        f"SELECT (SELECT max(tenant_id) FROM main.{table})",
        f"WITH x AS (SELECT * FROM main.{table}) SELECT * FROM x",
        f"SELECT 1 WHERE EXISTS (SELECT tenant_id FROM main.{table} WHERE tenant_id = '{CLINIC}')",
        f"SELECT current_tenant() UNION ALL SELECT tenant_id FROM main.{table}",
    ):
        with (
            reading(clinic.vault.parts.store._readers, BANK) as connection,
            pytest.raises(DatabaseError, match=r"prohibited|not authorized"),
        ):
            connection.execute(text(way)).all()


@pytest.mark.parametrize(
    "ways",
    [
        ("ATTACH DATABASE '{path}' AS again", "SELECT * FROM again.memory"),
        ("PRAGMA query_only=OFF", "DELETE FROM main.memory"),
        (
            "PRAGMA query_only=OFF",
            "DROP VIEW temp.memory",
            "CREATE TEMP VIEW memory AS SELECT * FROM main.memory",
        ),
        ("PRAGMA writable_schema=ON", "UPDATE sqlite_master SET sql = ''"),
        ("CREATE TEMP TABLE copy AS SELECT * FROM main.memory",),
        ("INSERT INTO main.tenant VALUES ('ghost', 0)",),
        ("VACUUM INTO '{path}.copy'",),
        ("DETACH DATABASE main",),
    ],
    ids=lambda ways: ways[-1][:30],
)
def test_the_database_wall_cannot_be_walked_around_with_sql(clinic: Clinic, ways: tuple[str, ...]) -> None:
    a_memory(clinic)
    refused = False
    with ExitStack() as stack:
        connection = stack.enter_context(reading(clinic.vault.parts.store._readers, BANK))
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        for way in ways:
            try:
                found = raw.execute(way.format(path=clinic.path / "vault.db")).fetchall()
            except sqlite3.DatabaseError:
                refused = True
                break
            assert not found or way.startswith("PRAGMA")
    assert refused
    assert clinic.count("memory") == 1
    assert clinic.count("tenant", "tenant_id = 'ghost'") == 0


def test_a_reader_given_back_sees_no_tenant_until_it_is_lent_again(clinic: Clinic) -> None:
    a_memory(clinic)
    with reading(clinic.vault.parts.store._readers, CLINIC) as connection:
        assert len(connection.execute(select(MEMORY)).all()) == 1
    with clinic.vault.parts.store._readers.connect() as connection:
        assert connection.execute(select(MEMORY)).all() == []


def copy_rows_to_bank(clinic: Clinic) -> None:
    """Give every row of the clinic to the bank, under the stranger's id, which is the owner's id too."""
    for table in ("subject", "episode", "memory", "memory_subject", "embedding"):
        columns = [str(row[1]) for row in clinic.sql(f"PRAGMA table_info({table})") if row[1] != "tenant_id"]
        names = ", ".join(columns)
        clinic.sql(
            f"INSERT INTO {table} (tenant_id, {names}) SELECT '{BANK}', {names} FROM {table} WHERE tenant_id = '{CLINIC}'"
        )


@pytest.mark.parametrize("with_keys", [False, True], ids=["rows", "rows and wrapped keys"])
def test_rows_copied_to_another_tenant_do_not_open_there(clinic: Clinic, *, with_keys: bool) -> None:
    memory_id = a_memory(clinic)
    assert clinic.vault.wait(5)
    clinic.close()
    copy_rows_to_bank(clinic)
    if with_keys:
        clinic.sql(
            "INSERT OR REPLACE INTO keys SELECT ?, kind, subject_id, version, wrapped, fingerprint, state,"
            " seal_reserved, created, staged FROM keys WHERE tenant_id = ? AND kind = 'subject'",
            BANK,
            CLINIC,
            file="keys.db",
        )
    clinic.reopen()
    view = bribed(clinic)
    with pytest.raises((TamperedError, KeyMissingError)):
        view.get(memory_id)
    with pytest.raises((TamperedError, KeyMissingError)):
        view.reveal(memory_id)
    assert view.retrieve("knee Maria Keller", reveal=True).hits == ()
    assert clinic.mem(OWNER).reveal(memory_id).text == KNEE, "the honest tenant is served as before"
    report = clinic.audit(BANK).verify()
    assert [finding.check for finding in report.row_findings] == ["row against log"] * 2, "memory and episode"
    assert clinic.audit().verify().passed


def test_a_row_whose_owner_was_changed_does_not_open_for_the_new_owner(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    clinic.close()
    clinic.sql("UPDATE memory SET owner = ?", OTHER_OWNER.id)
    clinic.reopen()
    for principal in (OTHER_OWNER, CLINICIAN):
        view = clinic.mem(principal)
        for reveal in (False, True):
            with pytest.raises(TamperedError):
                view.reveal(memory_id) if reveal else view.get(memory_id)
            assert clinic.last().payload == {"unreadable": [memory_id]}
            assert clinic.last().outcome == "failed"
    with pytest.raises(TamperedError):
        clinic.mem(OTHER_OWNER).update(memory_id, "mine")
    assert clinic.mem(OTHER_OWNER).retrieve("knee").hits == ()
    assert clinic.count("memory") == 1


@pytest.mark.parametrize("tier", [AccessTier.INSTITUTIONAL, AccessTier.PUBLIC])
def test_a_row_whose_access_tier_was_widened_does_not_open(clinic: Clinic, tier: AccessTier) -> None:
    memory_id = a_memory(clinic)
    assert clinic.vault.wait(5)
    clinic.close()
    clinic.sql("UPDATE memory SET access_tier = ?", tier.value)
    clinic.sql("UPDATE episode SET access_tier = ?", tier.value)
    clinic.reopen()
    for view in (clinic.mem(MEMBER), clinic.mem(OTHER_OWNER), clinic.mem(CLINICIAN)):
        with pytest.raises(TamperedError):
            view.get(memory_id)
        assert view.retrieve("knee Maria").hits == ()
    clinic.sql("UPDATE memory SET access_tier = 'private'")
    clinic.sql("UPDATE episode SET access_tier = 'private'")
    assert clinic.mem(OWNER).reveal(memory_id).text == KNEE


def test_a_row_whose_subjects_were_changed_does_not_open(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    clinic.mem(OWNER).extract("Anna is well", subject="anna")
    other = clinic.sql("SELECT subjects FROM memory WHERE memory_id <> ?", memory_id)[0][0]
    clinic.sql("UPDATE memory SET subjects = ? WHERE memory_id = ?", other, memory_id)
    with pytest.raises(TamperedError):
        clinic.mem(OWNER).get(memory_id)


@pytest.mark.parametrize("column", ["text", "attributes", "originals", "terms"])
def test_a_sealed_field_swapped_between_two_memories_does_not_open_and_is_found(
    clinic: Clinic, column: str
) -> None:
    one = clinic.mem(OWNER).extract("Maria one", subject="maria").memory_ids[0]
    two = clinic.mem(OWNER).extract("Maria two", subject="maria").memory_ids[0]
    values = {
        memory: clinic.sql(f"SELECT {column} FROM memory WHERE memory_id = ?", memory)[0][0]
        for memory in (one, two)
    }
    clinic.sql(f"UPDATE memory SET {column} = ? WHERE memory_id = ?", values[one], two)
    clinic.sql(f"UPDATE memory SET {column} = ? WHERE memory_id = ?", values[two], one)
    found = clinic.audit().verify().row_findings
    assert {finding.got.rsplit(" ", 1)[1] for finding in found} == {one, two}
    if column == "terms":
        clinic.reopen()
        assert clinic.mem(OWNER).retrieve("two").hits == ()
        return
    for memory_id in (one, two):
        with pytest.raises(TamperedError):
            clinic.mem(OWNER).reveal(memory_id)


@pytest.mark.parametrize("column", ["text", "attributes", "originals", "terms"])
def test_a_flipped_bit_in_a_sealed_field_is_found(clinic: Clinic, column: str) -> None:
    memory_id = a_memory(clinic)
    (sealed,) = clinic.sql(f"SELECT {column} FROM memory")[0]
    assert isinstance(sealed, bytes)
    for place in (0, len(sealed) // 2, len(sealed) - 1):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        clinic.sql(f"UPDATE memory SET {column} = ?", changed)
        assert [finding.check for finding in clinic.audit().verify().row_findings] == ["row against log"]
        if column != "terms":
            with pytest.raises(VaultError):
                clinic.mem(OWNER).reveal(memory_id)
    clinic.sql(f"UPDATE memory SET {column} = ?", sealed)
    assert clinic.mem(OWNER).reveal(memory_id).text == KNEE
    assert clinic.audit().verify().passed


def test_one_damaged_row_is_left_out_of_a_list_and_named_in_the_log(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    good = clinic.mem(OWNER).extract("the knee is better").memory_ids[0]
    clinic.sql("UPDATE memory SET text = x'00' WHERE memory_id = ?", memory_id)
    answer = clinic.mem(OWNER).retrieve("knee")
    assert [hit.memory.id for hit in answer.hits] == [good]
    assert clinic.log()[-2].payload == {"unreadable": [memory_id]}
    clinic.sql("UPDATE memory SET text = x'00'")
    for k in (1, 10):
        assert clinic.mem(OWNER).retrieve("knee", k=k).hits == (), "also where it is the only one"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("trust", "'golden'"),
        ("memory_tier", "'attic'"),
        ("access_tier", "'secret'"),
        ("subjects", "''"),
        ("subjects", "'x'"),
        ("text", "'plain'"),
        ("attributes", "x''"),
        ("recorded", "9223372036854775807"),
    ],
)
def test_a_row_of_nonsense_neither_stops_an_opening_nor_a_list(
    clinic: Clinic, column: str, value: str
) -> None:
    memory_id = a_memory(clinic)
    good = clinic.mem(OWNER).extract("the knee is better").memory_ids[0]
    assert clinic.vault.wait(5)
    clinic.sql(f"UPDATE memory SET {column} = {value} WHERE memory_id = ?", memory_id)
    for _ in range(2):
        answer = clinic.mem(OWNER).retrieve("knee")
        assert [hit.memory.id for hit in answer.hits] == [good]
        with pytest.raises(VaultError):
            clinic.mem(OWNER).get(memory_id)
        with pytest.raises(VaultError):
            clinic.mem(OWNER).update(memory_id, "new")
        assert column == "memory_tier" or not clinic.audit().verify().passed
        clinic.mem(OWNER).organize(subject="maria")
        clinic.reopen()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE memory SET position = 7",
        "UPDATE memory SET episode_id = 'epi_00000000000000000000000000'",
        "UPDATE memory SET recorded = recorded + 1",
        "UPDATE memory SET detector = 'none/0'",
        "UPDATE memory SET owner = 'agent-2'",
        "UPDATE memory SET access_tier = 'public'",
        "UPDATE memory SET subjects = 'sub_aaaaaaaaaaaaaaaaaaaaaaaaaa'",
        "UPDATE memory SET version = 3 WHERE version = 2",
        "UPDATE memory SET is_current = 0",
        "UPDATE memory SET is_current = 1",
        "UPDATE memory SET is_current = 1 - is_current",
        "UPDATE memory SET leaf_index = leaf_index + 1",
        "UPDATE memory SET originals = NULL",
        "UPDATE memory SET trust = 'verified' WHERE version = 2",
        "UPDATE memory SET trust = 'revoked' WHERE version = 2",
        "DELETE FROM memory WHERE version = 1",
        "DELETE FROM memory WHERE version = 2",
        "DELETE FROM memory",
    ],
)
def test_a_change_of_any_fixed_column_and_any_missing_row_is_found(clinic: Clinic, change: str) -> None:
    said = (Turn("assistant", KNEE, SpeakerRole.ASSISTANT),)
    memory_id = clinic.mem(OWNER).extract(said, subject="maria").memory_ids[0]
    clinic.mem(OWNER).update(memory_id, "Maria Keller hurt her hip")
    assert clinic.vault.wait(5)
    assert clinic.audit().verify().passed
    clinic.sql(change)
    report = clinic.audit().verify()
    assert not report.passed
    assert report.log.passed, "the log itself is whole"
    assert KNEE not in str(report)


def test_a_version_rolled_back_is_found(clinic: Clinic) -> None:
    memory_id = a_memory(clinic)
    clinic.mem(OWNER).update(memory_id, "Maria Keller hurt her hip")
    clinic.close()
    clinic.sql("DELETE FROM memory WHERE version = 2")
    clinic.sql("UPDATE memory SET is_current = 1")
    clinic.reopen()
    assert clinic.mem(OWNER).get(memory_id).version == 1, "the row itself is genuine"
    (finding,) = clinic.audit().verify().row_findings
    assert memory_id in finding.got + finding.expected
