"""The anchor: what is appended stays, and a file that is no longer the one that it was is missed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.anchor import HEADER, LARGEST_KEPT, FileAnchor
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import AnchorUnusableError, NoteMalformedError
from audit.signing import SignerKey
from tests.conftest import REPOSITORY

KEY = SignerKey("memos-vault/ward-1/clinic-a", bytes(range(32)))
OTHER = SignerKey("memos-vault/ward-1/clinic-b", bytes(range(32)))
FORGER = SignerKey(KEY.name, bytes(32))
KEYS = [KEY.verifier]


def note_of(size: int, key: SignerKey = KEY) -> bytes:
    return sign_checkpoint(Checkpoint(key.name, size, size.to_bytes(32)), [key]).note


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anchor"


@pytest.fixture
def anchor(path: Path) -> Iterator[FileAnchor]:
    made = FileAnchor.create(path)
    yield made
    made.close()


def sizes(path: Path, origin: str = KEY.name) -> list[int]:
    """Return what a reader finds who opens the file anew."""
    opened = FileAnchor(path)
    try:
        return [int(note.decode().split("\n")[1]) for note in opened.notes(origin)]
    finally:
        opened.close()


def test_what_is_appended_is_found_again_by_log(anchor: FileAnchor, path: Path) -> None:
    for size in (1, 5, 3):
        anchor.append(note_of(size))
    anchor.append(note_of(9, OTHER))
    again = FileAnchor(path)
    for one in (anchor, again):
        assert list(one.notes(KEY.name)) == [note_of(1), note_of(5), note_of(3)]
        latest = one.latest(KEY.name, KEYS)
        assert latest is not None
        assert (latest.note, latest.checkpoint.size) == (note_of(5), 5)
        assert one.origins() == (KEY.name, OTHER.name)
        assert one.latest("memos-vault/ward-1/nobody", KEYS) is None
        assert one.damaged == 0
    again.close()


def test_a_new_anchor_is_private_and_never_made_over_another(path: Path) -> None:
    FileAnchor.create(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(AnchorUnusableError, match="File exists"):
        FileAnchor.create(path)
    assert path.read_bytes() == HEADER


def test_what_is_no_checkpoint_is_not_anchored(anchor: FileAnchor, path: Path) -> None:
    with pytest.raises(NoteMalformedError):
        anchor.append(b"note")
    spaced = SignerKey("x", bytes(32))
    note = sign_checkpoint(Checkpoint("two words", 1, bytes(32)), [spaced]).note
    with pytest.raises(AnchorUnusableError, match="white space"):
        anchor.append(note)
    assert path.read_bytes() == HEADER


def test_an_anchor_that_is_missing_or_another_file_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(AnchorUnusableError, match="No such file"):
        FileAnchor(path)
    path.write_bytes(b"something else\n")
    with pytest.raises(AnchorUnusableError, match="another file"):
        FileAnchor(path)
    path.write_bytes(HEADER)
    path.chmod(0o622)
    with pytest.raises(AnchorUnusableError, match="others cannot write"):
        FileAnchor(path)
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(AnchorUnusableError, match="symbolic link"):
        FileAnchor(link)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(AnchorUnusableError, match="regular file"):
        FileAnchor(fifo)
    with pytest.raises(AnchorUnusableError, match="cannot be made"):
        FileAnchor.create(tmp_path / "nowhere" / "anchor")


def test_an_unlinked_anchor_is_missed_before_and_after_a_write(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(1))
    path.unlink()
    for act in (anchor.check, lambda: anchor.append(note_of(2))):
        with pytest.raises(AnchorUnusableError, match="gone from its path"):
            act()
    assert not path.exists()
    assert list(anchor.notes(KEY.name)) == [note_of(1)]


def test_a_replaced_anchor_is_missed(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(1))
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    with pytest.raises(AnchorUnusableError, match="replaced"):
        anchor.append(note_of(2))
    assert sizes(path) == [1]


def test_a_truncated_anchor_is_missed(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(1))
    anchor.append(note_of(2))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(AnchorUnusableError, match="was cut: expected at least"):
        anchor.append(note_of(3))
    assert sizes(path) == [1]


def test_an_anchor_that_becomes_writable_by_others_is_refused(anchor: FileAnchor, path: Path) -> None:
    path.chmod(0o602)
    with pytest.raises(AnchorUnusableError, match="others cannot write"):
        anchor.append(note_of(1))


def test_an_anchor_that_is_replaced_while_it_is_written_is_not_said_to_be_written(
    anchor: FileAnchor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def unlink_and_sync(descriptor: int) -> None:
        path.unlink()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", unlink_and_sync)
    with pytest.raises(AnchorUnusableError, match="gone from its path"):
        anchor.append(note_of(1))


def test_a_write_that_fails_half_way_is_told_and_the_next_one_is_whole(
    anchor: FileAnchor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def short(descriptor: int, content: bytes) -> int:
        if len(content) > 30:
            return real(descriptor, content[:30])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: short(descriptor, content[:40]))
        with pytest.raises(AnchorUnusableError, match="No space left"):
            anchor.append(note_of(1))
    assert anchor.damaged == 1
    assert anchor.latest(KEY.name, KEYS) is None
    anchor.append(note_of(2))
    assert sizes(path) == [2]


def test_another_appenders_lines_are_kept(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(1))
    other = FileAnchor(path)
    other.append(note_of(2))
    other.close()
    anchor.append(note_of(3))
    assert sizes(path) == [1, 2, 3]


def test_a_torn_line_is_ended_passed_over_and_counted(path: Path) -> None:
    made = FileAnchor.create(path)
    made.append(note_of(1))
    made.append(note_of(2))
    made.close()
    os.truncate(path, path.stat().st_size - 20)
    opened = FileAnchor(path)
    assert opened.damaged == 1
    opened.append(note_of(3))
    opened.append(note_of(4))
    opened.close()
    assert sizes(path) == [1, 3, 4]
    again = FileAnchor(path)
    assert again.damaged == 1
    again.close()


@given(st.binary(max_size=200))
def test_noise_in_the_anchor_is_passed_over(noise: bytes) -> None:
    import tempfile  # noqa: PLC0415  # hypothesis and pytest's tmp_path do not go together

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anchor"
        made = FileAnchor.create(path)
        made.append(note_of(1))
        with path.open("ab") as file:
            file.write(noise)
        made.append(note_of(2))
        made.close()
        assert sizes(path) == [1, 2]


@pytest.mark.parametrize(
    "line",
    [
        b"checkpoint\n",
        b"checkpoint a b c .\n",
        b"checkpoint a 1 .\n",
        b"checkpoint a 1 AAAA\n",
        b"checkpoint \xff 1 AAAA .\n",
        b"checkpoint a " + b"9" * 20 + b" AAAA .\n",
        b"other a 1 AAAA .\n",
        b"\n",
    ],
)
def test_a_line_that_is_no_record_is_counted(anchor: FileAnchor, path: Path, line: bytes) -> None:
    anchor.append(note_of(1))
    with path.open("ab") as file:
        file.write(line)
    opened = FileAnchor(path)
    assert (opened.damaged, opened.origins()) == (1, (KEY.name,))
    opened.close()


def test_forged_checkpoints_do_not_hide_the_real_one(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(5))
    for size in range(100, 100 + 2 * LARGEST_KEPT):
        anchor.append(note_of(size, FORGER))
    with path.open("ab") as file:
        file.write(f"checkpoint {KEY.name} 999 !!!! .\nno record\n".encode())
    opened = FileAnchor(path)
    for one in (anchor, opened):
        latest = one.latest(KEY.name, KEYS)
        assert latest is not None
        assert latest.checkpoint.size == 5
        assert one.latest(KEY.name, []) is None
    opened.close()


def test_either_key_of_a_rollover_opens_a_checkpoint(anchor: FileAnchor) -> None:
    anchor.append(note_of(5))
    anchor.append(note_of(6, FORGER))
    latest = anchor.latest(KEY.name, [KEY.verifier, FORGER.verifier])
    assert latest is not None
    assert latest.checkpoint.size == 6


def test_what_an_examination_found_is_kept_and_is_no_checkpoint(anchor: FileAnchor, path: Path) -> None:
    anchor.append_finding(b'{"finding": 1}')
    anchor.append(note_of(1))
    assert sizes(path) == [1]
    opened = FileAnchor(path)
    assert (opened.damaged, opened.origins()) == (0, (KEY.name,))
    opened.close()
    assert b"forensics - 0 eyJ" in path.read_bytes()


def test_time_stamps_are_kept_by_log_and_are_no_checkpoints(anchor: FileAnchor, path: Path) -> None:
    anchor.append(note_of(1))
    anchor.append_time_stamp(Checkpoint(KEY.name, 1, bytes(32)), b"response")
    anchor.append_time_stamp(Checkpoint(OTHER.name, 7, bytes(32)), b"another")
    with path.open("ab") as file:
        file.write(f"no record\ntimestamp {KEY.name} 2 !!!! .\n".encode())
    opened = FileAnchor(path)
    assert list(opened.time_stamps(KEY.name)) == [(1, b"response")]
    assert (opened.origins(), opened.damaged) == ((KEY.name,), 1)
    opened.close()
    assert sizes(path) == [1]


def test_an_anchor_that_was_closed_takes_nothing(path: Path) -> None:
    made = FileAnchor.create(path)
    made.close()
    with pytest.raises(AnchorUnusableError, match="is closed"):
        made.append(note_of(1))
    assert path.read_bytes() == HEADER


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        capture_output=True,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        timeout=120,
    )


def test_a_full_disk_leaves_the_checkpoint_unanchored_and_the_anchor_readable(path: Path) -> None:
    """The limit of a file's size stands for the disk's: the kernel writes what fits, then refuses."""
    FileAnchor.create(path).close()
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from audit.errors import AnchorUnusableError\n"
        "from tests.audit import test_anchor as t\n"
        "anchor = t.FileAnchor(Path(sys.argv[1]))\n"
        "anchor.append(t.note_of(1))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size + 50, -1))\n"
        "for size in (2, 3):\n"
        "    try:\n"
        "        anchor.append(t.note_of(size))\n"
        "    except AnchorUnusableError as error:\n"
        "        print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "anchor.append(t.note_of(4))\n"
    )
    done = run(program, str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == ["the anchor cannot be written: File too large"] * 2
    assert sizes(path) == [1, 4]


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_process_killed_at_any_write_of_the_anchor_leaves_it_readable(path: Path, nth: int) -> None:
    FileAnchor.create(path).close()
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.audit import test_anchor as t\n"
        "calls = 0\n"
        "real_write, real_sync = os.write, os.fsync\n"
        "def count():\n"
        "    global calls\n"
        "    calls += 1\n"
        "    return calls == int(sys.argv[2])\n"
        "def write(descriptor, content):\n"
        "    if count():\n"
        "        real_write(descriptor, content[: len(content) // 2])\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real_write(descriptor, content)\n"
        "def sync(descriptor):\n"
        "    if count(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real_sync(descriptor)\n"
        "anchor = t.FileAnchor(Path(sys.argv[1]))\n"
        "os.write, os.fsync = write, sync\n"
        "for size in (1, 2, 3):\n"
        "    anchor.append(t.note_of(size))\n"
        "    print(size, flush=True)\n"
    )
    done = run(program, str(path), str(nth))
    assert done.returncode == -signal.SIGKILL, done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    found = sizes(path)
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1
    opened = FileAnchor(path)
    opened.append(note_of(9))
    opened.close()
    assert sizes(path) == [*found, 9]
