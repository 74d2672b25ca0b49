"""C2SP checkpoints: a real log, round trips and every malformed kind."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from audit.errors import CheckpointMalformedError, NoteMalformedError, VerificationError
from audit.merkle import MAX_TREE_SIZE, leaf_hash, verify_consistency, verify_inclusion
from audit.note import sign_note
from audit.signing import SignerKey, VerifierKey
from tests.simulators.reference_tree import Tree

KEY = SignerKey("example.org/log", bytes(32))
ROOT = b64encode(bytes(32)).decode()

lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=20)
checkpoints = st.builds(
    Checkpoint,
    origin=lines,
    size=st.integers(0, MAX_TREE_SIZE),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(lines, max_size=3).map(tuple),
)


@given(checkpoints)
def test_any_checkpoint_round_trips(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(checkpoint.encode()) == checkpoint


@given(checkpoints)
def test_a_signed_checkpoint_verifies_for_its_own_log_only(checkpoint: Checkpoint) -> None:
    signed = sign_checkpoint(checkpoint, [KEY])
    assert signed.checkpoint == checkpoint
    if checkpoint.origin != KEY.name:
        with pytest.raises(VerificationError, match="checkpoint origin"):
            verify_checkpoint(signed.note, KEY.verifier)
    own = Checkpoint(KEY.name, checkpoint.size, checkpoint.root, checkpoint.extensions)
    assert verify_checkpoint(sign_checkpoint(own, [KEY]).note, KEY.verifier) == own


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n",
        "origin\n1\n",
        f"origin\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"origin\n\n{ROOT}\n",
        "origin\n1\n\n",
        f"origin\n1\n{ROOT}\n\n",
        f"origin\n1\n{ROOT}\n\nextension\n",
        f"origin\n01\n{ROOT}\n",
        f"origin\n+1\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n1.0\n{ROOT}\n",
        f"origin\n 1\n{ROOT}\n",
        f"origin\n１\n{ROOT}\n",
        f"origin\n²\n{ROOT}\n",
        f"origin\n{2**63}\n{ROOT}\n",
        f"origin\n{'9' * 10000}\n{ROOT}\n",
        f"origin\n1\n{ROOT[:-1]}\n",
        f"origin\n1\n{b64encode(bytes(31)).decode()}\n",
        f"origin\n1\n{b64encode(bytes(33)).decode()}\n",
        f"origin\n1\n{ROOT[:-2]}B=\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(CheckpointMalformedError, match="expected"):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("two\nlines", 1, bytes(32)),
        Checkpoint("", 1, bytes(32)),
        Checkpoint("origin", 1, bytes(31)),
        Checkpoint("origin", -1, bytes(32)),
        Checkpoint("origin", 1, bytes(32), ("",)),
        Checkpoint("origin", 1, bytes(32), ("two\nlines",)),
    ],
)
def test_a_checkpoint_that_would_read_back_as_another_is_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointMalformedError):
        sign_checkpoint(checkpoint, [KEY])


def test_a_note_that_is_no_checkpoint_and_bytes_that_are_no_note_are_told_apart() -> None:
    with pytest.raises(CheckpointMalformedError):
        verify_checkpoint(sign_note("some text\n", [KEY]), KEY.verifier)
    with pytest.raises(NoteMalformedError):
        verify_checkpoint(b"noise", KEY.verifier)


def test_a_self_made_log_of_growing_checkpoints_is_followed() -> None:
    follow([b"entry %d" % index for index in range(16)], [notes(size) for size in range(17)], KEY.verifier)


def notes(size: int) -> bytes:
    tree = Tree(leaf_hash(b"entry %d" % index) for index in range(size))
    return sign_checkpoint(Checkpoint(KEY.name, size, tree.root(size)), [KEY]).note


def test_the_shared_tile_log_is_followed_through_its_sixteen_checkpoints(shared: Path) -> None:
    folder = shared / "vectors" / "tlog"
    about = json.loads((folder / "notes.json").read_text())["log"]
    log = folder / about["path"]
    bundle = (log / "tile" / "entries" / "000.p" / "15").read_bytes()
    hashes = (log / "tile" / "0" / "000.p" / "15").read_bytes()
    entries: list[bytes] = []
    while bundle:
        size = int.from_bytes(bundle[:2])
        entries.append(bundle[2 : 2 + size])
        bundle = bundle[2 + size :]
    assert [leaf_hash(entry) for entry in entries] == [
        hashes[at : at + 32] for at in range(0, len(hashes), 32)
    ]
    signed = [(log / f"checkpoint.{size}").read_bytes() for size in range(16)]
    follow(entries, signed, VerifierKey.parse(about["vkey"]))


def follow(entries: list[bytes], signed: list[bytes], key: VerifierKey) -> None:
    """Verify every checkpoint against the entries, and each against all before it."""
    tree = Tree(map(leaf_hash, entries))
    opened = [verify_checkpoint(note, key) for note in signed]
    for size, checkpoint in enumerate(opened):
        assert (checkpoint.size, checkpoint.root) == (size, tree.root(size))
        for first in range(1, size + 1):
            proof = tree.consistency_proof(first, size)
            verify_consistency(first, size, proof, opened[first].root, checkpoint.root)
            verify_inclusion(
                first - 1,
                size,
                leaf_hash(entries[first - 1]),
                tree.inclusion_proof(first - 1, size),
                checkpoint.root,
            )
