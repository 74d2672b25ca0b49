"""What is compressed is smaller, in reference memory, and as readable as before; each step is an entry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.model import Purpose
from tests.simulators.clinic import CLINIC, OFFICER, OWNER
from tests.vault.retention.test_expiry import hold_person
from tests.vault.retention.test_staleness import NEVER, look, reasons
from tests.vault.retention_vault import RetentionVault
from vault.errors import ConflictError
from vault.model import Memory
from vault.review import Reviews, Verdict
from vault.staleness import StaleReason

COMPRESSING = NEVER.replace("unused: P1Y,", "unused: P1Y, then: compress,")
LONG = (
    "Anna Keller came back about the knee, and the knee is better, and the knee is better than it was. " * 3
)


@pytest.fixture
def vault(template: Path, tmp_path: Path) -> Iterator[RetentionVault]:
    opened = RetentionVault(template, tmp_path / "vault", COMPRESSING)
    yield opened
    opened.close()


def size(vault: RetentionVault, memory: str) -> int:
    query = "SELECT sum(length(text) + length(attributes) + coalesce(length(originals), 0)) FROM memory WHERE memory_id = ?"
    return int(str(vault.sql(query, memory)[0][0]))


def shown(memory: Memory) -> tuple[object, ...]:
    """Return all that a caller sees of a memory and that compressing must not change."""
    return memory.text, memory.provenance, memory.annotations, memory.tags, memory.metadata, memory.trust


def test_what_somebody_compresses_is_smaller_and_as_readable_as_before(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG)
    before, bytes_before = vault.mem(OWNER).get(memory), size(vault, memory)
    original = vault.mem(OWNER).reveal(memory).text
    assert "Anna Keller" in original
    vault.sql("INSERT INTO review VALUES (?, ?, 'low-value', 1, 0)", CLINIC, memory)
    leaf = Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.COMPRESS)
    entry = vault.last()
    assert (entry.index, entry.event, entry.principal) == (leaf.index, "memory.review", OFFICER.id)
    assert entry.payload["memories"] == [memory]
    assert entry.payload["reason"] == "low-value"
    after = vault.mem(OWNER).get(memory)
    assert after.memory_tier.value == "reference"
    assert shown(after) == shown(before)
    assert size(vault, memory) < bytes_before * 0.7
    assert vault.mem(OWNER).reveal(memory).text == original
    assert [hit.memory.id for hit in vault.mem(OWNER).retrieve("knee").hits] == [memory]
    assert reasons(vault) == {}, "it was decided"
    assert vault.clean()
    vault.reopen()
    assert shown(vault.mem(OWNER).get(memory)) == shown(before)
    assert [hit.memory.id for hit in vault.mem(OWNER).retrieve("knee").hits] == [memory]
    assert vault.clean()


def test_every_version_is_compressed(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG)
    vault.mem(OWNER).update(memory, text=LONG + "And better still.")
    vault.sql("INSERT INTO review VALUES (?, ?, 'low-value', 1, 0)", CLINIC, memory)
    Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.COMPRESS)
    assert vault.last().payload["versions"] == [1, 2]
    assert vault.sql("SELECT DISTINCT memory_tier FROM memory") == [("reference",)]
    assert vault.mem(OWNER).get(memory).text.endswith("better still.")
    assert vault.clean()


def test_what_nobody_uses_is_compressed_by_rule_once_and_never_silently(vault: RetentionVault) -> None:
    old = [vault.write(LONG)[0] for _ in range(3)]
    vault.later(366)
    (young,) = vault.write(LONG)
    done = look(vault)
    assert (done.compressed, done.found[StaleReason.UNUSED], done.unreadable) == (3, 0, 0)
    assert reasons(vault) == {}
    (entry,) = [one for one in vault.log() if one.event == "memory.review" and "versions" in one.payload]
    assert entry.payload["memories"] == sorted(old)
    assert entry.payload["reason"] == "unused"
    assert (look(vault).compressed, vault.mem(OWNER).get(young).memory_tier.value) == (0, "plaintext")
    assert vault.clean()


def test_one_bad_row_keeps_no_other_from_being_compressed(vault: RetentionVault) -> None:
    bad, good = vault.write(LONG, LONG)
    vault.sql("UPDATE memory SET text = x'00' WHERE memory_id = ?", bad)
    vault.later(366)
    done = look(vault)
    assert (done.compressed, done.unreadable) == (1, 2), "once as unused, once for what it says"
    assert vault.mem(OWNER).get(good).memory_tier.value == "reference"


def test_an_altered_row_is_not_vouched_for(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG)
    vault.sql("UPDATE memory SET owner = 'another' WHERE memory_id = ?", memory)
    vault.sql("INSERT INTO review VALUES (?, ?, 'low-value', 1, 0)", CLINIC, memory)
    with pytest.raises(ConflictError):
        Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.COMPRESS)
    assert vault.sql("SELECT memory_tier FROM memory") == [("plaintext",)]
    assert set(reasons(vault)) == {memory}


def test_a_hold_does_not_stand_against_it(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG, subject="maria")
    hold_person(vault, "maria")
    vault.later(366)
    assert look(vault).compressed == 1
    assert vault.mem(OWNER).reveal(memory).text == LONG
    assert vault.clean()
