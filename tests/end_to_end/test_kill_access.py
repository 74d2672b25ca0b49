"""kill -9 while the glass is broken, a team is changed or a memory opened wider: whole with its entry, or not at all."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from policies.model import AccessTier, Assurance, Principal, Role
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, CLINIC, MEMBER, OWNER, Clinic, make_template
from tests.simulators.fakes import fake_options
from vault.care_teams import CareTeams
from vault.emergencies import Emergencies
from vault.emergency_terms import Declaring, EmergencyReason
from vault.errors import NotFoundError
from vault.memos import MemOS
from vault.opening import Vault

DURABLE = ("committed",)
STEPS = ("begin", "logged", "inserted", *DURABLE)
NURSE = Principal("nurse-1", CLINIC, frozenset({Role.MEMBER}), Assurance.MFA)


class Trap:
    """A probe that kills its process at one step, once it is set."""

    step = ""

    def __call__(self, step: str) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def act_and_die(path: Path, step: str, what: str, memory: str, tell: Tell) -> None:
    trap = Trap()
    with Vault.open(path, options=fake_options(probe=trap)) as vault:
        trap.step = step
        if what == "emergency":
            Emergencies(vault.parts).declare(NURSE, Declaring(EmergencyReason.OTHER, "case-1", 5))
        elif what == "team":
            CareTeams(vault.parts).join(ADMINISTRATOR, "anna", "dr-a")
        else:
            MemOS(vault, principal=OWNER).promote(memory, AccessTier.INSTITUTIONAL)
        tell(done=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.mark.parametrize("what", ["emergency", "team", "promotion"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_it_whole_or_not_at_all(template: Path, tmp_path: Path, step: str, what: str) -> None:
    ward = Clinic(template, tmp_path / "vault", fake_options())
    (memory,) = ward.mem(OWNER).extract("the knee hurts", subject="anna").memory_ids
    ward.close()
    assert run_child(partial(act_and_die, ward.path, step, what, memory)).killed
    ward.reopen()
    try:
        stands = step in DURABLE
        events = [entry.event for entry in ward.log()]
        if what == "emergency":
            assert (ward.count("emergency"), events.count("emergency.start")) == (stands, stands)
        elif what == "team":
            assert (ward.count("care_team"), events.count("care-team.change")) == (stands, stands)
        else:
            assert events.count("memory.promote") == stands
            assert ward.count("memory") == 1 + stands
            if stands:
                assert ward.mem(MEMBER).get(memory).text == "the knee hurts"
            else:
                with pytest.raises(NotFoundError):
                    ward.mem(MEMBER).get(memory)
        verified = ward.audit().verify()
        assert verified.passed
        assert verified.row_findings == ()
    finally:
        ward.close()
