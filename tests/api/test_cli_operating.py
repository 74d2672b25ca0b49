"""The command line in this process: the log, the keys, principals and the doctor."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import Result

from audit.checkpoint import verify_checkpoint
from audit.signing import VerifierKey
from tests.api.conftest import Memvault
from vault.errors import StorageFullError
from vault.journal import Journal


def test_the_log_can_be_read_signed_and_verified(memvault: Memvault, memory_id: str) -> None:
    entries = memvault.json("audit", "tail", "-n", "1000")["entries"]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert entries[2]["event"] == "principal.create"
    assert (
        memory_id
        in next(entry for entry in entries if entry["event"] == "memory.write")["payload"]["written"]
    )
    assert "memory.write" in memvault("audit", "tail").stdout
    assert [
        entry["index"] for entry in memvault.json("audit", "tail", "--start", "1", "-n", "2")["entries"]
    ] == [1, 2]
    shown = memvault.json("audit", "checkpoint")
    key = VerifierKey.parse(shown["verifier_key"]).for_log("clinic")
    assert verify_checkpoint(shown["note"].encode(), key).size == shown["size"]
    note = memvault("audit", "checkpoint").stdout
    assert note.startswith("memos-vault/embedded/clinic\n")
    report = memvault.json("audit", "verify")
    assert report["passed"]
    assert report["rows_checked"] == 4
    assert memvault("audit", "verify").stdout.endswith("verified\n")


def test_an_altered_row_fails_the_verification(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    _tamper(tmp_path, "UPDATE memory SET text = (SELECT attributes FROM memory LIMIT 1)")
    result = memvault("audit", "verify")
    assert result.exit_code == 3
    assert "FAILED" in result.stdout
    assert result.stdout.endswith("verification failed\n")
    assert not json.loads(memvault("audit", "verify", "--json").stdout)["passed"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DROP TRIGGER audit_leaf_keep", 3),
        ("CREATE TRIGGER evil AFTER INSERT ON edge BEGIN DELETE FROM tenant; END", 3),
        ("UPDATE alembic_version SET version_num = 'rows_9999'", 9),
    ],
)
def test_verification_raises_the_alarm_over_a_schema_that_was_tampered_with(
    memvault: Memvault, memory_id: str, tmp_path: Path, statement: str, code: int
) -> None:
    _tamper(tmp_path, statement)
    result = memvault("audit", "verify")
    assert (result.exit_code, result.stdout) == (code, "")
    told = json.loads(memvault("audit", "verify", "--json").stderr)
    assert told["exit"] == code
    assert told["type"].endswith(":tampered" if code == 3 else ":not-checkable")


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
def test_verification_says_that_it_could_not_check_a_store_that_is_cut(
    memvault: Memvault, memory_id: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "vault" / name).write_bytes(b"")
    result = memvault("audit", "verify")
    assert (result.exit_code, result.stdout) == (9, "")
    assert name in result.stderr
    assert (tmp_path / "vault" / name).read_bytes() == b"", "what is left is not touched"
    assert memvault("retrieve", "tea").exit_code == 1, "other commands fail as before"


def test_verification_says_that_it_could_not_check_on_a_full_disk(
    memvault: Memvault, memory_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise StorageFullError("no space is left for the store; nothing was acknowledged")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", full)
        result = memvault("audit", "verify")
        assert (result.exit_code, result.stdout) == (9, "")
        assert "no space is left" in result.stderr
    assert memvault("audit", "verify").exit_code == 0


def _tamper(folder: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(folder / "vault" / "vault.db")) as connection, connection:
        connection.execute(statement, values)


def test_a_bundle_is_verified_offline_with_the_key_alone(
    memvault: Memvault, memory_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "log.bundle"
    made = memvault.json("audit", "export", str(bundle))
    assert made["entries"] > 0
    assert bundle.stat().st_mode & 0o777 == 0o600
    note = tmp_path / "note"
    note.write_text(memvault("audit", "checkpoint").stdout)
    monkeypatch.setenv("MEMVAULT_VAULT", str(tmp_path / "gone"))
    report = memvault.json("audit", "verify", str(bundle), "--key", made["verifier_key"])
    assert report["passed"]
    assert report["rows_checked"] is None
    (tmp_path / "key").write_text(made["verifier_key"] + "\n")
    assert memvault("audit", "verify", str(bundle), "--key-file", str(tmp_path / "key")).exit_code == 0
    later = memvault("audit", "verify", str(bundle), "--key", made["verifier_key"], "--remembered", str(note))
    assert later.exit_code == 3, "the note is of a later, longer log: the bundle's tail looks cut"


def test_a_bundle_that_was_altered_fails_and_one_that_is_none_could_not_be_checked(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "log.bundle"
    key = memvault.json("audit", "export", str(bundle))["verifier_key"]
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"local-agent", b"local-agemt"))
    assert memvault("audit", "verify", str(bundle), "--key", key).exit_code == 3
    bundle.write_bytes(content[: len(content) // 2])
    assert memvault("audit", "verify", str(bundle), "--key", key).exit_code == 9
    assert memvault("audit", "verify", str(tmp_path / "none"), "--key", key).exit_code == 9
    (tmp_path / "key").write_bytes(b"\xff")
    assert memvault("audit", "verify", str(bundle), "--key-file", str(tmp_path / "key")).exit_code == 9


def test_verifying_a_bundle_needs_a_key_from_elsewhere(memvault: Memvault, tmp_path: Path) -> None:
    bundle = str(tmp_path / "log.bundle")
    key = memvault.json("audit", "export", bundle)["verifier_key"]
    other = VerifierKey("memos-vault/embedded", bytes(32))
    assert memvault("audit", "verify", bundle).exit_code == 2
    assert memvault("audit", "verify", "--key", key).exit_code == 2
    assert memvault("audit", "verify", bundle, "--key", key, "--key-file", bundle).exit_code == 9
    assert memvault("audit", "verify", bundle, "--key", "nonsense").exit_code == 2
    assert memvault("audit", "verify", bundle, "--key", str(other)).exit_code == 3


def test_an_export_overwrites_nothing_and_can_go_to_standard_output(
    memvault: Memvault, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("mine")
    assert memvault("audit", "export", str(tmp_path / "there")).exit_code == 7
    assert (tmp_path / "there").read_text() == "mine"
    assert memvault("audit", "export", "/no/such/folder/x").exit_code == 1
    assert memvault("audit", "export", "-").stdout.startswith("tile/entries/000.p/")


def test_a_denied_export_leaves_no_file(memvault: Memvault, tmp_path: Path) -> None:
    assert memvault("audit", "export", str(tmp_path / "x"), "--role", "clinician").exit_code == 4
    assert not (tmp_path / "x").exists()


def test_keys_are_shown_by_state_and_count_and_never_themselves(memvault: Memvault, memory_id: str) -> None:
    shown = memvault.json("keys", "status")
    assert shown["root_kind"] == "file"
    assert shown["counts"] == {"active": 3}
    assert {key["kind"] for key in shown["keys"]} == {"subject", "subject-ids", "search"}
    assert all(
        set(key)
        == {
            "tenant",
            "kind",
            "subject",
            "version",
            "state",
            "fingerprint",
            "seals_reserved",
            "seals_limit",
            "created",
        }
        for key in shown["keys"]
    )
    text = memvault("keys", "status").stdout
    assert "subject-ids" in text
    events = [entry["event"] for entry in memvault.json("audit", "tail")["entries"]]
    assert events.count("key.read") == 2


def test_a_principal_gets_a_key_of_its_own(memvault: Memvault) -> None:
    made = memvault.json("principal", "add", "dr-a", "--role", "clinician", "--role", "auditor")
    assert made["roles"] == ["auditor", "clinician"]
    assert made["api_key"].startswith("mv_")
    result = memvault("principal", "add", "dr-b", "--role", "clinician")
    assert result.stdout.startswith("mv_")
    assert "mv_" not in result.stderr
    created = [
        entry for entry in memvault.json("audit", "tail")["entries"] if entry["event"] == "principal.create"
    ]
    assert [entry["principal"] for entry in created] == ["memvault", "local-operator", "local-operator"]
    assert memvault("principal", "add", "Dr A", "--role", "clinician").exit_code == 2
    assert memvault("principal", "add", "dr-a").exit_code == 2


def test_keys_of_principals_are_listed_and_taken_back(memvault: Memvault) -> None:
    key = memvault.json("principal", "add", "dr-a", "--role", "clinician")["api_key"]
    credential = f"crd_{key.split('_')[1]}"
    listed = memvault.json("principal", "list")
    assert listed["tenant"] == "clinic"
    assert [(one["principal"], one["roles"]) for one in listed["credentials"]] == [
        ("local-agent", ["owner-agent"]),
        ("dr-a", ["clinician"]),
    ]
    assert listed["credentials"][1]["credential"] == credential
    assert key not in json.dumps(listed)
    assert f"{credential}  dr-a" in memvault("principal", "list").stdout
    done = memvault.json("principal", "revoke", credential)
    assert (done["credential"], done["principal"]) == (credential, "dr-a")
    entry = next(
        one for one in memvault.json("audit", "tail")["entries"] if one["event"] == "principal.revoke"
    )
    assert (entry["index"], entry["resource"], entry["principal"]) == (
        done["entry"],
        credential,
        "local-operator",
    )
    assert entry["payload"] == {
        "principal": "dr-a",
        "asked": "administrator:single:none:administer:vault/institution:1:administrator-runs-vault",
    }
    assert len(memvault.json("principal", "list")["credentials"]) == 1
    again = memvault("principal", "revoke", credential)
    assert (again.exit_code, again.stdout) == (6, "")
    entries = memvault.json("audit", "tail", "-n", "100")["entries"]
    outcomes = [one["outcome"] for one in entries if one["event"] == "principal.revoke"]
    assert outcomes == ["ok", "not-found"]
    assert memvault("audit", "verify").exit_code == 0


def test_a_credential_that_was_changed_is_listed_without_a_name_and_can_be_taken_back(
    memvault: Memvault, tmp_path: Path
) -> None:
    _tamper(tmp_path, "UPDATE credential SET principal_id = 'dr-evil'")
    (shown,) = memvault.json("principal", "list")["credentials"]
    assert (shown["principal"], shown["roles"], shown["created"]) == (None, [], None)
    assert "not what was written" in memvault("principal", "list").stdout
    assert memvault("principal", "revoke", shown["credential"]).stdout.startswith(shown["credential"])
    assert memvault.json("principal", "list")["credentials"] == []


def test_the_doctor_finds_a_new_vault_healthy(memvault: Memvault, memory_id: str) -> None:
    shown = memvault.json("doctor")
    assert shown["healthy"]
    found = {check["check"]: check["status"] for check in shown["checks"]}
    assert found == {
        "directory": "ok",
        "key file": "warning",
        "disk space": "ok",
        "vault": "ok",
        "root": "ok",
        "schema": "ok",
        "durability": "ok",
        "store": "ok",
        "policy": "ok",
        "policy bundle": "ok",
        "index": "ok",
        "rows": "ok",
        "subjects": "ok",
        "dense vectors": "ok",
        "log": "ok",
        "query index": "ok",
        "anchor": "warning",
        "intents": "ok",
    }
    assert "dense vectors" in memvault("doctor").stdout


def test_the_doctor_finds_a_forged_index_of_the_log_and_is_content_when_it_is_gone(
    memvault: Memvault, tmp_path: Path
) -> None:
    assert memvault("audit", "query", "event:policy.load").exit_code == 0
    (file,) = tmp_path.rglob("log-index/clinic.db")
    assert _checks(memvault("doctor", "--json"))["query index"] == "ok"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE entry SET resource = 'epi_x' WHERE leaf_index = 0")
    forged = memvault("doctor", "--json")
    assert (_checks(forged)["query index"], forged.exit_code) == ("failed", 1)
    for one in file.parent.iterdir():
        one.unlink()
    assert _checks(memvault("doctor", "--json"))["query index"] == "ok"


def _checks(result: Result) -> dict[str, str]:
    return {check["check"]: check["status"] for check in json.loads(result.stdout)["checks"]}


def test_the_doctor_names_a_row_that_does_not_open(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    _tamper(tmp_path, "UPDATE memory SET terms = text WHERE memory_id = ?", memory_id)
    result = memvault("doctor", "--json")
    assert result.exit_code == 1
    found = _checks(result)
    assert (found["rows"], found["index"], found["log"]) == ("failed", "ok", "failed")
    assert memory_id in result.stdout


def test_the_doctor_finds_names_of_subjects_that_changed_places(memvault: Memvault, tmp_path: Path) -> None:
    for name in ("maria", "john"):
        memvault.json("extract", "-", "--subject", name, stdin="tea at four")
    assert _checks(memvault("doctor", "--json"))["subjects"] == "ok"
    _tamper(
        tmp_path,
        "WITH old AS MATERIALIZED (SELECT subject_id, name FROM subject) UPDATE subject"
        " SET name = (SELECT name FROM old WHERE old.subject_id != subject.subject_id)",
    )
    result = memvault("doctor", "--json")
    found = _checks(result)
    assert (found["subjects"], found["rows"], found["log"], result.exit_code) == ("failed", "ok", "ok", 1)
    assert "2 not as written: sub_" in result.stdout
    assert "maria" not in result.output


def test_the_doctor_ends_with_3_where_the_log_alone_fails(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    _tamper(tmp_path, "UPDATE memory SET text = attributes WHERE memory_id = ?", memory_id)
    result = memvault("doctor", "--json")
    assert (result.exit_code, _checks(result)["log"]) == (3, "failed")


def test_the_doctor_finds_what_is_open_to_others(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "vault" / "root.key").chmod(0o644)
    found = _checks(memvault("doctor", "--json"))
    assert (found["directory"], found["key file"], found["vault"]) == ("failed", "failed", "failed")
    (tmp_path / "vault" / "root.key").chmod(0o600)
    (tmp_path / "vault").chmod(0o755)
    result = memvault("doctor", "--json")
    assert (result.exit_code, _checks(result)["directory"]) == (1, "failed")


def test_the_doctor_of_no_vault_fails(empty: Memvault) -> None:
    result = empty("doctor", "--json")
    assert result.exit_code == 1
    assert _checks(result)["vault"] == "failed"


def test_the_doctor_says_what_it_could_not_check(memvault: Memvault) -> None:
    assert memvault("doctor", "--tenant", "elsewhere").exit_code == 9


def test_the_doctor_finds_a_damaged_store(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    store = tmp_path / "vault" / "vault.db"
    os.truncate(store, store.stat().st_size // 2)
    result = memvault("doctor", "--json")
    assert (result.exit_code, _checks(result)["vault"]) == (1, "failed")
