"""A log as a folder of files in the form of C2SP tlog-tiles, kept up with the log.

Owns what is written in which order, so that whoever reads the folder at any time, or after any crash,
finds a checkpoint and everything that it covers. It leaves paths to `audit.tiles` and content to the
source.

    checkpoint                    the signed note; replaced last
    tile/0/000 … tile/entries/000 …

Each file is written aside and renamed. An export that was cut short is taken up by the next one: what is
there already and the same is not written again. Partial tiles go once the full one lies there.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.errors import MalformedError, TileFolderError, VerificationError
from audit.merkle import verify_consistency
from audit.note import MAX_NOTE_SIZE
from audit.signing import VerifierKey
from audit.tiles import TILE_WIDTH, TileAddress, TileTree, bundles_of, tiles_of

CHECKPOINT_FILE: Final = "checkpoint"
TILE_FOLDER: Final = "tile"
_ASIDE: Final = ".being-written"
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o644
"""Whom the folder lets in may read it."""


class TileFiles(Protocol):
    """Gives what lies at an address."""

    def content(self, address: TileAddress) -> bytes:
        """Return a tile's hashes or a bundle's entries."""


@dataclass(frozen=True, slots=True)
class ExportedTiles:
    """What an export did."""

    size: int
    """Of the tree that the folder now holds."""
    since: int
    """Of the one that it held before."""
    written: int
    """Files, without the checkpoint."""


def export_tiles(
    folder: Path, checkpoint: Checkpoint, note: bytes, source: TileFiles, verifiers: Sequence[VerifierKey]
) -> ExportedTiles:
    """Bring a folder from the checkpoint that it holds, or from nothing, to another one.

    Args:
        folder: New, or one of an earlier export.
        checkpoint: What the note says.
        note: Signed by one of the keys.
        source: Gives tiles and bundles of the tree of that checkpoint.
        verifiers: Keys that sign this log or signed it before.

    Raises:
        TileFolderError: the folder holds something else, another log, or a history that this one does
            not extend; nothing in it was changed.
        OSError: it cannot be read or written.
    """
    held = _held(folder, verifiers)
    since = 0 if held is None else held.size
    if held is not None:
        _check_extends(held, checkpoint, source)
    written = 0
    for address in chain(tiles_of(checkpoint.size, since), bundles_of(checkpoint.size, since)):
        written += _put(folder, address.path, source.content(address))
    # What the checkpoint covers is on the disk before it is: one flush of all is cheaper than one of each.
    os.sync()
    _put(folder, CHECKPOINT_FILE, note)
    _sync_folder(folder)
    for address in chain(tiles_of(checkpoint.size, since), bundles_of(checkpoint.size, since)):
        if address.width == TILE_WIDTH:
            shutil.rmtree(folder / f"{address.path}.p", ignore_errors=True)
    return ExportedTiles(checkpoint.size, since, written)


def _held(folder: Path, verifiers: Sequence[VerifierKey]) -> Checkpoint | None:
    """Return the checkpoint in the folder; None where there is none yet. Make the folder."""
    if not folder.exists():
        folder.mkdir(mode=_FOLDER_MODE)
    names = {entry.name for entry in folder.iterdir()} - {
        CHECKPOINT_FILE + _ASIDE,
        CHECKPOINT_FILE,
        TILE_FOLDER,
    }
    if names:
        raise TileFolderError("expected a new folder, or one of an earlier export, got one with other files")
    place = folder / CHECKPOINT_FILE
    if not place.exists():
        return None
    with place.open("rb") as file:
        note = file.read(MAX_NOTE_SIZE + 1)
    try:
        return verify_checkpoint(note, *verifiers)
    except (MalformedError, VerificationError) as error:
        raise TileFolderError(f"expected a checkpoint of this log in the folder: {error}") from None


class _Source:
    """The tiles of a source of files."""

    def __init__(self, files: TileFiles) -> None:
        self._files = files

    def tile(self, level: int, index: int, width: int) -> bytes:
        return self._files.content(TileAddress(level, index, width))


def _check_extends(held: Checkpoint, checkpoint: Checkpoint, source: TileFiles) -> None:
    if held.size > checkpoint.size:
        raise TileFolderError(
            f"expected a folder that holds at most {checkpoint.size} entries, got {held.size}: the log is shorter"
        )
    if held.size == 0:
        return
    tree = TileTree(_Source(source), checkpoint.size, checkpoint.root)
    try:
        proof = tree.consistency_proof(held.size)
        verify_consistency(held.size, checkpoint.size, proof, held.root, checkpoint.root)
    except VerificationError as error:
        raise TileFolderError(f"expected a folder whose history this log extends: {error}") from None


def _put(folder: Path, path: str, content: bytes) -> bool:
    """Have a file hold `content`; return whether it had to be written."""
    place = folder
    *parents, _name = path.split("/")
    for parent in parents:
        place /= parent
        place.mkdir(mode=0o755, exist_ok=True)
        # Threat: a link in the way would have files written elsewhere with this user's rights.
        if place.is_symlink():
            raise TileFolderError("expected folders in the folder, got a link")
    place = folder / path
    if place.is_file() and not place.is_symlink() and place.read_bytes() == content:
        return False
    aside = place.with_name(place.name + _ASIDE)
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(aside, flags, _FILE_MODE), "wb") as file:
        file.write(content)
        if path == CHECKPOINT_FILE:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(place)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
