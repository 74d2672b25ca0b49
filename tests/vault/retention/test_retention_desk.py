"""An administrator sees classes, counts and ends of terms, and no content; nobody else does."""

from pathlib import Path

import pytest

from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, OWNER
from tests.vault.retention.test_expiry import FLOORED, hold_person
from tests.vault.retention_vault import RULES, RetentionVault
from vault.errors import NotFoundError
from vault.retention_desk import RetentionDesk

OPERATIONS = Purpose.OPERATIONS


def test_classes_are_shown_with_counts_and_what_is_due(vault: RetentionVault) -> None:
    vault.write("one", "two")
    vault.write("used", "unused", purpose=Purpose.SERVICE)
    vault.later(60)
    vault.mem(OWNER, Purpose.SERVICE).retrieve("used", k=1)
    vault.later(31)
    found = {one.class_id: one for one in RetentionDesk(vault.vault.parts).classes(ADMINISTRATOR, OPERATIONS)}
    assert (found["note"].memories, found["note"].due) == (2, 2)
    assert (found["used"].memories, found["used"].due) == (2, 1)
    assert (found["kept"].memories, found["kept"].due) == (0, 0)
    assert (vault.last().event, vault.last().payload["kind"]) == ("vault.read", "retention")


def test_a_class_of_older_rules_is_shown_as_unknown(template: Path, tmp_path: Path) -> None:
    before = RetentionVault(template, tmp_path / "vault")
    (memory,) = before.write("the zebra stays")
    before.close()
    renamed = RULES.replace("id: note", "id: memo").replace("default: note", "default: memo")
    after = RetentionVault(before.path, tmp_path / "after", renamed)
    desk = RetentionDesk(after.vault.parts)
    unknown = desk.classes(ADMINISTRATOR, OPERATIONS)[-1]
    assert (unknown.class_id, unknown.known, unknown.memories) == ("note", None, 1)
    told = desk.explain(ADMINISTRATOR, OPERATIONS, memory)
    assert (told.known, told.ends, told.floors) == (None, None, ())
    after.close()


def test_a_memory_is_explained(template: Path, tmp_path: Path) -> None:
    vault = RetentionVault(template, tmp_path / "vault", FLOORED)
    (memory,) = vault.write("the zebra", purpose=Purpose.SERVICE)
    written = vault.clock.now
    vault.later(10)
    vault.mem(OWNER, Purpose.SERVICE).get(memory)
    used = vault.clock.now
    hold = hold_person(vault, "maria")
    told = RetentionDesk(vault.vault.parts).explain(ADMINISTRATOR, OPERATIONS, memory)
    assert (told.class_id, told.rule, told.recorded, told.last_used) == ("used", "service", written, used)
    assert told.ends is not None
    assert (told.ends - used).days == 90
    assert [name for name, _ in told.floors] == ["old"]
    assert told.holds == (hold,)
    vault.close()


def test_a_memory_that_is_not_there_is_not_explained_and_nobody_else_asks(vault: RetentionVault) -> None:
    desk = RetentionDesk(vault.vault.parts)
    (memory,) = vault.write("the zebra")
    with pytest.raises(NotFoundError):
        desk.explain(ADMINISTRATOR, OPERATIONS, memory[:-1] + ("0" if memory[-1] != "0" else "1"))
    for ask in (
        lambda: desk.explain(OWNER, OPERATIONS, memory),
        lambda: desk.classes(OWNER, OPERATIONS),
        lambda: desk.confirm_clock(OWNER, OPERATIONS),
    ):
        with pytest.raises(DeniedError):
            ask()
        assert vault.last().decision == "denied"
