"""The paths of tiles and the framing of entry bundles: one spelling each, whatever else is refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.errors import RangeInvalidError, TileMalformedError
from audit.tiles import (
    MAX_ENTRY_SIZE,
    TILE_WIDTH,
    TileAddress,
    encode_entry_bundle,
    entries_path,
    parse_entry_bundle,
    parse_tile_path,
    tile_path,
    tiles_of,
)
from tests.simulators.tile_monitor import groups


def test_the_examples_of_the_specification() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert entries_path(1234067, 8) == "tile/entries/x001/x234/067.p/8"
    expected = {"0": (273, 112), "1": (1, 17), "2": (0, 1)}
    found = dict.fromkeys(expected, (0, 0))
    for tile in tiles_of(70_000):
        full, width = found[str(tile.level)]
        found[str(tile.level)] = (full + 1, width) if tile.width == TILE_WIDTH else (full, tile.width)
    assert found == expected
    assert [tile.path for tile in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]


@given(st.integers(0, 63), st.integers(0, (1 << 55) - 1), st.integers(1, 256))
@example(0, 999, 256)
@example(0, 1000, 1)
@example(63, (1 << 55) - 1, 255)
def test_paths_round_trip_and_are_those_of_another_implementation(level: int, index: int, width: int) -> None:
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    assert tile_path(level, index, width) == f"tile/{level}/{groups(index)}{suffix}"
    assert parse_tile_path(tile_path(level, index, width)) == TileAddress(level, index, width)
    assert entries_path(index, width) == f"tile/entries/{groups(index)}{suffix}"
    assert parse_tile_path(entries_path(index, width)) == TileAddress(None, index, width)


BAD_PATHS = [
    "",
    "tile",
    "tile/",
    "tile/0",
    "tile/0/",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/1",
    "tile/00/000",
    "tile/01/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/+1/000",
    "tile/0x1/000",
    "tile/entries",
    "tile/entry/000",
    "tile/Entries/000",
    "tile/0/x000",
    "tile/0/000/000",
    "tile/0/x000/000",
    "tile/0/x000/x001/000",
    "tile/0/001/234",
    "tile/0/x01/234",
    "tile/0/X001/234",
    "tile/0/x001/x234",
    "tile/0/x001//234",
    "tile/0/x999/x999/x999/x999/x999/x999/999",
    "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    "tile/0/000.p",
    "tile/0/000.p/",
    "tile/0/000.p/0",
    "tile/0/000.p/00",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/257",
    "tile/0/000.p/1000",
    "tile/0/000.p/-1",
    "tile/0/000.p/1/",
    "tile/0/000.P/1",
    "tile/0/000/",
    "/tile/0/000",
    " tile/0/000",
    "tile/0/000\n",
    "tile/0/000.p/1\n",
    "tile/0/../0/000",
    "tile/./0/000",
    "tile/0/%30%30%30",
    "tile/0/٠٠٠",
    "tile/٠/000",
    "tile/0/０００",
    "tile\\0\\000",
    "tile/0/000?x",
    "tile/0/000\x00",
    "tile/0/" + "x001/" * 1000 + "001",
    "9" * 100_000,
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=range(len(BAD_PATHS)))
def test_no_other_spelling_of_a_path_is_accepted(path: str) -> None:
    with pytest.raises(TileMalformedError):
        parse_tile_path(path)


@settings(max_examples=500)
@given(st.text("tileens/x0123456789.p- \n%", max_size=40) | st.text(max_size=40))
def test_whatever_parses_is_the_one_spelling(path: str) -> None:
    try:
        address = parse_tile_path(path)
    except TileMalformedError:
        return
    assert address.path == path


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 1 << 55, 1), (0, 0, 0), (0, 0, 257)],
)
def test_there_is_no_path_to_a_tile_that_cannot_be(level: int, index: int, width: int) -> None:
    with pytest.raises(RangeInvalidError):
        tile_path(level, index, width)
    with pytest.raises(RangeInvalidError):
        entries_path(index if level == 0 else -1, width)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_round_trip_and_refuse_every_cut_and_every_surplus(entries: list[bytes]) -> None:
    bundle = encode_entry_bundle(entries)
    assert parse_entry_bundle(bundle, len(entries)) == entries
    for other in (bundle[:-1], bundle + b"\x00", bundle + b"\x00\x00", bundle[1:], bundle + bundle[:-1]):
        try:
            found = parse_entry_bundle(other, len(entries))
        except TileMalformedError:
            continue
        assert encode_entry_bundle(found) == other  # another bundle, and a whole one
        assert found != entries
    for width in (len(entries) - 1, len(entries) + 1, 0):
        with pytest.raises(TileMalformedError):
            parse_entry_bundle(bundle, width)


@settings(max_examples=300)
@given(st.binary(max_size=600), st.integers(0, 256))
def test_bytes_that_are_no_bundle_are_refused_and_nothing_else_happens(bundle: bytes, width: int) -> None:
    try:
        entries = parse_entry_bundle(bundle, width)
    except TileMalformedError:
        return
    assert len(entries) == width
    assert b"".join(len(entry).to_bytes(2) + entry for entry in entries) == bundle


def test_a_bundle_frames_no_entry_that_is_too_long_and_not_too_many() -> None:
    longest = bytes(MAX_ENTRY_SIZE)
    assert parse_entry_bundle(encode_entry_bundle([longest]), 1) == [longest]
    for entries in ([longest + b"x"], [], [b""] * 257):
        with pytest.raises(RangeInvalidError):
            encode_entry_bundle(entries)
