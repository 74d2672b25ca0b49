"""kill -9 while a hold is placed or released: it stands whole with its entry, or is not there at all."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import CLINIC, OFFICER, OWNER, SECOND_OFFICER, Clinic, make_template
from tests.simulators.fakes import START, fake_options
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.opening import Vault
from vault.storage.removal import held_memories

DURABLE = ("committed", "held")
STEPS = ("holding", "begin", "logged", "inserted", *DURABLE)


class Trap:
    """A probe that kills its process at one step, once it is set."""

    step = ""

    def __call__(self, step: str) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def placing() -> Placing:
    targets = Targets(subjects=("anna",))
    return Placing(HoldScope.SUBJECT, HoldReason.LITIGATION, START.replace(year=2090), targets)


def place_and_die(path: Path, step: str, tell: Tell) -> None:
    trap = Trap()
    with Vault.open(path, options=fake_options(probe=trap)) as vault:
        trap.step = step
        Holds(vault.parts).place(OFFICER, placing())
        tell(placed=True)


def release_and_die(path: Path, step: str, hold_id: str, tell: Tell) -> None:
    trap = Trap()
    with Vault.open(path, options=fake_options(probe=trap)) as vault:
        trap.step = step
        Holds(vault.parts).release(SECOND_OFFICER, hold_id)
        tell(released=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def ward(template: Path, tmp_path: Path) -> Clinic:
    """A vault with a memory of Anna, closed."""
    made = Clinic(template, tmp_path / "vault", fake_options())
    made.mem(OWNER).extract("the knee hurts", subject="anna")
    made.close()
    return made


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_placing_leaves_a_whole_hold_or_none(ward: Clinic, step: str) -> None:
    assert run_child(partial(place_and_die, ward.path, step)).killed
    ward.reopen()
    try:
        stands = step in DURABLE
        (memory,) = (str(row[0]) for row in ward.sql("SELECT memory_id FROM memory"))
        with ward.vault.parts.store.log_connection(CLINIC) as connection:
            assert bool(held_memories(connection, CLINIC, [memory])) is stands
        assert (ward.count("hold"), ward.count("hold_target")) == (stands, stands)
        assert ward.audit().verify().passed
        assert ward.audit().verify().row_findings == ()
        in_ledger = list(ward.vault.parts.ledger.rows(CLINIC, "hold"))
        assert bool(in_ledger) is stands, "the opening tells the ledger what a kill kept from it"
    finally:
        ward.close()


@pytest.mark.parametrize("step", ["begin", "inserted", "committed"])
def test_a_killed_release_leaves_the_hold_in_force_or_released(ward: Clinic, step: str) -> None:
    ward.reopen()
    hold_id = Holds(ward.vault.parts).place(OFFICER, placing()).hold_id
    Holds(ward.vault.parts).ask_release(OFFICER, hold_id)
    ward.close()
    assert run_child(partial(release_and_die, ward.path, step, hold_id)).killed
    ward.reopen()
    try:
        hold, _ = Holds(ward.vault.parts).named(OFFICER, hold_id)
        assert hold.in_force is (step not in DURABLE)
        assert ward.audit().verify().row_findings == ()
        bodies = [row.body for row in ward.vault.parts.ledger.rows(CLINIC, "hold")]
        assert any('"released_by":"officer-b"' in body for body in bodies) is (step in DURABLE)
    finally:
        ward.close()
