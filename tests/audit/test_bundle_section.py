"""Places of files are counted, names are written out: both tell of the same files in the same order."""

from hypothesis import given
from hypothesis import strategies as st

from audit.bundle_section import CHECKPOINTS_A_FILE, LogSection
from audit.tiles import TILE_WIDTH, entries_path, tile_path

SIZES = st.integers(0, 300_000) | st.sampled_from([255, 256, 257, 65_535, 65_536, 65_537, 65_792])


@st.composite
def sections(draw: st.DrawFn) -> LogSection:
    """Return any section that a manifest may hold, within what a test can count."""
    size = draw(SIZES)
    start = draw(st.integers(0, size // TILE_WIDTH)) * TILE_WIDTH
    stop = draw(st.sampled_from([size, draw(st.integers(start, size)) // TILE_WIDTH * TILE_WIDTH]))
    return LogSection(
        log="a",
        origin="o",
        size=size,
        root="00" * 32,
        start=start,
        stop=max(start, stop),
        checkpoints=draw(st.integers(0, 3 * CHECKPOINTS_A_FILE)),
        left_out=0,
        payloads=draw(st.booleans()),
        beside=draw(st.integers(0, 3)),
    )


@given(sections())
def test_every_file_has_its_place(section: LogSection) -> None:
    paths = list(section.paths())
    assert len(set(paths)) == len(paths) == section.files
    placed = {}
    for nth in range(section.start // TILE_WIDTH, -(-section.stop // TILE_WIDTH)):
        width = min(TILE_WIDTH, section.size - nth * TILE_WIDTH)
        placed[section.entries_place(nth)] = f"a/{entries_path(nth, width)}"
        tile = section.tile_place(0, nth, width)
        assert tile is not None
        placed[tile] = f"a/{tile_path(0, nth, width)}"
        if section.payloads:
            placed[section.payloads_place(nth)] = section.payloads_path(nth)
    for at in section.upper_tiles():
        tile = section.tile_place(*at)
        assert tile is not None
        placed[tile] = f"a/{tile_path(*at)}"
    if section.checkpoints:
        placed[section.checkpoint_place] = "a/checkpoint"
    for nth, path in enumerate(section.checkpoints_paths()):
        placed[section.checkpoints_place(nth)] = path
    for nth in range(section.beside):
        placed[section.beside_place(nth)] = section.beside_path(nth)
    assert [placed[place] for place in range(len(paths))] == paths


@given(sections(), st.integers(0, 4), st.integers(-2, 1_200), st.integers(-1, 257))
def test_a_tile_that_is_not_listed_has_no_place(
    section: LogSection, level: int, nth: int, width: int
) -> None:
    listed = nth >= 0 and 0 < width <= TILE_WIDTH and f"a/{tile_path(level, nth, width)}" in section.paths()
    assert (section.tile_place(level, nth, width) is not None) == listed


def test_a_claim_of_trillions_is_counted_at_once() -> None:
    section = LogSection("a", "o", 2**40, "00" * 32, 0, 2**40, 2**40, 0, payloads=True)
    assert section.files > 2**33
    first, last = (section.tile_place(3, nth, TILE_WIDTH) for nth in (0, 2**8 - 1))
    assert first is not None
    assert last == first + 2**8 - 1
