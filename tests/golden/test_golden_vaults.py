"""Every vault that was ever released is opened, searched, revealed, verified and written to by this code."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from audit.evidence import SYSTEM_LOG
from audit.merkle import HASH_SIZE
from audit.tiles import TILE_SIZE, TILE_WIDTH
from policies.model import Purpose
from tests.golden.make import (
    ARCHIVE,
    AUDITOR,
    BANK,
    BANK_AUDITOR,
    CLINIC,
    CLINICIAN,
    MADE,
    OWNER,
    describe,
    make,
    options,
    unpack,
)
from vault.memos import MemOS
from vault.model import TrustState
from vault.opening import Vault, VaultOptions

GOLDEN = sorted(Path(__file__).parent.glob("*.zip"))
LATER = MADE + timedelta(days=2)


def test_there_is_a_golden_vault_of_the_present_format() -> None:
    assert ARCHIVE in GOLDEN
    assert ARCHIVE.stat().st_size < 150_000


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_vault_reads_as_it_was_written(archive: Path, tmp_path: Path) -> None:
    expected = json.loads(archive.with_suffix(".json").read_text(encoding="utf-8"))
    with Vault.open(unpack(archive, tmp_path / "vault"), options=options(LATER, "later")) as vault:
        found = json.loads(json.dumps(describe(vault)))
    for tenant in (CLINIC, BANK):
        assert found[tenant]["memories"] == expected[tenant]["memories"]
        written = len(expected[tenant]["entries"])
        before = [entry for entry in expected[tenant]["entries"] if entry[0] < written]
        stable = _up_to_the_reading(before)
        assert found[tenant]["entries"][: len(stable)] == stable
        assert len(stable) > 3


def _up_to_the_reading(entries: list[list[object]]) -> list[list[object]]:
    """Cut off what the description's own opening added: the last opening and all after it."""
    last = max(place for place, entry in enumerate(entries) if entry[1] == "policy.load")
    return entries[:last]


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_vault_verifies_and_goes_on(archive: Path, tmp_path: Path) -> None:
    with Vault.open(unpack(archive, tmp_path / "vault"), options=options(LATER, "later")) as vault:
        for auditor in (AUDITOR, BANK_AUDITOR):
            report = MemOS(vault, principal=auditor, purpose=Purpose.AUDIT).verify()
            assert report.passed, report
            assert report.rows_checked
        owner = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
        hit = owner.retrieve("maria@example.com", subject="Maria Keller").hits[0].memory
        assert "maria@example.com" not in hit.text
        assert "maria@example.com" in owner.reveal(hit.id).text
        fresh = owner.extract("Maria Keller called again from 212-555-0147", subject="Maria Keller")
        token = re.findall(r"\[PHONE-[a-z2-7]{6}\]", owner.get(fresh.memory_ids[0]).text)
        older = owner.retrieve("212-555-0147", subject="Maria Keller", k=50).hits
        assert sum(token[0] in one.memory.text for one in older) >= 2, "one person keeps one token for ever"
        owner.update(hit.id, "changed by later code")
        owner.organize(subject="Maria Keller")
        assert vault.wait(20)
        assert MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT).verify().passed


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_vaults_tiles_are_proved_from(archive: Path, tmp_path: Path) -> None:
    with Vault.open(unpack(archive, tmp_path / "vault"), options=options(LATER, "later")) as vault:
        log = vault.parts.log
        with vault.parts.store.log_connection(SYSTEM_LOG) as connection:
            size = log.head(connection, SYSTEM_LOG).size
            assert len(log.tile(connection, SYSTEM_LOG, 0, 0, TILE_WIDTH)) == TILE_SIZE
            assert len(log.tile(connection, SYSTEM_LOG, 1, 0, 1)) == HASH_SIZE
            for index in (0, TILE_WIDTH - 1, TILE_WIDTH, size - 1):
                assert log.inclusion_proof(connection, SYSTEM_LOG, index, size)


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_vault_is_searched_with_the_shipped_models(archive: Path, tmp_path: Path) -> None:
    shipped = VaultOptions(clock=options(LATER).clock)
    with Vault.open(unpack(archive, tmp_path / "vault"), options=shipped) as vault:
        assert vault.wait(60), "vectors of the model of then are made anew"
        view = MemOS(vault, principal=CLINICIAN, purpose=Purpose.TREATMENT)
        found = view.retrieve("Which knee has the operation?", k=3).hits
        assert any("right knee" in hit.memory.text for hit in found)
        assert TrustState.REVOKED not in {hit.memory.trust for hit in found}


def test_the_golden_vault_is_made_again_alike(tmp_path: Path) -> None:
    """The maker is no guess: but for what the code of today adds, it makes what was released."""
    first, second = (make(tmp_path / name) for name in ("first", "second"))
    assert json.dumps(first) == json.dumps(second)
    for name in ("root.key", "log.key"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
