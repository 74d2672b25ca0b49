"""Tasks: what is to be done, about whom, under whom, and how it stands. Values alone.

Owns the vocabulary, the bounds of a queue, and what of a task is sealed. It leaves the rows to
`vault.storage.task_rows` and doing to `vault.queueing.work`. A task says ids and fixed words, never content.

Threat: whoever can write to the database, and has no key, has the vault work under a principal of its choice. So what a
task is to do and under whom is sealed: HMAC-SHA256 under a key of the tenant, checked whenever it is taken.
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from policies.errors import RequestInvalidError
from policies.model import Assurance, Principal, Purpose, Role
from vault.crypto.encoding import frame
from vault.errors import TamperedError

_DOMAIN: Final = b"memos-vault/task/1"
_KEY_DOMAIN: Final = b"memos-vault/task-key/1"


class TaskKind(StrEnum):
    """What is to be done with what is known of a subject."""

    ORGANIZE = "organize"
    """Link, supersede, verify and dispute, by rule."""
    DISTIL = "distil"
    """Put near-duplicates together into one memory, by rule."""


class TaskState(StrEnum):
    """How a task stands."""

    WAITING = "waiting"
    RUNNING = "running"
    """Somebody has its lease, or had it when its process ended."""
    DONE = "done"
    """Kept for a while, so that the same work is not queued again by the same key."""
    DEAD = "dead"
    """It failed too often, or never can be done: a person decides."""


class Priority(StrEnum):
    """How urgent a task is: one that waits longer than the difference goes first all the same."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def behind(self) -> int:
        """Microseconds by which it stands behind what is most urgent and was queued with it."""
        return {Priority.HIGH: 0, Priority.NORMAL: 60_000_000, Priority.LOW: 600_000_000}[self]


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of the queue of each tenant."""

    depth: int = 10_000
    """Tasks that wait or run; more are refused."""
    attempts: int = 5
    """After so many a task is dead."""
    lease_seconds: float = 120.0
    """For so long a task is one worker's, unless that renews it."""
    first_retry_seconds: float = 2.0
    """After the first failure; twice as long after each further one."""
    max_retry_seconds: float = 3_600.0
    kept_seconds: float = 86_400.0
    """For so long what is done is known by its key."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it was taken."""

    tenant: str
    id: str
    kind: TaskKind
    subject: str
    """Vault id of whom it is about."""
    principal: Principal
    """Under whom it is done: nothing is done that this one might not do by itself."""
    purpose: Purpose
    priority: Priority
    queued: int
    attempts: int
    """With this one."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be queued."""

    kind: TaskKind
    subject: str
    principal: Principal
    purpose: Purpose
    priority: Priority = Priority.NORMAL
    key: str | None = None
    """Of the caller: the same key queues the same work once. None: what waits already is not queued twice."""


def sealed(key: bytes, row: "TaskWords") -> bytes:
    """Return the seal over what a task is to do and under whom."""
    return hmac.digest(key, frame(_DOMAIN, *(word.encode() for word in row.words())), "sha256")


def key_digest(key: bytes, tenant: str, order: Order, text: str) -> str:
    """Return by which keyed digest the same work is known; a caller's key may say something of a person.

    Threat: by a key that two principals happen to use, or one that guesses, one would keep the other's work from
    being queued and learn of it. So it is the same key only for the same work, under the same principal.
    """
    words = (tenant, order.kind.value, order.subject, order.principal.id, order.purpose.value, text)
    framed = frame(_KEY_DOMAIN, *(word.encode("utf-8", "surrogatepass") for word in words))
    return hmac.digest(key, framed, "sha256").hex()


@dataclass(frozen=True, slots=True)
class TaskWords:
    """The words of a row that are sealed, as they stand in the database."""

    tenant: str
    task_id: str
    kind: str
    subject: str
    principal: str
    roles: str
    assurance: str
    purpose: str

    @classmethod
    def of(cls, tenant: str, task_id: str, order: Order) -> "TaskWords":
        """Return the words of an order."""
        return cls(
            tenant,
            task_id,
            order.kind.value,
            order.subject,
            order.principal.id,
            " ".join(sorted(role.value for role in order.principal.roles)),
            order.principal.assurance.value,
            order.purpose.value,
        )

    def words(self) -> tuple[str, ...]:
        """Return them in their order."""
        return (
            self.tenant,
            self.task_id,
            self.kind,
            self.subject,
            self.principal,
            self.roles,
            self.assurance,
            self.purpose,
        )

    def expect(self, key: bytes, seal: object) -> None:
        """See that the words are what was queued.

        Raises:
            TamperedError: they are not.
        """
        if not all(isinstance(word, str) for word in self.words()) or not isinstance(seal, bytes):
            raise TamperedError("a row of the task table is not of the form of one")
        if not hmac.compare_digest(sealed(key, self), seal):
            raise TamperedError("a task is not what was queued")

    def read(self) -> tuple[TaskKind, Principal, Purpose]:
        """Return what the words say.

        Raises:
            TamperedError: they say nothing that the vault queues.
        """
        try:
            roles = frozenset(Role(role) for role in self.roles.split())
            principal = Principal(self.principal, self.tenant, roles, Assurance(self.assurance))
            return TaskKind(self.kind), principal, Purpose(self.purpose)
        except (ValueError, RequestInvalidError):
            raise TamperedError("a row of the task table is not of the form of one") from None
