"""Marks: a step's calls that change something are numbered, done once, and refused once the step is given up.

    mark = StepMark(place, "keep", known=effects)
    receipt = mark.once(Action.WRITE, lambda: memory.extract(note), replay)

Threat: a process dies after a write and before the note of it, and the write is done again; two processes go on with
one run; an operator that hung wakes up and writes into a run that was given up. So each write's own transaction sees
that the run is still this one's, and carries the mark; what has one is not done again, its answer is given instead.

Owns that order. The rows are `vault.storage.run_rows`', the hook `vault.storage.beside`'s.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EntryDraft
from audit.log import Leaf
from policies.model import Action
from vault.errors import ContractError, LeaseLostError
from vault.storage.beside import BESIDE
from vault.storage.group_commit import WriteSet
from vault.storage.run_rows import Effect, RunPlace, add_effect, expect_running

Answered = TypeVar("Answered")
_MAX_WINDOW: Final = 64


class StepMark:
    """Numbers and marks what one step of a run does.

    Args:
        place: The run; its token as it stands now is the step's.
        step: Name of the step.
        known: What it did before, by number of the call.
    """

    def __init__(self, place: RunPlace, step: str, known: Mapping[int, Effect]) -> None:
        self._place: Final = place
        self._token: Final = place.token
        self._step: Final = step
        self._known: Final = known
        self._calls = 0
        self._lock = threading.Lock()
        self._given_up = threading.Event()

    @property
    def window(self) -> str:
        """Name of a context window that no other step has: what others asked for does not stand in it."""
        return f"{self._place.run_id}.{self._step}"[:_MAX_WINDOW]

    def give_up(self) -> None:
        """Refuse every call from here on; one that is under way is refused where it commits."""
        self._given_up.set()

    def expect_alive(self) -> None:
        """See that the step was not given up.

        Raises:
            LeaseLostError: it was.
        """
        if self._given_up.is_set():
            raise LeaseLostError("the step was given up: its time was over")

    def once(
        self, action: Action, call: Callable[[], Answered], replay: Callable[[Effect], Answered]
    ) -> Answered:
        """Do something, or say again what it answered when it was done.

        Raises:
            ContractError: the operator does otherwise than it did before.
            LeaseLostError: the run is not this one's any more; nothing was written.
        """
        self.expect_alive()
        with self._lock:
            number, self._calls = self._calls, self._calls + 1
        done = self._known.get(number)
        if done is not None:
            if done.told.get("action") != action.value:
                raise ContractError("expected an operator that does the same again")
            return replay(done)
        token = BESIDE.set(_Marking(self._place, self._token, self._step, number, action))
        try:
            return call()
        finally:
            BESIDE.reset(token)


class _Marking:
    """Puts the mark into the first write set of a call, and sees in each that the run is still this one's."""

    def __init__(self, place: RunPlace, token: int, step: str, number: int, action: Action) -> None:
        self._place, self._token, self._step, self._number = place, token, step, number
        self._action = action
        self._marked: WriteSet | None = None

    def __call__(self, work: WriteSet) -> None:
        if self._marked is None:
            self._marked = work
        first = self._marked is work
        told = _answer_of(self._action, work)

        def change(connection: Connection, leaves: Sequence[Leaf]) -> None:
            expect_running(connection, self._place, self._token)
            if first:
                effect = Effect({**told, "hash": leaves[0].hash.hex()}, leaves[0].index)
                add_effect(connection, self._place, self._step, self._number, effect)

        work.changes.append(change)


def _answer_of(action: Action, work: WriteSet) -> dict[str, JsonValue]:
    """Return what a call's entries say that its answer needs: ids and numbers."""
    first = work.drafts[0]
    written = first.payload.get("written")
    named: JsonValue = written if written is not None else _memories(work.drafts)
    return {
        "action": action.value,
        "ids": named,
        "episode": first.resource if written is not None else None,
        "examined": first.payload.get("examined", 0),
        "edges": first.payload.get("edges", 0),
        "policy": first.policy,
    }


def _memories(drafts: Sequence[EntryDraft]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for draft in drafts:
        memories = draft.payload.get("memories", ())
        if isinstance(memories, list | tuple):
            found.extend(memories)
    return found
