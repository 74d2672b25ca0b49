"""Snapshots through the command line: what people and programs see, and how commands end."""

from pathlib import Path

from tests.api.conftest import Memvault


def test_a_snapshot_is_made_listed_verified_restored_and_pruned(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    made = memvault.json("snapshot", "create", backup)
    (listed,) = memvault.json("snapshot", "list", backup)["snapshots"]
    assert listed == made
    assert "0 hours old" in memvault("snapshot", "list", backup).stdout
    assert memvault("snapshot", "verify", made["folder"]).stdout.endswith("passed\n")
    later = memvault.json("extract", "-", "--subject", "patient 17", stdin="the elbow hurts")
    (late_id,) = later["sources"][0]["memory_ids"]
    planned = memvault.json("snapshot", "restore", made["folder"], "--plan")
    assert (planned["planned"], planned["tenants"][0]["lost"]) == (True, 1)
    assert memvault("show", late_id).exit_code == 0
    restored = memvault("snapshot", "restore", made["folder"])
    assert "1 memory written since taken" in restored.stdout
    assert memvault("show", late_id).exit_code == 6
    assert memvault("show", memory_id).exit_code == 0
    assert memvault("audit", "verify").exit_code == 0
    again = memvault.json("snapshot", "create", backup)
    assert memvault.json("snapshot", "prune", backup, "--keep", "1")["removed"] == [made["snapshot"]]
    assert [one["snapshot"] for one in memvault.json("snapshot", "list", backup)["snapshots"]] == [
        again["snapshot"]
    ]
    assert "0 snapshots removed" in memvault("snapshot", "prune", backup, "--keep", "1").stderr


def test_a_damaged_snapshot_fails_and_is_not_restored(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    made = memvault.json("snapshot", "create", str(tmp_path / "backup"))
    copy = Path(str(made["folder"])) / "vault.db"
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    found = memvault("snapshot", "verify", made["folder"])
    assert (found.exit_code, "chunk of the copy" in found.stdout, "FAILED" in found.stdout) == (3, True, True)
    assert not memvault("snapshot", "verify", made["folder"], "--json").stdout.count('"passed": true')
    assert memvault("snapshot", "restore", made["folder"]).exit_code == 3
    assert memvault("show", memory_id).exit_code == 0
    (Path(str(made["folder"])) / "manifest.note").unlink()
    assert memvault.json("snapshot", "list", str(tmp_path / "backup"))["unreadable"]
    assert "snapshot signature" in memvault("snapshot", "list", str(tmp_path / "backup")).stdout


def test_lost_rows_come_back_and_a_snapshot_beside_the_data_is_refused(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    made = memvault.json("snapshot", "create", str(tmp_path / "backup"))
    assert memvault("snapshot", "create", str(tmp_path / "vault" / "backup")).exit_code == 1
    (tmp_path / "vault" / "vault.db").unlink()
    assert memvault("show", memory_id).exit_code == 1
    assert memvault("snapshot", "restore", made["folder"], "--plan").exit_code == 1
    assert "was lost" in memvault("snapshot", "restore", made["folder"]).stdout
    assert memvault("show", memory_id).exit_code == 0
    assert memvault("audit", "intents").exit_code == 0
    assert memvault.json("audit", "intents")["intents"] == []
    assert memvault("audit", "verify").exit_code == 0


def test_a_lost_disk_says_which_erasures_were_done_anew_and_what_is_lost(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    made = memvault.json("snapshot", "create", str(tmp_path / "backup"))
    plan = memvault.json("erase", "maria")["plan"]
    assert memvault("erase", "maria", "--confirm", plan).exit_code == 0
    for file in (tmp_path / "vault").glob("vault.db*"):
        file.unlink()
    restored = memvault("snapshot", "restore", made["folder"])
    assert "1 erasure that the log had lost done anew" in restored.stdout
    assert "lost with the disk" in restored.stderr
    assert memvault("certificate", "show", "maria", "-o", str(tmp_path / "new.json")).exit_code == 0
    assert (tmp_path / "new.json").exists()
    assert memvault("show", memory_id).exit_code == 6
    assert memvault("audit", "verify").exit_code == 0


def test_what_is_under_another_name_is_neither_counted_nor_removed_and_that_is_said(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    assert memory_id
    backup = tmp_path / "backup"
    made = memvault.json("snapshot", "create", str(backup))
    renamed = backup / "snp_7zzzzzzzzzzzzzzzzzzzzzzzzz"
    Path(str(made["folder"])).rename(renamed)
    found = memvault("snapshot", "verify", str(renamed))
    assert (found.exit_code, "snapshot folder" in found.stdout) == (3, True)
    assert memvault("snapshot", "restore", str(renamed)).exit_code == 3
    pruned = memvault("snapshot", "prune", str(backup), "--keep", "1")
    assert (pruned.exit_code, f"{renamed.name} was not counted, and stays" in pruned.stderr) == (0, True)
    (told,) = memvault.json("snapshot", "prune", str(backup), "--keep", "1")["unreadable"]
    assert told["folder"] == str(renamed)
    assert renamed.is_dir()
