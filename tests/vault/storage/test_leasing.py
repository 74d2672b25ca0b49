"""Leases: one holder at a time, a token that only grows, and a fence that no late holder passes."""

import warnings
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.event import EventType
from audit.selection import entries_of
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import InputInvalidError, LeaseLostError
from vault.opening import LocalRootWarning, Vault
from vault.storage.group_commit import WriteSet
from vault.storage.leasing import MAX_SECONDS, HeldLease, Lease, Leases

TENANT = "clinic"
SECONDS = 60.0


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def vault(tmp_path: Path, clock: FrozenClock) -> Iterator[Vault]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        opened = Vault.create(tmp_path / "vault", tenant=TENANT, options=fake_options(clock=clock))
    with opened:
        yield opened


@pytest.fixture
def leases(vault: Vault, clock: FrozenClock) -> Leases:
    return Leases(vault.parts.store, clock)


def take(leases: Leases, holder: str = "one", name: str = "expiry") -> Lease:
    lease = leases.take(TENANT, name, holder, SECONDS)
    assert lease is not None
    return lease


def write(vault: Vault, leases: Leases, lease: Lease) -> None:
    """Write an entry behind a fence."""
    draft = vault.parts.journal.event(EventType.JOB_RUN, TENANT, {"job": str(lease.token)})
    vault.parts.store.submit(WriteSet(drafts=[draft], changes=[leases.fence(lease)]))


def written(vault: Vault) -> list[str]:
    with vault.parts.store.log_connection(TENANT) as connection:
        found = entries_of(connection, TENANT, [EventType.JOB_RUN])
        return [str(entry.payload) for entry in found]


def test_a_lease_is_one_holders_at_a_time_and_its_token_grows_with_each_taking(
    leases: Leases, clock: FrozenClock
) -> None:
    first = take(leases)
    assert leases.take(TENANT, "expiry", "two", SECONDS) is None
    assert leases.take(TENANT, "expiry", "one", SECONDS) is None, "nor the same holder's twice"
    assert take(leases, name="rescan").token == 1, "each job has its own"
    leases.release(first)
    second = take(leases, "two")
    clock.advance(timedelta(seconds=SECONDS))
    third = take(leases, "one")
    assert [first.token, second.token, third.token] == [1, 2, 3]


def test_leases_of_two_tenants_do_not_meet(vault: Vault, leases: Leases) -> None:
    vault.add_tenant("bank")
    take(leases)
    assert leases.take("bank", "expiry", "two", SECONDS) is not None


def test_who_wakes_after_the_lease_ran_out_writes_nothing(
    vault: Vault, leases: Leases, clock: FrozenClock
) -> None:
    slept = take(leases)
    write(vault, leases, slept)
    clock.advance(timedelta(seconds=SECONDS))
    with pytest.raises(LeaseLostError, match="ran out"):
        write(vault, leases, slept)
    other = take(leases, "two")
    with pytest.raises(LeaseLostError, match="another's"):
        write(vault, leases, slept)
    write(vault, leases, other)
    assert written(vault) == ['{"job":"1"}', '{"job":"2"}']


def test_a_late_holder_can_neither_renew_nor_release_what_is_anothers(
    leases: Leases, clock: FrozenClock
) -> None:
    slept = take(leases)
    clock.advance(timedelta(seconds=SECONDS))
    with pytest.raises(LeaseLostError):
        leases.renew(slept, SECONDS)
    take(leases, "two")
    with pytest.raises(LeaseLostError):
        leases.renew(slept, SECONDS)
    leases.release(slept)
    assert leases.take(TENANT, "expiry", "three", SECONDS) is None, "it is the second holder's still"


def test_renewing_moves_the_end_and_keeps_the_token(vault: Vault, leases: Leases, clock: FrozenClock) -> None:
    lease = take(leases)
    clock.advance(timedelta(seconds=SECONDS - 1))
    renewed = leases.renew(lease, SECONDS)
    assert (renewed.token, renewed.until - lease.until) == (lease.token, 59_000_000)
    clock.advance(timedelta(seconds=SECONDS - 1))
    write(vault, leases, renewed)
    assert leases.take(TENANT, "expiry", "two", SECONDS) is None


def test_a_clock_that_jumps_forward_ends_a_lease_and_the_fence_knows_it(
    vault: Vault, leases: Leases, clock: FrozenClock
) -> None:
    lease = take(leases)
    clock.advance(timedelta(days=400))
    with pytest.raises(LeaseLostError):
        write(vault, leases, lease)
    assert written(vault) == []


def test_a_clock_that_jumps_back_does_not_leave_a_dead_holders_lease_for_days(
    vault: Vault, leases: Leases, clock: FrozenClock
) -> None:
    dead = take(leases)
    clock.advance(timedelta(days=-3))
    living = take(leases, "two")
    assert living.token == dead.token + 1
    with pytest.raises(LeaseLostError):
        write(vault, leases, dead)
    write(vault, leases, living)
    assert written(vault) == ['{"job":"2"}']


def test_no_lease_is_given_for_longer_than_an_hour_or_for_no_time(leases: Leases) -> None:
    for seconds in (0.0, -1.0, MAX_SECONDS + 1.0):
        with pytest.raises(InputInvalidError):
            leases.take(TENANT, "expiry", "one", seconds)
    assert take(leases).token == 1


def test_a_holder_stops_by_its_own_clock_before_its_time_is_out_whatever_the_vaults_clock_says(
    leases: Leases, clock: FrozenClock
) -> None:
    now = [1_000.0]
    held = HeldLease(leases, take(leases), SECONDS, lambda: now[0])
    assert held.keep()
    clock.advance(timedelta(days=-30))
    now[0] += 0.91 * SECONDS
    assert held.is_over
    assert not held.keep(), "what slept, stops: a lease that is over is not renewed"


def test_a_holder_renews_when_half_of_its_time_is_gone(leases: Leases, clock: FrozenClock) -> None:
    now = [0.0]
    held = HeldLease(leases, take(leases), SECONDS, lambda: now[0])
    until = held.lease.until
    now[0] = 29.0
    assert held.keep()
    assert held.lease.until == until
    now[0] = 0.0
    for _ in range(10):
        now[0] += 31.0
        clock.advance(timedelta(seconds=31))
        assert held.keep()
    assert (held.lease.until > until, held.token) == (True, 1)


def test_a_holder_that_lost_its_lease_is_told_when_it_would_renew(leases: Leases, clock: FrozenClock) -> None:
    now = [0.0]
    held = HeldLease(leases, take(leases), SECONDS, lambda: now[0])
    clock.advance(timedelta(days=1))
    take(leases, "two")
    now[0] = 40.0
    assert not held.keep()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["take", "renew", "release", "write", "clock"]),
        st.integers(0, 2),
        st.sampled_from([-90_000, -61, -1, 1, 30, 61, 90_000]),
    ),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_whatever_three_holders_and_the_clock_do_only_the_last_taker_ever_writes(
    vault: Vault, clock: FrozenClock, acts: list[tuple[str, int, int]]
) -> None:
    leases = Leases(vault.parts.store, clock)
    name = f"job-{clock.now.timestamp():.0f}-{len(written(vault))}-{id(acts)}"
    held: dict[int, Lease] = {}
    tokens: list[int] = []
    for act, who, seconds in acts:
        if act == "clock":
            clock.advance(timedelta(seconds=seconds))
        elif act == "take":
            lease = leases.take(TENANT, name, f"holder-{who}", SECONDS)
            if lease is not None:
                held[who] = lease
                tokens.append(lease.token)
        elif who in held:
            last = held[who].token == tokens[-1]
            try:
                if act == "write":
                    vault.parts.store.submit(WriteSet(changes=[leases.fence(held[who])]))
                    assert last, "a fence let somebody pass whose lease was taken after it"
                elif act == "renew":
                    held[who] = leases.renew(held[who], SECONDS)
                    assert last
                else:
                    leases.release(held[who])
            except LeaseLostError:
                pass
    assert all(later > earlier for earlier, later in pairwise(tokens))
