"""A canary in every field that a caller fills, hunted through every byte that the vault leaves anywhere.

Files (database, write-ahead log, shared memory, keys, lock, a bundle of the log), logs at DEBUG of every
library, standard output and error, errors and their chains, the reprs of public objects, the command
line: while the vault is open, after it was closed, and after a crash.
"""

import io
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from audit.bundle import BundleTerms, write_bundle
from policies.errors import PolicyError
from policies.model import AccessTier, Principal, Purpose
from tests.end_to_end.canary import Hunter, Sighting, forms_of
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import AUDITOR, CLINICIAN, MEMBER, OTHER_OWNER, OWNER, Clinic
from tests.simulators.fakes import fake_options
from vault.errors import ConflictError, VaultError
from vault.memos import MemOS
from vault.model import Chat, Document, SourceKind, SpeakerRole, Turn
from vault.opening import Vault, VaultOptions

PLANTED = {
    "subject": "Zyxsubject Quorbleton",
    "second subject": "Zyxsecond Wimbledash",
    "speaker": "Zyxspeaker Flummox",
    "found in text": "Zyxperson7731",
    "text": "Brindlewhack fever since Octoglober",
    "e-mail": "zyx.canary@quibblemail.example",
    "tag": "Tagglewortle99",
    "metadata key": "Keybrumble88",
    "metadata value": "Valuegrimble Snoot77",
    "file name": "Filewhimsy_66.txt",
    "title": "Titlesnark Vombat55",
    "author": "Zyxauthor Plinth44",
    "ref": "Refquartz:D3-33",
    "query": "Querymarsh Plover22",
    "update": "Updatequail Sprocket11",
    "refused": "Refusedgnome Trestle00",
    "secret": "sk-Zq9Secretvalue8Wx",
    "json": "Jsonwhistle Bramble12",
}


@pytest.fixture(scope="module")
def hunter() -> Hunter:
    """A hunter for all planted values."""
    return Hunter(PLANTED.values())


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that any library logs, at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield stream
    loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


CHAT = Chat(
    (
        Turn(
            PLANTED["speaker"],
            f"{PLANTED['found in text']} has {PLANTED['text']}, write to {PLANTED['e-mail']}, key {PLANTED['secret']}",
            SpeakerRole.USER,
            ref=PLANTED["ref"],
        ),
        Turn("assistant", f"noted: {PLANTED['text']}", SpeakerRole.ASSISTANT),
    ),
    started=datetime(2026, 5, 1, tzinfo=UTC),
    title=PLANTED["title"],
    tags=(PLANTED["tag"],),
    metadata={PLANTED["metadata key"]: PLANTED["metadata value"]},
)
DOCUMENT = Document(
    f"A letter of {PLANTED['found in text']} about {PLANTED['text']}.\n\nSecond part.",
    name=PLANTED["file name"],
    title=PLANTED["title"],
    author=PLANTED["author"],
)
JSON = Document(f'{{"note": "{PLANTED["json"]}"}}', kind=SourceKind.JSON)


def live(vault: Vault) -> list[object]:
    """Use everything there is with planted values, and return what came back that is no content."""
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    both = (PLANTED["subject"], PLANTED["second subject"])
    receipts = [
        view.extract(CHAT, subject=PLANTED["subject"]),
        view.extract(DOCUMENT, subject=both),
        view.extract(JSON),
    ]
    first = receipts[0].memory_ids[0]
    assert PLANTED["text"] in view.reveal(first).text, "it is really in there"
    assert view.retrieve(PLANTED["query"], subject=PLANTED["subject"]).hits
    changed = view.update(first, f"{view.get(first).text} and {PLANTED['update']}")
    organized = view.organize(subject=PLANTED["subject"])
    treating = MemOS(vault, principal=CLINICIAN, purpose=Purpose.TREATMENT)
    assert PLANTED["update"] in treating.retrieve(PLANTED["update"], reveal=True).hits[0].memory.text
    auditor = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
    seen = [auditor.entries(start=0, limit=100), auditor.checkpoint(), auditor.verify()]
    assert vault.wait(20)
    return [vault, vault.parts, view, *receipts, changed, organized, *seen]


def test_the_hunter_finds_each_value_in_each_form_when_it_is_there(hunter: Hunter, tmp_path: Path) -> None:
    for value in PLANTED.values():
        for form, needle in forms_of(value):
            (tmp_path / "bait").write_bytes(b"\x00\xff" * 50 + needle + b"\x00" * 9)
            if len(needle) >= 6:
                assert value in {sighting.value for sighting in hunter.in_folder(tmp_path)}, form
        nested = RuntimeError("outer")
        nested.__cause__ = ValueError(value)
        assert hunter.in_error(nested)
    assert hunter.forms > 20 * len(PLANTED)
    assert hunter.in_bytes("noise", os.urandom(1 << 16)) == []


def test_no_planted_value_is_in_any_file_while_open_after_the_close_and_after_reopening(
    clinic: Clinic, hunter: Hunter
) -> None:
    live(clinic.vault)
    names = {file.name for file in clinic.path.iterdir()}
    assert {"vault.db", "vault.db-wal", "vault.db-shm", "keys.db", "root.key", "log.key", "lock"} <= names
    assert hunter.in_folder(clinic.path) == []
    clinic.close()
    assert hunter.in_folder(clinic.path) == []
    clinic.reopen()
    assert clinic.mem(OWNER).retrieve(PLANTED["query"] + " fever").hits
    assert hunter.in_folder(clinic.path) == []
    assert hunter.bytes_seen > 100_000


def _crash(path: Path, at: str, _tell: Tell) -> None:
    armed: list[str] = []

    def probe(step: str) -> None:
        if armed and step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    with Vault.open(path, options=fake_options(probe=probe)) as vault:
        view = MemOS(vault, principal=OWNER)
        view.extract(DOCUMENT, subject=PLANTED["subject"])
        armed.append(at)
        view.extract(CHAT, subject=PLANTED["subject"])


@pytest.mark.parametrize("step", ["screened", "sealed", "logged", "inserted", "committed", "indexed"])
def test_no_planted_value_is_in_any_file_after_a_crash(
    template: Path, tmp_path: Path, hunter: Hunter, step: str
) -> None:
    clinic = Clinic(template, tmp_path / "vault", fake_options())
    clinic.close()
    assert run_child(partial(_crash, clinic.path, step)).killed
    assert hunter.in_folder(clinic.path) == []
    clinic.reopen()
    assert hunter.in_folder(clinic.path) == []
    clinic.close()


def test_an_update_leaves_nothing_of_the_older_texts_or_vectors_in_clear(
    clinic: Clinic, hunter: Hunter
) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract(PLANTED["text"], subject=PLANTED["subject"]).memory_ids[0]
    for text in (PLANTED["update"], "plain", PLANTED["text"], "plain again"):
        view.update(memory_id, text)
    assert clinic.vault.wait(20)
    assert (clinic.count("memory"), clinic.count("embedding")) == (5, 1)
    for when in ("open", "closed"):
        assert hunter.in_folder(clinic.path) == [], when
        clinic.close()


def test_a_deleted_vector_is_overwritten_in_the_file(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    memory_id = view.extract("the first text", subject="maria").memory_ids[0]
    assert clinic.vault.wait(20)
    (vector,) = clinic.sql("SELECT vector FROM embedding")[0]
    assert isinstance(vector, bytes)
    clinic.reopen()
    assert vector in (clinic.path / "vault.db").read_bytes(), "the hunt works"
    clinic.mem(OWNER).update(memory_id, "the second text")
    assert clinic.vault.wait(20)
    clinic.close()
    assert vector not in (clinic.path / "vault.db").read_bytes()
    assert not (clinic.path / "vault.db-wal").exists()


def test_no_planted_value_is_logged_printed_or_in_the_command_line(
    clinic: Clinic, hunter: Hunter, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    clinic.reopen()
    live(clinic.vault)
    clinic.reopen()
    clinic.close()
    captured = capfd.readouterr()
    assert "SELECT" in logged.getvalue(), "the logs were on"
    assert hunter.in_text("log", logged.getvalue()) == []
    assert hunter.in_text("stdout", captured.out) == []
    assert hunter.in_text("stderr", captured.err) == []
    for source in ("cmdline", "environ", "comm"):
        assert hunter.in_bytes(source, Path(f"/proc/self/{source}").read_bytes()) == []


def test_no_planted_value_is_in_the_repr_of_what_is_no_content(clinic: Clinic, hunter: Hunter) -> None:
    for thing in live(clinic.vault):
        assert hunter.in_text(type(thing).__name__, repr(thing)) == []
    parts = clinic.vault.parts
    grant_view = clinic.mem(OWNER)
    for part in (
        parts.sealers,
        parts.gate,
        parts.journal,
        parts.indexes,
        parts.embedding,
        parts.store,
        grant_view._read,
    ):
        assert hunter.in_text(type(part).__name__, repr(part)) == []


def test_a_bundle_of_the_log_holds_no_planted_value(clinic: Clinic, hunter: Hunter, tmp_path: Path) -> None:
    live(clinic.vault)
    parts = clinic.vault.parts
    with (tmp_path / "evidence.tar").open("wb") as file, parts.store.log_connection("clinic") as connection:
        logs = parts.log.evidence(connection, ["clinic"])
        written = write_bundle(file, [parts.verifier_key], logs, BundleTerms(complete=False))
    assert written > 5
    assert hunter.in_folder(tmp_path) == []


def _chat_of(text: str) -> Chat:
    return Chat((Turn(PLANTED["speaker"], text),))


def _closed(clinic: Clinic) -> Path:
    clinic.close()
    return clinic.path


REFUSED = PLANTED["refused"]
FAILING: dict[str, Callable[[Clinic, str], object]] = {
    "NUL": lambda c, _m: c.mem(OWNER).extract(_chat_of(REFUSED + "\x00")),
    "surrogate": lambda c, _m: c.mem(OWNER).extract(_chat_of(REFUSED + "\ud800")),
    "override": lambda c, _m: c.mem(OWNER).extract(_chat_of("\u202e" + REFUSED)),
    "too long": lambda c, _m: c.mem(OWNER).extract(_chat_of(REFUSED * 2000)),
    "speaker": lambda c, _m: c.mem(OWNER).extract(Chat((Turn(REFUSED * 40, "text"),))),
    "title": lambda c, _m: c.mem(OWNER).extract(Document("text", title=REFUSED + "\x00")),
    "tag": lambda c, _m: c.mem(OWNER).extract(Document("text", tags=(REFUSED, REFUSED.upper()))),
    "metadata": lambda c, _m: c.mem(OWNER).extract(Document("text", metadata={REFUSED: "\x00"})),
    "ref": lambda c, _m: c.mem(OWNER).extract(
        Chat((Turn("a", "b", ref=REFUSED), Turn("a", "c", ref=REFUSED)))
    ),
    "json": lambda c, _m: c.mem(OWNER).extract(Document(f'{{"{REFUSED}": {REFUSED}', kind=SourceKind.JSON)),
    "subject": lambda c, _m: c.mem(OWNER).extract("text", subject=REFUSED * 20),
    "subject NUL": lambda c, _m: c.mem(OWNER).extract("text", subject=REFUSED + "\x00"),
    "subjects": lambda c, _m: c.mem(OWNER).extract("text", subject=[f"{REFUSED}{n}" for n in range(200)]),
    "query": lambda c, _m: c.mem(OWNER).retrieve(REFUSED + "\x00"),
    "long query": lambda c, _m: c.mem(OWNER).retrieve(REFUSED * 500),
    "query subject": lambda c, _m: c.mem(OWNER).retrieve("q", subject=REFUSED + "\x00"),
    "organize subject": lambda c, _m: c.mem(OWNER).organize(subject=REFUSED + "\x00"),
    "id": lambda c, _m: c.mem(OWNER).get(REFUSED),
    "update": lambda c, m: c.mem(OWNER).update(m, REFUSED + "\x00"),
    "update version": lambda c, m: c.mem(OWNER).update(m, REFUSED, expected_version=9),
    "denied write": lambda c, _m: c.mem(AUDITOR).extract(REFUSED, subject=REFUSED),
    "denied query": lambda c, _m: c.mem(AUDITOR).retrieve(REFUSED),
    "denied tier": lambda c, _m: c.mem(MEMBER).extract(REFUSED, access_tier=AccessTier.PRIVATE),
    "not mine": lambda c, m: c.mem(OTHER_OWNER).update(m, REFUSED),
    "tier": lambda c, _m: c.mem(OWNER).extract(REFUSED, access_tier=REFUSED),  # type: ignore[arg-type]
    "principal": lambda c, _m: c.mem(Principal(REFUSED, "clinic", OWNER.roles)),
    "tenant": lambda c, _m: c.mem(Principal("agent-1", REFUSED, OWNER.roles)),
    "passphrase": lambda c, _m: Vault.create(c.path.with_name("new"), tenant="a", passphrase=REFUSED * 90),
    "wrong passphrase": lambda c, _m: Vault.open(_closed(c), passphrase=REFUSED),
    "broken store": lambda c, _m: (
        c.sql("DROP TABLE episode"),
        c.mem(OWNER).extract(_chat_of(REFUSED), subject=REFUSED),
    ),
    "damaged": lambda c, _m: (c.sql("UPDATE memory SET text = x'00'"), c.mem(OWNER).get(_m)),
}


@pytest.mark.parametrize("case", FAILING)
def test_no_error_tells_a_planted_value(
    clinic: Clinic, hunter: Hunter, logged: io.StringIO, case: str
) -> None:
    memory_id = clinic.mem(OWNER).extract(CHAT, subject=PLANTED["subject"]).memory_ids[0]
    with pytest.raises((VaultError, PolicyError)) as caught:
        FAILING[case](clinic, memory_id)
    assert hunter.in_error(caught.value) == []
    assert hunter.in_text("log", logged.getvalue()) == []
    assert hunter.in_folder(clinic.path) == []


def test_the_planted_values_stay_hidden_with_the_shipped_detector_and_embedder(
    template: Path, tmp_path: Path, hunter: Hunter, logged: io.StringIO
) -> None:
    with ExitStack() as stack:
        clinic = Clinic(template, tmp_path / "vault", VaultOptions())
        stack.callback(clinic.close)
        found: list[Sighting] = []
        for thing in live(clinic.vault):
            found += hunter.in_text(type(thing).__name__, repr(thing))
        found += hunter.in_folder(clinic.path) + hunter.in_text("log", logged.getvalue())
        with pytest.raises(ConflictError):
            clinic.vault.add_tenant("clinic")
    assert found + hunter.in_folder(tmp_path) == []
