"""The queue's part of the facade: putting organizing off, and waiting until what was put off is done.

Owns the methods alone, and that who puts work off might do it at once. It leaves the rest to `vault.queueing.queue` and
`vault.queueing.work`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Purpose
from vault.errors import ErasedError, IdentifierInvalidError, QueueFullError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.journal import Call
from vault.log_view import LogView
from vault.queueing.distilling import Distiller
from vault.queueing.queue import Queue
from vault.queueing.task import Order, Priority, TaskKind
from vault.queueing.work import Worker
from vault.storage.group_commit import WriteSet
from vault.write_path import own_subject

MAX_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class PutOff:
    """Work that was put off, or that waits already."""

    task_id: str
    leaf_index: int


class QueueView(LogView):
    """One principal's view of the queue."""

    @abstractmethod
    def _call(self, action: Action, purpose: Purpose | None) -> Call: ...

    def organize_later(
        self,
        *,
        subject: str | None = None,
        priority: Priority = Priority.NORMAL,
        key: str | None = None,
        purpose: Purpose | None = None,
    ) -> PutOff:
        """Have what is known about a subject organized off the write path, under this principal.

        Args:
            subject: None: the principal's own notes.
            priority: How urgent it is.
            key: The same key puts the same work off once.
            purpose: Why.

        Raises:
            DeniedError: it may organize nothing for this purpose; the denial is logged.
            IdentifierInvalidError: the subject or the key is not acceptable.
            ErasedError: whom it is about was erased; the refusal is logged.
            QueueFullError: too much waits; the refusal is logged. Try again later.
        """
        return self._put_off(TaskKind.ORGANIZE, subject, priority, key, purpose)

    def distil_later(
        self,
        *,
        subject: str | None = None,
        priority: Priority = Priority.LOW,
        key: str | None = None,
        purpose: Purpose | None = None,
    ) -> PutOff:
        """Have near-duplicates about a subject put together into one memory each, off the write path.

        Only verified ones of one owner and access tier; they are retired, and `take_back_distilled` has them back.

        Args:
            subject: None: the principal's own notes.
            priority: How urgent it is.
            key: The same key puts the same work off once.
            purpose: Why.

        Raises:
            DeniedError, IdentifierInvalidError, ErasedError, QueueFullError: as for `organize_later`.
        """
        return self._put_off(TaskKind.DISTIL, subject, priority, key, purpose)

    def take_back_distilled(self, memory_id: str, *, purpose: Purpose | None = None) -> tuple[str, ...]:
        """Have the sources of a distilled memory back, and revoke it; return their ids.

        Raises:
            DeniedError: nothing may be organized for this purpose; the denial is logged.
            NotFoundError: there is no such distilled memory within reach, no source of it is left, or it was
                corrected, retracted, disputed or taken back since.
            ConflictError: one of them was changed meanwhile.
        """
        call = self._call(Action.ORGANIZE, purpose)
        return Distiller(self._parts).take_back(call.principal, memory_id, call.purpose)

    def _put_off(
        self,
        kind: TaskKind,
        subject: str | None,
        priority: Priority,
        key: str | None,
        purpose: Purpose | None,
    ) -> PutOff:
        if not isinstance(subject, str | None):
            raise IdentifierInvalidError("expected a subject as text, or None")
        if key is not None and not (type(key) is str and 1 <= len(key) <= MAX_KEY):
            raise IdentifierInvalidError(f"expected a key of 1 to {MAX_KEY} characters, or None")
        parts, call = self._parts, self._call(Action.ORGANIZE, purpose)
        event = EventType.TASK_QUEUE
        grant = self._granted(call)
        name = own_subject(call.principal) if subject is None else subject
        (subject_id,) = parts.sealers.subject_ids(grant.tenant, (name,))
        order = Order(kind, subject_id, call.principal, call.purpose, priority, key)
        added = Queue(parts).order(order)
        told: dict[str, JsonValue] = {"kind": order.kind.value, "count": 1}
        draft = parts.journal.allowed(grant, told, event=event)
        try:
            leaf = parts.store.submit(WriteSet(drafts=[draft], changes=[added.change]))[0]
        except (ErasedError, QueueFullError):
            parts.journal.note(grant, {}, outcome=Outcome.REFUSED, event=event)
            raise
        return PutOff(added.found[0], leaf.index)

    def work(self, seconds: float = 60.0) -> bool:
        """Do what waits in the tenant's queue, in this thread; say whether nothing that is due is left.

        Each task is authorised once more, and done, under whom it was put off by. For programs that embed a vault and
        run no worker.

        Raises:
            DeniedError: who calls may put nothing off either; the denial is logged.
        """
        self._granted(self._call(Action.ORGANIZE, None))
        return Worker(lambda: self._parts).drain(self._principal.tenant, seconds)

    def _granted(self, call: Call) -> Grant:
        try:
            return authorise(self._parts.policy, call.principal, call.action, call.purpose, over=EVERY_MEMORY)
        except DeniedError:
            self._parts.journal.deny(call, event=EventType.TASK_QUEUE)
            raise
