"""What a bundle holds of one log: which files, in which order, under which names.

Owns the layout. It leaves the manifest that a section stands in to `audit.manifest`, and contents to
`audit.bundle` and `audit.bundle_reading`. Pure.

A file has a *place*: its number among those of the section. It follows from the section by counting, so that
neither who writes nor who reads has to keep a list of names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audit.tiles import TILE_HEIGHT, TILE_WIDTH, entries_path, tile_path

CHECKPOINTS_A_FILE: Final = 4096


@dataclass(frozen=True, slots=True)
class LogSection:
    """What the bundle holds of one log."""

    log: str
    """Tenant's id."""
    origin: str
    size: int
    """Of the tree at the export."""
    root: str
    """Of that tree, 64 hex digits."""
    start: int
    """First entry: a multiple of 256."""
    stop: int
    """Behind the last entry: a multiple of 256, or the size."""
    checkpoints: int
    """Number of notes."""
    left_out: int
    """Checkpoints that entries outside the range would be needed for."""
    payloads: bool
    """Whether salts and payloads are there, but for those that were erased."""
    beside: int = 0
    """Number of entries behind the range that are shown because they erased payloads in it."""

    def paths(self) -> Iterator[str]:
        """Yield the paths of the section's files, in the order in which they are written."""
        for nth in range(self.start // TILE_WIDTH, -(-self.stop // TILE_WIDTH)):
            width = min(TILE_WIDTH, self.size - nth * TILE_WIDTH)
            yield f"{self.log}/{entries_path(nth, width)}"
            yield f"{self.log}/{tile_path(0, nth, width)}"
            if self.payloads:
                yield self.payloads_path(nth)
        for level, nth, width in self.upper_tiles():
            yield f"{self.log}/{tile_path(level, nth, width)}"
        if self.checkpoints:
            yield f"{self.log}/checkpoint"
            yield from self.checkpoints_paths()
        yield from map(self.beside_path, range(self.beside))

    def payloads_path(self, nth: int) -> str:
        """Return the path of the salts and payloads of the entries of a tile."""
        return f"{self.log}/payloads/{nth:09d}.jsonl"

    def beside_path(self, nth: int) -> str:
        """Return the path of the proof of an entry beside the range."""
        return f"{self.log}/beside/{nth:09d}.tlog-proof"

    def checkpoints_paths(self) -> Iterator[str]:
        """Yield the paths of the files of checkpoints, so many in each."""
        for nth in range(-(-self.checkpoints // CHECKPOINTS_A_FILE)):
            yield self.checkpoints_path(nth)

    def checkpoints_path(self, nth: int) -> str:
        """Return the path of one of the files of checkpoints."""
        return f"{self.log}/checkpoints/{nth:09d}.jsonl"

    def upper_tiles(self) -> Iterator[tuple[int, int, int]]:
        """Yield level, index and width of the tiles that speak for entries outside the range, too."""
        if self._has_edge:
            yield 0, self.size // TILE_WIDTH, self.size % TILE_WIDTH
        level, hashes = 1, self.size // TILE_WIDTH
        while hashes:
            for nth in range(-(-hashes // TILE_WIDTH)):
                yield level, nth, min(TILE_WIDTH, hashes - nth * TILE_WIDTH)
            level, hashes = level + 1, hashes // TILE_WIDTH

    def covers(self, size: int) -> bool:
        """Tell whether the tree of `size` can be computed from what the bundle holds."""
        edge = size - size % TILE_WIDTH
        in_range = self.start <= edge < self.stop
        return 0 <= size <= self.size and (
            edge == size or in_range or edge == self.size - self.size % TILE_WIDTH
        )

    @property
    def whole(self) -> bool:
        """Whether all entries of the log are shown."""
        return self.start == 0 and self.stop == self.size

    @property
    def files(self) -> int:
        """Number of files."""
        return self.beside_place(self.beside)

    def entries_place(self, nth: int) -> int:
        """Return the place of the headers of the entries of a tile; its hashes and payloads stand right behind."""
        return (nth - self.start // TILE_WIDTH) * (3 if self.payloads else 2)

    def payloads_place(self, nth: int) -> int:
        """Return the place of the salts and payloads of the entries of a tile."""
        return self.entries_place(nth) + 2

    def tile_place(self, level: int, nth: int, width: int) -> int | None:
        """Return the place of a tile; None where the section holds none of this level, index and width."""
        hashes = self.size >> TILE_HEIGHT * level
        if nth < 0 or width != min(TILE_WIDTH, hashes - nth * TILE_WIDTH) or width < 1:
            return None
        if level:
            return self._upper + sum(map(self._tiles_at, range(1, level))) + nth
        if self.start <= nth * TILE_WIDTH < self.stop:
            return self.entries_place(nth) + 1
        return self._upper - 1 if self._has_edge and nth == self.size // TILE_WIDTH else None

    @property
    def checkpoint_place(self) -> int:
        """Place of the last checkpoint, where there is one."""
        return self._notes

    def checkpoints_place(self, nth: int) -> int:
        """Return the place of one of the files of checkpoints."""
        return self._notes + 1 + nth

    def beside_place(self, nth: int) -> int:
        """Return the place of the proof of an entry beside the range."""
        notes = -(-self.checkpoints // CHECKPOINTS_A_FILE)
        return (self.checkpoints_place(notes) if notes else self._notes) + nth

    @property
    def _has_edge(self) -> bool:
        """Whether the last tile of hashes, which is partial, is there without its entries."""
        return self.size % TILE_WIDTH > 0 and self.stop < self.size

    @property
    def _upper(self) -> int:
        """Place of the first tile above level 0."""
        return self.entries_place(-(-self.stop // TILE_WIDTH)) + self._has_edge

    @property
    def _notes(self) -> int:
        """Place behind the last tile."""
        return self._upper + sum(map(self._tiles_at, range(1, self.size.bit_length() // TILE_HEIGHT + 1)))

    def _tiles_at(self, level: int) -> int:
        return -(-(self.size >> TILE_HEIGHT * level) // TILE_WIDTH)
