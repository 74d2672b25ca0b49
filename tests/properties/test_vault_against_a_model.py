"""Any order of calls by any principals against a model in a few dictionaries: the vault never says more or less."""

import shutil
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from policies.errors import DeniedError
from policies.model import AccessTier, Principal, Purpose
from tests.simulators.clinic import (
    AUDITOR,
    CLINIC,
    CLINICIAN,
    MEMBER,
    OTHER_OWNER,
    OWNER,
    SERVICE,
    STRANGER,
    Clinic,
    make_template,
)
from vault.errors import NotFoundError
from vault.memos import MemOS

PURPOSES = {SERVICE: Purpose.OPERATIONS}
READERS = (OWNER, OTHER_OWNER, MEMBER, CLINICIAN, STRANGER, AUDITOR, SERVICE)
WRITERS = (
    (OWNER, AccessTier.PRIVATE),
    (OTHER_OWNER, AccessTier.PRIVATE),
    (MEMBER, AccessTier.INSTITUTIONAL),
    (SERVICE, AccessTier.PRIVATE),
    (SERVICE, AccessTier.PUBLIC),
    (STRANGER, AccessTier.PRIVATE),
)
SUBJECTS = ("maria", "anna", None)
_TEMPLATES: list[Path] = []


@dataclass
class Expected:
    """What the model knows of one memory."""

    owner: Principal
    tier: AccessTier
    subject: str | None
    text: str
    version: int = 1


def may_read(who: Principal, memory: Expected, *, reveal: bool) -> bool | None:
    """Say what policy.csv says in words: True, False (as if it were not there), or None (denied for anything)."""
    if who in (AUDITOR, SERVICE) or (who is MEMBER and reveal):
        return None
    if who.tenant != memory.owner.tenant:
        return False
    if who is CLINICIAN:
        return True
    if who in (OWNER, OTHER_OWNER, STRANGER) and memory.tier is AccessTier.PRIVATE:
        return memory.owner == who or (who is STRANGER and memory.owner.tenant == who.tenant)
    return memory.tier is not AccessTier.PRIVATE and not reveal


class VaultAgainstModel(RuleBasedStateMachine):
    """Drives the facade and the model side by side."""

    memories = Bundle("memories")

    def __init__(self) -> None:
        super().__init__()
        if not _TEMPLATES:
            _TEMPLATES.append(make_template(Path(tempfile.mkdtemp()) / "template"))
        self.folder = Path(tempfile.mkdtemp())
        self.clinic = Clinic(_TEMPLATES[0], self.folder / "vault")
        self.model: dict[str, Expected] = {}
        self.numbers = count()

    @initialize(target=memories)
    def first(self) -> str:
        """Start with one memory."""
        return self._write(OWNER, AccessTier.PRIVATE, "maria")

    @rule(target=memories, who=st.sampled_from(WRITERS), subject=st.sampled_from(SUBJECTS))
    def extract(self, who: tuple[Principal, AccessTier], subject: str | None) -> str:
        """Write a memory."""
        return self._write(*who, subject)

    def _write(self, who: Principal, tier: AccessTier, subject: str | None) -> str:
        text = f"word{next(self.numbers)} of Maria Keller"
        receipt = self._as(who).extract(text, subject=subject, access_tier=tier)
        (memory_id,) = receipt.memory_ids
        self.model[memory_id] = Expected(who, tier, subject, text)
        return memory_id

    @rule(memory_id=memories, who=st.sampled_from(READERS), reveal=st.booleans())
    def read(self, memory_id: str, who: Principal, *, reveal: bool) -> None:
        """Read or reveal a memory."""
        expected = self.model[memory_id]
        view = self._as(who)
        allowed = may_read(who, expected, reveal=reveal)
        entries = len(self.clinic.log(who.tenant))
        if allowed is None:
            with pytest.raises(DeniedError):
                view.reveal(memory_id) if reveal else view.get(memory_id)
        elif not allowed:
            with pytest.raises(NotFoundError):
                view.reveal(memory_id) if reveal else view.get(memory_id)
        else:
            found = view.reveal(memory_id) if reveal else view.get(memory_id)
            assert found.version == expected.version
            assert found.access_tier is expected.tier
            # Originals do not go along into what is public.
            in_clear = reveal and expected.tier is not AccessTier.PUBLIC
            assert (found.text == expected.text) is in_clear
            assert ("Maria" in found.text) is in_clear
        assert len(self.clinic.log(who.tenant)) == entries + 1

    @rule(
        target=memories,
        memory_id=memories,
        who=st.sampled_from((OWNER, OTHER_OWNER, MEMBER, SERVICE, STRANGER)),
    )
    def update(self, memory_id: str, who: Principal) -> object:
        """Write a new version: only its owner can."""
        expected = self.model[memory_id]
        text = f"word{next(self.numbers)} of Maria Keller"
        if expected.owner == who:
            self._as(who).update(memory_id, text)
            expected.text, expected.version = text, expected.version + 1
        else:
            with pytest.raises(NotFoundError):
                self._as(who).update(memory_id, text)
        return multiple()

    @rule(
        memory_id=memories,
        who=st.sampled_from((OWNER, OTHER_OWNER, MEMBER, CLINICIAN, STRANGER)),
        subject=st.sampled_from(SUBJECTS),
    )
    def search(self, memory_id: str, who: Principal, subject: str | None) -> None:
        """Search for one memory's word: exactly what is in reach comes back, and that one first."""
        expected = self.model[memory_id]
        word = expected.text.split()[0]
        hits = self._as(who).retrieve(word, k=200, subject=subject).hits
        reach = {
            other
            for other, memory in self.model.items()
            if may_read(who, memory, reveal=False) and (subject is None or memory.subject == subject)
        }
        assert {hit.memory.id for hit in hits} <= reach
        if memory_id in reach:
            assert hits[0].memory.id == memory_id

    @rule()
    def reopen(self) -> None:
        """Close and open again."""
        self.clinic.reopen()

    @invariant()
    def the_file_holds_the_model(self) -> None:
        """Compare current versions with the model."""
        rows = self.clinic.sql("SELECT memory_id, version FROM memory WHERE is_current = 1")
        assert dict(rows) == {memory_id: memory.version for memory_id, memory in self.model.items()}  # type: ignore[arg-type]

    def teardown(self) -> None:
        """Verify both logs, close, delete."""
        assert self.clinic.audit(CLINIC).verify().passed
        assert self.clinic.audit("bank").verify().passed
        self.clinic.close()
        shutil.rmtree(self.folder)

    def _as(self, who: Principal) -> MemOS:
        return self.clinic.mem(who, PURPOSES.get(who, Purpose.TREATMENT))


TestVaultAgainstModel = VaultAgainstModel.TestCase
TestVaultAgainstModel.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
