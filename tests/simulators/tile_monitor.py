"""A third party that follows a log by nothing but its public files: checkpoint, tiles, entry bundles.

Owns what a monitor of C2SP tlog-tiles does. It knows a verifier key and a way to fetch a path; paths are
made here by its own rules, not by the product's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.merkle import leaf_hash, root_hash, verify_consistency
from audit.signing import VerifierKey
from audit.tiles import TileTree

Fetch = Callable[[str], bytes | None]
"""A path to what lies there; None where nothing does."""


@dataclass
class Monitor:
    """Keeps the last checkpoint and every entry that it saw."""

    key: VerifierKey
    """Of the one log that it follows."""
    fetch: Fetch
    seen: Checkpoint | None = None
    entries: list[bytes] = field(default_factory=list)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Fetch a tile; the full one where the partial one is not kept any more."""
        return self._fetch(f"tile/{level}/{groups(index)}", width)[: width * 32]

    def follow(self) -> Checkpoint:
        """Fetch the checkpoint and whatever is new, and hold all of it against all that was seen."""
        note = self.fetch("checkpoint")
        assert note is not None
        checkpoint = verify_checkpoint(note, self.key)
        tree = TileTree(self, checkpoint.size, checkpoint.root)
        if self.seen is not None and self.seen.size:
            proof = tree.consistency_proof(self.seen.size)
            verify_consistency(self.seen.size, checkpoint.size, proof, self.seen.root, checkpoint.root)
        while len(self.entries) < checkpoint.size:
            index, at = divmod(len(self.entries), 256)
            width = min(256, checkpoint.size - index * 256)
            self.entries += framed(self._fetch(f"tile/entries/{groups(index)}", width))[at:width]
        assert root_hash([leaf_hash(entry) for entry in self.entries]) == checkpoint.root
        self.seen = checkpoint
        return checkpoint

    def _fetch(self, path: str, width: int) -> bytes:
        partial = None if width == 256 else self.fetch(f"{path}.p/{width}")
        found = self.fetch(path) if partial is None else partial
        assert found is not None, f"nothing at {path}"
        return found


def groups(index: int) -> str:
    """Return an index as the specification writes it."""
    digits = str(index).zfill(-(-len(str(index)) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join(["x" + part for part in parts[:-1]] + parts[-1:])


def framed(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle."""
    entries = []
    while bundle:
        size = int.from_bytes(bundle[:2])
        entries.append(bundle[2 : 2 + size])
        bundle = bundle[2 + size :]
    return entries
