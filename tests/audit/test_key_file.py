"""The file of the log's signing key: owner only, whole, and never overwritten."""

import os
from pathlib import Path

import pytest

from audit.errors import KeyFileUnsafeError
from audit.key_file import create_key_file, load_key_file, replace_key_file
from audit.signing import LogKeys, SignerKey
from tests.simulators.small_deployment import LOG_KEY


def test_a_created_key_file_is_owner_only_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    old = os.umask(0)
    try:
        create_key_file(path, LOG_KEY)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key_file(path) == LogKeys(LOG_KEY)


def test_an_existing_file_or_link_is_never_overwritten(tmp_path: Path) -> None:
    path, link = tmp_path / "log.key", tmp_path / "link"
    path.write_text("something")
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (path, link):
        with pytest.raises(KeyFileUnsafeError, match="File exists"):
            create_key_file(taken, LOG_KEY)
    assert path.read_text() == "something"
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_file_or_folder_is_an_error_of_its_own_type(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnsafeError, match="No such file"):
        load_key_file(tmp_path / "none")
    with pytest.raises(KeyFileUnsafeError, match="No such file"):
        create_key_file(tmp_path / "none" / "log.key", LOG_KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, LOG_KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileUnsafeError, match=f"mode 0600, got 0{mode:o}"):
        load_key_file(path)


def test_a_file_of_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, LOG_KEY)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyFileUnsafeError, match="expected owner"):
        load_key_file(path)


def test_links_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    path, link, pipe, folder = (tmp_path / name for name in ("log.key", "link", "pipe", "folder"))
    create_key_file(path, LOG_KEY)
    link.symlink_to(path)
    os.mkfifo(pipe, 0o600)
    folder.mkdir(0o700)
    for unsafe in (link, pipe, folder):
        with pytest.raises(KeyFileUnsafeError):
            load_key_file(unsafe)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"noise\n",
        b"\xff\n",
        LOG_KEY.encode().encode(),
        f"{LOG_KEY.encode()}\n\n".encode(),
        b"x" * 2000 + b"\n",
    ],
)
def test_a_file_that_holds_no_single_key_is_refused_without_showing_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "log.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileUnsafeError, match="log key file: expected") as caught:
        load_key_file(path)
    assert caught.value.__cause__ is None
    assert "PRIVATE" not in str(caught.value)


NEXT = SignerKey(LOG_KEY.name, bytes(range(1, 33)))


def test_a_replaced_key_file_is_owner_only_and_holds_all_keys(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, LOG_KEY)
    (tmp_path / "log.key.new").write_text("left by a replacement that was cut short")
    during = LogKeys(LOG_KEY).begun(NEXT)
    for keys in (during, during.finished()):
        replace_key_file(path, keys)
        assert load_key_file(path) == keys
        assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["log.key"]


def test_a_replacement_that_fails_leaves_the_old_keys(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, LOG_KEY)
    (tmp_path / "log.key.new").mkdir()
    with pytest.raises(KeyFileUnsafeError, match="expected to replace it"):
        replace_key_file(path, LogKeys(LOG_KEY).begun(NEXT))
    assert load_key_file(path) == LogKeys(LOG_KEY)
