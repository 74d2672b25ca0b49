"""A call leaves nothing for the garbage collector: what it worked on, texts and all, is gone when it returns.

Threat: content in memory longer than needed. And the cost: a cycle in each write was a quarter of its processor time.
"""

import gc
from collections.abc import Callable

import pytest

from tests.simulators.clinic import OWNER, Clinic
from vault.memos import MemOS
from vault.model import Chat, Turn

CALLS: dict[str, Callable[[MemOS, str], object]] = {
    "extract": lambda mem, _: mem.extract(Chat((Turn("Ana", "the knee is better"),)), subject="maria"),
    "retrieve": lambda mem, _: mem.retrieve("knee").hits,
    "get": lambda mem, memory_id: mem.get(memory_id),
    "reveal": lambda mem, memory_id: mem.reveal(memory_id),
    "update": lambda mem, memory_id: mem.update(memory_id, text="the knee is worse"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_no_cycle_that_holds_what_was_said(clinic: Clinic, name: str) -> None:
    mem, call = clinic.mem(OWNER), CALLS[name]
    (memory_id,) = mem.extract(Chat((Turn("Ana", "the knee is sore"),)), subject="maria").memory_ids
    call(mem, memory_id)
    assert clinic.vault.wait(5)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call(mem, memory_id)
        gc.collect()
        held = [
            repr(type(one)) for one in gc.garbage if type(one).__module__.startswith(("vault.", "audit."))
        ]
        texts = [one for one in gc.garbage if isinstance(one, str | bytes) and "knee" in str(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert (held, texts) == ([], [])
