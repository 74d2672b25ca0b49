"""A flipped bit that leaves a text column no UTF-8: one row is lost to it, and nobody else notices (law 12)."""

import sqlite3
from contextlib import closing
from itertools import product

import pytest
from sqlalchemy import String

from tests.simulators.clinic import CLINIC, OWNER, Clinic
from vault.consistency import Consistency
from vault.model import Chat, Turn
from vault.storage.damaged_text import MARK, before_damage, is_damaged, read_damaged_text
from vault.storage.schema import CONTENT_TABLES, EPISODE, MEMORY

_KEYS = {"tenant_id", "memory_id"}
"""Of the column by which a wall hides a row, and of the one by which a row is named at all."""
MEMORY_TEXT = [one.name for one in MEMORY.c if type(one.type) is String and one.name not in _KEYS]
EPISODE_TEXT = [one.name for one in EPISODE.c if type(one.type) is String and one.name != "tenant_id"]
ALL_TEXT = [
    (table.name, one.name)
    for table in CONTENT_TABLES
    for one in table.c
    if isinstance(one.type, String) and one.name != "tenant_id"
]


@pytest.fixture
def ids(clinic: Clinic) -> list[str]:
    """Four memories about two people, with edges between some, and all vectors made."""
    view, written = clinic.mem(OWNER), list[str]()
    for name in ("maria", "anna"):
        turns = (
            Turn("Maria Keller", f"{name} has an aching knee and likes apples."),
            Turn("Maria Keller", f"{name} likes apples and has an aching knee."),
        )
        written += view.extract(Chat(turns), subject=name).memory_ids
    view.organize(subject="maria")
    assert clinic.vault.wait(20)
    return written


def flip(clinic: Clinic, table: str, column: str, place: str, where: str = "1") -> None:
    """Flip bit 7 of a byte, so that the text is no UTF-8."""
    clinic.vault.close()
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection, connection:
        query = (
            f"SELECT rowid, CAST({column} AS BLOB) FROM {table} WHERE {where} AND length({column}) LIMIT 1"  # noqa: S608  # names of our own tables
        )
        rowid, stored = connection.execute(query).fetchone()
        damaged = bytearray(stored)
        damaged[0 if place == "first" else len(stored) // 2] ^= 0x80
        connection.execute(
            f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ?",  # noqa: S608  # names of our own tables
            (bytes(damaged), rowid),
        )
    clinic.reopen()


def found_by(clinic: Clinic) -> set[str]:
    return {hit.memory.id for hit in clinic.mem(OWNER).retrieve("aching knee apples", k=50).hits}


@pytest.mark.parametrize(("column", "place"), list(product(MEMORY_TEXT, ["first", "middle"])))
def test_a_memory_with_damaged_text_is_quarantined_for_its_form_and_the_others_are_served(
    clinic: Clinic, ids: list[str], column: str, place: str
) -> None:
    flip(clinic, "memory", column, place, f"memory_id = '{ids[0]}'")
    assert found_by(clinic) == set(ids[1:])
    found = Consistency(clinic.vault.parts).run(CLINIC)
    assert found.complete
    assert found.errors
    assert clinic.sql("SELECT memory_id, reason FROM quarantine") == [(ids[0], "form")]
    assert found_by(clinic) == set(ids[1:])


@pytest.mark.parametrize(
    ("table", "column", "place"), [(*one, at) for one in ALL_TEXT for at in ("first", "middle")]
)
def test_no_damaged_text_keeps_a_vault_from_opening_searching_writing_or_being_checked(
    clinic: Clinic, ids: list[str], table: str, column: str, place: str
) -> None:
    flip(clinic, table, column, place)
    assert len(found_by(clinic) & set(ids)) >= len(ids) - 1
    written = clinic.mem(OWNER).extract(Chat((Turn("Ines", "Ines likes figs."),)), subject="ines").memory_ids
    assert clinic.mem(OWNER).reveal(written[0]).text
    found = Consistency(clinic.vault.parts).run(CLINIC, batch=1)
    assert found.complete


@pytest.mark.parametrize("column", EPISODE_TEXT)
def test_an_episode_with_damaged_text_is_found_and_its_memories_are_served(
    clinic: Clinic, ids: list[str], column: str
) -> None:
    flip(clinic, "episode", column, "first")
    assert found_by(clinic) == set(ids)
    assert Consistency(clinic.vault.parts).run(CLINIC).errors


def test_a_row_that_says_whom_a_memory_is_about_is_put_right_where_its_text_is_damaged(
    clinic: Clinic, ids: list[str]
) -> None:
    before = clinic.sql("SELECT subject_id, memory_id FROM memory_subject ORDER BY 1, 2")
    flip(clinic, "memory_subject", "subject_id", "middle")
    Consistency(clinic.vault.parts).run(CLINIC)
    assert clinic.sql("SELECT subject_id, memory_id FROM memory_subject ORDER BY 1, 2") == before
    assert not Consistency(clinic.vault.parts).run(CLINIC).errors
    assert found_by(clinic) == set(ids)


@pytest.mark.parametrize("stored", [b"", b"agent", "ä€😀".encode(), "\ufffd".encode()])
def test_text_that_is_utf_8_is_read_as_it_is(stored: bytes) -> None:
    assert read(stored) == stored.decode()


@pytest.mark.parametrize("stored", [b"\xedem_01", b"mem\xdf01", b"mem_\xf3\xfa", b"\xff", b"\xed\xa0\x80"])
def test_damaged_text_is_marked_and_can_be_printed_and_bound(stored: bytes) -> None:
    text = read(stored)
    assert is_damaged(text)
    assert stored.startswith(before_damage(text).encode())
    assert MARK not in before_damage(text)
    assert text.encode().decode() == text
    assert read(text.encode()) == text


def read(stored: bytes) -> str:
    with closing(sqlite3.connect(":memory:")) as connection:
        read_damaged_text(connection)
        return str(connection.execute("SELECT CAST(? AS TEXT)", (stored,)).fetchone()[0])
