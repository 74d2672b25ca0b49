"""After an erasure nothing of the person is left: hunted through every byte, killed at every step, overtaken by writers.

What is looked for: planted values in every form, their tokens, the sealed bytes of every erased row, and the wrapped
keys; in every file of the vault, write-ahead logs and the log's index included, in the anchor, in what was printed
and logged, while the vault is open and after it was closed.
"""

import io
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from audit.anchor import FileAnchor
from audit.certificate import Ran
from audit.certificate_check import verify_certificate
from audit.trust import Trust
from policies.model import Purpose, Role
from tests.end_to_end.canary import Hunter
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import (
    ADMINISTRATOR,
    AUDITOR,
    CLINIC,
    CLINICIAN,
    OTHER_OWNER,
    OWNER,
    Clinic,
    person,
)
from tests.simulators.fakes import FrozenClock, fake_options
from vault.erasure import Erasures
from vault.errors import ConflictError, ErasedError, HeldError, KeyDestroyedError, NotFoundError, VaultError
from vault.log_queries import LogQueries
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import Vault, VaultOptions
from vault.outside import Places
from vault.restoring import restore_snapshot
from vault.snapshots import Snapshots
from vault.storage.group_commit import Probe, no_probe

OFFICER = person("officer-a", Role.PRIVACY_OFFICER)
PLANTED = {
    "subject": "Zyxsubject Quorbleton",
    "speaker": "Zyxspeaker Flummox",
    "person": "Zyxperson7731",
    "text": "Brindlewhack fever since Octoglober",
    "e-mail": "zyx.canary@quibblemail.example",
    "tag": "Tagglewortle99",
    "metadata": "Valuegrimble Snoot77",
    "title": "Titlesnark Vombat55",
    "update": "Updatequail Sprocket11",
}
SAID = Chat(
    (
        Turn(PLANTED["speaker"], f"{PLANTED['person']} has {PLANTED['text']}, write to {PLANTED['e-mail']}"),
        Turn("assistant", f"noted: {PLANTED['text']}", SpeakerRole.ASSISTANT),
    ),
    title=PLANTED["title"],
    tags=(PLANTED["tag"],),
    metadata={"ward": PLANTED["metadata"]},
)
BOBS = Chat((Turn("Maria Keller", "bob sleeps well since Maria Keller called"),))


def options(probe: Probe = no_probe, anchor: Path | None = None) -> VaultOptions:
    made = fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)), probe=probe)
    return replace(made, outside=Places(anchor=anchor))


def live(clinic: Clinic) -> tuple[str, ...]:
    """Write, change, search and organize about the person, alone and with Bob; write about Bob alone."""
    owner, subject = clinic.mem(OWNER), PLANTED["subject"]
    alone = owner.extract(SAID, subject=subject).memory_ids
    joint = owner.extract(
        Chat((Turn("Maria Keller", f"Bob met {PLANTED['person']}"),)), subject=(subject, "bob")
    )
    owner.update(alone[0], f"{PLANTED['person']} has {PLANTED['update']}")
    owner.organize(subject=subject)
    clinic.mem(OTHER_OWNER).extract(BOBS, subject="bob")
    assert clinic.mem(CLINICIAN).retrieve(PLANTED["text"], reveal=True).hits
    queries = LogQueries(clinic.vault.parts)
    assert queries.query(AUDITOR, Purpose.AUDIT, "event:memory.write").entries, "the log's index is made"
    assert clinic.vault.wait(20)
    return (*alone, *joint.memory_ids)


def erase(vault: Vault, name: str = PLANTED["subject"]) -> bytes:
    erasures = Erasures(vault.parts)
    return erasures.erase(OFFICER, name, erasures.plan(OFFICER, name).digest).certificate


class Remains:
    """What the person left in the files before the erasure: sealed bytes, wrapped keys, tokens."""

    def __init__(self, clinic: Clinic, memories: tuple[str, ...]) -> None:
        marks = ", ".join("?" * len(memories))
        of_memories = f"FROM memory WHERE memory_id IN ({marks})"  # question marks alone
        (subject,) = clinic.vault.parts.sealers.subject_ids(CLINIC, [PLANTED["subject"]])
        rows = [
            *clinic.sql(f"SELECT text, attributes, originals, terms {of_memories}", *memories),
            *clinic.sql(f"SELECT vector FROM embedding WHERE memory_id IN ({marks})", *memories),  # noqa: S608
            *clinic.sql("SELECT attributes FROM episode WHERE subjects LIKE ?", f"%{subject}%"),
            *clinic.sql("SELECT name FROM subject WHERE subject_id = ?", subject),
            *clinic.sql("SELECT wrapped FROM keys WHERE subject_id = ?", subject, file="keys.db"),
        ]
        self.sealed = [cast("bytes", value) for row in rows for value in row if value is not None]
        masked = clinic.mem(OWNER).get(memories[0]).text + clinic.mem(OWNER).get(memories[2]).text
        self.tokens = [word.strip(",.") for word in masked.split() if "[" in word]
        self.needles = [data[len(data) // 2 :][:16] for data in self.sealed]

    def in_folder(self, *folders: Path) -> Counter[str]:
        """Count what still stands in any file."""
        content = [
            file.read_bytes() for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()
        ]
        return Counter(
            sealed=sum(any(needle in one for one in content) for needle in self.needles),
            tokens=sum(any(token.encode() in one for one in content) for token in self.tokens),
        )


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """Everything that any library logs, at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_byte_of_an_erased_person_is_left_anywhere(
    template: Path, tmp_path: Path, printed: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    anchor = outside / "anchor"
    FileAnchor.create(anchor).close()
    clinic = Clinic(template, tmp_path / "vault", options(anchor=anchor))
    memories = live(clinic)
    remains = Remains(clinic, memories)
    before = remains.in_folder(clinic.path)
    assert before["sealed"] >= 0.9 * len(remains.needles), "they really stand there; a few lie over two pages"
    assert len(remains.tokens) >= 2
    certificate = erase(clinic.vault)
    hunter = Hunter([*PLANTED.values()])
    for state in ("open", "closed", "opened again"):
        if state == "closed":
            clinic.close()
        if state == "opened again":
            clinic.vault = Vault.open(clinic.path, options=clinic.options)
        assert hunter.in_folder(clinic.path) == [], state
        assert hunter.in_folder(outside) == [], state
        assert remains.in_folder(clinic.path, outside).total() == 0, state
    assert hunter.in_bytes("certificate", certificate) == []
    said = "".join(capsys.readouterr()) + printed.getvalue()
    assert hunter.in_text("printed", said) == []
    assert hunter.bytes_seen > 300_000
    assert_erased(clinic, memories, certificate)
    clinic.close()


def test_an_old_snapshot_holds_nothing_that_opens_and_a_restore_of_it_brings_nothing_back(
    template: Path, tmp_path: Path
) -> None:
    clinic = Clinic(template, tmp_path / "vault", options())
    memories = live(clinic)
    remains = Remains(clinic, memories)
    made = Snapshots(clinic.vault.parts).create(ADMINISTRATOR, tmp_path / "backup")
    plan = Erasures(clinic.vault.parts).plan(OFFICER, PLANTED["subject"])
    assert [known.snapshot_id for known in plan.snapshots] == [made.manifest.snapshot_id]
    certificate = erase(clinic.vault)
    hunter = Hunter([*PLANTED.values()])
    assert hunter.in_folder(tmp_path / "backup") == []
    assert remains.in_folder(tmp_path / "backup")["sealed"], "sealed rows lie there, and open no more"
    clinic.close()
    restored = restore_snapshot(clinic.path, made.folder.path, ADMINISTRATOR, options=clinic.options)
    assert sum(tenant.suppressed for tenant in restored.tenants) >= len(memories)
    clinic.vault = Vault.open(clinic.path, options=clinic.options)
    assert hunter.in_folder(clinic.path) == []
    assert remains.in_folder(clinic.path).total() == 0
    assert_erased(clinic, memories, certificate)
    clinic.close()


def assert_erased(clinic: Clinic, memories: tuple[str, ...], certificate: bytes | None = None) -> None:
    """The person is gone, Bob is not, the log verifies and the certificate holds."""
    if certificate is None:
        certificate = Erasures(clinic.vault.parts).certificate(OFFICER, PLANTED["subject"]).certificate
    found = verify_certificate(certificate, Trust((clinic.vault.parts.verifier_key,))).certificate
    assert found.matched["memories"] == len(memories)
    assert all(test.result is not Ran.FAILED for test in found.tests)
    state = clinic.state()
    assert (state["memory"], state["subject"], state["episode"]) == (1, 1, 1)
    for memory in memories:
        with pytest.raises(NotFoundError):
            clinic.mem(OWNER).get(memory)
    for subject, words in (
        (PLANTED["subject"], "anything"),
        ("carl", f"{PLANTED['person']} HAS {PLANTED['update']}!"),
    ):
        with pytest.raises((ErasedError, KeyDestroyedError)):
            clinic.mem(OWNER).extract(Chat((Turn("Maria Keller", words),)), subject=subject)
    hit = clinic.mem(OTHER_OWNER).retrieve("sleeps", reveal=False).hits[0]
    assert "sleeps well" in hit.memory.text
    assert clinic.vault.unmatched_intents() == {}
    report = clinic.audit().verify()
    assert (report.passed, report.row_warnings) == (True, ())


class Count:
    """A probe that kills its process at the so-manieth step from when it is armed."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.armed = False
        self.steps: list[str] = []

    def __call__(self, step: str) -> None:
        if not self.armed or threading.current_thread().name.startswith(("embed", "sign", "sweep")):
            return
        self.steps.append(step)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def erase_and_die(path: Path, at: int, tell: Tell) -> None:
    count = Count(at)
    vault = Vault.open(path, options=options(count))
    erasures = Erasures(vault.parts)
    digest = erasures.plan(OFFICER, PLANTED["subject"]).digest
    count.armed = True
    erasures.erase(OFFICER, PLANTED["subject"], digest)
    tell(steps=count.steps)


def resume_and_die(path: Path, at: int, tell: Tell) -> None:
    count = Count(at)
    count.armed = True
    vault = Vault.open(path, options=options(count))
    tell(finished=[str(one) for one in Erasures(vault.parts).resume(CLINIC)])


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...], list[str]]:
    """A closed vault that knows the person, the person's memories, and the steps of an erasure in order."""
    from tests.simulators.clinic import make_template  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("lived")
    clinic = Clinic(make_template(folder / "template"), folder / "vault", options())
    memories = live(clinic)
    clinic.close()
    spare = Clinic(folder / "vault", folder / "spare", options())
    spare.close()
    child = run_child(partial(erase_and_die, folder / "spare", 0))
    steps = child.acknowledged[0]["steps"]
    assert isinstance(steps, list)
    return folder / "vault", memories, [str(step) for step in steps]


def test_a_kill_at_any_step_is_finished_when_the_vault_is_opened(
    lived: tuple[Path, tuple[str, ...], list[str]], tmp_path: Path
) -> None:
    template, memories, steps = lived
    assert Counter(steps)["erase-certified"] == 1
    assert len(steps) >= 40
    for at in range(1, len(steps) + 1, 2 if len(steps) > 40 else 1):
        path = tmp_path / f"killed-{at}"
        Clinic(template, path, options()).close()
        child = run_child(partial(erase_and_die, path, at))
        assert child.killed, (at, steps[at - 1])
        clinic = Clinic.__new__(Clinic)
        clinic.path, clinic.options = path, options()
        clinic.vault = Vault.open(path, options=clinic.options)
        if clinic.count("erasure") == 0:
            assert at <= steps.index("committed") + 1, "it had not begun"
            assert clinic.state()["memory"] == len(memories) + 2
            assert clinic.audit().verify().passed
            erase(clinic.vault)
        assert clinic.count("erasure", "state = 'done'") == 1, (at, steps[at - 1])
        assert_erased(clinic, memories)
        clinic.close()


@pytest.mark.parametrize("first", ["erase-begun", "erase-destroyed", "erase-rows"])
def test_a_kill_of_what_finishes_an_erasure_is_finished_by_the_next(
    lived: tuple[Path, tuple[str, ...], list[str]], tmp_path: Path, first: str
) -> None:
    template, memories, steps = lived
    path = tmp_path / "vault"
    Clinic(template, path, options()).close()
    assert run_child(partial(erase_and_die, path, steps.index(first) + 1)).killed
    kills = 0
    for at in (9, 17, 25, 33):
        kills += run_child(partial(resume_and_die, path, at)).killed
    assert kills >= 2
    clinic = Clinic.__new__(Clinic)
    clinic.path, clinic.options = path, options()
    clinic.vault = Vault.open(path, options=clinic.options)
    assert_erased(clinic, memories)
    assert clinic.count("erasure", "state = 'done'") == 1
    clinic.close()


def test_writers_about_the_person_are_refused_from_the_beginning_on_and_leave_nothing(
    template: Path, tmp_path: Path
) -> None:
    clinic = Clinic(template, tmp_path / "vault", options())
    live(clinic)
    written: list[str] = []
    refused: list[VaultError] = []
    ending = threading.Event()

    def write(number: int) -> None:
        view = clinic.mem(OWNER)
        for nth in range(10_000):
            if ending.is_set():
                return
            said = Chat((Turn("Maria Keller", f"writer {number} says {nth} of Maria Keller"),))
            about = PLANTED["subject"] if nth % 2 else (PLANTED["subject"], "bob")
            try:
                written.extend(view.extract(said, subject=about).memory_ids)
            except (ErasedError, KeyDestroyedError) as error:
                refused.append(error)
                return

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    certificate, tries = b"", 0
    while not certificate:
        tries += 1
        assert tries < 400
        if tries > 20:
            ending.set()  # no plan ever stood still: let it
        with suppress(ConflictError):
            certificate = erase(clinic.vault)
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert written
    assert clinic.count("memory") == 1, "Bob's own"
    subjects = clinic.sql("SELECT subjects FROM memory UNION SELECT subjects FROM episode")
    (erased,) = clinic.vault.parts.sealers.subject_ids(CLINIC, [PLANTED["subject"]])
    assert erased not in str(subjects)
    verify_certificate(certificate, Trust((clinic.vault.parts.verifier_key,)))
    assert clinic.vault.wait(20)
    assert clinic.count("embedding") == 1
    assert clinic.audit().verify().passed
    clinic.close()


def test_writers_that_were_sealed_before_the_beginning_are_refused_in_their_own_transaction(
    template: Path, tmp_path: Path
) -> None:
    """The writer stands between sealing and committing while the whole erasure happens."""
    sealed, go_on = threading.Event(), threading.Event()
    writer: list[threading.Thread] = []

    def probe(step: str) -> None:
        if step == "screened" and writer and threading.current_thread() is writer[0]:
            sealed.set()
            assert go_on.wait(30)

    clinic = Clinic(template, tmp_path / "vault", options(probe))
    memories = live(clinic)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            clinic.mem(OWNER).update(memories[1], "overtaken by the erasure")
        except VaultError as error:
            errors.append(error)

    writer.append(threading.Thread(target=write))
    writer[0].start()
    assert sealed.wait(20)
    certificate = erase(clinic.vault)
    go_on.set()
    writer[0].join(20)
    assert [type(error) for error in errors] != []
    assert all(isinstance(error, ErasedError | ConflictError | KeyDestroyedError) for error in errors)
    assert_erased(clinic, memories, certificate)
    clinic.close()


def test_under_a_hold_not_a_byte_is_touched(template: Path, tmp_path: Path) -> None:
    clinic = Clinic(template, tmp_path / "vault", options())
    memories = live(clinic)
    remains = Remains(clinic, memories)
    with clinic.vault.parts.store.log_connection(CLINIC):
        pass
    clinic.sql(
        "INSERT INTO hold (tenant_id, hold_id, scope, reason, placed_by, placed, review, leaf_index)"
        " VALUES ('clinic', 'hld_1', 'tenant', 'litigation', 'officer-b', 1, 2, 0)"
    )
    clinic.sql(
        "INSERT INTO hold_target (tenant_id, hold_id, kind, target_id, leaf_index)"
        " VALUES ('clinic', 'hld_1', 'tenant', 'clinic', 0)"
    )
    before = remains.in_folder(clinic.path)
    with pytest.raises(HeldError):
        erase(clinic.vault)
    assert remains.in_folder(clinic.path) == before
    assert PLANTED["text"] in clinic.mem(CLINICIAN, Purpose.TREATMENT).reveal(memories[1]).text
    clinic.close()
