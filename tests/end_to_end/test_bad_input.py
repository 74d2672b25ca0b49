"""Bad input and bad surroundings: each its own error, no content in it, and nothing acknowledged is lost.

After every case the vault still serves what it had acknowledged before, and its log verifies.
"""

import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from policies.errors import PolicyError, RequestInvalidError
from policies.model import AccessTier, Principal, Role
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, OWNER, Clinic
from tests.simulators.fakes import START, FrozenClock, KeywordDetector, fake_options
from vault.crypto.key_store import SqlKeyStore
from vault.errors import (
    ConflictError,
    DocumentInvalidError,
    IdentifierInvalidError,
    InputInvalidError,
    InputTooLargeError,
    KeyAccessError,
    KeyFileUnsafeError,
    KeyMissingError,
    KeyWrongError,
    NotFoundError,
    StorageError,
    StorageFullError,
    StoreCorruptError,
    StoreVersionError,
    TextEmptyError,
    TextInvalidError,
    TimeInvalidError,
    VaultError,
)
from vault.indexes import Indexed
from vault.memos import MemOS
from vault.model import Chat, Document, SourceKind, Turn
from vault.opening import LocalRootWarning, Vault

Attempt = Callable[[str], object]
KEPT = "Maria Keller said something worth keeping"
BIG = 10 * 1024 * 1024
EMPTY = ("", " ", "\n\t\r\n ", "\u200b\u200d\ufeff", "\u2028\u2029", "\u00a0\u3000", "\u2800\u3164")
UNSTORABLE = ("a\x00b", "\ud800", "\udfff tail", "a\u202eb", "a\u202db")


class Kept:
    """A memory that was acknowledged before the trouble began."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        self.id = clinic.mem(OWNER).extract(KEPT, subject="maria").memory_ids[0]
        assert clinic.vault.wait(20)
        self.state = clinic.state()

    def check(self, *, same_state: bool = True) -> None:
        """See that it is still there, that nothing else is, and that the log verifies."""
        assert self.clinic.mem(OWNER).reveal(self.id).text == KEPT
        assert self.clinic.mem(OWNER).retrieve("worth keeping").hits[0].memory.id == self.id
        if same_state:
            assert self.clinic.state() == self.state
        report = self.clinic.audit().verify()
        assert report.passed, report


@pytest.fixture
def kept(clinic: Clinic) -> Iterator[Kept]:
    """A vault with one acknowledged memory, looked at again after the test."""
    memory = Kept(clinic)
    yield memory
    memory.check()


def test_text_without_a_visible_character_is_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    attempts: tuple[Attempt, ...] = (
        view.extract,
        lambda text: view.extract([Turn("a", text)]),
        lambda text: view.extract([Turn("a", "fine"), Turn("a", text)]),
        view.retrieve,
        lambda text: view.update(kept.id, text),
    )
    for text, attempt in product(EMPTY, attempts):
        with pytest.raises(TextEmptyError):
            attempt(text)
    with pytest.raises(TextEmptyError):
        view.extract([])


def test_text_that_cannot_be_stored_is_refused_wherever_it_stands(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    attempts: tuple[Attempt, ...] = (
        view.extract,
        lambda text: view.extract([Turn(text, "fine")]),
        lambda text: view.extract([Turn("a", "fine", ref=text)]),
        lambda text: view.extract(Document("fine", title=text)),
        lambda text: view.extract(Document("fine", name=text)),
        lambda text: view.extract(Document("fine", author=text)),
        lambda text: view.extract(Document("fine", tags=(text,))),
        lambda text: view.extract(Document("fine", metadata={text: "v"})),
        lambda text: view.extract(Document("fine", metadata={"k": text})),
        view.retrieve,
        lambda text: view.update(kept.id, text),
    )
    for text, attempt in product(UNSTORABLE, attempts):
        with pytest.raises(TextInvalidError):
            attempt(text)


def test_ten_megabytes_are_refused_wherever_they_stand(kept: Kept) -> None:
    view, big = kept.clinic.mem(OWNER), "word " * (BIG // 5)
    for attempt in (
        lambda: view.extract(big),
        lambda: view.extract([Turn("a", big)]),
        lambda: view.extract([Turn(big, "fine")]),
        lambda: view.extract(Document("fine", title=big)),
        lambda: view.extract(Document("fine", tags=(big,))),
        lambda: view.extract(Document("fine", metadata={big: "v"})),
        lambda: view.extract(Document("fine", metadata={"k": big})),
        lambda: view.extract(Document('"' + big + '"', kind=SourceKind.JSON)),
        lambda: view.retrieve(big),
        lambda: view.update(kept.id, big),
    ):
        with pytest.raises(InputTooLargeError):
            attempt()


def test_a_million_of_anything_is_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: view.extract(Document("fine", tags=tuple(map(str, range(1_000_000))))),
        lambda: view.extract(Document("fine", metadata={str(n): "v" for n in range(1_000_000)})),
        lambda: view.extract([Turn("a", "fine")] * 1_000_000),
        lambda: view.extract(Document("[" * 1_000_000, kind=SourceKind.JSON)),
    )
    for attempt in attempts:
        with pytest.raises(InputInvalidError):
            attempt()
    with pytest.raises(IdentifierInvalidError):
        view.extract("fine", subject=map(str, range(1_000_000)))


def test_as_much_as_the_limits_allow_is_kept(clinic: Clinic) -> None:
    limits = clinic.options.limits
    view = clinic.mem(OWNER)
    many = view.extract([Turn("a", f"turn {n}") for n in range(limits.turns)])
    assert len(many.memory_ids) == limits.turns
    assert view.get(many.memory_ids[-1]).text == f"turn {limits.turns - 1}"
    assert clinic.vault.wait(60)


def test_a_document_of_as_many_passages_as_the_limits_allow_is_kept_or_refused_by_its_own_error(
    clinic: Clinic,
) -> None:
    limits = clinic.options.limits
    records = ",".join(f'{{"r":{n}}}' for n in range(limits.passages))
    receipt = clinic.mem(OWNER).extract(Document(f"[{records}]", kind=SourceKind.JSON))
    assert len(receipt.memory_ids) == limits.passages
    assert clinic.count("memory") == limits.passages
    assert clinic.audit().verify().passed


def test_text_that_plays_tricks_is_kept_as_it_is(clinic: Clinic) -> None:
    texts = (
        "שלום, הברך שלי כואבת",
        "a\u200bb\u200dc zero width",
        "left \u2067right\u2069 isolates",
        "<script>alert('x')</script> &lt;b&gt; <img src=x onerror=1>",
        "'; DROP TABLE memory; --",
        "{{7*7}} ${jndi:ldap://x} %s %n \\x00 \\u0000",
        "e\u0301 versus \u00e9, \ufb01 ligature, \U0001f9b5 knee, \U00020000",
        "[PERSON-k7f2qa] typed by hand, [SECRET] too",
        "\r\n\tkept\x0b\x0c\x1b[31mred\x1b[0m\x7f",
        "\ufffe\uffff nonchars",
    )
    view = clinic.mem(OWNER)
    for text in texts:
        memory_id = view.extract([Turn("user", text)]).memory_ids[0]
        assert view.get(memory_id).text == text
        assert view.reveal(memory_id).text == text
        assert view.update(memory_id, text).memory_ids == (memory_id,)
        assert view.reveal(memory_id).text == text
        assert view.retrieve(text).masked_query == text
    clinic.reopen()
    assert clinic.audit().verify().passed
    assert clinic.count("memory", "is_current = 1") == len(texts)


def test_a_token_typed_by_hand_reveals_nothing(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    first = view.extract("maria@example.com", subject="maria").memory_ids[0]
    token = view.get(first).text
    typed = view.extract(f"what is {token}", subject="maria").memory_ids[0]
    assert view.reveal(typed).text == f"what is {token}"
    other = view.extract("nothing", subject="maria").memory_ids[0]
    view.update(other, f"now {token}")
    assert view.reveal(other).text == f"now {token}"


FAR = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime.min,  # noqa: DTZ901  # a naive edge on purpose
    datetime.max,  # noqa: DTZ901  # the same
)
TIMES = "tomorrow, yesterday, next year, last year, two weeks ago, in 3 months, year 0, 0000-00-00, 9999-12-31, 31 February 10000"


def test_the_first_and_the_last_instant_are_kept_and_read_back(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    for at in FAR:
        receipt = view.extract(Chat((Turn("user", f"{TIMES} said {at.year}", at=at),), started=at))
        found = view.get(receipt.memory_ids[0])
        assert found.provenance.at == (at if at.tzinfo else at.replace(tzinfo=UTC))
        document = view.extract(Document(TIMES, written=at))
        assert view.get(document.memory_ids[0]).text
        view.update(receipt.memory_ids[0], TIMES)
        assert view.retrieve(TIMES).hits
    clinic.reopen()
    assert clinic.mem(OWNER).retrieve(TIMES).hits
    assert clinic.mem(OWNER).organize().examined == 2 * len(FAR)


def test_an_instant_outside_the_years_is_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    for at in (datetime.min.replace(tzinfo=east), datetime.max.replace(tzinfo=west)):
        for source in (
            Chat((Turn("a", "b"),), started=at),
            Chat((Turn("a", "b", at=at),)),
            Document("b", written=at),
        ):
            with pytest.raises(TimeInvalidError):
                view.extract(source)


def test_what_nobody_knows_is_refused_by_its_own_error(kept: Kept) -> None:
    clinic = kept.clinic
    view = clinic.mem(OWNER)
    with pytest.raises(RequestInvalidError):
        view.extract("text", access_tier="secret")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalidError):
        view.extract("text", purpose="curiosity")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalidError):
        view.retrieve("text", purpose="curiosity")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalidError):
        Principal("agent-1", CLINIC, frozenset({"king"}))  # type: ignore[arg-type]
    with pytest.raises(RequestInvalidError):
        Principal("agent-1", CLINIC, frozenset())
    for bad in ("", "A", "a b", "a@b", "x" * 65, "a/../b", "12345678", "ä", "a\n"):
        with pytest.raises(RequestInvalidError):
            Principal(bad, CLINIC, OWNER.roles)
        with pytest.raises(RequestInvalidError):
            Principal("agent-1", bad, OWNER.roles)
    for bad in (
        "",
        "mem_",
        "mem_" + "u" * 26,
        kept.id.upper(),
        kept.id + "0",
        "epi_" + kept.id[4:],
        kept.id + "\n",
    ):
        for attempt in (view.get, view.reveal):
            with pytest.raises(IdentifierInvalidError):
                attempt(bad)
        with pytest.raises(IdentifierInvalidError):
            view.update(bad, "text")
    for k in (0, -1, 201, 10**9):
        with pytest.raises(InputInvalidError):
            view.retrieve("text", k=k)
    with pytest.raises(InputInvalidError):
        clinic.audit().entries(limit=0)
    with pytest.raises(InputInvalidError):
        clinic.audit().entries(start=-1)
    assert clinic.audit().entries(start=10**15) == []


def test_a_source_of_no_known_kind_is_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    for source in (b"bytes", [1, 2], ["a turn"], None, 5, object(), {"text": "x"}):
        with pytest.raises(InputInvalidError):
            view.extract(source)  # type: ignore[arg-type]
    with pytest.raises(InputInvalidError):
        view.extract([Turn("a", None)])  # type: ignore[arg-type]
    with pytest.raises(InputInvalidError):
        view.extract([Turn(None, "b")])  # type: ignore[arg-type]


def test_an_unknown_tenant_is_not_found_and_gets_no_log(kept: Kept) -> None:
    clinic = kept.clinic
    for tenant in ("ghost", "system"):
        size = clinic.count("audit_leaf")
        for role in Role:
            with pytest.raises(NotFoundError):
                clinic.mem(Principal("agent-1", tenant, frozenset({role}))).retrieve("text")
        assert clinic.count("audit_leaf") == size
        assert clinic.count("audit_head", "tenant_id = 'ghost'") == 0
        with pytest.raises(NotFoundError):
            clinic.vault.require_tenant(tenant)


def test_an_unknown_subject_finds_nothing_and_gets_no_key(kept: Kept) -> None:
    clinic = kept.clinic
    keys = clinic.sql("SELECT count(*) FROM keys", file="keys.db")
    assert clinic.mem(OWNER).retrieve("worth keeping", subject="nobody").hits == ()
    assert clinic.mem(OWNER).organize(subject="nobody").examined == 0
    for bad in ("", " ", "\u200b", "a\x00", "\ud800", "x" * 257):
        with pytest.raises(IdentifierInvalidError):
            clinic.mem(OWNER).retrieve("q", subject=bad)
        with pytest.raises(IdentifierInvalidError):
            clinic.mem(OWNER).extract("q", subject=bad)
        with pytest.raises(IdentifierInvalidError):
            clinic.mem(OWNER).organize(subject=bad)
    assert clinic.sql("SELECT count(*) FROM keys", file="keys.db") == keys


def test_no_subject_at_all_is_not_the_same_as_every_subject(kept: Kept) -> None:
    """Threat: a caller whose list of subjects came out empty, and who gets everything within reach."""
    view = kept.clinic.mem(OWNER)
    for attempt in (
        lambda: view.retrieve("worth keeping", subject=[]),
        lambda: view.extract("q", subject=()),
    ):
        with pytest.raises(IdentifierInvalidError):
            attempt()


def test_duplicate_ids_are_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    with pytest.raises(IdentifierInvalidError):
        view.extract([Turn("a", "one", ref="D1:1"), Turn("a", "two", ref="D1:1")])
    for document in (Document("x", tags=("Tag", "tag")), Document("x", metadata={"Key": "1", "key ": "2"})):
        with pytest.raises(InputInvalidError):
            view.extract(document)
    with pytest.raises(ConflictError):
        kept.clinic.vault.add_tenant(CLINIC)
    with pytest.raises(ConflictError):
        kept.clinic.vault.add_tenant("system")


def test_one_ref_may_come_back_in_another_chat(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    ids = [view.extract([Turn("a", "one", ref="D1:1")]).memory_ids[0] for _ in range(2)]
    assert [view.get(one).provenance.ref for one in ids] == ["D1:1", "D1:1"]
    assert len(set(ids)) == 2


def test_a_document_that_is_not_what_it_says_is_refused(kept: Kept) -> None:
    view = kept.clinic.mem(OWNER)
    for text in ("{", "[1,2", "nul", '{"a":1}x', '{"a":1,"a":2}' * 2, "\ufeff{", "[" * 500 + "]" * 500):
        with pytest.raises(InputInvalidError) as caught:
            view.extract(Document(text, kind=SourceKind.JSON))
        assert isinstance(caught.value, DocumentInvalidError | InputTooLargeError)


# The surroundings


def reopen_fails(clinic: Clinic, kind: type[Exception], **how: str) -> Exception:
    """See that the vault does not open, and return why."""
    with pytest.raises(kind) as caught:
        Vault.open(clinic.path, options=clinic.options, **how)
    assert type(caught.value) is kind
    assert KEPT not in str(caught.value)
    return caught.value


def test_a_key_file_that_is_open_to_others_is_refused(kept: Kept) -> None:
    clinic = kept.clinic
    clinic.close()
    for name in ("root.key", "log.key"):
        file = clinic.path / name
        for mode in (0o604, 0o640, 0o660, 0o602, 0o777):
            file.chmod(mode)
            reopen_fails(clinic, KeyFileUnsafeError)
        file.chmod(0o600)
    clinic.path.chmod(0o755)
    reopen_fails(clinic, KeyFileUnsafeError)
    clinic.path.chmod(0o700)
    clinic.reopen()


def test_a_key_file_that_is_gone_cut_a_link_or_another_one_is_refused(
    kept: Kept, tmp_path: Path, template: Path
) -> None:
    clinic = kept.clinic
    clinic.close()
    root, aside = clinic.path / "root.key", tmp_path / "aside"
    root.rename(aside)
    reopen_fails(clinic, KeyMissingError)
    root.symlink_to(aside)
    reopen_fails(clinic, KeyFileUnsafeError)
    root.unlink()
    whole = aside.read_bytes()
    for content in (b"", whole[:-1], whole + b"x", bytes(len(whole)), whole[:20] + b"\x00" + whole[21:]):
        root.write_bytes(content)
        root.chmod(0o600)
        reopen_fails(clinic, KeyFileUnsafeError)
        root.unlink()
    other = tmp_path / "other"
    with pytest.warns(LocalRootWarning):
        Vault.create(other, tenant=CLINIC, options=fake_options()).close()
    shutil.copy(other / "root.key", root)
    root.chmod(0o600)
    reopen_fails(clinic, KeyWrongError)
    root.unlink()
    aside.rename(root)
    clinic.reopen()


def test_a_passphrase_opens_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    right = "correct horse battery staple"
    path = tmp_path / "locked"
    with Vault.create(path, tenant=CLINIC, passphrase=right, options=fake_options()) as vault:
        memory_id = MemOS(vault, principal=OWNER).extract(KEPT, subject="maria").memory_ids[0]
    for wrong in ("correct horse battery stapl", "Correct horse battery staple", None, "\ud800" * 12):
        with pytest.raises((KeyWrongError, InputInvalidError)) as caught:
            Vault.open(path, passphrase=wrong, options=fake_options())
        assert right not in str(caught.value)
    with Vault.open(path, passphrase=right, options=fake_options()) as vault:
        assert MemOS(vault, principal=OWNER).reveal(memory_id).text == KEPT
    assert right.encode() not in b"".join(file.read_bytes() for file in path.iterdir())
    with pytest.raises(InputInvalidError):
        Vault.create(tmp_path / "weak", tenant=CLINIC, passphrase="short", options=fake_options())


def test_a_passphrase_refused_at_the_making_leaves_no_half_vault(tmp_path: Path) -> None:
    with pytest.raises(InputInvalidError):
        Vault.create(tmp_path / "weak", tenant=CLINIC, passphrase="short", options=fake_options())
    long_enough = "long enough this time"
    with Vault.create(tmp_path / "weak", tenant=CLINIC, passphrase=long_enough, options=fake_options()):
        pass


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
def test_a_truncated_database_is_refused_at_any_length(kept: Kept, tmp_path: Path, name: str) -> None:
    clinic = kept.clinic
    clinic.close()
    file = clinic.path / name
    whole = file.read_bytes()
    pages = range(4096, len(whole), 4096)
    lengths = {0, 1, 15, 16, 99, 100, 1000, 4095, *pages, *(page - 1 for page in pages), len(whole) - 1}
    for length in sorted(lengths):
        file.write_bytes(whole[:length])
        reopen_fails(clinic, StoreCorruptError)
        assert file.read_bytes() == whole[:length], "what is left is not touched"
    file.unlink()
    reopen_fails(clinic, StoreCorruptError)
    assert not file.exists(), "and nothing is made anew"
    file.write_bytes(whole)
    clinic.reopen()


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
def test_a_database_of_noise_is_refused_or_serves_what_is_whole(kept: Kept, name: str) -> None:
    clinic = kept.clinic
    clinic.close()
    file = clinic.path / name
    whole = file.read_bytes()
    refused = 0
    for start in range(100, len(whole), 4096):
        file.write_bytes(whole[:start] + os.urandom(512) + whole[start + 512 :])
        try:
            vault = Vault.open(clinic.path, options=clinic.options)
        except (VaultError, PolicyError):
            refused += 1
            continue
        except Exception as error:  # noqa: BLE001  # the point: any other kind is a defect
            pytest.fail(f"noise at {start}: {type(error).__module__}.{type(error).__name__}: {error}")
        view = MemOS(vault, principal=OWNER)
        with suppress(VaultError, PolicyError):
            view.get(kept.id)
        with suppress(VaultError, PolicyError):
            view.retrieve("keeping")
        with suppress(VaultError, PolicyError):
            view.extract("new")
        vault.close()
    assert refused
    for leftover in clinic.path.glob(f"{name}-*"):
        leftover.unlink()
    file.write_bytes(whole)
    clinic.vault = Vault.open(clinic.path, options=clinic.options)
    clinic.vault.wait(20)
    kept.state = clinic.state() if name == "keys.db" else kept.state


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(kept: Kept, name: str) -> None:
    clinic = kept.clinic
    clinic.close()
    (old,) = clinic.sql("SELECT version_num FROM alembic_version", file=name)[0]
    clinic.sql("UPDATE alembic_version SET version_num = 'zzz_9999'", file=name)
    before = (clinic.path / name).read_bytes()
    reopen_fails(clinic, StoreVersionError)
    assert (clinic.path / name).read_bytes() == before
    clinic.sql("UPDATE alembic_version SET version_num = ?", old, file=name)
    clinic.reopen()


def test_no_vault_and_half_a_vault_are_told_apart(tmp_path: Path, template: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(NotFoundError):
            Vault.open(path, options=fake_options())
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file", template):
        with pytest.raises(ConflictError):
            Vault.create(path, tenant=CLINIC, options=fake_options())
    with pytest.raises(StorageError):
        Vault.create(tmp_path / "file" / "below", tenant=CLINIC, options=fake_options())
    assert (tmp_path / "file").read_text() == "x"
    for tenant in ("", "A b", "system"):
        with pytest.raises((PolicyError, ConflictError)):
            Vault.create(tmp_path / "bad", tenant=tenant, options=fake_options())
    assert not (tmp_path / "bad").exists()


def fill(clinic: Clinic, engine: str) -> Callable[[], None]:
    """Let a database have no page more than it has; return what lifts the limit."""
    if engine == "vault.db":
        connection = clinic.vault.parts.store._commit._connection.connection.driver_connection
    else:
        keys = clinic.vault.parts.sealers._keyring._keys._store
        assert isinstance(keys, SqlKeyStore)
        connection = keys._engine.raw_connection().driver_connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    return lambda: connection.execute("PRAGMA max_page_count=1000000000") and None


@pytest.mark.parametrize("name", ["vault.db", "keys.db"])
def test_a_full_disk_refuses_writes_reads_and_denials_and_loses_nothing(clinic: Clinic, name: str) -> None:
    kept = Kept(clinic)
    view, written = clinic.mem(OWNER), {kept.id: KEPT}
    lift = fill(clinic, name)
    failed = 0
    for nth in range(400):
        text = f"filling {nth} " + "x" * 200
        try:
            receipt = view.extract(text, subject=f"subject {nth}")
        except StorageFullError:
            failed += 1
            if failed == 3:
                break
            continue
        written[receipt.memory_ids[0]] = text
    assert failed == 3
    if name == "vault.db":
        for _ in range(50):  # whatever is left of the last page goes first
            try:
                view.get(kept.id)
            except StorageFullError:
                break
        for attempt in (
            lambda: view.get(kept.id),
            lambda: view.reveal(kept.id),
            lambda: view.retrieve("keeping"),
            lambda: view.update(kept.id, "new " * 1000),
            lambda: clinic.mem(ADMINISTRATOR).get(kept.id),
        ):
            with pytest.raises(StorageFullError):
                attempt()
    lift()
    receipt = view.extract("after the disk was enlarged", subject="maria")
    written[receipt.memory_ids[0]] = "after the disk was enlarged"
    clinic.reopen()
    assert clinic.vault.wait(60)
    assert clinic.count("memory") == len(written)
    assert clinic.count("embedding") == len(written), "vectors that found no space are made at the next start"
    for memory_id, text in written.items():
        assert clinic.mem(OWNER).reveal(memory_id).text == text
    assert clinic.audit().verify().passed


def test_a_disk_that_ends_under_a_real_limit_loses_nothing_acknowledged(
    template: Path, tmp_path: Path
) -> None:
    clinic = Clinic(template, tmp_path / "vault")
    kept = Kept(clinic)
    clinic.close()
    largest = max(file.stat().st_size for file in clinic.path.iterdir())
    child = run_child(partial(_write_until_full, clinic.path, largest + 65536))
    *written, refused = child.acknowledged
    assert not child.killed
    assert refused["refused"] in {"StorageError", "StorageFullError"}
    clinic.reopen()
    for line in written:
        assert clinic.mem(OWNER).get(str(line["written"])).text.startswith("filling")
    assert len(written) > 1
    assert clinic.vault.wait(60)
    kept.check(same_state=False)
    assert clinic.count("memory") == len(written) + 1
    clinic.close()


def _write_until_full(path: Path, limit: int, tell: Tell) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    view = MemOS(Vault.open(path, options=fake_options()), principal=OWNER)
    try:
        for nth in range(10_000):
            receipt = view.extract(f"filling {nth} " + "x" * 500, subject="maria")
            tell(written=receipt.memory_ids[0])
    except VaultError as error:
        tell(refused=type(error).__name__)


def test_a_refused_write_is_an_entry_and_nothing_else(clinic: Clinic) -> None:
    kept = Kept(clinic)
    with pytest.raises(InputTooLargeError):
        clinic.mem(OWNER).update(kept.id, "x" * 20_000)
    assert clinic.state() == kept.state
    kept.check()


@pytest.mark.parametrize("column", ["subjects", "text", "attributes", "terms", "trust", "owner", "recorded"])
def test_a_row_with_a_column_of_another_type_is_left_out_and_named_and_fails_nothing_else(
    clinic: Clinic, column: str
) -> None:
    view = clinic.mem(OWNER)
    bad, good = (view.extract(f"secret kiwi {nth}").memory_ids[0] for nth in range(2))
    assert clinic.vault.wait(20)
    clinic.sql("DELETE FROM embedding")
    clinic.sql(f"UPDATE memory SET {column} = X'00ff' WHERE memory_id = ?", bad)  # noqa: S608
    clinic.reopen()
    view = clinic.mem(OWNER)
    assert good in {hit.memory.id for hit in view.retrieve("secret kiwi").hits}
    assert view.get(good).text == "secret kiwi 1"
    assert view.organize().examined
    found = clinic.audit().verify()
    assert not found.passed
    assert any(bad in str(finding) for finding in found.row_findings)


@pytest.mark.parametrize("memory_id", [None, 7, b"mem_00000000000000000000000000"])
def test_an_id_that_is_no_text_is_refused_as_one(clinic: Clinic, memory_id: object) -> None:
    with pytest.raises(IdentifierInvalidError):
        clinic.mem(OWNER).get(memory_id)  # type: ignore[arg-type]  # as a program without types may call it


def test_an_index_takes_the_versions_of_a_memory_in_the_order_of_their_commits(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2 is written by a thread that is held back when it is durable, until version 3 is there."""
    held, go, slow, taken = threading.Event(), threading.Event(), list[int](), list[int]()

    def probe(step: str) -> None:
        if step == "durable" and threading.get_ident() in slow:
            held.set()
            assert go.wait(20)

    memory = clinic.mem(OWNER).extract("the first words").memory_ids[0]
    clinic.reopen(replace(clinic.options, probe=probe))
    index = clinic.vault.parts.indexes
    as_ever = index.replace

    def replace_and_note(tenant: str, memory: Indexed) -> None:
        taken.append(memory.stored.version)
        as_ever(tenant, memory)

    monkeypatch.setattr(index, "replace", replace_and_note)
    view = clinic.mem(OWNER)

    def update_slowly() -> None:
        slow.append(threading.get_ident())
        view.update(memory, "apricot")

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(update_slowly)
        assert held.wait(20)
        view.update(memory, "blackberry")
        go.set()
        second.result(20)
    assert taken == [2, 3]
    assert view.get(memory).text == "blackberry"


def test_after_the_close_every_call_is_refused_by_an_error_of_the_vault(clinic: Clinic) -> None:
    kept = Kept(clinic)
    view, auditor = clinic.mem(OWNER), clinic.audit()
    clinic.close()
    clinic.close()
    size = len(clinic.log())
    for attempt in (
        lambda: view.extract("late", subject="maria"),
        lambda: view.extract("late", subject="new"),
        lambda: view.retrieve("keeping"),
        lambda: view.get(kept.id),
        lambda: view.reveal(kept.id),
        lambda: view.update(kept.id, "late"),
        lambda: view.organize(subject="maria"),
        lambda: MemOS(clinic.vault, principal=AUDITOR).retrieve("denied"),
        auditor.entries,
        auditor.verify,
        auditor.checkpoint,
    ):
        with pytest.raises((StorageError, KeyAccessError)):
            attempt()
    assert len(clinic.log()) == size
    assert not (clinic.path / "vault.db-wal").exists()
    clinic.reopen()
    kept.check()


def test_a_clock_that_goes_back_writes_on_and_verifies_within_the_skew(clinic: Clinic) -> None:
    clock = FrozenClock(START + timedelta(hours=1))
    clinic.reopen(fake_options(clock=clock))
    first = clinic.mem(OWNER).extract("before").memory_ids[0]
    clock.now -= timedelta(minutes=2)
    second = clinic.mem(OWNER).extract("after").memory_ids[0]
    assert {hit.memory.id for hit in clinic.mem(OWNER).retrieve("before after").hits} == {first, second}
    clock.now += timedelta(minutes=2)
    assert clinic.audit().verify().passed


def test_a_detector_stamp_stands_on_each_record(clinic: Clinic) -> None:
    memory_id = clinic.mem(OWNER).extract(KEPT).memory_ids[0]
    ((stamp,),) = clinic.sql("SELECT detector FROM memory WHERE memory_id = ?", memory_id)
    assert str(stamp).startswith(KeywordDetector().name)


def test_an_unwritable_access_tier_leaves_no_key_behind(clinic: Clinic) -> None:
    keys = clinic.sql("SELECT count(*) FROM keys", file="keys.db")
    with pytest.raises(PolicyError):
        clinic.mem(OWNER).extract("text", subject="newcomer", access_tier=AccessTier.INSTITUTIONAL)
    with pytest.raises(InputInvalidError):
        clinic.mem(OWNER).extract("", subject="newcomer")
    assert clinic.sql("SELECT count(*) FROM keys", file="keys.db") == keys
