"""The directory of a witness: made once, read safely, changed whole."""

import os
from pathlib import Path

import pytest

from audit.cosignature import WitnessSignerKey
from audit.errors import KeyFileUnsafeError, KeyMalformedError, WitnessStateError
from audit.signing import SignerKey
from audit.witness import TrustList
from audit.witness_files import WitnessDirectory

KEY = WitnessSignerKey("witness.example/w1", bytes(range(32)))
LOG = SignerKey("memos-vault/ward-1/clinic-a", bytes(32)).verifier
DEPLOYMENT = SignerKey.for_deployment("ward-1", bytes(32)).verifier


@pytest.fixture
def made(tmp_path: Path) -> WitnessDirectory:
    place = WitnessDirectory(tmp_path / "witness")
    place.create(KEY)
    return place


def test_a_new_witness_is_private_and_trusts_nobody(made: WitnessDirectory) -> None:
    assert made.path.stat().st_mode & 0o777 == 0o700
    for path in (made.key, made.state, made.trusted):
        assert path.stat().st_mode & 0o777 == 0o600
    witness = made.open(lambda: 0)
    assert witness.key == KEY
    assert witness.trusted() == TrustList()
    assert witness.store.logs() == []


def test_a_witness_is_not_made_over_another(made: WitnessDirectory) -> None:
    with pytest.raises(WitnessStateError, match="new or empty directory"):
        made.create(WitnessSignerKey("other", bytes(32)))
    assert made.load_key() == KEY


def test_a_witness_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WitnessStateError, match="cannot be made"):
        WitnessDirectory(tmp_path / "file" / "witness").create(KEY)


def test_trust_is_added_once_and_read_by_a_witness_that_runs(made: WitnessDirectory) -> None:
    witness = made.open(lambda: 0)
    made.trust(LOG, deployment=False)
    made.trust(DEPLOYMENT, deployment=True)
    again = made.trust(DEPLOYMENT, deployment=True)
    assert again == TrustList((LOG,), (DEPLOYMENT,))
    assert witness.trusted() == again
    assert not made.trusted.with_suffix(".new").exists()


def test_a_change_of_trust_that_was_cut_short_leaves_the_old_list(made: WitnessDirectory) -> None:
    made.trust(LOG, deployment=False)
    made.trusted.with_suffix(".new").write_text("half")
    assert made.load_trusted() == TrustList((LOG,))
    assert made.trust(DEPLOYMENT, deployment=True) == TrustList((LOG,), (DEPLOYMENT,))


def test_trust_that_cannot_be_written_is_told(made: WitnessDirectory) -> None:
    made.trusted.with_suffix(".new").mkdir()
    with pytest.raises(WitnessStateError, match="cannot be written"):
        made.trust(LOG, deployment=False)
    assert made.load_trusted() == TrustList()


@pytest.mark.parametrize("how", ["missing", "open", "link", "pipe", "long", "noise", "log key", "folder"])
def test_a_key_file_that_is_unsafe_or_no_key_is_refused(made: WitnessDirectory, how: str) -> None:
    text = made.key.read_text()
    made.key.unlink()
    match how:
        case "open":
            made.key.write_text(text)
            made.key.chmod(0o640)
        case "link":
            made.key.symlink_to(made.trusted)
        case "pipe":
            os.mkfifo(made.key, 0o600)
        case "folder":
            made.key.mkdir()
        case "long":
            _private(made.key, b"x" * 2000)
        case "noise":
            _private(made.key, b"\xff\xfe")
        case "log key":
            _private(made.key, (SignerKey("w", bytes(32)).encode() + "\n").encode())
    with pytest.raises(KeyFileUnsafeError) as caught:
        made.open(lambda: 0)
    assert text.strip() not in str(caught.value)


def test_a_list_that_others_may_write_or_that_is_none_is_refused(made: WitnessDirectory) -> None:
    made.trusted.chmod(0o620)
    with pytest.raises(WitnessStateError, match="others may write"):
        made.open(lambda: 0)
    made.trusted.chmod(0o644)
    made.trusted.write_bytes(b"\xff")
    with pytest.raises(WitnessStateError, match="cannot be read"):
        made.open(lambda: 0)
    made.trusted.write_text("log nobody\n")
    with pytest.raises(KeyMalformedError):
        made.open(lambda: 0)


def _private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
