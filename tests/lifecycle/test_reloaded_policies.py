"""A run of a job ends under the policies that it began under; the next one begins under those in force."""

from dataclasses import replace
from datetime import timedelta

from lifecycle.job import Counts, JobRun
from lifecycle.running import Runner, Scheduled
from lifecycle.terms import parse_term
from lifecycle.timetable import Timetable
from policies.access import AccessPolicy
from policies.bundle import Bundle
from policies.identity import IDENTITY
from tests.lifecycle.conftest import ScriptedJob
from tests.simulators.clinic import CLINIC
from tests.simulators.fakes import FrozenClock
from vault.journal import Journal
from vault.opening import Vault


def other_policies(vault: Vault) -> None:
    """Put another bundle in force, as a reload does."""
    parts = vault.parts
    bundle = Bundle({**parts.bundle.files, IDENTITY: b"name: other\nversion: 1\n"})
    policy = AccessPolicy.load(bundle)
    vault.parts = replace(
        parts, bundle=bundle, policy=policy, journal=Journal(parts.store, policy, parts.clock)
    )


def test_a_run_keeps_its_policies_and_the_next_has_those_in_force(vault: Vault, clock: FrozenClock) -> None:
    seen: list[str] = []

    def work(run: JobRun) -> Counts:
        seen.append(run.parts.policy.digest)
        if len(seen) == 1:
            other_policies(vault)
        seen.append(run.parts.policy.digest)
        return Counts({"rows": 1})

    first = vault.parts.policy.digest
    scheduled = Scheduled(ScriptedJob(work), "is probed", parse_term("1h"), at_start=True)
    table = Timetable(vault.parts, [scheduled], current=lambda: vault.parts, jitter=lambda _most: 0.0)
    (ran,) = table.look()
    clock.advance(timedelta(hours=2))
    (later,) = table.look()
    second = vault.parts.policy.digest
    assert first != second
    assert seen == [first, first, second, second]
    for leaf, digest in ((ran.leaf_index, first), (later.leaf_index, second)):
        with vault.parts.store.log_connection(CLINIC) as connection:
            (entry,) = vault.parts.log.entries(connection, CLINIC, leaf, leaf + 1)
        assert f'"policy":"{digest}"' in entry.header


def test_a_runner_of_one_call_keeps_the_parts_that_it_was_given(vault: Vault) -> None:
    runner, before = Runner(vault.parts), vault.parts
    other_policies(vault)
    assert runner.parts is before
