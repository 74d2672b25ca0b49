"""Rows of cosignatures: kept once, asked by size and by entry, never believed."""

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from audit.cosignature import WitnessSignerKey
from audit.cosignature_rows import (
    add_cosignature,
    claims_beyond,
    largest_cosigned,
    lines_at,
    note_at,
    notes_beyond,
)
from audit.store import COSIGNATURE
from tests.simulators.small_deployment import SmallDeployment

ONE = WitnessSignerKey("witness.example/w1", bytes(32))
TWO = WitnessSignerKey("witness.example/w2", bytes(range(32)))


def cosign(lived: SmallDeployment, size: int, *keys: WitnessSignerKey, tenant: str = "clinic-a") -> None:
    for key in keys:
        add_cosignature(lived.connection, tenant, size, key.cosign("text\n", size), 7)


def test_a_cosignature_is_kept_once_and_the_first_one_stays(lived: SmallDeployment) -> None:
    first, second = ONE.cosign("text\n", 1), ONE.cosign("text\n", 2)
    add_cosignature(lived.connection, "clinic-a", 5, first, 7)
    add_cosignature(lived.connection, "clinic-a", 5, second, 8)
    assert lines_at(lived.connection, "clinic-a", 5) == (first,)
    assert lines_at(lived.connection, "clinic-a", 6) == ()
    assert lines_at(lived.connection, "clinic-b", 5) == ()
    with pytest.raises(IntegrityError):
        lived.connection.execute(COSIGNATURE.delete())


def test_the_largest_size_is_told_of_all_and_of_one(lived: SmallDeployment) -> None:
    assert largest_cosigned(lived.connection, "clinic-a") == 0
    cosign(lived, 5, ONE, TWO)
    cosign(lived, 9, TWO)
    assert largest_cosigned(lived.connection, "clinic-a") == 9
    assert largest_cosigned(lived.connection, "clinic-a", ONE.name) == 5
    assert largest_cosigned(lived.connection, "clinic-a", "nobody") == 0


def test_sizes_that_cover_an_entry_come_with_the_most_cosignatures_first(lived: SmallDeployment) -> None:
    cosign(lived, 5, ONE, TWO)
    cosign(lived, 9, ONE)
    both = [ONE.name, TWO.name]
    assert claims_beyond(lived.connection, "clinic-a", 0, both, 8) == [(5, 2), (9, 1)]
    assert claims_beyond(lived.connection, "clinic-a", 4, both, 1) == [(5, 2)]
    assert claims_beyond(lived.connection, "clinic-a", 5, both, 8) == [(9, 1)]
    assert claims_beyond(lived.connection, "clinic-a", 9, both, 8) == []


def test_claims_of_others_and_of_checkpoints_that_are_not_there_are_none(lived: SmallDeployment) -> None:
    cosign(lived, 5, ONE)
    for size, name in ((5, "x1"), (5, "x2"), (10**6, ONE.name)):
        row = {"tenant_id": "clinic-a", "tree_size": size, "witness": name, "line": "x", "received_us": 0}
        lived.connection.execute(insert(COSIGNATURE), row)
    assert claims_beyond(lived.connection, "clinic-a", 0, [ONE.name], 8) == [(5, 1)]
    assert claims_beyond(lived.connection, "clinic-a", 0, [], 8) == []


@pytest.mark.parametrize("line", ["", "noise", "— w AAAA\n\n"])
def test_a_line_that_is_none_is_passed_over(lived: SmallDeployment, line: str) -> None:
    cosign(lived, 5, ONE)
    row = {"tenant_id": "clinic-a", "tree_size": 5, "witness": "x", "line": line, "received_us": 0}
    lived.connection.execute(insert(COSIGNATURE), row)
    assert len(lines_at(lived.connection, "clinic-a", 5)) == 1


def test_stored_checkpoints_are_found_by_size_and_beyond_one(lived: SmallDeployment) -> None:
    notes = lived.log.checkpoints(lived.connection, "clinic-a")
    sizes = [int(note.decode().split("\n")[1]) for note in notes]
    assert note_at(lived.connection, "clinic-a", sizes[0]) == notes[0]
    assert note_at(lived.connection, "clinic-a", 1) is None
    assert notes_beyond(lived.connection, "clinic-a", 0, 9) == list(notes)
    assert notes_beyond(lived.connection, "clinic-a", 0, 1) == [notes[0]]
    assert notes_beyond(lived.connection, "clinic-a", sizes[0], 9) == list(notes[1:])
