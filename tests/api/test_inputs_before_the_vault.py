"""Commands read what they are given before they hold the vault, and say nothing was written only by an error."""

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.conftest import Memvault
from vault.errors import VaultInUseError
from vault.storage.directory import VaultDirectory


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_fifo, _socket, _device, Path.mkdir])
@pytest.mark.parametrize(
    "command",
    [
        ["extract"],
        ["extract", "-", "--subject-file"],
        ["retrieve", "tea", "--subject-file"],
        ["organize", "--subject-file"],
        ["update", f"mem_{'0' * 26}", "--file"],
    ],
)
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(
    memvault: Memvault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    command: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(tmp_path / "given.txt")
    result = memvault(*command, "given.txt", "--json", stdin="tea at four")
    problem = json.loads(result.stderr)
    assert (result.exit_code, problem["type"]) == (1, "urn:memvault:problem:document-invalid")
    assert result.stdout == ""
    assert memvault.json("retrieve", "tea")["hits"] == []


class _Watched(io.BytesIO):
    """Standard input that looks whether the vault is held while it is read."""

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(content)
        self.path = path
        self.held: list[bool] = []

    def read(self, size: int | None = -1) -> bytes:
        """Look, and read."""
        try:
            VaultDirectory(self.path).hold().release()
            self.held.append(False)
        except VaultInUseError:
            self.held.append(True)
        return super().read(size)


@pytest.mark.parametrize("command", [["extract", "-"], ["retrieve", "-"], ["update"]])
def test_standard_input_is_read_before_the_vault_is_held(
    memvault: Memvault, memory_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    given = _Watched(b"tea at four", tmp_path / "vault")
    monkeypatch.setattr("api.cli.memories.sys", type("Sys", (), {"stdin": io.TextIOWrapper(given)}))
    result = memvault(*command, *([memory_id] if command == ["update"] else []))
    assert result.exit_code == 0, result.output
    assert given.held
    assert not any(given.held)


def test_a_file_that_cannot_be_read_stops_the_command_before_anything_is_written(
    memvault: Memvault, tmp_path: Path
) -> None:
    (tmp_path / "good.txt").write_text("tea at four")
    result = memvault("extract", str(tmp_path / "good.txt"), str(tmp_path / "absent.txt"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "memvault: file 2 of 2: a file cannot be read: No such file or directory\n"
    assert memvault.json("retrieve", "tea")["hits"] == []


def test_standard_input_is_given_once(memvault: Memvault) -> None:
    assert memvault("extract", "-", "-", stdin="tea at four").exit_code == 2
    assert memvault.json("retrieve", "tea")["hits"] == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_error_of_the_first_file_is_all_that_is_told(
    memvault: Memvault, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"hunter2\xff")
    result = memvault("extract", str(tmp_path / "bad.txt"), *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "memories" not in result.stderr


def test_what_was_written_before_an_error_is_told_to_people_too(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("tea at four")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    result = memvault("extract", str(tmp_path / "good.txt"), str(tmp_path / "bad.txt"))
    assert result.exit_code == 1
    assert "1 memory in 1 episode" in result.stderr
