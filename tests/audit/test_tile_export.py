"""A folder of tiles, written by hand: what is there after each step, and what is refused."""

import os
from base64 import b64encode
from pathlib import Path

import pytest
from pymerkle import InmemoryTree

from audit import tile_export
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import TileFolderError
from audit.merkle import leaf_hash
from audit.tile_export import export_tiles
from audit.tiles import TileAddress, encode_entry_bundle
from tests.simulators.reference_tree import Tree
from tests.simulators.small_deployment import LOG_KEY, POLICY, SmallDeployment, draft
from tests.simulators.tile_monitor import Monitor, framed

KEY = LOG_KEY.for_log("clinic-a")
ENTRIES = [b"entry %d" % nth for nth in range(1500)]
TREE = Tree(map(leaf_hash, ENTRIES))


class Files:
    """Tiles and bundles of a list of entries."""

    def __init__(self, entries: list[bytes] = ENTRIES) -> None:
        self._entries = entries
        self._tree = Tree(map(leaf_hash, entries))
        self.asked: list[str] = []

    def content(self, address: TileAddress) -> bytes:
        self.asked.append(address.path)
        start = address.index * 256
        if address.level is None:
            return encode_entry_bundle(self._entries[start : start + address.width])
        return b"".join(
            Tree(
                map(leaf_hash, self._entries[nth * 256**address.level : (nth + 1) * 256**address.level])
            ).root(256**address.level)
            for nth in range(start, start + address.width)
        )


def signed(size: int, tree: Tree = TREE) -> tuple[Checkpoint, bytes]:
    checkpoint = Checkpoint(KEY.name, size, tree.root(size))
    return checkpoint, sign_checkpoint(checkpoint, [KEY]).note


def export(folder: Path, size: int, files: Files | None = None) -> tile_export.ExportedTiles:
    return export_tiles(folder, *signed(size), files or Files(), [KEY.verifier])


def monitor(folder: Path) -> Monitor:
    def fetch(path: str) -> bytes | None:
        place = folder / path
        return place.read_bytes() if place.is_file() else None

    return Monitor(KEY.verifier, fetch)


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_a_folder_grows_with_its_log_from_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    following = monitor(folder)
    for size in (0, 0, 1, 255, 256, 257, 600, 600, 1500):
        before = following.seen.size if following.seen is not None else 0
        done = export(folder, size)
        assert (done.size, done.since) == (size, before)
        assert following.follow().size == size
    assert files_of(folder) == {
        "checkpoint",
        *(f"tile/{level}/00{nth}" for level in (0, "entries") for nth in range(5)),
        "tile/0/005.p/220",
        "tile/entries/005.p/220",
        "tile/1/000.p/1",
        "tile/1/000.p/2",
        "tile/1/000.p/5",
    }


def test_nothing_is_asked_for_that_was_full_before(tmp_path: Path) -> None:
    export(tmp_path / "log", 1024)
    files = Files()
    assert export(tmp_path / "log", 1025, files).written == 2
    asked = set(files.asked)
    assert "tile/entries/003" not in asked
    assert {"tile/0/004.p/1", "tile/entries/004.p/1", "tile/1/000.p/4"} <= asked


def test_whatever_step_fails_the_folder_still_holds_all_that_its_checkpoint_covers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    export(folder, 300)
    following = monitor(folder)
    following.follow()
    replace, done = Path.replace, [0]
    for last in range(40):
        done[0] = 0

        def failing(self: Path, target: Path, last: int = last) -> Path:
            done[0] += 1
            if done[0] > last:
                raise OSError(28, "No space left on device")
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", failing)
            try:
                export(folder, 900)
            except OSError:
                assert following.follow().size == 300
            else:
                break
    assert last > 2
    assert following.follow().size == 900
    assert not [file for file in files_of(folder) if "being-written" in file]


def test_the_checkpoint_is_written_only_after_what_it_covers_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    seen: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: seen.append((folder / "checkpoint").exists()))
    export(folder, 10)
    assert seen == [False]


def test_a_history_that_the_log_does_not_extend_is_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    other = [b"another %d" % nth for nth in range(400)]
    tree = Tree(map(leaf_hash, other))
    export_tiles(folder, *signed(300, tree), Files(other), [KEY.verifier])
    kept = {file: (folder / file).read_bytes() for file in files_of(folder)}
    for size in (300, 301, 1500):
        with pytest.raises(TileFolderError, match="whose history this log extends"):
            export(folder, size)
    with pytest.raises(TileFolderError, match="the log is shorter"):
        export(folder, 299)
    assert {file: (folder / file).read_bytes() for file in files_of(folder)} == kept


@pytest.mark.parametrize(
    "note", [b"", b"no note", signed(5)[1].replace(b"\n5\n", b"\n6\n"), b"x" * 2_000_000]
)
def test_a_checkpoint_that_does_not_verify_is_refused_and_kept(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "checkpoint").write_bytes(note)
    with pytest.raises(TileFolderError, match="expected a checkpoint of this log"):
        export(tmp_path, 10)
    assert files_of(tmp_path) == {"checkpoint"}
    assert (tmp_path / "checkpoint").read_bytes() == note


def test_links_and_other_files_in_the_way(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    export(folder, 300)
    place = folder / "tile" / "0" / "001.p" / "44"
    place.unlink()
    place.symlink_to(elsewhere)
    (folder / "checkpoint").unlink()
    assert export(folder, 300).written == 1
    assert not place.is_symlink()
    assert elsewhere.read_text() == "mine"
    (folder / "notes").mkdir()
    with pytest.raises(TileFolderError, match="other files"):
        export(folder, 400)


def test_an_exported_log_is_followed_by_an_independent_implementation(
    tmp_path: Path, lived: SmallDeployment
) -> None:
    log, connection = lived.log, lived.connection
    other = InmemoryTree(algorithm="sha256")
    for more in (0, 250, 300):
        log.append(connection, [draft()] * more)
        latest = log.checkpoint(connection, "clinic-a", policy=POLICY)

        class Rows:
            def content(self, address: TileAddress) -> bytes:
                if address.level is None:
                    return log.entry_bundle(connection, "clinic-a", address.index, address.width)
                return log.tile(connection, "clinic-a", address.level, address.index, address.width)

        export_tiles(tmp_path / "log", latest.checkpoint, latest.note, Rows(), [KEY.verifier])
        # From here on files alone, read by rules that are not ours.
        size, root = (tmp_path / "log" / "checkpoint").read_text().split("\n")[1:3]
        bundles = sorted(
            (tmp_path / "log" / "tile" / "entries").rglob("*"), key=lambda file: (file.parent.name, file.name)
        )
        whole = [file for file in bundles if file.is_file() and file.parent.name == "entries"]
        part = [file for file in bundles if file.is_file() and file.name == str(int(size) % 256)]
        entries = [entry for file in (*whole, *part[-1:]) for entry in framed(file.read_bytes())]
        for entry in entries[other.get_size() :]:
            other.append_entry(entry)
        assert other.get_size() == int(size)
        assert b64encode(other.get_root()).decode() == root
