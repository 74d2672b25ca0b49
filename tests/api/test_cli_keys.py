"""`memvault keys`: what a person types, what is told, and how it ends."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from api import assembly
from api.settings import Settings
from tests.api.conftest import Memvault
from tests.simulators.fakes import fake_options
from tests.simulators.transit import TOKEN, TransitSimulator
from vault.clock import system_clock
from vault.crypto import local_root
from vault.crypto.local_root import Argon2Cost
from vault.opening import VaultOptions

PASSPHRASE = "correct horse battery"


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file with a passphrase that costs little."""
    cheap = Argon2Cost(memory_kib=64, iterations=1, lanes=1)
    monkeypatch.setattr(local_root, "Argon2Cost", lambda *given: Argon2Cost(*given) if given else cheap)
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return str(path)


def keys_of(memvault: Memvault) -> list[tuple[str, int, str]]:
    shown = memvault.json("keys", "status")["keys"]
    return [(key["kind"], key["version"], key["state"]) for key in shown if key["kind"] == "subject"]


def test_a_person_s_key_is_rotated_by_name_from_the_line_or_from_standard_input(
    memvault: Memvault, memory_id: str
) -> None:
    result = memvault("keys", "rotate", "maria")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 keys rotated; `memvault keys re-encrypt`")
    assert "1 of 1 keys rotated" in result.stderr
    assert memvault.json("keys", "rotate", "-", stdin="maria\n") == {"rotated": 1, "unreadable": []}
    assert memvault.json("keys", "rotate", "--all") == {"rotated": 1, "unreadable": []}
    assert keys_of(memvault) == [
        ("subject", 1, "retired"),
        ("subject", 2, "retired"),
        ("subject", 3, "retired"),
        ("subject", 4, "active"),
    ]


@pytest.mark.parametrize("arguments", [(), ("maria", "--all")])
def test_one_person_or_all_have_to_be_named(
    memvault: Memvault, memory_id: str, arguments: tuple[str, ...]
) -> None:
    result = memvault("keys", "rotate", *arguments)
    assert result.exit_code == 2
    assert [state for _, _, state in keys_of(memvault)] == ["active"]


def test_a_stranger_s_key_is_not_found_and_none_is_made(memvault: Memvault, memory_id: str) -> None:
    result = memvault("keys", "rotate", "nobody")
    assert result.exit_code == 6
    assert len(keys_of(memvault)) == 1


def test_who_may_not_administer_is_denied(memvault: Memvault, memory_id: str) -> None:
    for command in (("rotate", "--all"), ("rewrap",), ("re-encrypt",), ("migrate", "--to", "file")):
        assert memvault("keys", *command, "--role", "auditor").exit_code == 4
    assert len(keys_of(memvault)) == 1


def test_rows_are_sealed_anew_and_the_older_keys_destroyed_where_that_is_asked_for(
    memvault: Memvault, memory_id: str
) -> None:
    before = memvault.json("show", memory_id)["text"]
    memvault("keys", "rotate", "--all")
    result = memvault("keys", "re-encrypt")
    assert result.exit_code == 0
    assert "4 memories sealed anew" in result.stdout
    assert "0 rows left under older keys: entry " in result.stdout
    assert "1 older keys seal and open nothing: --destroy-retired" in result.stdout
    assert "4 memories" in result.stderr
    shown = memvault.json("keys", "re-encrypt", "--destroy-retired")
    assert (shown["memories"], shown["remaining"], shown["retired"], len(shown["destroyed"])) == (0, 0, 0, 1)
    assert [state for _, _, state in keys_of(memvault)] == ["destroyed", "active"]
    assert memvault.json("show", memory_id)["text"] == before
    assert memvault("audit", "verify").exit_code == 0
    memvault("keys", "rotate", "--all")
    assert "1 older keys destroyed, 0 kept" in memvault("keys", "re-encrypt", "--destroy-retired").stdout
    assert "older keys" not in memvault("keys", "re-encrypt").stdout.splitlines()[-1].replace(
        "under older", ""
    )


def test_a_row_that_is_not_the_log_s_is_named_and_the_command_ends_with_1(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    memvault("keys", "rotate", "--all")
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as raw, raw:
        raw.execute("UPDATE memory SET recorded = recorded + 1 WHERE memory_id = ?", (memory_id,))
    result = memvault("keys", "re-encrypt", "--destroy-retired")
    assert result.exit_code == 1
    assert "1 rows left" in result.stdout
    assert f"not what the log says: {memory_id}" in result.stdout
    assert [state for _, _, state in keys_of(memvault)] == ["retired", "active"]


def test_a_local_root_is_rewrapped_and_moved_under_a_passphrase_and_back(
    memvault: Memvault, memory_id: str, passphrase: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = memvault.json("show", memory_id)["text"]
    first = memvault.json("keys", "status")["root_fingerprint"]
    result = memvault("keys", "rewrap")
    assert "3 keys wrapped anew, 0 left under the older one" in result.stdout
    assert "3 of 3 keys wrapped anew" in result.stderr
    assert memvault.json("keys", "status")["root_fingerprint"] != first
    assert memvault("keys", "migrate", "--to", "passphrase").exit_code == 2
    shown = memvault.json("keys", "migrate", "--to", "passphrase", "--new-passphrase-file", passphrase)
    assert (shown["root_kind"], shown["remaining"], shown["faults"]) == ("passphrase", 0, [])
    assert memvault("show", memory_id).exit_code == 5
    monkeypatch.setenv("MEMVAULT_PASSPHRASE_FILE", passphrase)
    assert memvault.json("show", memory_id)["text"] == before
    assert memvault.json("keys", "rewrap")["root_kind"] == "passphrase"
    assert memvault("keys", "migrate", "--to", "file", "--new-passphrase-file", passphrase).exit_code == 2
    result = memvault("keys", "migrate", "--to", "file")
    assert result.exit_code == 0
    assert "whoever copies both reads everything" in result.stderr
    monkeypatch.delenv("MEMVAULT_PASSPHRASE_FILE")
    assert memvault.json("show", memory_id)["text"] == before
    assert len(list((tmp_path / "vault").glob("root.*"))) == 1


def test_a_root_moves_to_a_server_and_back_with_the_settings_of_both(
    memvault: Memvault, memory_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def options(settings: Settings) -> VaultOptions:
        return replace(fake_options(clock=system_clock), transit=assembly.transit_of(settings))

    monkeypatch.setattr(assembly, "vault_options", options)
    before = memvault.json("show", memory_id)["text"]
    assert "say where the server is" in memvault("keys", "migrate", "--to", "transit").stderr
    with TransitSimulator() as server:
        token = tmp_path / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        for name, value in (("URL", server.url), ("KEY", "memvault"), ("CREDENTIAL_FILE", str(token))):
            monkeypatch.setenv(f"MEMVAULT_TRANSIT_{name}", value)
        shown = memvault.json("keys", "migrate", "--to", "transit")
        assert (shown["root_kind"], shown["wrapped"], shown["remaining"]) == ("transit", 3, 0)
        assert memvault.json("show", memory_id)["text"] == before
        assert memvault.json("keys", "rewrap", "--new-version")["wrapped"] == 3
        server.state.min_decryption = 2
        assert memvault.json("show", memory_id)["text"] == before
        with closing(sqlite3.connect(tmp_path / "vault" / "keys.db")) as raw, raw:
            raw.execute("UPDATE keys SET wrapped = zeroblob(99) WHERE kind = 'search'")
        result = memvault("keys", "rewrap")
        assert result.exit_code == 1
        assert "clinic search key of the tenant v1: " in result.stdout
        server.over = lambda _path, _body: (500, {})
        assert memvault("keys", "migrate", "--to", "file").exit_code != 0
        assert (tmp_path / "vault" / "root.transit").exists()


def test_an_unknown_root_is_no_root(memvault: Memvault) -> None:
    assert memvault("keys", "migrate", "--to", "cloud").exit_code == 2
    assert (Path(os.environ["MEMVAULT_VAULT"]) / "root.key").exists()


def test_states_and_counts_of_all_versions_are_shown(memvault: Memvault, memory_id: str) -> None:
    memvault("keys", "rotate", "--all")
    lines = memvault("keys", "status").stdout.splitlines()
    assert lines[2] == "keys        3 active, 1 retired"
    assert [line.split()[2:4] for line in lines if line.startswith("subject ")] == [
        ["v1", "retired"],
        ["v2", "active"],
    ]
    assert all("up to" in line and "seals of" in line for line in lines[3:])


def test_a_move_that_came_to_no_end_is_told_of(
    memvault: Memvault, memory_id: str, passphrase: str, tmp_path: Path
) -> None:
    assert memvault.json("keys", "status")["moving"] is False
    with closing(sqlite3.connect(tmp_path / "vault" / "keys.db")) as raw, raw:
        whole = raw.execute("SELECT fingerprint FROM keys WHERE kind = 'subject'").fetchone()
        raw.execute("UPDATE keys SET fingerprint = '0' WHERE kind = 'subject'")
    command = ("keys", "migrate", "--to", "passphrase", "--new-passphrase-file", passphrase)
    assert memvault(*command).exit_code == 3
    assert "a move to another root was begun" in memvault("keys", "status").stdout
    with closing(sqlite3.connect(tmp_path / "vault" / "keys.db")) as raw, raw:
        raw.execute("UPDATE keys SET fingerprint = ? WHERE kind = 'subject'", whole)
    assert memvault(*command).exit_code == 0
    assert len(list((tmp_path / "vault").glob("root.*"))) == 1
