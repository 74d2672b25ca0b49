"""The facade used wrongly: an error of the vault that repeats nothing, and nothing is kept."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.simulators.clinic import OWNER, Clinic
from vault.errors import IdentifierInvalidError, InputInvalidError, StorageError, TimeInvalidError
from vault.memos import MemOS
from vault.model import Chat, Document, Turn

CANARY = "CANARY"
WRONG = cast("Any", CANARY)
LISTED = cast("Any", [CANARY])

MISUSES: dict[str, tuple[Callable[[MemOS], object], type[Exception]]] = {
    "a number as subject": (lambda mem: mem.extract("x", subject=cast("Any", 5)), IdentifierInvalidError),
    "numbers as subjects": (lambda mem: mem.extract("x", subject=cast("Any", [5])), IdentifierInvalidError),
    "bytes as subject": (lambda mem: mem.extract("x", subject=cast("Any", b"ab")), IdentifierInvalidError),
    "a number to retrieve about": (
        lambda mem: mem.retrieve("x", subject=cast("Any", 5)),
        IdentifierInvalidError,
    ),
    "a list to organize": (lambda mem: mem.organize(subject=LISTED), IdentifierInvalidError),
    "metadata in a list": (lambda mem: mem.extract(Document("x", metadata=LISTED)), InputInvalidError),
    "a number as metadata": (
        lambda mem: mem.extract(Document("x", metadata=cast("Any", {"key": 5}))),
        InputInvalidError,
    ),
    "text as tags": (lambda mem: mem.extract(Document("x", tags=WRONG)), InputInvalidError),
    "text as the time of a turn": (lambda mem: mem.extract([Turn("A", "x", at=WRONG)]), TimeInvalidError),
    "text as the start of a chat": (
        lambda mem: mem.extract(Chat((Turn("A", "x"),), started=WRONG)),
        TimeInvalidError,
    ),
    "text as the date of a document": (
        lambda mem: mem.extract(Document("x", written=WRONG)),
        TimeInvalidError,
    ),
    "text as the kind of a document": (
        lambda mem: mem.extract(Document("x", kind=WRONG)),
        InputInvalidError,
    ),
    "text as a role": (lambda mem: mem.extract([Turn("A", "x", role=WRONG)]), InputInvalidError),
    "text as turns": (lambda mem: mem.extract(Chat(WRONG)), InputInvalidError),
    "text as a turn": (lambda mem: mem.extract(Chat((WRONG,))), InputInvalidError),
    "a number as a document's text": (lambda mem: mem.extract(Document(cast("Any", 5))), InputInvalidError),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_value_of_another_type_is_refused_without_being_repeated(clinic: Clinic, misuse: str) -> None:
    call, kind = MISUSES[misuse]
    with pytest.raises(kind) as caught:
        call(clinic.mem(OWNER))
    assert CANARY not in str(caught.value)
    assert (clinic.count("memory"), clinic.count("episode")) == (0, 0)
    assert clinic.mem(OWNER).extract("tea at four").memory_ids, "the vault works on"


def test_tags_and_turns_may_stand_in_lists(clinic: Clinic) -> None:
    chat = Chat(cast("Any", [Turn("A", "tea at four")]), tags=cast("Any", ["diet"]))
    (memory_id,) = clinic.mem(OWNER).extract(chat).memory_ids
    assert clinic.mem(OWNER).get(memory_id).tags == ("diet",)


def test_every_call_of_a_closed_vault_says_that_it_is_closed(clinic: Clinic) -> None:
    mem, auditor = clinic.mem(OWNER), clinic.audit()
    (memory_id,) = mem.extract("tea at four", subject="maria").memory_ids
    assert clinic.vault.wait(20)
    clinic.close()
    calls: list[Callable[[], object]] = [
        lambda: mem.extract("x", subject="maria"),
        lambda: mem.extract("x", subject="nobody yet"),
        lambda: mem.retrieve("tea"),
        lambda: mem.retrieve("tea", subject="maria"),
        lambda: mem.get(memory_id),
        lambda: mem.reveal(memory_id),
        lambda: mem.update(memory_id, "x"),
        lambda: mem.organize(subject="maria"),
        auditor.entries,
        auditor.checkpoint,
        auditor.verify,
    ]
    for call in calls:
        with pytest.raises(StorageError, match=r"^the vault is closed$"):
            call()
