"""Blocks and batches of a log's index so small that a log of a few entries fills several."""

from collections.abc import Iterator

import pytest

from audit.query import count, examine, find, index

BLOCK = 8


def small_blocks() -> Iterator[None]:
    """Make them small for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (index, find, count, examine):
            patch.setattr(module, "SEGMENT_ENTRIES", BLOCK)
        patch.setattr(index, "BATCH", 5)
        yield
