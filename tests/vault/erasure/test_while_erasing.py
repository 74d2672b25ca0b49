"""While a person is erased others go on working: what they do about the person is refused, or goes with them."""

from collections.abc import Callable

import pytest

from policies.model import AccessTier
from tests.simulators.clinic import OWNER, Clinic
from tests.vault.erased_people import People, erase
from vault.erasing.run import ErasureRun
from vault.errors import ErasedError, KeyDestroyedError


def at_step(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> None:
    """Let something happen each time an erasure comes to a step."""
    before = getattr(ErasureRun, step)

    def act_first(self: ErasureRun, *given: object) -> object:
        act()
        return before(self, *given)

    monkeypatch.setattr(ErasureRun, step, act_first)


def test_no_memory_is_promoted_once_the_erasure_of_its_person_was_begun(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def promote() -> None:
        with pytest.raises((ErasedError, KeyDestroyedError)):
            clinic.mem(OWNER).promote(people.alone[1], AccessTier.INSTITUTIONAL)
        refused.append(clinic.last().outcome)

    at_step(monkeypatch, "_remember_facts", promote)
    erase(clinic)
    assert refused == ["refused"]
    assert clinic.count("memory") == 1
    assert not [one for one in clinic.log() if (one.event, one.outcome) == ("memory.promote", "ok")]
    assert clinic.audit().verify().passed
