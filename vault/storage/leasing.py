"""Leases in the database: of many processes one runs a job, and whoever lost the lease cannot write any more.

Owns taking, renewing, releasing, and the fence that refuses in the writer's own transaction. It leaves what is
done under a lease to `lifecycle`.

- Each taking has a token that is larger than every one before it, so a former holder is told from the present one
  even where both call themselves the same.
- A lease is judged by one clock, the vault's, which is passed in. It may jump: forward, and a lease ends early,
  which the fence finds; back, and a lease would seem to last for days, so one that ends later than any lease could
  is held to have ended. Either way two may believe that they hold it, and only the later one can write.
- A holder stops by its own monotonic clock, too, before its time is out (`HeldLease.is_over`).

Threat: a holder that was stopped for minutes (a debugger, a swapped-out machine) wakes and goes on where it was.
Nothing that it asks before a transaction helps; what the transaction itself asks does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, and_, select

from audit.log import Leaf
from vault.clock import Clock, microseconds, monotonic
from vault.errors import InputInvalidError, LeaseLostError
from vault.storage.schema import LEASE
from vault.storage.store import Store

MAX_SECONDS: Final = 3_600
"""No lease is given for longer."""
SAFETY: Final = 0.9
"""The share of its time after which a holder stops by itself: clocks differ, and a commit takes a while."""
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was taken or renewed last."""

    tenant: str
    name: str
    """Of the job."""
    holder: str
    """Made anew by each process that takes leases."""
    token: int
    until: int
    """Microseconds since 1970 UTC, by the vault's clock."""


class Leases:
    """Gives leases over one store.

    Args:
        store: Where they lie.
        clock: By which all leases of the store are judged.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def take(self, tenant: str, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease; None where somebody has it, be it the same holder.

        Raises:
            InputInvalidError: for longer than any lease is given.
            StorageError: or one of its kinds; nothing was taken.
        """
        taken: list[Lease] = []
        length = _length(seconds)

        def take(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            now = microseconds(self._clock())
            row = connection.execute(_row(tenant, name)).first()
            taken.clear()
            if row is not None and not _has_ended(row.until, now):
                return
            lease = Lease(tenant, name, holder, 1 if row is None else row.token + 1, now + length)
            values = {"holder": holder, "token": lease.token, "until": lease.until}
            if row is None:
                connection.execute(LEASE.insert(), {"tenant_id": tenant, "name": name, **values})
            else:
                connection.execute(LEASE.update().where(_of(tenant, name)).values(values))
            taken.append(lease)

        self._store.change(take)
        return taken[0] if taken else None

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Give a lease further time from now on.

        Raises:
            LeaseLostError: it is another's by now, or ran out.
        """
        renewed: list[Lease] = []
        length = _length(seconds)

        def renew(connection: Connection, leaves: Sequence[Leaf]) -> None:
            self.fence(lease)(connection, leaves)
            until = microseconds(self._clock()) + length
            connection.execute(LEASE.update().where(_of(lease.tenant, lease.name)).values(until=until))
            renewed[:] = [Lease(lease.tenant, lease.name, lease.holder, lease.token, until)]

        self._store.change(renew)
        return renewed[0]

    def release(self, lease: Lease) -> None:
        """Give a lease back; one that is another's by now stays that one's. The token is kept: it only grows."""

        def release(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            _release(connection, lease)

        self._store.change(release)

    def fence(self, lease: Lease) -> Callable[[Connection, Sequence[Leaf]], None]:
        """Return a change that refuses its whole write set where the lease is not ours any more.

        It raises `LeaseLostError` where the row's token is another, or the time is out by the vault's clock.
        """

        def expect_ours(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            row = connection.execute(_row(lease.tenant, lease.name)).first()
            if row is None or (row.token, row.holder) != (lease.token, lease.holder):
                raise LeaseLostError(f"the lease of {lease.name} is another's by now")
            if _has_ended(row.until, microseconds(self._clock())):
                raise LeaseLostError(f"the lease of {lease.name} ran out")

        return expect_ours


class HeldLease:
    """A lease in the hands of whoever works under it: renewed as time goes, and stopped before it is out.

    Args:
        leases: Who gave it.
        lease: As it was taken a moment ago.
        seconds: For how long, and for how long it is renewed.
        clock: Monotonic seconds; what wall clocks do does not move it.
    """

    def __init__(
        self, leases: Leases, lease: Lease, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._leases = leases
        self._seconds = seconds
        self._clock = clock
        self._since = clock()
        self._lock = Lock()
        self.lease = lease

    @property
    def token(self) -> int:
        """The fencing token: the same for as long as it is held."""
        return self.lease.token

    @property
    def is_over(self) -> bool:
        """Whether so much of its time is gone that nothing is to be begun any more."""
        return self._clock() - self._since >= SAFETY * self._seconds

    def fence(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Refuse the write set where the lease is lost; a `vault.storage.group_commit.Change`.

        Raises:
            LeaseLostError: it is.
        """
        self._leases.fence(self.lease)(connection, leaves)

    def keep(self) -> bool:
        """Renew it where half of its time is gone; say whether work may go on. Threads may share it.

        A lease that is over by the holder's own clock is never renewed: what slept, stops.
        """
        with self._lock:
            if self.is_over:
                return False
            if self._clock() - self._since < self._seconds / 2:
                return True
            began = self._clock()
            try:
                self.lease = self._leases.renew(self.lease, self._seconds)
            except LeaseLostError:
                return False
            self._since = began
            return True

    def release(self) -> None:
        """Give it back."""
        self._leases.release(self.lease)

    def releasing(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Give it back in the transaction that ends the work; a `vault.storage.group_commit.Change`."""
        _release(connection, self.lease)


def _of(tenant: str, name: str) -> ColumnElement[bool]:
    return and_(LEASE.c.tenant_id == tenant, LEASE.c.name == name)


def _row(tenant: str, name: str) -> Select[tuple[str, int, int]]:
    return select(LEASE.c.holder, LEASE.c.token, LEASE.c.until).where(_of(tenant, name))


def _release(connection: Connection, lease: Lease) -> None:
    ours = and_(_of(lease.tenant, lease.name), LEASE.c.token == lease.token, LEASE.c.holder == lease.holder)
    connection.execute(LEASE.update().where(ours).values(until=0))


def _has_ended(until: int, now: int) -> bool:
    # The clock went back since it was given: else a dead holder would have it until the clock comes there again.
    return until <= now or until > now + MAX_SECONDS * _MICROSECONDS


def _length(seconds: float) -> int:
    if not 0 < seconds <= MAX_SECONDS:
        raise InputInvalidError(f"expected a lease of at most {MAX_SECONDS} seconds")
    return int(seconds * _MICROSECONDS)
