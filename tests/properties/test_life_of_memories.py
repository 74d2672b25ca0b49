"""Write, update, hold, release, expire, erase, snapshot, restore, rotate and re-encrypt in any order.

The model is a few dictionaries. What must hold: no memory under a hold is lost, none that was erased or that expired
comes back, nothing opens under a wrong key (each memory reads as the model has it), and the log verifies.
"""

import tempfile
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policies.bundle import Bundle
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    OFFICER,
    OWNER,
    SECOND_OFFICER,
    Clinic,
    make_template,
)
from tests.simulators.fakes import FrozenClock, fake_options
from vault.erasure import Erasures
from vault.errors import ErasedError, HeldError, KeyDestroyedError, NotFoundError
from vault.expiry import Expiry
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.parts import Parts
from vault.reencryption import Reencryption
from vault.restoration import RestoreTerms
from vault.restoring import restore_snapshot
from vault.snapshots import Snapshots

NAMES = ("maria", "anna", "john")
TERM = timedelta(days=30)
RETENTION = """
version: 1
clock: {longest-gap: P100Y}
staleness: {unused: P100Y, again: P100Y}
classes:
  - {id: short, description: For this test., term: P30D, from: recorded, then: expire}
floors: []
rules: []
default: short
"""
_TEMPLATES: list[Path] = []


@dataclass
class Known:
    """What the model knows of one memory."""

    subjects: tuple[str, ...]
    text: str
    written: int
    """Day of its first version."""


@dataclass
class Kept:
    """A snapshot, and what the model was when it was made."""

    folder: Path
    memories: dict[str, Known]


@dataclass
class Model:
    """What should be there."""

    memories: dict[str, Known] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Memories that expired or were erased: they never come back."""
    undone: set[str] = field(default_factory=set)
    """Memories that a restore took back to before they were written."""
    erased: set[str] = field(default_factory=set)
    holds: dict[str, str] = field(default_factory=dict)
    """Subject by hold."""
    snapshots: list[Kept] = field(default_factory=list)

    def held(self, known: Known) -> bool:
        return bool(set(known.subjects) & set(self.holds.values()))


class LifeOfMemories(RuleBasedStateMachine):
    """Drives a vault and the model side by side."""

    def __init__(self) -> None:
        super().__init__()
        if not _TEMPLATES:
            _TEMPLATES.append(make_template(Path(tempfile.mkdtemp()) / "template"))
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FrozenClock(step=timedelta(milliseconds=1))
        files = {**Bundle.read().files, "retention.yaml": RETENTION.encode()}
        options = replace(fake_options(clock=self.clock), bundle=Bundle(files))
        self.clinic = Clinic(_TEMPLATES[0], self.folder / "vault", options)
        self.model = Model()
        self.numbers = count()
        self.day = 0

    @property
    def parts(self) -> Parts:
        """Of whatever vault is open now."""
        return self.clinic.vault.parts

    @initialize()
    def first(self) -> None:
        self.write(("maria",))

    @rule(subjects=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple))
    def write(self, subjects: tuple[str, ...]) -> None:
        text = f"note number {next(self.numbers)} says what there is to say"
        owner = self.clinic.mem(OWNER)
        if self.model.erased & set(subjects):
            with pytest.raises((ErasedError, KeyDestroyedError)):
                owner.extract(text, subject=subjects)
            return
        (memory_id,) = owner.extract(text, subject=subjects).memory_ids
        self.model.memories[memory_id] = Known(subjects, text, self.day)

    @precondition(lambda self: self.model.memories)
    @rule(data=st.data())
    def update(self, data: st.DataObject) -> None:
        memory_id = data.draw(st.sampled_from(sorted(self.model.memories)))
        text = f"note number {next(self.numbers)} says it better"
        self.clinic.mem(OWNER).update(memory_id, text)
        known = self.model.memories[memory_id]
        # A term from `recorded` runs from the present version on.
        self.model.memories[memory_id] = replace(known, text=text, written=self.day)

    @rule(name=st.sampled_from(NAMES))
    def hold(self, name: str) -> None:
        if name in self.model.erased:
            return
        placing = Placing(
            HoldScope.SUBJECT,
            HoldReason.LITIGATION,
            self.clock.now + timedelta(days=300),
            Targets(subjects=(name,)),
        )
        self.model.holds[Holds(self.parts).place(OFFICER, placing).hold_id] = name

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.model.holds)))
        holds = Holds(self.parts)
        holds.ask_release(OFFICER, hold_id)
        holds.release(SECOND_OFFICER, hold_id)
        del self.model.holds[hold_id]

    @rule(days=st.sampled_from([1, 20, 31]))
    def expire(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))
        self.day += days
        Expiry(self.parts).run(CLINIC)
        model = self.model
        for memory_id, known in list(model.memories.items()):
            if self.day - known.written > TERM.days and not model.held(known):
                del model.memories[memory_id]
                model.gone.add(memory_id)

    @rule(name=st.sampled_from(NAMES))
    def erase(self, name: str) -> None:
        model, erasures = self.model, Erasures(self.parts)
        about = {memory_id: known for memory_id, known in model.memories.items() if name in known.subjects}
        plan = erasures.plan(OFFICER, name)
        if name in model.erased:
            assert erasures.erase(OFFICER, name, plan.digest).again
            return
        if any(model.held(known) for known in about.values()) or name in model.holds.values():
            with pytest.raises((HeldError, NotFoundError)):
                erasures.erase(OFFICER, name, plan.digest)
            return
        try:
            erased = erasures.erase(OFFICER, name, plan.digest)
        except NotFoundError:
            assert not about, "what is known of a person is found"
            return
        assert erased.certificate
        model.erased.add(name)
        for memory_id in about:
            del model.memories[memory_id]
            model.gone.add(memory_id)

    @rule()
    def snapshot(self) -> None:
        made = Snapshots(self.parts).create(ADMINISTRATOR, self.folder / "snapshots")
        self.model.snapshots.append(Kept(made.folder.path, dict(self.model.memories)))

    @precondition(lambda self: self.model.snapshots)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        model = self.model
        place = data.draw(st.integers(0, len(model.snapshots) - 1))
        kept = model.snapshots[place]
        self.clinic.close()
        try:
            restore_snapshot(
                self.clinic.path,
                kept.folder,
                ADMINISTRATOR,
                options=self.clinic.options,
                terms=RestoreTerms(),
            )
        except HeldError:
            assert model.holds, "only a hold forbids a restore"
        else:
            before = model.memories
            model.memories = {
                memory_id: known for memory_id, known in kept.memories.items() if memory_id not in model.gone
            }
            model.undone |= before.keys() - model.memories.keys()
            del model.snapshots[place + 1 :]
        finally:
            self.clinic.vault = type(self.clinic.vault).open(self.clinic.path, options=self.clinic.options)

    @rule()
    def rotate_and_reencrypt(self) -> None:
        keys = self.parts.keyring.tenant(CLINIC)
        for name in NAMES:
            subject = keys.subject_id(name)
            if name not in self.model.erased and keys.has_key(subject):
                keys.rotate(subject)
        *_, last = Reencryption(self.parts, CLINIC).run()
        assert last.remaining == 0

    @rule()
    def reopen(self) -> None:
        self.clinic.reopen()

    @invariant()
    def what_should_be_there_reads_as_it_was_written(self) -> None:
        owner = self.clinic.mem(OWNER)
        for memory_id, known in self.model.memories.items():
            assert owner.get(memory_id).text == known.text

    @invariant()
    def what_is_gone_stays_gone(self) -> None:
        owner = self.clinic.mem(OWNER)
        for memory_id in (self.model.gone | self.model.undone) - self.model.memories.keys():
            with pytest.raises(NotFoundError):
                owner.get(memory_id)

    @invariant()
    def nothing_is_found_that_should_not_be_there(self) -> None:
        hits = self.clinic.mem(OWNER).retrieve("note number says", k=200).hits
        assert {hit.memory.id for hit in hits} <= self.model.memories.keys()

    def teardown(self) -> None:
        try:
            verified = self.clinic.audit().verify()
            assert verified.passed, verified.row_findings
        finally:
            self.clinic.close()


TestLifeOfMemories = LifeOfMemories.TestCase
TestLifeOfMemories.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
