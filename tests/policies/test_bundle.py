"""The bundle: exactly these files, whole and clean, under a digest that names every byte."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import BUNDLE_FILES, KNOWN_FILES, MAX_FILE_BYTES, SHIPPED, Bundle
from policies.errors import PolicyInvalidError

SMALL = {name: name.encode() for name in BUNDLE_FILES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small bundle in it."""
    for name, content in SMALL.items():
        path = tmp_path / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "policies"


def test_the_shipped_bundle_reads_whole(shipped: Bundle) -> None:
    assert set(shipped.files) == set(KNOWN_FILES)
    assert shipped.identity is not None
    assert (shipped.identity.name, shipped.identity.version) == ("memos-vault", 1)
    assert shipped.digest.startswith("sha256:")
    assert len(shipped.digest) == len("sha256:") + 64


def test_the_digest_depends_on_neither_place_nor_time(shipped: Bundle, tmp_path: Path) -> None:
    for name in KNOWN_FILES:
        copy = tmp_path / "elsewhere" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SHIPPED / name, copy)
        os.utime(copy, (0, 0))
    assert Bundle.read(tmp_path / "elsewhere").digest == shipped.digest
    assert Bundle(dict(reversed(list(shipped.files.items())))).digest == shipped.digest


def test_the_digest_of_given_bytes_is_the_same_in_every_release() -> None:
    assert Bundle(SMALL).digest == KEPT


KEPT = "sha256:c655f10c73f4f2274d97de5f283d5a8d2b8477f5f9b92f96fa21a304306bdce4"


@given(name=st.sampled_from(BUNDLE_FILES), at=st.integers(0, 7), change=st.sampled_from([1, 2, 4]))
def test_any_changed_byte_changes_the_digest(name: str, at: int, change: int) -> None:
    changed = bytearray(SMALL[name])
    changed[at] ^= change
    assert Bundle({**SMALL, name: bytes(changed)}).digest != Bundle(SMALL).digest


def test_content_moved_from_one_file_to_the_next_changes_the_digest() -> None:
    first, second = BUNDLE_FILES[:2]
    assert (
        Bundle({**SMALL, first: b"ab", second: b"c"}).digest
        != Bundle({**SMALL, first: b"a", second: b"bc"}).digest
    )


def test_a_bundle_does_not_change_after_it_was_read() -> None:
    given_ = dict(SMALL)
    bundle = Bundle(given_)
    before = bundle.digest
    given_[BUNDLE_FILES[0]] = b"other"
    assert bundle.digest == before
    with pytest.raises(TypeError):
        bundle.files[BUNDLE_FILES[0]] = b"other"  # type: ignore[index]  # that is the test


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(PolicyInvalidError, match=f"{name} is missing"):
        Bundle.read(folder)


@pytest.mark.parametrize(
    "name", ["more.csv", "rules/more.yaml", "rules/old.conf", "privacy.yml", "rules/policy.json"]
)
def test_a_stray_policy_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("a rule that somebody believes in")
    with pytest.raises(PolicyInvalidError, match=f"not known \\['{name}'\\]"):
        Bundle.read(folder)


def test_programs_and_notes_beside_the_files_are_passed_over(folder: Path) -> None:
    before = Bundle.read(folder).digest
    for name in ("access.py", "README.md", "rules/notes.txt"):
        (folder / name).write_text("not a policy")
    assert Bundle.read(folder).digest == before == Bundle(SMALL).digest


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalidError, match="cannot be read"):
        Bundle.read(tmp_path / "absent")


def test_a_folder_or_a_pipe_in_a_files_place_is_refused_without_waiting(folder: Path) -> None:
    path = folder / BUNDLE_FILES[1]
    path.unlink()
    path.mkdir()
    with pytest.raises(PolicyInvalidError, match="no file"):
        Bundle.read(folder)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(PolicyInvalidError, match="no file"):
        Bundle.read(folder)


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(PolicyInvalidError, match="cannot be read: Permission denied"):
        Bundle.read(folder)


@pytest.mark.parametrize("name", BUNDLE_FILES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xef\xbb\xbfp, a", "byte order mark"),
        (b"p, a\r\n", "carriage return"),
        (b"p, a\x00", "NUL"),
        (b"p, \xff", "not UTF-8 at byte 3"),
        (b"a" * (MAX_FILE_BYTES + 1), "larger than"),
    ],
    ids=["mark", "return", "nul", "bytes", "large"],
)
def test_a_file_that_is_no_clean_text_is_named(folder: Path, name: str, content: bytes, reason: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(PolicyInvalidError, match=reason) as refused:
        Bundle.read(folder)
    assert name in str(refused.value)


def test_the_largest_file_is_still_read(folder: Path) -> None:
    (folder / BUNDLE_FILES[0]).write_bytes(b"a" * MAX_FILE_BYTES)
    assert len(Bundle.read(folder).text(BUNDLE_FILES[0])) == MAX_FILE_BYTES


def test_lint_gets_what_is_there_as_it_is(folder: Path) -> None:
    (folder / BUNDLE_FILES[0]).write_bytes(b"\xff" * (MAX_FILE_BYTES + 9))
    (folder / BUNDLE_FILES[1]).unlink()
    (folder / "stray.csv").write_bytes(b"x")
    found = Bundle.raw(folder)
    assert found.keys() == {*BUNDLE_FILES, "stray.csv"} - {BUNDLE_FILES[1]}
    assert len(found[BUNDLE_FILES[0]]) == MAX_FILE_BYTES + 1
    assert found["stray.csv"] == b"x"
