"""The life of keys by command: who may, what the log says, and a vault that opens whatever is cut off where."""

import os
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, OWNER, Clinic, RawEntry, make_template
from tests.simulators.fakes import fake_options
from tests.simulators.transit import TOKEN, Token, TransitSimulator
from vault.auditing import AuditView
from vault.crypto.key_record import KeyKind, KeyRecord, KeyState
from vault.crypto.patience import PatienceLimits
from vault.crypto.root import RootKind
from vault.crypto.transit_place import TransitPlace
from vault.errors import (
    ConflictError,
    IdentifierInvalidError,
    InputInvalidError,
    KeyMissingError,
    KeyWrongError,
    NotFoundError,
    RootAnswerError,
    RootDeniedError,
    RootKeyGoneError,
    RootUnreachableError,
    RootVersionError,
    StorageError,
    StoreCorruptError,
    TamperedError,
)
from vault.key_life import KeyLife, Moved, RootChanged
from vault.memos import MemOS
from vault.opening import Vault, VaultOptions
from vault.root_move import NextRoot, settle
from vault.roots import root_kind
from vault.storage.directory import VaultDirectory

PASSPHRASE = "correct horse battery"
FILE = NextRoot(RootKind.FILE)
LOCKED = NextRoot(RootKind.PASSPHRASE, PASSPHRASE)
QUICK = PatienceLimits(seconds=2.0, attempts=2, pause_seconds=0.01, failures=1_000)
WHY = Purpose.OPERATIONS


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault on a key file that knows Anna and Ben."""
    made = Clinic(template, tmp_path / "vault")
    view = made.mem(OWNER)
    view.extract("Anna has a sore knee", subject="anna")
    view.extract("both went to the lake", subject=("anna", "ben"))
    assert made.vault.wait(20)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[TransitSimulator]:
    with TransitSimulator() as made:
        yield made


@pytest.fixture
def place(server: TransitSimulator, tmp_path: Path) -> TransitPlace:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return TransitPlace(server.url, "memvault", file, patience=QUICK)


class Life:
    """The life of one open vault's keys, called as its administrator."""

    def __init__(self, vault: Vault, path: Path, stack: ExitStack) -> None:
        self.vault = vault
        self.life = KeyLife(vault.parts, VaultDirectory(path), stack)

    def migrate(self, wanted: NextRoot) -> list[RootChanged]:
        return list(self.life.migrate(ADMINISTRATOR, WHY, wanted))

    def rewrap(self, *, passphrase: str | None = None, new_version: bool = False) -> list[RootChanged]:
        return list(self.life.rewrap(ADMINISTRATOR, WHY, new_version=new_version, passphrase=passphrase))

    def reencrypt(self, *, destroy: bool = False) -> Moved:
        *_, last = self.life.reencrypt(ADMINISTRATOR, WHY, destroy=destroy)
        return last


@pytest.fixture
def life(clinic: Clinic) -> Iterator[Life]:
    with ExitStack() as stack:
        yield Life(clinic.vault, clinic.path, stack)


def texts(vault: Vault) -> list[str]:
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    found = [hit.memory.text for hit in view.retrieve("knee lake", k=9).hits]
    return sorted(text for text in found if "came by" not in text)


def options(transit: TransitPlace | None = None) -> VaultOptions:
    return replace(fake_options(), transit=transit)


def opened(path: Path, kind: RootKind, place: TransitPlace | None = None) -> Vault:
    """Open a vault with what a root of this kind needs."""
    passphrase = PASSPHRASE if kind is RootKind.PASSPHRASE else None
    return Vault.open(
        path, passphrase=passphrase, options=options(place if kind is RootKind.TRANSIT else None)
    )


def of_events(clinic: Clinic, *events: str, tenant: str = CLINIC) -> list[RawEntry]:
    return [entry for entry in clinic.log(tenant) if entry.event in events]


def living(vault: Vault) -> list[KeyRecord]:
    return [one for one in vault.parts.key_store.records() if one.state is not KeyState.DESTROYED]


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.iterdir()) if file.is_file())


# ---- rotate ----


def test_one_subject_or_all_get_a_newer_key_and_the_log_says_which(clinic: Clinic, life: Life) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    anna, ben = keys.subject_id("anna"), keys.subject_id("ben")
    (one,) = life.life.rotate(ADMINISTRATOR, WHY, [anna])
    assert (one.done, one.of) == (1, 1)
    (both,) = life.life.rotate(ADMINISTRATOR, WHY)
    assert (both.done, both.of) == (2, 2)
    first, second = of_events(clinic, "key.rotate")
    assert (first.payload["subjects"], first.payload["versions"]) == ([anna], [2])
    assert second.payload["subjects"] == sorted([anna, ben])
    assert second.payload["versions"] in ([2, 3], [3, 2])
    assert first.principal == ADMINISTRATOR.id
    assert clinic.vault.unmatched_intents() == {}
    states = [record.state for record in living(clinic.vault) if record.name.subject == anna]
    assert states == [KeyState.RETIRED, KeyState.RETIRED, KeyState.ACTIVE]


def test_who_may_not_administer_changes_no_key(clinic: Clinic, life: Life, place: TransitPlace) -> None:
    before = living(clinic.vault)
    transit = NextRoot(RootKind.TRANSIT, transit=place)
    for denied in (
        life.life.rotate(OWNER, WHY),
        life.life.rewrap(OWNER, WHY),
        life.life.reencrypt(AUDITOR, WHY, destroy=True),
        life.life.migrate(OWNER, WHY, transit),
    ):
        with pytest.raises(DeniedError):
            next(denied)
        assert clinic.last().decision == "denied"
    assert living(clinic.vault) == before
    kinds = {entry.payload["kind"] for entry in of_events(clinic, "effect.intent")}
    assert kinds <= {"key.create"}


def test_a_stranger_s_key_is_not_rotated_and_none_is_made(clinic: Clinic, life: Life) -> None:
    keys, before = clinic.vault.parts.keyring.tenant(CLINIC), living(clinic.vault)
    with pytest.raises(NotFoundError):
        list(life.life.rotate(ADMINISTRATOR, WHY, [keys.subject_id("anna"), keys.subject_id("nobody")]))
    with pytest.raises(IdentifierInvalidError):
        list(life.life.rotate(ADMINISTRATOR, WHY, ["anna"]))
    assert living(clinic.vault) == before


def test_a_key_that_does_not_open_is_named_and_keeps_no_other_from_being_rotated(clinic: Clinic) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    bad = keys.subject_id("anna")
    clinic.close()
    with closing(sqlite3.connect(clinic.path / "keys.db")) as store, store:
        changed = store.execute(
            "UPDATE keys SET wrapped = substr(wrapped, 1, length(wrapped) - 1) || x'00' WHERE subject_id = ?",
            (bad,),
        )
        assert changed.rowcount == 1
    clinic.reopen()
    with ExitStack() as stack:
        made = Life(clinic.vault, clinic.path, stack).life
        *_, last = made.rotate(ADMINISTRATOR, WHY)
        assert (last.done, last.unreadable) == (last.of - 1, (bad,))
        assert last.done > 0
        rotated = [entry for entry in clinic.log(CLINIC) if entry.event == "key.rotate"][-1]
        assert bad not in str(rotated.payload)
        assert clinic.last().payload["unreadable"] == 1
        with pytest.raises(TamperedError):
            list(made.rotate(ADMINISTRATOR, WHY, [bad]))
    state = {
        record.name.subject: record.name.version
        for record in clinic.vault.parts.keyring.tenant(CLINIC).records()
        if record.state is KeyState.ACTIVE and record.name.kind is KeyKind.SUBJECT
    }
    assert state.pop(bad) == 1
    assert set(state.values()) == {2}


@pytest.mark.parametrize(
    "damaged",
    [
        lambda wrapped: wrapped[:40],
        lambda _: b"",
        lambda _: "text",
        lambda wrapped: bytes([wrapped[0] ^ 1]) + wrapped[1:],
    ],
    ids=["cut", "empty", "text", "of another root"],
)
def test_a_damaged_key_of_one_subject_keeps_no_vault_shut_and_no_other_memory_from_being_read(
    clinic: Clinic, damaged: Callable[[bytes], bytes | str]
) -> None:
    mem = clinic.mem(OWNER)
    (lost,) = mem.extract("the giraffe", subject="anna").memory_ids
    (kept,) = mem.extract("the giraffe", subject="bob").memory_ids
    bad = clinic.vault.parts.keyring.tenant(CLINIC).subject_id("anna")
    clinic.close()
    with closing(sqlite3.connect(clinic.path / "keys.db")) as store, store:
        ((wrapped,),) = store.execute("SELECT wrapped FROM keys WHERE subject_id = ?", (bad,))
        store.execute("UPDATE keys SET wrapped = ? WHERE subject_id = ?", (damaged(wrapped), bad))
    clinic.reopen()
    assert [hit.memory.id for hit in clinic.mem(OWNER).retrieve("giraffe").hits] == [kept]
    assert clinic.mem(OWNER).get(kept).text == "the giraffe"
    with pytest.raises(TamperedError):
        clinic.mem(OWNER).get(lost)


# ---- re-encrypt, and what is destroyed behind it ----


def test_older_keys_are_destroyed_once_nothing_lies_under_them(clinic: Clinic) -> None:
    before = texts(clinic.vault)
    with ExitStack() as stack:
        first = Life(clinic.vault, clinic.path, stack)
        list(first.life.rotate(ADMINISTRATOR, WHY))
        early = first.reencrypt(destroy=True)
        assert (early.destroyed, early.kept) == ((), 2), "rotated a moment ago: a writer may be under way"
    marks = {record.fingerprint for record in living(clinic.vault) if record.state is KeyState.RETIRED}
    clinic.reopen()
    with ExitStack() as stack:
        last = Life(clinic.vault, clinic.path, stack).reencrypt(destroy=True)
    assert (set(last.destroyed), last.kept) == (marks, 0)
    destroyed = of_events(clinic, "key.destroy")[-1]
    assert set(destroyed.payload["fingerprints"]) == marks  # type: ignore[call-overload]  # JSON
    assert clinic.vault.unmatched_intents() == {}
    assert {record.state for record in living(clinic.vault)} == {KeyState.ACTIVE}
    clinic.reopen()
    assert texts(clinic.vault) == before


def test_nothing_is_destroyed_while_a_row_is_left_or_nobody_asked(clinic: Clinic) -> None:
    with ExitStack() as stack:
        list(Life(clinic.vault, clinic.path, stack).life.rotate(ADMINISTRATOR, WHY))
    clinic.reopen()
    clinic.sql("UPDATE memory SET recorded = recorded + 1 WHERE rowid = (SELECT min(rowid) FROM memory)")
    with ExitStack() as stack:
        life = Life(clinic.vault, clinic.path, stack)
        last = life.reencrypt(destroy=True)
        assert (last.rows.remaining, last.destroyed) == (1, ())
        clinic.sql("UPDATE memory SET recorded = recorded - 1 WHERE rowid = (SELECT min(rowid) FROM memory)")
        last = life.reencrypt()
    assert (last.rows.remaining, last.destroyed) == (0, ())
    assert KeyState.RETIRED in {record.state for record in living(clinic.vault)}
    assert of_events(clinic, "key.destroy") == []


# ---- migrate ----


def test_a_vault_moves_from_root_to_root_and_reads_the_same(
    clinic: Clinic, place: TransitPlace, server: TransitSimulator
) -> None:
    before, path = texts(clinic.vault), clinic.path
    clinic.close()
    secret = (path / "root.key").read_bytes()[8:40]
    kind = RootKind.FILE
    for wanted in (
        LOCKED,
        NextRoot(RootKind.TRANSIT, transit=place),
        FILE,
        NextRoot(RootKind.TRANSIT, transit=place),
        LOCKED,
        FILE,
    ):
        with opened(path, kind, place) as vault, ExitStack() as stack:
            keys = len(living(vault))
            *_, last = Life(vault, path, stack).migrate(wanted)
            assert (last.done, last.of, last.remaining) == (keys, keys, 0)
            assert texts(vault) == before, "also in the process that moved it"
            vault.parts.keyring._keys._leases.clear()
            assert texts(vault) == before
            mem = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
            mem.extract("Cleo came by", subject="cleo")  # a new key, under the new root
            assert vault.unmatched_intents() == {}
        kind = wanted.kind
        assert root_kind(VaultDirectory(path)) is kind
        assert sorted(file.name for file in path.glob("root.*")) == [
            "root.transit" if kind is RootKind.TRANSIT else "root.key"
        ]
        with opened(path, kind, place) as vault:
            assert texts(vault) == before
            assert vault.parts.keyring.root.kind is kind
    assert secret not in bytes_of(path)
    clinic.reopen()
    moves = of_events(clinic, "key.migrate", tenant="system")
    assert [entry.payload["kind"] for entry in moves] == [
        "passphrase", "transit", "file", "transit", "passphrase", "file"
    ]  # fmt: skip
    assert {entry.payload["remaining"] for entry in moves} == {0}
    assert AuditView(clinic.vault.parts).verify(AUDITOR, Purpose.AUDIT).passed


def test_no_old_wrapping_and_no_old_root_is_left_on_the_disk(clinic: Clinic, life: Life) -> None:
    old = [record.wrapped for record in living(clinic.vault)]
    secret = (clinic.path / "root.key").read_bytes()[8:40]
    life.migrate(LOCKED)
    left = bytes_of(clinic.path)
    assert secret not in left
    assert not any(box in left or box[16:64] in left for box in old)


@pytest.mark.parametrize(
    "step", ["next made", "staged", "switched", "forgotten", "intended", "effected", "concluded"]
)
@pytest.mark.parametrize("to", [RootKind.FILE, RootKind.PASSPHRASE, RootKind.TRANSIT])
def test_a_kill_anywhere_in_a_move_leaves_a_vault_that_opens_and_the_move_goes_on(
    clinic: Clinic, place: TransitPlace, step: str, to: RootKind
) -> None:
    before, path = texts(clinic.vault), clinic.path
    clinic.close()
    wanted = {
        RootKind.FILE: FILE, RootKind.PASSPHRASE: LOCKED, RootKind.TRANSIT: NextRoot(to, transit=place)
        if to is RootKind.TRANSIT else FILE,
    }[to]  # fmt: skip
    child = run_child(partial(_die_in_a_move, path, wanted, step))
    assert child.killed
    moved = step in {"switched", "forgotten", "effected", "concluded"}
    kind = to if moved else RootKind.FILE
    with opened(path, kind, place) as vault, ExitStack() as stack:
        assert texts(vault) == before
        assert root_kind(VaultDirectory(path)) is kind
        unmatched = vault.unmatched_intents()
        assert (unmatched == {}) == (step == "concluded")
        if not moved:
            *_, last = Life(vault, path, stack).migrate(wanted)
            assert last.remaining == 0
    with opened(path, to, place) as vault:
        assert texts(vault) == before
        assert AuditView(vault.parts).verify(AUDITOR, Purpose.AUDIT).passed
    assert len(list(path.glob("root.*"))) == 1


def _die_in_a_move(path: Path, wanted: NextRoot, at: str, _tell: Tell) -> None:
    def probe(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    vault = Vault.open(path, options=fake_options(probe=probe))
    Life(vault, path, ExitStack()).migrate(wanted)


def test_a_move_that_the_server_cut_off_is_taken_up_where_it_was(
    clinic: Clinic, life: Life, place: TransitPlace, server: TransitSimulator
) -> None:
    before, wanted = texts(clinic.vault), NextRoot(RootKind.TRANSIT, transit=place)
    steps = life.life.migrate(ADMINISTRATOR, WHY, wanted)
    staged = next(steps)
    assert staged.done == len(living(clinic.vault))
    steps.close()  # type: ignore[attr-defined]  # a generator: the caller went away
    (made,) = clinic.path.glob("root.next.*.transit")
    clinic.mem(OWNER).extract("Cleo came by", subject="cleo")  # a new key, which is not staged
    server.over = lambda _path, _body: (500, {})
    with pytest.raises(RootUnreachableError):
        life.migrate(wanted)
    assert texts(clinic.vault) == before
    server.over = lambda _path, _body: None
    first, *_, last = life.migrate(wanted)
    assert first.done == 1, "what was staged is not wrapped again"
    assert (last.done, last.remaining) == (len(living(clinic.vault)), 0)
    assert last.root is not None
    assert last.root.fingerprint in made.name
    assert texts(clinic.vault) == before


def test_another_root_than_the_one_that_was_begun_is_begun_anew(
    clinic: Clinic, life: Life, place: TransitPlace, tmp_path: Path
) -> None:
    before = texts(clinic.vault)
    for wanted in (NextRoot(RootKind.TRANSIT, transit=place), LOCKED, FILE):
        steps = life.life.migrate(ADMINISTRATOR, WHY, wanted)
        next(steps)
        steps.close()  # type: ignore[attr-defined]
        assert len(list(clinic.path.glob("root.next.*"))) == 1
    *_, last = life.migrate(NextRoot(RootKind.PASSPHRASE, PASSPHRASE + " other"))
    assert last.remaining == 0
    clinic.close()
    with pytest.raises(KeyWrongError):
        opened(clinic.path, RootKind.PASSPHRASE)
    with Vault.open(clinic.path, passphrase=PASSPHRASE + " other", options=options()) as vault:
        assert texts(vault) == before
    clinic.vault = Vault.open(clinic.path, passphrase=PASSPHRASE + " other", options=options())


def test_a_key_that_comes_to_be_between_staging_and_the_switch_is_moved_too(
    clinic: Clinic, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = clinic.vault.parts.key_store
    new: list[str] = []
    real = store.switch

    def switch(root: bytes) -> int:
        if not new:
            new.append(clinic.mem(OWNER).extract("Cleo came by", subject="cleo").memory_ids[0])
        return real(root)

    monkeypatch.setattr(store, "switch", switch)
    *_, last = life.migrate(LOCKED)
    assert last.remaining == 0
    clinic.vault.parts.keyring._keys._leases.clear()
    assert clinic.mem(OWNER).get(new[0]).text == "Cleo came by"


def test_keys_that_come_to_be_faster_than_they_are_moved_end_the_move(
    clinic: Clinic, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    def switch(_root: bytes) -> int:
        raise ConflictError("not yet")

    before = living(clinic.vault)
    with monkeypatch.context() as patched:
        patched.setattr(clinic.vault.parts.key_store, "switch", switch)
        with pytest.raises(ConflictError, match="faster"):
            life.migrate(LOCKED)
    assert living(clinic.vault) == before


def test_a_key_wrapped_under_the_old_root_that_comes_after_the_switch_is_refused_and_lost_to_nobody(
    clinic: Clinic, life: Life
) -> None:
    parts = clinic.vault.parts
    keys = parts.keyring.tenant(CLINIC)
    late = keys._keys._wrapped(
        {
            living(clinic.vault)[0].name._replace(kind=KeyKind.SUBJECT, subject=keys.subject_id("dora")): b"k"
            * 64
        }
    )
    life.migrate(LOCKED)
    with pytest.raises(ConflictError, match="another root"):
        parts.key_store.add(late)
    receipt = clinic.mem(OWNER).extract("Dora came by", subject="dora")
    assert clinic.mem(OWNER).get(receipt.memory_ids[0]).text == "Dora came by"


@pytest.mark.parametrize("fault", ["wrapped", "fingerprint"])
def test_one_key_that_is_not_what_it_was_stops_the_move_and_the_vault_stays(
    clinic: Clinic, life: Life, fault: str
) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    ben = keys.subject_id("ben")
    value = "substr(wrapped, 1, length(wrapped) - 1) || x'00'" if fault == "wrapped" else "'0'"
    cast = f"CAST({value} AS BLOB)" if fault == "wrapped" else value
    clinic.sql(f"UPDATE keys SET {fault} = {cast} WHERE subject_id = ?", ben, file="keys.db")  # noqa: S608  # our own words
    before = living(clinic.vault)
    with pytest.raises(TamperedError):
        life.migrate(LOCKED)
    assert living(clinic.vault) == before
    assert root_kind(VaultDirectory(clinic.path)) is RootKind.FILE


def test_a_next_root_that_gives_back_something_else_gets_no_key(
    clinic: Clinic, life: Life, place: TransitPlace, server: TransitSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault.crypto.transit_root import TransitRoot  # noqa: PLC0415  # patched here alone

    before = living(clinic.vault)
    monkeypatch.setattr(TransitRoot, "unwrap_many", lambda _self, boxes: [b"k" * 32 for _ in boxes])
    with pytest.raises(KeyWrongError, match="does not give back"):
        life.migrate(NextRoot(RootKind.TRANSIT, transit=place))
    assert living(clinic.vault) == before


def test_a_key_that_is_destroyed_while_it_is_moved_does_not_come_back(clinic: Clinic, life: Life) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    ben = keys.subject_id("ben")
    steps = life.life.migrate(ADMINISTRATOR, WHY, LOCKED)
    next(steps)
    keys.destroy(ben)
    *_, last = steps
    assert last.remaining == 0
    (left,) = [one for one in clinic.vault.parts.key_store.records() if one.name.subject == ben]
    assert (left.state, left.wrapped) == (KeyState.DESTROYED, b"")
    assert clinic.sql("SELECT count(*) FROM keys WHERE staged IS NOT NULL", file="keys.db") == [(0,)]


def test_a_file_that_cannot_be_put_into_place_is_put_there_by_the_next_opening(
    clinic: Clinic, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, path, real = texts(clinic.vault), clinic.path, Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "root.key":
            raise OSError(28, "No space left on device")
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(StorageError, match="put into place"):
            life.migrate(LOCKED)
    assert not (path / "root.key").exists()
    clinic.close()
    clinic.vault = opened(path, RootKind.PASSPHRASE)
    assert texts(clinic.vault) == before
    assert [file.name for file in path.glob("root.*")] == ["root.key"]


def test_a_move_to_another_transit_key_than_the_one_that_was_begun_drops_that(
    clinic: Clinic, life: Life, place: TransitPlace
) -> None:
    before = living(clinic.vault)
    steps = life.life.migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.TRANSIT, transit=place))
    next(steps)
    steps.close()  # type: ignore[attr-defined]  # a generator: the caller went away
    with pytest.raises(RootKeyGoneError):
        life.migrate(NextRoot(RootKind.TRANSIT, transit=replace(place, mount="elsewhere")))
    assert list(clinic.path.glob("root.next.*")) == []
    assert living(clinic.vault) == before
    *_, last = life.migrate(LOCKED)
    assert last.remaining == 0


def test_keys_under_two_roots_are_no_work_of_ours(clinic: Clinic) -> None:
    path = clinic.path
    clinic.close()
    child = run_child(partial(_die_in_a_move, path, LOCKED, "switched"))
    assert child.killed
    with closing(sqlite3.connect(path / "keys.db")) as raw, raw:
        raw.execute("UPDATE keys SET wrapped = zeroblob(120) WHERE kind = 'search'")
    for _ in range(2):
        with pytest.raises(StoreCorruptError, match="two roots"):
            opened(path, RootKind.PASSPHRASE)
        assert (path / "root.key").exists()
        assert len(list(path.glob("root.next.*"))) == 1


def test_a_lost_key_store_is_not_made_anew_by_looking_for_a_move(clinic: Clinic) -> None:
    path = clinic.path
    clinic.close()
    assert run_child(partial(_die_in_a_move, path, LOCKED, "staged")).killed
    (path / "keys.db").rename(path / "kept")
    for beside in path.glob("keys.db-*"):
        beside.unlink()
    with pytest.raises(StoreCorruptError, match="missing"):
        opened(path, RootKind.FILE)
    settle(VaultDirectory(path))
    assert not (path / "keys.db").exists()
    assert (path / "root.key").exists()
    (path / "kept").rename(path / "keys.db")
    with opened(path, RootKind.FILE) as vault:
        assert vault.parts.keyring.root.kind is RootKind.FILE


def test_settings_for_the_old_root_open_nothing_after_a_move(
    clinic: Clinic, life: Life, place: TransitPlace
) -> None:
    life.migrate(NextRoot(RootKind.TRANSIT, transit=place))
    clinic.close()
    with pytest.raises(KeyMissingError, match="say where its server is"):
        opened(clinic.path, RootKind.FILE)
    clinic.vault = opened(clinic.path, RootKind.TRANSIT, place)


@pytest.mark.parametrize(
    ("kind", "passphrase"),
    [(RootKind.FILE, PASSPHRASE), (RootKind.PASSPHRASE, None), (RootKind.PASSPHRASE, "short")],
)
def test_a_root_that_cannot_be_is_refused_before_anything_is_made(
    kind: RootKind, passphrase: str | None
) -> None:
    with pytest.raises(InputInvalidError):
        NextRoot(kind, passphrase)


def test_a_transit_root_needs_a_server_and_no_other_does(place: TransitPlace) -> None:
    with pytest.raises(InputInvalidError):
        NextRoot(RootKind.TRANSIT)
    with pytest.raises(InputInvalidError):
        NextRoot(RootKind.FILE, transit=place)


# ---- rewrap ----


def test_a_local_root_is_replaced_by_a_fresh_one_of_its_kind(clinic: Clinic, life: Life) -> None:
    before, old = texts(clinic.vault), clinic.vault.parts.keyring.root.fingerprint
    *_, last = life.rewrap()
    assert last.root is not None
    assert (last.root.kind, last.remaining) == (RootKind.FILE, 0)
    assert last.root.fingerprint != old
    with pytest.raises(InputInvalidError):
        life.rewrap(passphrase=PASSPHRASE)
    with pytest.raises(InputInvalidError):
        life.rewrap(new_version=True)
    life.migrate(LOCKED)
    with pytest.raises(InputInvalidError):
        life.rewrap()
    life.rewrap(passphrase=PASSPHRASE + " other")
    clinic.close()
    clinic.vault = Vault.open(clinic.path, passphrase=PASSPHRASE + " other", options=options())
    assert texts(clinic.vault) == before
    assert len(of_events(clinic, "key.rewrap", tenant="system")) == 2


@pytest.fixture
def on_server(clinic: Clinic, place: TransitPlace, server: TransitSimulator) -> Iterator[tuple[Vault, Life]]:
    """The vault under a transit root."""
    with ExitStack() as stack:
        life = Life(clinic.vault, clinic.path, stack)
        life.migrate(NextRoot(RootKind.TRANSIT, transit=place))
        yield clinic.vault, life


def test_all_keys_and_the_proof_go_under_the_newest_version_and_the_log_says_so(
    clinic: Clinic, on_server: tuple[Vault, Life], place: TransitPlace, server: TransitSimulator
) -> None:
    vault, life = on_server
    before, keys = texts(vault), len(living(vault))
    server.rotate()
    *_, last = life.rewrap()
    assert (last.done, last.of, last.remaining, last.faults) == (keys, keys, 0, ())
    entry = of_events(clinic, "key.rewrap", tenant="system")[-1]
    assert entry.payload == {
        "keys": keys, "remaining": 0, "from_version": 1, "to_version": 2, "unreadable": 0
    }  # fmt: skip
    clinic.close()
    server.state.min_decryption = 2
    clinic.vault = opened(clinic.path, RootKind.TRANSIT, place)
    assert texts(clinic.vault) == before
    again = list(Life(clinic.vault, clinic.path, ExitStack()).rewrap())[-1]
    assert (again.done, again.remaining) == (0, 0)


@pytest.mark.parametrize("step", ["rewrapped", "renamed", "effected"])
def test_a_kill_anywhere_in_a_rewrap_leaves_a_vault_that_opens_and_it_is_run_again(
    clinic: Clinic, on_server: tuple[Vault, Life], place: TransitPlace, server: TransitSimulator, step: str
) -> None:
    before = texts(clinic.vault)
    clinic.close()
    server.rotate()
    child = run_child(partial(_die_in_a_rewrap, clinic.path, place, step))
    assert child.killed
    clinic.vault = opened(clinic.path, RootKind.TRANSIT, place)
    assert texts(clinic.vault) == before
    *_, last = Life(clinic.vault, clinic.path, ExitStack()).rewrap()
    assert last.remaining == 0
    clinic.close()
    server.state.min_decryption = 2
    clinic.vault = opened(clinic.path, RootKind.TRANSIT, place)
    assert texts(clinic.vault) == before


def _die_in_a_rewrap(path: Path, place: TransitPlace, at: str, _tell: Tell) -> None:
    def probe(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    vault = Vault.open(path, options=replace(fake_options(probe=probe), transit=place))
    Life(vault, path, ExitStack()).rewrap()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("away", RootUnreachableError),
        ("denied", RootDeniedError),
        ("gone", RootKeyGoneError),
        ("garbage", RootAnswerError),
    ],
)
def test_whatever_the_server_does_has_its_own_error_and_loses_nothing(
    clinic: Clinic,
    on_server: tuple[Vault, Life],
    server: TransitSimulator,
    fault: str,
    error: type[Exception],
) -> None:
    vault, life = on_server
    before, boxes = texts(vault), living(vault)
    server.rotate()
    keys, token = dict(server.state.keys), server.state.tokens[TOKEN]
    if fault == "away":
        server.over = lambda _path, _body: (500, {})
    elif fault == "denied":
        server.state.tokens[TOKEN] = Token(denied=True)
    elif fault == "gone":
        server.state.keys.clear()
    else:
        server.over = lambda path, _body: (200, {"data": {}}) if "rewrap" in path else None
    with pytest.raises(error):
        life.rewrap()
    assert living(vault) == boxes
    server.over = lambda _path, _body: None
    server.state.tokens[TOKEN] = token
    server.state.keys.update(keys)
    assert vault.unmatched_intents() == {}
    *_, last = life.rewrap()
    assert last.remaining == 0
    vault.parts.keyring._keys._leases.clear()
    assert texts(vault) == before


def test_keys_below_the_least_version_are_named_and_stand_until_it_is_lowered_again(
    clinic: Clinic, on_server: tuple[Vault, Life], server: TransitSimulator
) -> None:
    vault, life = on_server
    before = living(vault)
    server.rotate()
    server.state.min_decryption = 2
    with pytest.raises(RootVersionError):
        life.rewrap()
    assert living(vault) == before
    server.state.min_decryption = 1
    *_, last = life.rewrap()
    assert (last.faults, last.remaining) == ((), 0)


def test_a_key_that_cannot_be_rewrapped_is_named_and_counted(
    clinic: Clinic, on_server: tuple[Vault, Life], server: TransitSimulator
) -> None:
    vault, life = on_server
    ben = vault.parts.keyring.tenant(CLINIC).subject_id("ben")
    clinic.sql("UPDATE keys SET wrapped = zeroblob(99) WHERE subject_id = ?", ben, file="keys.db")
    server.rotate()
    *_, last = life.rewrap()
    assert last.remaining == 1
    assert len(last.faults) == 1
    assert ben in last.faults[0]
    with pytest.raises(InputInvalidError, match="no passphrase"):
        life.rewrap(passphrase=PASSPHRASE)


def test_a_new_version_is_made_where_that_is_asked_for_and_allowed(
    on_server: tuple[Vault, Life], server: TransitSimulator
) -> None:
    vault, life = on_server
    *_, last = life.rewrap(new_version=True)
    assert max(server.state.keys) == 2
    assert (last.done, last.remaining) == (len(living(vault)), 0)


def test_no_warning_is_raised_by_a_move(clinic: Clinic, life: Life) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        life.migrate(LOCKED)
