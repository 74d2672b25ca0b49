"""Conformance with the inclusion and consistency cases of transparency-dev, by path.

The self-made cases beside them stand in `test_merkle.py`.
"""

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import TypedDict

import pytest

from audit.errors import VerificationError
from audit.merkle import (
    HASH_SIZE,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)

CASES = 518
# Roots in these positive cases are the words "don't care", which are no hashes: 32 bytes are wanted
# here of every hash, so that they are refused as they stand and accepted once hashed.
PLACEHOLDERS = {
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
    "subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
}


class Case(TypedDict, total=False):
    """One case; which keys are there depends on its folder."""

    leafIdx: int
    treeSize: int
    leafHash: str
    root: str
    size: int
    size1: int
    size2: int
    start: int
    end: int
    root1: str
    root2: str
    proof: list[str] | None
    wantErr: bool


def verify(kind: str, case: Case, *, hashed: bool = False) -> None:
    def read(text: str) -> bytes:
        value = b64decode(text)
        return sha256(value).digest() if hashed and len(value) != HASH_SIZE else value

    proof = [b64decode(node) for node in case["proof"] or []]
    if kind == "inclusion":
        verify_inclusion(case["leafIdx"], case["treeSize"], read(case["leafHash"]), proof, read(case["root"]))
    elif kind == "consistency":
        verify_consistency(case["size1"], case["size2"], proof, read(case["root1"]), read(case["root2"]))
    elif kind == "subtreeinclusion":
        verify_subtree_inclusion(
            case["leafIdx"], case["start"], case["end"], read(case["leafHash"]), proof, read(case["root"])
        )
    else:
        assert kind == "subtreeconsistency"
        roots = read(case["root1"]), read(case["root2"])
        verify_subtree_consistency(case["start"], case["end"], case["size"], proof, *roots)


def test_every_case_is_accepted_or_refused_as_it_says(shared: Path) -> None:
    folder = shared / "vectors" / "merkle"
    files = sorted(folder.rglob("*.json"))
    assert len(files) == CASES
    for file in files:
        name = file.relative_to(folder).as_posix()
        case: Case = json.loads(file.read_text())
        kind = name.split("/", 1)[0]
        if case["wantErr"] or name in PLACEHOLDERS:
            with pytest.raises(VerificationError):
                verify(kind, case)
        if not case["wantErr"]:
            verify(kind, case, hashed=name in PLACEHOLDERS)
