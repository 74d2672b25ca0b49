"""Assembly: passphrase files are read safely, settings reach the vault."""

import os
from pathlib import Path

import pytest

from api.assembly import create_vault, memory_of, open_vault, read_passphrase, vault_options, vault_path
from api.settings import Settings, read_settings
from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from vault.errors import KeyFileUnsafeError, KeyWrongError, NotFoundError, TextInvalidError
from vault.opening import default_path
from vault.pipeline.limits import InputLimits


def _file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "passphrase"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "content", [b"correct horse battery", b"correct horse battery\n", b"correct horse battery\r\n"]
)
def test_a_passphrase_is_the_one_line_of_its_file(tmp_path: Path, content: bytes) -> None:
    assert read_passphrase(_file(tmp_path, content)) == "correct horse battery"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_passphrase_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileUnsafeError):
        read_passphrase(_file(tmp_path, b"correct horse battery", mode))


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"x" * 8193])
def test_a_passphrase_file_of_several_lines_or_too_long_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyFileUnsafeError):
        read_passphrase(_file(tmp_path, content))


def test_a_passphrase_that_is_no_text_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(TextInvalidError) as caught:
        read_passphrase(_file(tmp_path, b"hunter2\xff"))
    assert caught.value.__cause__ is None
    assert "hunter2" not in str(caught.value)


def test_a_missing_passphrase_file_is_named_as_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyWrongError, match="no passphrase file"):
        read_passphrase(tmp_path / "none")


def test_a_fifo_or_a_folder_is_no_passphrase_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(KeyFileUnsafeError):
            read_passphrase(path)


def test_settings_reach_the_options_of_the_vault() -> None:
    settings = read_settings({"MEMVAULT_LIMIT_TAGS": "3", "MEMVAULT_EMBEDDING_THREADS": "2"})
    options = vault_options(settings)
    assert options.limits == InputLimits(tags=3)
    assert options.embedding_threads == 2


def test_the_vault_lies_in_the_data_directory_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert vault_path(Settings()) == default_path()
    assert vault_path(Settings(vault=tmp_path)) == tmp_path


def test_a_vault_under_a_passphrase_opens_with_it_alone(tmp_path: Path) -> None:
    settings = Settings(vault=tmp_path / "vault", passphrase_file=_file(tmp_path, b"correct horse battery"))
    create_vault(settings, tenant="clinic", deployment="ward", options=fake_options()).close()
    with open_vault(settings, fake_options()) as vault:
        memory = memory_of(vault, Principal("a", "clinic", frozenset({Role.OWNER_AGENT})), Purpose.TREATMENT)
        assert memory.extract("tea at four").memory_ids
        with pytest.raises(NotFoundError):
            memory_of(vault, Principal("a", "elsewhere", frozenset({Role.OWNER_AGENT})), Purpose.TREATMENT)
    _file(tmp_path, b"another passphrase")
    with pytest.raises(KeyWrongError):
        open_vault(settings, fake_options())
