"""A tenant's log as files, in the vault: who may read them, what is shown, what it costs the log."""

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.errors import TileMalformedError
from audit.event import EventType, Outcome
from audit.log import Leaf
from audit.signing import VerifierKey
from audit.tiles import TILE_WIDTH, entries_path, parse_entry_bundle, parse_tile_path, tile_path
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from tests.simulators.tile_monitor import Monitor
from vault import tile_readers
from vault.errors import ConflictError, NotFoundError, StorageError, TamperedError
from vault.grant import Grant
from vault.memos import MemOS
from vault.opening import Vault
from vault.tile_readers import MAX_READERS, SESSION_SECONDS, TileReaders

pytestmark = pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
AUDITOR = Principal("auditor-1", "clinic", frozenset({Role.AUDITOR}))
OTHER = Principal("auditor-2", "clinic", frozenset({Role.AUDITOR}))
BANKER = Principal("auditor-1", "bank", frozenset({Role.AUDITOR}))
OWNER = Principal("agent-1", "clinic", frozenset({Role.OWNER_AGENT}))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """An open vault with two tenants."""
    with Vault.create(tmp_path / "vault", tenant="clinic", options=fake_options()) as opened:
        opened.add_tenant("bank")
        yield opened


def memory(vault: Vault, who: Principal = AUDITOR, purpose: Purpose = Purpose.AUDIT) -> MemOS:
    return MemOS(vault, principal=who, purpose=purpose)


def size(vault: Vault, tenant: str = "clinic") -> int:
    with vault.parts.store.log_connection(tenant) as connection:
        return vault.parts.log.head(connection, tenant).size


def fill(vault: Vault, count: int, tenant: str = "clinic") -> None:
    drafts = [vault.parts.journal.event(EventType.VAULT_READ, tenant, {"nth": nth}) for nth in range(count)]
    vault.parts.journal.write(drafts)


def events(vault: Vault, tenant: str = "clinic") -> list[tuple[str, str, str]]:
    with vault.parts.store.log_connection(tenant) as connection:
        found = vault.parts.log.entries(connection, tenant)
        return [(entry.event or "", entry.payload or "", entry.header) for entry in found]


def monitor_of(vault: Vault, who: Principal = AUDITOR) -> Monitor:
    def fetch(path: str) -> bytes | None:
        try:
            return memory(vault, who).log_file(path).content
        except NotFoundError:
            return None

    return Monitor(vault.parts.verifier_key.for_log(who.tenant), fetch)


def test_a_monitor_follows_a_log_by_its_files_alone(vault: Vault) -> None:
    fill(vault, 300)
    monitor = monitor_of(vault)
    for more in (0, 1, 255, 256, 700):
        fill(vault, more)
        memory(vault).checkpoint()
        seen = monitor.follow()
        assert seen.size == len(monitor.entries) >= size(vault) - 1  # its own entry may not be signed yet
    assert sum(b'"event":"vault.read"' in entry for entry in monitor.entries) == 300 + 1 + 255 + 256 + 700


def test_a_reader_is_one_entry_an_hour_and_no_more(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(vault.parts.tile_readers, "_seconds", lambda: now[0])
    memory(vault).checkpoint()
    before = size(vault)
    for _ in range(5):
        monitor_of(vault).follow()
    assert size(vault) == before + 1
    event, payload, header = events(vault)[-1]
    told = {key: value for key, value in json.loads(payload).items() if key != "asked"}
    assert (event, told) == ("audit.read", {"format": "c2sp.org/tlog-tiles"})
    assert '"principal":"auditor-1"' in header
    now[0] += SESSION_SECONDS - 1
    memory(vault).log_file("checkpoint")
    assert size(vault) == before + 1
    now[0] += 1
    memory(vault).log_file("checkpoint")
    memory(vault, OTHER).log_file("checkpoint")
    memory(vault, OTHER).log_file("checkpoint")
    assert size(vault) == before + 3


def test_a_path_that_leads_nowhere_does_not_spare_the_entry(vault: Vault) -> None:
    before = size(vault)
    with pytest.raises(NotFoundError):
        memory(vault).log_file("tile/0/999")
    assert size(vault) == before + 1


def test_a_denial_is_an_entry_each_time_and_shows_nothing(vault: Vault) -> None:
    memory(vault).log_file("checkpoint")
    before = size(vault)
    for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1", "no such thing"):
        with pytest.raises(DeniedError):
            memory(vault, OWNER, Purpose.TREATMENT).log_file(path)
    assert size(vault) == before + 4
    assert all(f'"outcome":"{Outcome.DENIED}"' in header for _, _, header in events(vault)[-4:])


def test_a_tenant_sees_its_own_log_alone(vault: Vault) -> None:
    fill(vault, 5, "bank")
    for who in (AUDITOR, BANKER):
        monitor = monitor_of(vault, who)
        monitor.follow()
        assert all(f'"tenant":"{who.tenant}"'.encode() in entry for entry in monitor.entries)


def test_nothing_is_shown_before_it_is_signed(vault: Vault) -> None:
    memory(vault).checkpoint()
    memory(vault).log_file("checkpoint")
    memory(vault).checkpoint()
    signed = size(vault)
    fill(vault, TILE_WIDTH)
    log = memory(vault)
    assert log.log_file("checkpoint").content.split(b"\n")[1] == str(signed).encode()
    for make in (partial(tile_path, 0, 0), partial(entries_path, 0)):
        assert log.log_file(make(signed)).content
        for width in (signed + 1, TILE_WIDTH):
            with pytest.raises(NotFoundError):
                log.log_file(make(width))
    for path in ("tile/1/000.p/1", "tile/0/001.p/1", "tile/63/000", "tile/0/x999/x999/999"):
        with pytest.raises(NotFoundError):
            log.log_file(path)
    log.checkpoint()
    full = log.log_file("tile/0/000")
    assert (len(full.content), full.is_final, full.is_text) == (8192, True, False)
    assert log.log_file("tile/1/000.p/1").is_final is False
    assert len(parse_entry_bundle(log.log_file("tile/entries/000").content, TILE_WIDTH)) == TILE_WIDTH


@pytest.mark.parametrize(
    "path", ["", "tile/0/0", "../vault.db", "tile/0/000.p/0", "tile/entries/000/", "Checkpoint"]
)
def test_any_other_path_is_not_found(vault: Vault, path: str) -> None:
    with pytest.raises(TileMalformedError):
        parse_tile_path(path)
    with pytest.raises(NotFoundError):
        memory(vault).log_file(path)


def test_a_log_that_was_never_signed_is_signed_for_its_first_reader(vault: Vault) -> None:
    vault.add_tenant("office")
    who = Principal("auditor-1", "office", frozenset({Role.AUDITOR}))
    assert monitor_of(vault, who).follow().size == 3  # policy, making, reader


def test_cosignatures_stand_under_the_checkpoint_and_broken_ones_do_not(vault: Vault) -> None:
    signed = memory(vault).checkpoint().signed
    line = "\u2014 witness.example/w " + "A" * 100
    with_lines = [
        ("good", line),
        ("with-newline", line.replace("/w", "/x") + "\n"),
        ("bad", "no line"),
        ("two", "x\n\ny"),
    ]

    def cosign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        for name, text in with_lines:
            connection.exec_driver_sql(
                "INSERT INTO audit_cosignature VALUES (?, ?, ?, ?, 0)",
                ("clinic", signed.checkpoint.size, name, text),
            )

    vault.parts.store.change(cosign)
    memory(vault).log_file("checkpoint")
    with vault.parts.store.log_connection("clinic") as connection:
        note = vault.parts.log.cosigned(connection, "clinic", signed)
    assert note == signed.note + f"{line}\n".encode() + line.replace("/w", "/x").encode() + b"\n"


# --- readers


def _grant(name: str) -> Grant:
    class Stub:
        tenant = "clinic"
        purpose = Purpose.AUDIT
        principal = Principal(name, "clinic", frozenset({Role.AUDITOR}))

    return Stub()  # type: ignore[return-value]  # what the memory looks at


def test_readers_beyond_the_bound_are_forgotten_and_get_another_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tile_readers, "MAX_READERS", 2)
    readers = TileReaders(lambda: 0.0)
    for name in ("a", "b", "a", "c"):
        readers.enter(_grant(name))
    assert [readers.is_entered(_grant(name)) for name in ("a", "b", "c", "d")] == [True, False, True, False]
    assert MAX_READERS > 1000


# --- a folder of files


def folder_monitor(vault: Vault, folder: Path) -> Monitor:
    def fetch(path: str) -> bytes | None:
        place = folder / path
        return place.read_bytes() if place.is_file() else None

    return Monitor(VerifierKey.parse(str(vault.parts.verifier_key.for_log("clinic"))), fetch)


def test_a_folder_is_kept_up_with_the_log_and_followed_by_a_third_party(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    monitor = folder_monitor(vault, folder)
    for more in (0, 3, 250, 300, 0, 520):
        fill(vault, more)
        done = memory(vault).export_tiles(folder)
        assert done.size == size(vault)
        assert monitor.follow().size == done.size
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(entry.name for entry in (folder / "tile" / "0").iterdir()) == [
        *(f"{index:03}" for index in range(done.size // 256)),
        f"{done.size // 256:03}.p",
    ]
    fresh = folder_monitor(vault, folder)
    assert fresh.follow() == monitor.seen
    assert fresh.entries == monitor.entries
    exported = [json.loads(payload) for event, payload, _ in events(vault) if event == EventType.AUDIT_EXPORT]
    assert [(told["export"], told["format"]) for told in exported] == [(True, "c2sp.org/tlog-tiles")] * 6


def test_only_what_is_new_is_written(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    fill(vault, 1000)
    memory(vault).export_tiles(folder)
    times = {
        file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name.isdigit()
    }
    second = memory(vault).export_tiles(folder)
    assert second.written == 2  # the partial tile of level 0 and its bundle; level 1 is the same
    assert second.since < second.size
    full = [file for file in times if file.parent == folder / "tile" / "0"]
    assert len(full) == 3
    assert all(file.stat().st_mtime_ns == times[file] for file in full)


@pytest.mark.parametrize("left", ["checkpoint", "tile/0/001", "tile/entries/000", "tile/1"])
def test_an_export_that_was_cut_short_is_taken_up(vault: Vault, tmp_path: Path, left: str) -> None:
    folder = tmp_path / "log"
    fill(vault, 700)
    memory(vault).export_tiles(folder)
    (folder / "checkpoint").unlink()
    (folder / "checkpoint.being-written").write_text("half")
    (folder / "tile" / "0" / "000.being-written").write_text("half")
    place = folder / left
    if place.is_file():
        place.write_bytes(b"\x00" * 8192)
    done = memory(vault).export_tiles(folder)
    assert done.since == 0
    assert folder_monitor(vault, folder).follow().size == done.size


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(ConflictError, match="other files"):
        memory(vault).export_tiles(folder)
    assert [entry.name for entry in folder.iterdir()] == ["letter.txt"]


def test_a_folder_of_another_log_or_with_no_note_is_refused(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    memory(vault, BANKER).export_tiles(folder)
    kept = (folder / "checkpoint").read_bytes()
    with pytest.raises(ConflictError, match="this log"):
        memory(vault).export_tiles(folder)
    assert (folder / "checkpoint").read_bytes() == kept
    (folder / "checkpoint").write_text("no note")
    with pytest.raises(ConflictError, match="expected a checkpoint of this log"):
        memory(vault, BANKER).export_tiles(folder)
    assert (folder / "checkpoint").read_text() == "no note"


def test_a_link_in_the_folder_leads_no_file_elsewhere(vault: Vault, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "tile").symlink_to(elsewhere)
    with pytest.raises(ConflictError, match="got a link"):
        memory(vault).export_tiles(folder)
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "log", tmp_path / "file"):
        with pytest.raises(StorageError, match="the folder of tiles"):
            memory(vault).export_tiles(folder)


def test_a_log_that_is_shorter_than_the_folder_or_another_is_refused(tmp_path: Path) -> None:
    place, folder = tmp_path / "vault", tmp_path / "log"
    with Vault.create(place, tenant="clinic", options=fake_options()) as vault:
        memory(vault).checkpoint()
    old = shutil.copytree(place, tmp_path / "old")
    with Vault.open(place, options=fake_options()) as vault:
        fill(vault, 30)
        memory(vault).export_tiles(folder)
        kept = (folder / "checkpoint").read_bytes()
    with Vault.open(old, options=fake_options()) as vault:  # an old copy, put back
        with pytest.raises(ConflictError, match="the log is shorter"):
            memory(vault).export_tiles(folder)
        fill(vault, 60)
        with pytest.raises(ConflictError, match="whose history this log extends"):
            memory(vault).export_tiles(folder)
    assert (folder / "checkpoint").read_bytes() == kept


def test_a_damaged_log_shows_nothing_and_is_not_exported(vault: Vault, tmp_path: Path) -> None:
    fill(vault, 300)
    log = memory(vault)
    log.checkpoint()
    log.log_file("checkpoint")

    def damage(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        for name in ("audit_tile_keep", "audit_checkpoint_fixed"):
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("DELETE FROM audit_tile WHERE tenant_id = 'clinic'")

    def forge(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        connection.exec_driver_sql("UPDATE audit_checkpoint SET note = 'no note' WHERE tenant_id = 'clinic'")

    vault.parts.store.change(damage)
    assert log.log_file("checkpoint").is_text
    with pytest.raises(TamperedError, match="tile 0 of level 0 of log clinic"):
        log.log_file("tile/0/000")
    with pytest.raises(TamperedError):
        log.export_tiles(tmp_path / "log")
    assert not (tmp_path / "log" / "checkpoint").exists()
    vault.parts.store.change(forge)
    with pytest.raises(TamperedError):
        log.log_file("checkpoint")
