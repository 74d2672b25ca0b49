"""Anchor and witnesses hold a vault to its log from outside: real processes, real files, real sockets."""

import os
import shutil
import signal
import socket
import sqlite3
import threading
import time
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from typing_extensions import Buffer

from audit.anchor import FileAnchor
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.errors import AnchorUnusableError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.key_file import create_key_file, load_key_file
from audit.merkle import CompactRange, leaf_hash
from audit.signing import SignerKey, VerifierKey
from policies.model import Principal, Purpose, Role
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import AUDITOR, BANK, CLINIC, OWNER, Clinic
from tests.simulators.witness_process import NAME, WitnessProcess, bundle_with, options_with
from vault.assurance import START_SECONDS
from vault.errors import InputInvalidError, LogRolledBackError, NotFoundError, OverloadedError, TamperedError
from vault.finality import Finality, FinalityState
from vault.log_keys import LogKeyRollover
from vault.memos import MemOS
from vault.model import Receipt
from vault.opening import LocalRootWarning, OutsideMissingWarning, Vault, VaultOptions
from vault.outside import Places
from vault.witnessing import END_SECONDS, Standing

PATIENCE = 15.0
OPERATOR = Principal("operator-1", CLINIC, frozenset({Role.ADMINISTRATOR}))
_OPEN = EventType.VAULT_OPEN


@pytest.fixture
def anchor_file(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "anchor"
    path.parent.mkdir()
    FileAnchor.create(path).close()
    return path


@pytest.fixture
def witness(clinic: Clinic, tmp_path: Path) -> Iterator[WitnessProcess]:
    """A running witness that trusts the clinic's logs."""
    with WitnessProcess(tmp_path / "witness") as process:
        yield process.trust(clinic.vault.parts.verifier_key).start()


def relying_on(witness: WitnessProcess, *, required: int = 1, **rules: str) -> VaultOptions:
    places = Places(witness_urls={NAME: witness.url}, witness_seconds=2)
    return options_with(bundle_with(witness.key, required=required, **rules), places)


def anchored_in(path: Path, rule: str = "required") -> VaultOptions:
    return options_with(bundle_with(anchor=rule), Places(anchor=path))


def write(clinic: Clinic, text: str = "the left knee hurts") -> Receipt:
    return clinic.mem(OWNER).extract(text, subject="patient 17")


def sign(clinic: Clinic) -> None:
    """Sign all logs now, as the vault does every few seconds."""
    clinic.audit().checkpoint()
    clinic.vault.parts.assurance.publish()


def eventually(clinic: Clinic, receipt: Receipt, holds: Callable[[Finality], bool]) -> Finality:
    until = time.monotonic() + PATIENCE
    while True:
        found = clinic.mem(OWNER).finality(receipt)
        if holds(found) or time.monotonic() > until:
            return found
        time.sleep(0.05)


def is_whole(now: Finality) -> bool:
    return now.state is FinalityState.FINAL and not now.reasons


def cosigned(clinic: Clinic, tenant: str = CLINIC) -> int:
    rows = clinic.sql("SELECT max(tree_size) FROM audit_cosignature WHERE tenant_id = ?", tenant)
    return int(str(rows[0][0] or 0))


def clinic_key(path: Path, origin: str) -> VerifierKey:
    return load_key_file(path / "log.key").current.verifier.for_log(origin.rpartition("/")[2])


def standings(clinic: Clinic) -> list[object]:
    return [entry.payload["standing"] for entry in clinic.log(SYSTEM_LOG) if entry.event == "log.witness"]


def standings_at_last(clinic: Clinic, count: int) -> list[object]:
    """Wait for so many standings: an entry follows what it tells, which must not wait for it."""
    until = time.monotonic() + PATIENCE
    while len(standings(clinic)) < count and time.monotonic() < until:
        time.sleep(0.05)
    return standings(clinic)


def test_a_receipt_is_pending_then_signed_then_final(clinic: Clinic, witness: WitnessProcess) -> None:
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    first = clinic.mem(OWNER).finality(receipt)
    assert (first.state, first.cosignatures, first.required) == (FinalityState.PENDING, 0, 1)
    assert first.reasons[:2] == (
        "no signed checkpoint covers the entry yet",
        "expected 1 cosignatures, got 0",
    )
    sign(clinic)
    found = eventually(clinic, receipt, is_whole)
    assert (found.state, found.cosignatures, found.reasons) == (FinalityState.FINAL, 1, ())
    assert cosigned(clinic) > receipt.leaf_index
    assert standings_at_last(clinic, 1) == ["cosigns"]
    assert clinic.audit().verify().passed


def test_what_is_signed_at_the_closing_is_cosigned_before_the_end(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    write(clinic)
    clinic.vault.close()
    for tenant in (CLINIC, BANK, SYSTEM_LOG):
        signed = clinic.sql("SELECT max(tree_size) FROM audit_checkpoint WHERE tenant_id = ?", tenant)
        assert cosigned(clinic, tenant) == signed[0][0]


def test_where_nothing_outside_holds_a_log_no_receipt_is_final_whatever_the_policy_asks_for(
    clinic: Clinic, anchor_file: Path
) -> None:
    receipt = write(clinic)
    assert clinic.mem(OWNER).finality(receipt).state is FinalityState.PENDING
    sign(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.required, found.anchored) == (FinalityState.SIGNED, 0, False)
    assert found.reasons == ("nothing outside the database holds it: no anchor, no witness",)
    clinic.reopen(anchored_in(anchor_file))
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored, found.reasons) == (FinalityState.FINAL, True, ())


def test_a_receipt_of_no_entry_has_no_finality(clinic: Clinic) -> None:
    receipt = write(clinic)
    for wrong in (
        Receipt((), None, receipt.log_origin, receipt.leaf_index, bytes(32), ""),
        Receipt((), None, receipt.log_origin, receipt.leaf_index + 99, receipt.leaf_hash, ""),
    ):
        with pytest.raises(NotFoundError):
            clinic.mem(OWNER).finality(wrong)


def test_a_witness_that_is_down_is_named_in_receipts_and_heals(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    port = int(witness.url.rpartition(":")[2])
    witness.kill()
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    down = eventually(clinic, receipt, lambda now: any("refused" in reason for reason in now.reasons))
    assert (down.state, down.cosignatures) == (FinalityState.SIGNED, 0)
    assert f"witness {NAME}: unreachable: connection refused" in down.reasons
    witness.start(port)
    up = eventually(clinic, receipt, is_whole)
    assert (up.state, up.reasons) == (FinalityState.FINAL, ())
    assert standings_at_last(clinic, 2) == ["unreachable", "cosigns"]


def test_a_hanging_witness_delays_no_write_and_no_end(clinic: Clinic, witness: WitnessProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        places = Places(witness_urls={NAME: url}, witness_seconds=2)
        clinic.reopen(options_with(bundle_with(witness.key, required=1), places))
        started = time.monotonic()
        receipt = write(clinic)
        sign(clinic)
        assert time.monotonic() - started < 1.5
        found = eventually(clinic, receipt, lambda now: any("in time" in one for one in now.reasons))
        assert found.state is FinalityState.SIGNED
        assert f"witness {NAME}: unreachable: no answer in time" in found.reasons
        started = time.monotonic()
        clinic.vault.close()
        assert time.monotonic() - started < 5


def test_eight_hanging_witnesses_hold_up_an_end_no_longer_than_one(clinic: Clinic) -> None:
    keys = [WitnessSignerKey(f"witness.example/h{nth}", bytes([nth]) * 32).verifier for nth in range(8)]
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        places = Places(witness_urls={key.name: url for key in keys}, witness_seconds=4)
        started = time.monotonic()
        clinic.reopen(options_with(bundle_with(*keys, required=1), places))
        assert time.monotonic() - started < START_SECONDS + 3
        write(clinic)
        sign(clinic)
        started = time.monotonic()
        clinic.vault.close()
        assert time.monotonic() - started < END_SECONDS + 2, (
            "eight ends one after another would be sixteen seconds"
        )


def test_a_witness_that_answers_a_byte_at_a_time_is_cut_off(clinic: Clinic, witness: WitnessProcess) -> None:
    def drip(listening: socket.socket) -> None:
        try:
            while True:
                connection, _ = listening.accept()
                with connection:
                    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.05)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        places = Places(witness_urls={NAME: url}, witness_seconds=1)
        started = time.monotonic()
        clinic.reopen(options_with(bundle_with(witness.key, required=1), places))
        assert time.monotonic() - started < 6
        (status,) = clinic.vault.parts.assurance.status.witnesses
        receipt = write(clinic)
        sign(clinic)
        found = eventually(clinic, receipt, lambda now: any("in time" in one for one in now.reasons))
        assert found.state is FinalityState.SIGNED, status
        clinic.vault.close()


def test_too_few_answers_at_opening_refuse_where_the_policy_says_so(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    witness.kill()
    before = clinic.count("audit_leaf")
    clinic.vault.close()
    with pytest.raises(OverloadedError, match="expected 1 witnesses to answer at opening, got 0"):
        Vault.open(clinic.path, options=relying_on(witness, start="refuse"))
    assert clinic.count("audit_leaf") - before <= 2  # the closing's own checkpoints, nothing of the opening


def test_an_unknown_log_is_refused_and_receipts_say_so(clinic: Clinic, tmp_path: Path) -> None:
    with WitnessProcess(tmp_path / "stranger").start() as stranger:
        clinic.reopen(relying_on(stranger))
        receipt = write(clinic)
        sign(clinic)
        found = eventually(clinic, receipt, lambda now: any("404" in one for one in now.reasons))
        assert (found.state, found.cosignatures) == (FinalityState.SIGNED, 0)
        assert f"witness {NAME}: refuses: answered 404" in found.reasons
        stranger.trust(clinic.vault.parts.verifier_key)
        healed = eventually(clinic, receipt, lambda now: now.state is FinalityState.FINAL)
        assert healed.state is FinalityState.FINAL


def test_a_new_vault_with_nothing_to_ask_about_opens_where_answers_are_required(
    clinic: Clinic, witness: WitnessProcess, tmp_path: Path
) -> None:
    options = relying_on(witness, start="refuse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        made = Vault.create(tmp_path / "new", tenant=CLINIC, options=options)
    made.close()
    Vault.open(tmp_path / "new", options=options).close()


def test_cosignatures_by_a_key_that_is_not_the_policys_do_not_count(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    other = WitnessSignerKey(NAME, os.urandom(32)).verifier
    places = Places(witness_urls={NAME: witness.url}, witness_seconds=2)
    clinic.reopen(options_with(bundle_with(other, required=1), places))
    receipt = write(clinic)
    sign(clinic)
    found = eventually(clinic, receipt, lambda now: any("by its key" in one for one in now.reasons))
    assert (found.state, found.cosignatures) == (FinalityState.SIGNED, 0)


def test_a_forged_row_of_a_cosignature_does_not_count(clinic: Clinic, witness: WitnessProcess) -> None:
    witness.kill()
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    size = clinic.sql("SELECT max(tree_size) FROM audit_checkpoint WHERE tenant_id = ?", CLINIC)[0][0]
    forged = WitnessSignerKey(NAME, bytes(32)).cosign("another text\n", 1)
    clinic.sql("INSERT INTO audit_cosignature VALUES (?, ?, ?, ?, 0)", CLINIC, size, NAME, str(forged))
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.cosignatures) == (FinalityState.SIGNED, 0)


def test_every_checkpoint_is_anchored(clinic: Clinic, anchor_file: Path) -> None:
    clinic.reopen(anchored_in(anchor_file))
    receipt = write(clinic)
    assert (
        "no checkpoint that covers the entry stands in the anchor"
        in clinic.mem(OWNER).finality(receipt).reasons
    )
    sign(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored, found.reasons) == (FinalityState.FINAL, True, ())
    clinic.vault.close()
    opened = FileAnchor(anchor_file)
    for tenant in (CLINIC, BANK, SYSTEM_LOG):
        rows = clinic.sql(
            "SELECT tree_size FROM audit_checkpoint WHERE tenant_id = ? ORDER BY tree_size", tenant
        )
        stored = [int(str(size)) for (size,) in rows]
        anchored = sizes_in(opened, clinic.vault.parts.origin(tenant))
        assert anchored == stored[stored.index(anchored[0]) :], "of older ones the last alone"
    opened.close()
    clinic.reopen()


def sizes_in(anchor: FileAnchor, origin: str) -> list[int]:
    return [int(note.decode().split("\n")[1]) for note in anchor.notes(origin)]


def test_a_new_vault_makes_its_anchor_and_an_old_one_takes_one_that_was_made(
    clinic: Clinic, tmp_path: Path
) -> None:
    path = tmp_path / "new-anchor"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        with Vault.create(tmp_path / "new", tenant=CLINIC, options=anchored_in(path)) as made:
            origins = {made.parts.origin(tenant) for tenant in (CLINIC, SYSTEM_LOG)}
    opened = FileAnchor(path)
    assert set(opened.origins()) == origins
    opened.close()
    with pytest.raises(AnchorUnusableError):
        clinic.reopen(anchored_in(tmp_path / "absent", rule="optional"))
    with pytest.raises(LogRolledBackError, match="signed by no key of this vault"):
        clinic.reopen(anchored_in(path))  # another vault's of the same name
    FileAnchor.create(tmp_path / "fresh").close()
    clinic.reopen(anchored_in(tmp_path / "fresh"))


def test_an_unlinked_anchor_is_said_in_receipts_and_stops_the_next_opening(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file))
    anchor_file.unlink()
    receipt = write(clinic)
    sign(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored) == (FinalityState.SIGNED, False)
    assert any(reason.startswith("anchor: the anchor is gone") for reason in found.reasons)
    status = clinic.vault.parts.assurance.status.anchor
    assert (status.configured, status.usable) == (True, False)
    assert status.failures >= 1
    clinic.vault.close()
    before = clinic.count("audit_leaf")
    with pytest.raises(AnchorUnusableError, match="No such file"):
        clinic.reopen()
    assert clinic.count("audit_leaf") == before
    assert not anchor_file.exists()


def test_an_anchor_on_a_full_disk_is_caught_up_when_there_is_room(
    clinic: Clinic, anchor_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.reopen(anchored_in(anchor_file))
    real = os.write
    held = anchor_file.stat().st_ino

    def full(descriptor: int, content: bytes) -> int:
        if os.fstat(descriptor).st_ino == held:
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", full)
    receipt = write(clinic)
    sign(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored) == (FinalityState.SIGNED, False)
    assert "anchor: the anchor cannot be written: No space left on device" in found.reasons
    monkeypatch.undo()
    clinic.vault.parts.assurance.publish()
    assert clinic.mem(OWNER).finality(receipt).state is FinalityState.FINAL


def test_a_policy_that_needs_an_anchor_does_not_open_without(clinic: Clinic, tmp_path: Path) -> None:
    clinic.vault.close()
    with pytest.raises(AnchorUnusableError, match="the settings name none"):
        Vault.open(clinic.path, options=options_with(bundle_with(anchor="required"), Places()))
    with pytest.raises(InputInvalidError, match="witnesses of the policy alone"):
        Vault.open(
            clinic.path,
            options=options_with(bundle_with(), Places(witness_urls={NAME: "http://127.0.0.1:1"})),
        )
    clinic.reopen()


def replay(clinic: Clinic, *, whole: bool) -> int:
    """Keep a copy, live on, put the copy back; return the size that the log then had had."""
    clinic.vault.close()
    copy = clinic.path.with_name("copy")
    shutil.copytree(clinic.path, copy)
    clinic.reopen()
    receipt = write(clinic)
    sign(clinic)
    eventually(clinic, receipt, lambda now: now.state is FinalityState.FINAL)
    clinic.vault.close()
    if whole:
        shutil.rmtree(clinic.path)
        shutil.copytree(copy, clinic.path)
    else:
        for name in ("vault.db-wal", "vault.db-shm"):
            (clinic.path / name).unlink(missing_ok=True)
        shutil.copyfile(copy / "vault.db", clinic.path / "vault.db")
    return receipt.leaf_index


@pytest.mark.parametrize("how", ["old database", "whole snapshot"])
def test_an_old_copy_is_refused_by_the_anchor(clinic: Clinic, anchor_file: Path, how: str) -> None:
    clinic.reopen(anchored_in(anchor_file))
    replay(clinic, whole=how == "whole snapshot")
    before = clinic.count("audit_leaf")
    with pytest.raises(LogRolledBackError, match="an old copy was put back, or its tail was cut") as caught:
        clinic.reopen()
    assert caught.value.seen_by == "the anchor"
    assert caught.value.seen > caught.value.size
    assert clinic.count("audit_leaf") == before


@pytest.mark.parametrize("how", ["old database", "whole snapshot"])
def test_an_old_copy_is_refused_by_the_witness(clinic: Clinic, witness: WitnessProcess, how: str) -> None:
    clinic.reopen(relying_on(witness))
    replay(clinic, whole=how == "whole snapshot")
    before = clinic.count("audit_leaf")
    with pytest.raises(LogRolledBackError, match="it saw a larger tree") as caught:
        clinic.reopen()
    assert caught.value.seen_by == f"witness {NAME}"
    assert caught.value.seen > caught.value.size
    assert clinic.count("audit_leaf") == before


def test_an_old_copy_is_refused_by_a_witness_that_was_killed_meanwhile(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    replay(clinic, whole=True)
    witness.kill()
    witness.start()
    with pytest.raises(LogRolledBackError, match="it saw a larger tree"):
        clinic.reopen(relying_on(witness))


def test_a_tenant_that_the_anchor_knows_and_the_store_does_not_is_missed(
    clinic: Clinic, anchor_file: Path, template: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file))
    clinic.vault.add_tenant("new-ward")
    clinic.reopen()
    clinic.vault.close()
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection, connection:
        connection.execute("DELETE FROM tenant WHERE tenant_id = 'new-ward'")
    with pytest.raises(LogRolledBackError, match="the store has no such log"):
        clinic.reopen()


@contextmanager
def unguarded(clinic: Clinic) -> Iterator[sqlite3.Connection]:
    """Lend a connection to a closed vault's file without guards, and put them back: nobody sees it."""
    with closing(sqlite3.connect(clinic.path / "vault.db")) as connection, connection:
        guards = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'"
        ).fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, statement in guards:
            connection.execute(statement)


def forge(clinic: Clinic) -> None:
    """Rewrite the last entry of a closed vault's log, and every hash, without the signing key."""
    with unguarded(clinic) as connection:
        last, header = connection.execute(
            "SELECT leaf_index, header FROM audit_leaf WHERE tenant_id = ? ORDER BY leaf_index DESC",
            (CLINIC,),
        ).fetchone()
        forged = header.replace('"memvault"', '"someoneel"')
        assert forged != header
        connection.execute(
            "UPDATE audit_leaf SET header = ?, leaf_hash = ? WHERE tenant_id = ? AND leaf_index = ?",
            (forged, leaf_hash(forged.encode()), CLINIC, last),
        )
        leaves = connection.execute(
            "SELECT leaf_hash FROM audit_leaf WHERE tenant_id = ? ORDER BY leaf_index", (CLINIC,)
        ).fetchall()
        edge = CompactRange().extended(leaf for (leaf,) in leaves)
        connection.execute("UPDATE audit_head SET nodes = ? WHERE tenant_id = ?", (edge.encode(), CLINIC))
        connection.execute("DELETE FROM audit_checkpoint WHERE tenant_id = ?", (CLINIC,))
        connection.execute("DELETE FROM audit_cosignature WHERE tenant_id = ?", (CLINIC,))


def test_a_history_forged_with_the_database_alone_is_refused_by_the_anchor(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file)).reopen()
    clinic.vault.close()
    forge(clinic)
    with pytest.raises(LogRolledBackError, match="the entries below that size are others"):
        clinic.reopen()


def test_a_history_signed_by_another_key_in_the_place_of_the_logs_is_refused_by_the_anchor(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file)).reopen()
    clinic.vault.close()
    with unguarded(clinic) as connection:
        connection.execute("DELETE FROM audit_checkpoint")
    (clinic.path / "log.key").unlink()
    create_key_file(clinic.path / "log.key", SignerKey.for_deployment("embedded", bytes(32)))
    with pytest.raises(LogRolledBackError, match="signed by no key of this vault"):
        clinic.reopen()


def test_lines_of_another_deployment_and_noise_about_unknown_logs_hinder_nothing(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file)).vault.close()
    stranger = SignerKey("memos-vault/elsewhere/ward", bytes(32))
    forger = SignerKey("memos-vault/embedded/nobody", bytes(32))
    opened = FileAnchor(anchor_file)
    for key in (stranger, forger):
        opened.append(sign_checkpoint(Checkpoint(key.name, 7, bytes(32)), [key]).note)
    opened.close()
    clinic.reopen()
    assert clinic.audit().verify().passed


def test_lines_that_a_retired_key_signed_stop_no_opening_and_make_nothing_final(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file))
    thief = load_key_file(clinic.path / "log.key").current
    for step in ("start", "finish"):
        getattr(LogKeyRollover(clinic.vault.parts, clinic.path / "log.key"), step)(
            OPERATOR, Purpose.OPERATIONS
        )
    clinic.reopen()
    origin = clinic.vault.parts.origin(CLINIC)
    assert [str(key) for key in clinic.vault.parts.log.keys.retired] == [str(thief.verifier)]
    clinic.vault.close()
    opened = FileAnchor(anchor_file)
    for size in range(10**6, 10**6 + 20):  # more than the anchor keeps the places of
        opened.append(sign_checkpoint(Checkpoint(origin, size, bytes(32)), [thief.for_log(CLINIC)]).note)
    opened.close()
    clinic.reopen()
    receipt = write(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored) == (FinalityState.PENDING, False)
    sign(clinic)
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.anchored) == (FinalityState.FINAL, True)
    assert clinic.audit().verify().passed


def test_an_anchor_that_was_cut_while_the_vault_was_closed_stops_the_opening(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.reopen(anchored_in(anchor_file))
    for nth in range(8):
        write(clinic, f"note {nth}")
        sign(clinic)
    clinic.reopen()
    before = clinic.count("audit_leaf")
    clinic.vault.close()
    content = anchor_file.read_bytes()
    anchor_file.write_bytes(content[: content.rindex(b"\n", 0, len(content) // 2) + 1])
    with pytest.raises(AnchorUnusableError, match="the anchor was cut: expected at least"):
        clinic.reopen()
    assert clinic.count("audit_leaf") - before <= 2, "the closing's own checkpoints"
    anchor_file.write_bytes(content)
    clinic.reopen()
    assert clinic.audit().verify().passed


def test_a_line_that_is_no_checkpoint_as_the_only_one_of_a_log_stops_no_opening(
    clinic: Clinic, anchor_file: Path
) -> None:
    clinic.vault.close()
    origin = clinic.vault.parts.origin(CLINIC)
    with anchor_file.open("ab") as file:
        file.write(f"checkpoint {origin} 9 {b64encode(b'no note').decode()} .\n".encode())
    clinic.reopen(anchored_in(anchor_file))
    receipt = write(clinic)
    sign(clinic)
    assert clinic.mem(OWNER).finality(receipt).anchored


def test_a_cosigned_checkpoint_that_is_gone_is_missed_without_asking_anybody(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    eventually(clinic, receipt, lambda now: now.state is FinalityState.FINAL)
    clinic.vault.close()
    witness.kill()
    with unguarded(clinic) as connection:
        connection.execute("DELETE FROM audit_checkpoint WHERE tenant_id = ?", (CLINIC,))
    with pytest.raises(LogRolledBackError, match="the checkpoint that it cosigned is gone"):
        clinic.reopen()


def test_two_histories_shown_to_two_clients_are_told_apart_by_the_witness(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    """The operator himself, with the signing key, keeps two vaults and shows each client another one."""
    clinic.reopen(relying_on(witness))
    clinic.vault.close()
    second = clinic.path.with_name("second")
    shutil.copytree(clinic.path, second)
    clinic.reopen()
    first_client = write(clinic, "what the first client is shown")
    sign(clinic)
    assert (
        eventually(clinic, first_client, lambda now: now.state is FinalityState.FINAL).state
        is FinalityState.FINAL
    )
    clinic.vault.close()

    # The second history is opened without asking, grows beyond the first, and then wants its cosignatures.
    clinic.path = second
    with pytest.warns(OutsideMissingWarning):
        clinic.reopen(options_with(bundle_with(), Places()))
    for nth in range(8):
        write(clinic, f"what the second client is shown {nth}")
        sign(clinic)
    clinic.vault.close()
    with pytest.raises(LogRolledBackError, match="it saw another") as caught:
        clinic.reopen(relying_on(witness))
    store = witness.directory.open(lambda: 0).store
    assert store.evidence(caught.value.log) == [], (
        "notes of two sizes and a wrong proof show no third party a fork"
    )
    (refused,) = store.refused(caught.value.log)
    assert refused.is_signed([clinic_key(second, caught.value.log)]), "kept for whoever has the first history"


def test_a_fork_while_the_vault_runs_is_an_alarm_and_no_receipt_is_final(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    clinic.vault.close()
    second = clinic.path.with_name("second")
    shutil.copytree(clinic.path, second)
    port = int(witness.url.rpartition(":")[2])
    first = Clinic(clinic.path, clinic.path.with_name("first"), relying_on(witness))
    receipt = write(first)
    sign(first)
    eventually(first, receipt, lambda now: now.state is FinalityState.FINAL)
    first.close()
    # Meanwhile the second one is opened while the witness cannot be asked.
    witness.kill()
    clinic.path = second
    clinic.reopen(relying_on(witness))
    for nth in range(8):
        shown = write(clinic, f"another history {nth}")
    sign(clinic)
    witness.start(port)
    found = eventually(clinic, shown, lambda now: any("contradicts" in one for one in now.reasons))
    assert found.state is FinalityState.SIGNED
    assert any(reason.startswith(f"witness {NAME}: contradicts") for reason in found.reasons)
    (status,) = clinic.vault.parts.assurance.status.witnesses
    assert status.standing is Standing.CONTRADICTS
    until = time.monotonic() + PATIENCE  # the entry follows the alarm: what is logged must not delay it
    while standings(clinic)[-1] != "contradicts" and time.monotonic() < until:
        time.sleep(0.05)
    assert standings(clinic)[-1] == "contradicts"


def test_a_vault_killed_between_commit_and_anchor_catches_the_anchor_up(
    clinic: Clinic, anchor_file: Path
) -> None:
    options = anchored_in(anchor_file)
    clinic.vault.close()
    for nth in range(6):
        assert run_child(partial(die_in_anchoring, clinic.path, anchor_file, nth)).killed
    clinic.reopen(options)
    assert clinic.audit().verify().passed
    receipt = write(clinic)
    sign(clinic)
    assert clinic.mem(OWNER).finality(receipt).state is FinalityState.FINAL
    opened = FileAnchor(anchor_file)
    assert opened.damaged >= 1
    opened.close()


def die_in_anchoring(path: Path, anchor: Path, nth: int, _tell: Tell) -> NoReturn:
    """Open a vault, live, and be killed in the midst of the nth line of the anchor."""
    vault = Vault.open(path, options=anchored_in(anchor))
    real, lines = os.write, count()

    def write_some(descriptor: int, content: Buffer) -> int:
        line = bytes(content)
        if line.startswith(b"checkpoint ") and next(lines) == nth:
            real(descriptor, line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(descriptor, line)

    os.write = write_some
    while True:
        entries = [vault.parts.journal.event(_OPEN, tenant, {}) for tenant in (CLINIC, SYSTEM_LOG)]
        vault.parts.journal.write(entries)
        MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT).checkpoint()
        vault.parts.assurance.publish()


def test_a_forged_old_entry_is_never_final_and_the_honest_receipt_is_not_disowned(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    assert eventually(clinic, receipt, is_whole).state is FinalityState.FINAL
    forged = bytes(31) + b"x"
    triggers = clinic.sql("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'")
    for (name,) in triggers:
        clinic.sql(f"DROP TRIGGER {name}")
    change = "UPDATE audit_leaf SET leaf_hash = ? WHERE tenant_id = ? AND leaf_index = ?"
    clinic.sql(change, forged, CLINIC, receipt.leaf_index)
    for leaf in (forged, receipt.leaf_hash):
        with pytest.raises(TamperedError, match="its row is not what the signed tree holds"):
            clinic.mem(OWNER).finality(Receipt((), None, receipt.log_origin, receipt.leaf_index, leaf, ""))


def test_rows_that_claim_cosignatures_and_hold_none_neither_raise_nor_lower_a_state(
    clinic: Clinic, witness: WitnessProcess
) -> None:
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    assert eventually(clinic, receipt, is_whole).state is FinalityState.FINAL
    held = cosigned(clinic)
    witness.kill()
    for nth in range(20):
        write(clinic, f"later {nth}")
        sign(clinic)
    later = write(clinic, "the last")
    sign(clinic)
    junk = f"\u2014 {NAME} {b64encode(witness.key.key_id + bytes(72)).decode()}\n"
    clinic.sql(
        "INSERT INTO audit_cosignature SELECT tenant_id, tree_size, ?, ?, 0 FROM audit_checkpoint"
        " WHERE tenant_id = ? AND tree_size > ?",
        NAME,
        junk,
        CLINIC,
        held,
    )
    for nth in range(40):
        values = (CLINIC, held, f"noise.example/{nth}", junk)
        clinic.sql("INSERT INTO audit_cosignature VALUES (?, ?, ?, ?, 0)", *values)
    assert clinic.count("audit_cosignature", f"tenant_id = '{CLINIC}'") > 60
    found = clinic.mem(OWNER).finality(receipt)
    assert (found.state, found.cosignatures, found.size) == (FinalityState.FINAL, 1, held)
    never = clinic.mem(OWNER).finality(later)
    assert (never.state, never.cosignatures) == (FinalityState.SIGNED, 0)


def test_more_junk_than_is_gone_through_lowers_a_state_and_says_what_is_missing(
    clinic: Clinic, witness: WitnessProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.finality._MOST_CLAIMS", 2)
    clinic.reopen(relying_on(witness))
    receipt = write(clinic)
    sign(clinic)
    assert eventually(clinic, receipt, is_whole).state is FinalityState.FINAL
    held = cosigned(clinic)
    witness.kill()
    for nth in range(3):
        write(clinic, f"later {nth}")
        sign(clinic)
    clinic.sql(
        "INSERT INTO audit_cosignature SELECT tenant_id, tree_size, ?, 'junk', 0 FROM audit_checkpoint"
        " WHERE tenant_id = ? AND tree_size > ?",
        NAME,
        CLINIC,
        held,
    )
    found = clinic.mem(OWNER).finality(receipt)
    assert found.state is FinalityState.SIGNED
    assert "expected 1 cosignatures, got 0" in found.reasons
