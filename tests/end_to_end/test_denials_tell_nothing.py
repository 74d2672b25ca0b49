"""What a principal may not have is to it as if it were not there: same error, same words, same work.

The work is counted in processor time of this thread, in turns, so that a busy machine moves both alike.
"""

import os
from datetime import UTC, datetime
from statistics import median
from time import thread_time

import pytest

from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, MEMBER, OTHER_OWNER, OWNER, STRANGER, Clinic
from vault.errors import NotFoundError
from vault.ids import IdKind, new_id
from vault.memos import MemOS

ROUNDS = 60
TIMING_CLASS = 1.35
"""How far medians of equal work lie apart here at most; a row that is opened, or looked at, costs twice as much."""


def cost(mem: MemOS, memory_id: str) -> tuple[float, str]:
    """Return the seconds of a denial, and all it says."""
    start = thread_time()
    try:
        mem.get(memory_id)
    except (NotFoundError, DeniedError) as error:
        return thread_time() - start, f"{type(error).__name__} {error}"
    raise AssertionError("expected a denial")


@pytest.mark.parametrize(
    "principal",
    [OTHER_OWNER, MEMBER, STRANGER, AUDITOR, ADMINISTRATOR],
    ids=lambda one: f"{one.tenant}-{one.id}",
)
def test_a_denial_is_the_same_and_costs_the_same_whether_a_memory_is_there_or_not(
    clinic: Clinic, principal: Principal
) -> None:
    (there,) = clinic.mem(OWNER).extract("Maria Keller hurt her knee", subject="maria").memory_ids
    mem = clinic.mem(principal, Purpose.TREATMENT)
    taken: dict[bool, list[float]] = {True: [], False: []}
    said: set[str] = set()
    for _ in range(ROUNDS):
        never = new_id(IdKind.MEMORY, datetime.now(UTC), os.urandom)
        for is_there, memory_id in ((True, there), (False, never)):
            seconds, words = cost(mem, memory_id)
            taken[is_there].append(seconds)
            said.add(words)
    assert len(said) == 1
    ratio = median(taken[True]) / median(taken[False])
    assert 1 / TIMING_CLASS < ratio < TIMING_CLASS
