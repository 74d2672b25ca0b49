# ruff: noqa: S608  # statements are made of our own numbers
"""kill -9 at every step of every path: what was acknowledged is there, what was not is whole or absent.

More than 220 kills: 50 in writes, 35 in updates, 40 in reads, organizing and denials, 8 in openings, 12 in
embedding, 20 and more in the making of a vault, 60 at a chance moment of four writers at once. A child
(`simulators.children`) opens the vault, works, and is killed at a named step; it tells what was acknowledged. Then the parent opens the vault, verifies it and looks.
"""

import os
import random
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from policies.errors import DeniedError
from policies.model import AccessTier, Purpose
from tests.simulators.children import SECONDS, Child, Moment, Tell, run_child
from tests.simulators.clinic import ADVISER, CLINIC, CLINICIAN, OWNER, SERVICE, Clinic
from tests.simulators.fakes import fake_options
from vault.errors import ConflictError, NotFoundError, VaultInUseError
from vault.memos import MemOS
from vault.model import Chat, Turn
from vault.opening import Vault
from vault.subject_sealer import TokenScope

TURNS = 3
COMMIT = ("begin", "logged", "inserted", "committed")
WRITE = ("authorised", "segmented", "screened", "sealed", *COMMIT, "durable", "indexed")
UPDATE = ("screened", "sealed", *COMMIT, "durable")
DURABLE = frozenset({"committed", "durable", "indexed"})
ROUNDS = 5
CONCURRENT_KILLS = 12
WRITERS = 4


@dataclass
class Trap:
    """A probe that kills its process at one step, once it is set."""

    step: str = ""
    in_worker: bool = False

    def __call__(self, step: str) -> None:
        worker = threading.current_thread().name.startswith("embed")
        if step == self.step and worker == self.in_worker:
            os.kill(os.getpid(), signal.SIGKILL)


def ids_of(line: dict[str, object]) -> list[str]:
    """Return the memory ids that a line acknowledges."""
    written = line.get("written", [])
    assert isinstance(written, list)
    return [str(memory) for memory in written]


def chat(label: str) -> Chat:
    """Return a chat whose every turn names its label, so that it is found and told apart."""
    return Chat(tuple(Turn("Maria Keller", f"{label} turn {nth} of Maria Keller") for nth in range(TURNS)))


def _open_and_work(path: Path, work: Callable[[Vault, Trap, Tell], object], tell: Tell) -> None:
    trap = Trap()
    vault = Vault.open(path, options=fake_options(probe=trap))
    assert vault.wait(20)
    work(vault, trap, tell)


class Ward:
    """One vault that is killed again and again."""

    def __init__(self, template: Path, path: Path) -> None:
        self.clinic = Clinic(template, path, fake_options())
        receipt = self.clinic.mem(OWNER).extract(chat("first"), subject="maria")
        self.versions = {receipt.memory_ids[0]: 1}
        self.written = {
            memory: f"first turn {nth} of Maria Keller" for nth, memory in enumerate(receipt.memory_ids)
        }
        self.target = receipt.memory_ids[0]
        self.clinic.close()
        self.kills = 0

    def child(self, work: Callable[[Vault, Trap, Tell], object], kill_at: Moment | None = None) -> Child:
        """Run work in a child on the vault, opened there with a trap."""
        child = run_child(partial(_open_and_work, self.clinic.path, work), kill_at)
        self.kills += child.killed
        return child

    def check(self, newly: dict[str, str]) -> None:
        """Open the vault after a kill: it verifies, and what was acknowledged reads as it was written."""
        self.written |= newly
        self.clinic.reopen()
        report = self.clinic.audit().verify()
        assert report.passed, report
        view = self.clinic.mem(OWNER)
        for memory, text in newly.items():
            assert view.reveal(memory).text == text
            assert view.get(memory).written_in >= 0
        assert self.clinic.sql(UNWHOLE_EPISODES) == []
        assert self.clinic.sql(UNLINKED_MEMORIES) == []
        assert self.clinic.sql(LOST_SUBJECTS) == []
        assert self.clinic.vault.wait(20)
        assert self.clinic.count("embedding") == self.clinic.count("memory", "is_current = 1")
        self.clinic.close()

    def memories(self) -> int:
        """Count memories' first versions."""
        return self.clinic.count("memory", "version = 1")

    def everything(self) -> None:
        """Read every memory that was ever acknowledged."""
        self.clinic.reopen()
        view = self.clinic.mem(OWNER)
        for memory, text in self.written.items():
            assert view.reveal(memory).text == text
        assert self.clinic.sql("PRAGMA integrity_check") == [("ok",)]
        assert self.clinic.sql("PRAGMA integrity_check", file="keys.db") == [("ok",)]


UNWHOLE_EPISODES = (  # a number of ours
    "SELECT e.episode_id, count(m.memory_id) FROM episode e LEFT JOIN memory m ON m.episode_id = e.episode_id"
    f" AND m.version = 1 GROUP BY e.episode_id HAVING count(m.memory_id) <> {TURNS}"
    " UNION ALL SELECT episode_id, 0 FROM memory WHERE episode_id NOT IN (SELECT episode_id FROM episode)"
)
UNLINKED_MEMORIES = (
    "SELECT memory_id FROM memory EXCEPT SELECT memory_id FROM memory_subject"
    " UNION ALL SELECT memory_id FROM memory_subject WHERE memory_id NOT IN (SELECT memory_id FROM memory)"
)
LOST_SUBJECTS = "SELECT subject_id FROM memory_subject EXCEPT SELECT subject_id FROM subject"


@pytest.fixture
def ward(template: Path, tmp_path: Path) -> Ward:
    """A vault with one chat in it, closed."""
    return Ward(template, tmp_path / "ward")


def _make_key(vault: Vault, name: str) -> None:
    """Make a subject's key; what is killed in the making of keys stands in `test_kill_intents.py`."""
    sealers = vault.parts.sealers
    scope = TokenScope(AccessTier.PRIVATE, OWNER.id)
    sealers.for_writing(CLINIC, sealers.named(CLINIC, [name]), scope)


def _keep_one_and_lose_one(step: str, label: str, vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    view = MemOS(vault, principal=OWNER)
    kept = view.extract(chat(f"{label} kept"), subject="maria")
    acknowledge(written=list(kept.memory_ids))
    assert vault.wait(20)
    _make_key(vault, f"newcomer {label}")
    trap.step = step
    lost = view.extract(chat(f"{label} lost"), subject=f"newcomer {label}")
    acknowledge(written=list(lost.memory_ids))


def test_a_write_killed_at_any_step_is_whole_or_absent_and_loses_nothing_before_it(ward: Ward) -> None:
    for nth in range(ROUNDS):
        for step in WRITE:
            before, label = ward.memories(), f"w{nth}{step}"
            child = ward.child(partial(_keep_one_and_lose_one, step, label))
            assert child.killed, step
            (kept,) = child.acknowledged
            ids = ids_of(kept)
            ward.check({memory: f"{label} kept turn {at} of Maria Keller" for at, memory in enumerate(ids)})
            assert ward.memories() - before == TURNS * (2 if step in DURABLE else 1), step
    ward.everything()
    assert ward.kills == ROUNDS * len(WRITE)


def _update(step: str, new: tuple[str, str], vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    view = MemOS(vault, principal=OWNER)
    trap.step = step
    view.update(*new)
    acknowledge(updated=new[0])


def test_an_update_killed_at_any_step_leaves_the_old_version_or_the_new_one(ward: Ward) -> None:
    version = 1
    for nth in range(ROUNDS):
        for step in UPDATE:
            text = f"Maria Keller version {nth} {step}"
            child = ward.child(partial(_update, step, (ward.target, text)))
            assert (child.killed, child.acknowledged) == (True, [])
            version += step in DURABLE
            ward.check({ward.target: text} if step in DURABLE else {})
            current = ward.clinic.sql(
                "SELECT version FROM memory WHERE memory_id = ? AND is_current = 1", ward.target
            )
            assert current == [(version,)], step
            ward.clinic.reopen()
            assert ward.clinic.mem(OWNER).reveal(ward.target).text == ward.written[ward.target]
            ward.clinic.close()
    ward.everything()
    assert ward.kills == ROUNDS * len(UPDATE)


def _denied(view: MemOS, target: str) -> None:
    with suppress(DeniedError):
        MemOS(view._vault, principal=ADVISER, purpose=Purpose.RESEARCH).get(target)


OTHERS: dict[str, Callable[[MemOS, str], object]] = {
    "memory.read": lambda view, target: view.get(target),
    "memory.reveal": lambda view, target: view.reveal(target),
    "memory.search": lambda view, _target: view.retrieve("turn"),
    "memory.organize": lambda view, _target: view.organize(subject="maria"),
    "denied": _denied,
}


def _do_another(step: str, what: tuple[str, str], vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    event, target = what
    trap.step = step
    OTHERS[event](MemOS(vault, principal=OWNER), target)
    acknowledge(answered=True)


@pytest.mark.parametrize("event", OTHERS)
def test_a_read_organize_or_denial_killed_at_any_step_answered_nothing_that_is_not_logged(
    ward: Ward, event: str
) -> None:
    for step in COMMIT * 2:
        size = len(ward.clinic.log())
        child = ward.child(partial(_do_another, step, (event, ward.target)))
        assert (child.killed, child.acknowledged) == (True, [])
        opened, *more = [entry for entry in ward.clinic.log()[size:] if entry.event != "policy.load"]
        assert opened.event == "vault.open"
        assert len(more) == (step == "committed")
        ward.check({})
    assert ward.kills == 2 * len(COMMIT)


def _open_trapped(path: Path, step: str, _acknowledge: Tell) -> None:
    Vault.open(path, options=fake_options(probe=Trap(step)))


def test_an_opening_killed_at_any_step_can_be_done_again(ward: Ward) -> None:
    for step in COMMIT * 2:
        child = run_child(partial(_open_trapped, ward.clinic.path, step))
        assert child.killed
        ward.check({})
    ward.everything()


@dataclass(frozen=True)
class Reached:
    """A probe that passes each step on."""

    reach: Callable[[str], None]

    def __call__(self, step: str) -> None:
        self.reach(step)


def _make(path: Path, step: int, acknowledge: Tell) -> None:
    """Make a vault, and die where something is told or drawn for the time that `step` counts."""
    warnings.simplefilter("ignore")
    left = count(step, -1)

    def reach(_step: str = "") -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def entropy(size: int) -> bytes:
        reach()
        return os.urandom(size)

    Vault.create(path, tenant=CLINIC, options=fake_options(entropy=entropy, probe=Reached(reach)))
    acknowledge(made=True)


def test_a_making_killed_at_any_step_is_made_anew_and_a_finished_one_is_left_alone(tmp_path: Path) -> None:
    path, kills = tmp_path / "new", 0
    for step in count():
        child = run_child(partial(_make, path, step))
        if not child.killed:
            break
        kills += 1
        with pytest.raises(NotFoundError):
            Vault.open(path, options=fake_options())
    assert child.acknowledged == [{"made": True}]
    assert kills >= 20
    root = (path / "root.key").read_bytes()
    with pytest.raises(ConflictError):
        Vault.create(path, tenant=CLINIC, options=fake_options())
    assert (path / "root.key").read_bytes() == root
    with Vault.open(path, options=fake_options()) as vault:
        assert vault.parts.store.tenants() == [CLINIC]
        MemOS(vault, principal=OWNER).extract("it works")


def _embed(step: str, vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    trap.step, trap.in_worker = step, True
    receipt = MemOS(vault, principal=OWNER).extract(chat(f"e{step}"), subject="maria")
    acknowledge(written=list(receipt.memory_ids))
    vault.wait(20)


def test_the_embedding_killed_at_any_step_is_made_after_the_next_start(ward: Ward) -> None:
    for step in COMMIT * 3:
        child = ward.child(partial(_embed, step))
        assert child.killed
        ward.check(
            {
                str(memory): f"e{step} turn {at} of Maria Keller"
                for line in child.acknowledged
                for at, memory in enumerate(ids_of(line))
            }
        )
    ward.everything()


def _write_together(nth: int, vault: Vault, _trap: Trap, acknowledge: Tell) -> None:
    def write(writer: int) -> None:
        view = MemOS(vault, principal=OWNER)
        for turn in range(1000):
            label = f"c{nth} {writer} {turn}"
            receipt = view.extract(chat(label), subject=f"maria {writer}")
            acknowledge(written=list(receipt.memory_ids), label=label)
            view.update(receipt.memory_ids[0], f"{label} again")
            acknowledge(written=[receipt.memory_ids[0]], label=label, updated=True)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)


@pytest.mark.parametrize("seed", range(5))
def test_writers_killed_together_at_any_moment_lose_nothing_acknowledged(ward: Ward, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311  # the same moments in every run
    acknowledged = 0
    for nth in range(CONCURRENT_KILLS):
        child = ward.child(
            partial(_write_together, nth), Moment(moments.randint(1, 8), moments.uniform(0, 0.01))
        )
        assert child.killed
        texts: dict[str, str] = {}
        for line in child.acknowledged:
            ids = ids_of(line)
            for at, memory in enumerate(ids):
                texts[memory] = (
                    f"{line['label']} again"
                    if line.get("updated")
                    else f"{line['label']} turn {at} of Maria Keller"
                )
        acknowledged += len(texts)
        _check_maybe_updated(ward, texts)
    assert ward.kills == CONCURRENT_KILLS
    assert acknowledged >= CONCURRENT_KILLS, "the children were killed at work, not before it"
    ward.everything()


def _check_maybe_updated(ward: Ward, texts: dict[str, str]) -> None:
    """An update may have become durable without having been acknowledged: then its text counts."""
    for memory, text in list(texts.items()):
        rows = ward.clinic.sql("SELECT max(version) FROM memory WHERE memory_id = ?", memory)
        if rows == [(2,)] and not text.endswith("again"):
            texts[memory] = text.partition(" turn ")[0] + " again"
    ward.check(texts)


def _be_refused(path: Path, acknowledge: Tell) -> None:
    try:
        Vault.open(path, options=fake_options())
    except VaultInUseError as error:
        acknowledge(refused=str(error))


def test_a_second_process_is_refused_and_the_first_loses_nothing(ward: Ward) -> None:
    ward.clinic.reopen()
    child = run_child(partial(_be_refused, ward.clinic.path))
    assert not child.killed
    assert str(os.getpid()) in str(child.acknowledged[0]["refused"])
    receipt = ward.clinic.mem(SERVICE, Purpose.OPERATIONS).extract(
        chat("after"), access_tier=AccessTier.INSTITUTIONAL
    )
    assert ward.clinic.mem(CLINICIAN).reveal(receipt.memory_ids[0]).text == "after turn 0 of Maria Keller"
    ward.clinic.close()
    ward.check({})
