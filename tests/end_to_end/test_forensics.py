"""A vault that refuses its log: what can still be looked at, read only and without its keys."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from audit.anchor import FileAnchor
from audit.merkle import CompactRange, leaf_hash
from tests.simulators.clinic import BANK, CLINIC, OWNER, Clinic
from tests.simulators.witness_process import bundle_with, options_with
from vault.errors import LogRolledBackError, NotFoundError, StoreCorruptError, TamperedError, VaultInUseError
from vault.forensics import IN_ANCHOR, IN_STORE, Forensics, LogForensics, examine
from vault.outside import Places
from vault.storage.directory import VaultDirectory


@pytest.fixture
def anchor_file(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "anchor"
    path.parent.mkdir()
    FileAnchor.create(path).close()
    return path


@pytest.fixture
def lived(clinic: Clinic, anchor_file: Path) -> Clinic:
    """A closed vault with an anchor, after some use over two openings."""
    clinic.reopen(options_with(bundle_with(), Places(anchor=anchor_file)))
    for nth in range(3):
        clinic.mem(OWNER).extract(f"visit {nth}", subject="patient 17")
    clinic.reopen()
    clinic.mem(OWNER).extract("the last visit", subject="patient 17")
    clinic.vault.close()
    return clinic


def look(clinic: Clinic, anchor_file: Path | None) -> Forensics:
    anchor = None if anchor_file is None else FileAnchor(anchor_file)
    try:
        return examine(VaultDirectory(clinic.path), [clinic.vault.parts.verifier_key], anchor)
    finally:
        if anchor is not None:
            anchor.close()


def of(found: Forensics, tenant: str = CLINIC) -> LogForensics:
    (one,) = (log for log in found.logs if log.log == tenant)
    return one


@contextmanager
def unguarded(clinic: Clinic) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection, connection:
        guards = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'"
        ).fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, statement in guards:
            connection.execute(statement)


def files(clinic: Clinic) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in clinic.path.iterdir() if path.is_file()}


def test_a_whole_log_agrees_with_everything_that_was_seen(lived: Clinic, anchor_file: Path) -> None:
    before = files(lived)
    found = look(lived, anchor_file)
    assert found.clean
    one = of(found)
    assert (one.agrees_up_to, one.differs_at, one.first_bad_entry) == (one.size, None, None)
    assert one.points >= 4
    assert files(lived) == before


def test_an_altered_entry_is_bracketed_and_named(lived: Clinic, anchor_file: Path) -> None:
    with unguarded(lived) as connection:
        (at,) = connection.execute(
            "SELECT min(leaf_index) FROM audit_leaf WHERE tenant_id = ? AND event = 'memory.write'", (CLINIC,)
        ).fetchone()
        connection.execute(
            "UPDATE audit_leaf SET header = replace(header, 'agent-1', 'agent-2')"
            " WHERE tenant_id = ? AND leaf_index = ?",
            (CLINIC, at),
        )
    found = look(lived, anchor_file)
    assert not found.clean
    assert of(found).first_bad_entry == at
    assert of(found).differs_at is None, "the leaf hash beside it was not touched"
    assert any("leaf hash" in finding for finding in found.findings)
    assert of(found, BANK).first_bad_entry is None


def test_an_entry_with_a_flipped_bit_that_is_no_text_any_more_is_bracketed_and_named(
    lived: Clinic, anchor_file: Path
) -> None:
    with unguarded(lived) as connection:
        (at,) = connection.execute(
            "SELECT min(leaf_index) FROM audit_leaf WHERE tenant_id = ? AND event = 'memory.write'", (CLINIC,)
        ).fetchone()
        connection.execute(
            "UPDATE audit_leaf SET header = cast(replace(cast(header AS blob), x'616765', x'e16765') AS text)"
            " WHERE tenant_id = ? AND leaf_index = ?",
            (CLINIC, at),
        )
        (flipped,) = connection.execute(
            "SELECT hex(header) FROM audit_leaf WHERE tenant_id = ? AND leaf_index = ?", (CLINIC, at)
        ).fetchone()
    assert "E16765" in flipped
    found = look(lived, anchor_file)
    assert of(found).first_bad_entry == at


def test_a_rewritten_history_is_bracketed_between_two_checkpoints(lived: Clinic, anchor_file: Path) -> None:
    with unguarded(lived) as connection:
        rows = connection.execute(
            "SELECT leaf_index, header FROM audit_leaf WHERE tenant_id = ? ORDER BY leaf_index", (CLINIC,)
        ).fetchall()
        at = next(index for index, header in rows if '"memory.write"' in header)
        edge = CompactRange()
        for index, header in rows:
            changed = header.replace('"agent-1"', '"agent-2"') if index == at else header
            connection.execute(
                "UPDATE audit_leaf SET header = ?, leaf_hash = ? WHERE tenant_id = ? AND leaf_index = ?",
                (changed, leaf_hash(changed.encode()), CLINIC, index),
            )
            edge = edge.extended([leaf_hash(changed.encode())])
        connection.execute("UPDATE audit_head SET nodes = ? WHERE tenant_id = ?", (edge.encode(), CLINIC))
        connection.execute("DELETE FROM audit_checkpoint WHERE tenant_id = ?", (CLINIC,))
    with pytest.raises((LogRolledBackError, TamperedError)):
        lived.reopen()
    one = of(look(lived, anchor_file))
    assert one.first_bad_entry is None, "every hash was recomputed"
    assert one.differs_at is not None
    assert one.agrees_up_to <= at < one.differs_at
    assert one.seen_by == IN_ANCHOR


def test_a_cut_tail_is_told_from_the_first_missing_entry_on(lived: Clinic, anchor_file: Path) -> None:
    size = of(look(lived, anchor_file)).size
    with unguarded(lived) as connection:
        connection.execute(
            "DELETE FROM audit_leaf WHERE tenant_id = ? AND leaf_index >= ?", (CLINIC, size - 2)
        )
    one = of(look(lived, anchor_file))
    assert (one.size, one.first_bad_entry) == (size - 2, size - 2)
    assert one.differs_at is not None
    assert one.seen_by in {IN_ANCHOR, IN_STORE}


def test_a_log_that_is_gone_is_told_by_the_anchor_alone(lived: Clinic, anchor_file: Path) -> None:
    with unguarded(lived) as connection:
        for table in ("audit_leaf", "audit_head", "audit_checkpoint"):
            connection.execute(f"DELETE FROM {table} WHERE tenant_id = ?", (BANK,))  # noqa: S608  # our own names
    one = of(look(lived, anchor_file), BANK)
    assert (one.size, one.first_bad_entry, one.seen_by) == (0, 0, IN_ANCHOR)
    assert not any(log.log == BANK for log in look(lived, None).logs)


def test_an_old_copy_agrees_with_itself_and_not_with_the_anchor(lived: Clinic, anchor_file: Path) -> None:
    copy = lived.path.with_name("copy")
    shutil.copytree(lived.path, copy)
    lived.reopen()
    lived.mem(OWNER).extract("what the old copy does not know")
    lived.vault.close()
    shutil.rmtree(lived.path)
    shutil.copytree(copy, lived.path)
    assert look(lived, None).clean
    one = of(look(lived, anchor_file))
    assert one.agrees_up_to == one.size
    assert one.differs_at is not None
    assert one.differs_at > one.size


def test_what_cannot_be_examined_is_told(lived: Clinic, tmp_path: Path) -> None:
    key = lived.vault.parts.verifier_key
    with pytest.raises(NotFoundError):
        examine(VaultDirectory(tmp_path / "nowhere"), [key])
    lived.reopen()
    with pytest.raises(VaultInUseError):
        look(lived, None)
    lived.vault.close()
    (lived.path / "vault.db").write_bytes(b"noise" * 5000)
    with pytest.raises(StoreCorruptError):
        look(lived, None)


def run(*arguments: str, code: int) -> str:
    done = CliRunner().invoke(app, ["audit", "forensics", *arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_the_command_says_where_the_log_differs_and_keeps_that_it_looked(
    lived: Clinic, anchor_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, vault = str(lived.vault.parts.verifier_key), str(lived.path)
    monkeypatch.setenv("MEMVAULT_ANCHOR_FILE", str(anchor_file))
    (lived.path / "root.key").unlink()
    (lived.path / "log.key").unlink()
    told = run("--vault", vault, "--key", key, code=0)
    assert "nothing disagrees with what the store and the anchor hold; no witness was asked" in told
    with unguarded(lived) as connection:
        connection.execute("DELETE FROM audit_leaf WHERE tenant_id = ? AND leaf_index >= 5", (CLINIC,))
    out = tmp_path / "found.json"
    told = run("--vault", vault, "--key", key, "--out", str(out), code=3)
    assert "the first entry that is missing or not its own: 5" in told
    assert json.loads(out.read_text())["kept_in"] == IN_ANCHOR
    shown = json.loads(run("--vault", vault, "--key", key, "--json", code=3))
    assert not shown["clean"]
    assert anchor_file.read_text().count("\nforensics - 0 ") == 3
    run("--vault", vault, "--key", key, "--out", str(out), code=1)


def test_without_an_anchor_it_is_kept_beside_the_vault_and_the_key_is_its_own(lived: Clinic) -> None:
    done = CliRunner().invoke(app, ["audit", "forensics", "--vault", str(lived.path)])
    assert done.exit_code == 0, done.output
    assert "taken from the vault itself" in done.stderr
    assert "an old copy of the whole store would agree with itself" in done.stderr
    beside = lived.path.with_name(lived.path.name + ".forensics")
    kept = json.loads(beside.read_text())
    assert (kept["event"], kept["clean"]) == ("log.forensics", True)
    assert beside.stat().st_mode & 0o777 == 0o600


def test_the_anchor_command_makes_one_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "anchor"
    assert CliRunner().invoke(app, ["audit", "anchor", str(path)]).exit_code == 0
    FileAnchor(path).close()
    assert CliRunner().invoke(app, ["audit", "anchor", str(path)]).exit_code == 1
    assert CliRunner().invoke(app, ["audit", "anchor"], env={"MEMVAULT_ANCHOR_FILE": None}).exit_code == 2
