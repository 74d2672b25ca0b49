"""The life of keys on the real server: moved there and back, rewrapped, sealed anew, while it is killed and started."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from tests.simulators.openbao import KEY, POLICY, OpenBao, needs_openbao
from vault.auditing import AuditView
from vault.crypto.patience import PatienceLimits
from vault.crypto.root import RootKind
from vault.crypto.transit_place import TransitPlace
from vault.errors import RootDeniedError, RootKeyGoneError, RootUnreachableError, RootVersionError
from vault.key_life import KeyLife
from vault.memos import MemOS
from vault.model import Chat, Turn
from vault.opening import Vault, VaultOptions
from vault.reencryption import BATCH
from vault.root_move import NextRoot
from vault.storage.directory import VaultDirectory

pytestmark = needs_openbao

OWNER = Principal("agent-1", "clinic", frozenset({Role.OWNER_AGENT}))
ADMINISTRATOR = Principal("admin-a", "clinic", frozenset({Role.ADMINISTRATOR}))
AUDITOR = Principal("auditor-a", "clinic", frozenset({Role.AUDITOR}))
WHY = Purpose.OPERATIONS
PATIENCE = PatienceLimits(seconds=2.0, attempts=2, pause_seconds=0.01, failures=1_000)
PEOPLE = 150
"""More than one call of the server takes."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpenBao]:
    """A server on disk: it can be killed and started again."""
    with OpenBao(tmp_path, raft=True) as bao:
        yield bao


@pytest.fixture
def place(server: OpenBao, tmp_path: Path) -> TransitPlace:
    file = tmp_path / "token"
    file.write_text(server.token(period="1h"))
    file.chmod(0o600)
    return TransitPlace(server.url, KEY, file, patience=PATIENCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed vault on a key file that knows many people."""
    made = tmp_path / "vault"
    with pytest.warns(UserWarning, match="beside the data"):
        vault = Vault.create(made, tenant="clinic", options=fake_options())
    with vault:
        view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
        for nth in range(PEOPLE):
            view.extract(Chat((Turn("Dr Ng", f"visit {nth} went well"),)), subject=f"Patient {nth}")
        assert vault.wait(60)
    return made


def opened(path: Path, place: TransitPlace | None) -> Vault:
    options: VaultOptions = replace(fake_options(), transit=place)
    return Vault.open(path, options=options)


def life(vault: Vault, path: Path, stack: ExitStack) -> KeyLife:
    return KeyLife(vault.parts, VaultDirectory(path), stack)


def read_all(vault: Vault) -> int:
    """Unwrap every key anew and read every memory; return how many there are."""
    vault.parts.keyring._keys._leases.clear()
    view = MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)
    found = view.retrieve("visit well", k=200).hits
    assert all("went well" in hit.memory.text for hit in found)
    return len(found)


def restart(server: OpenBao) -> None:
    server.start()
    server.unseal()


def test_a_vault_moves_to_the_server_and_back_while_the_server_is_killed(
    path: Path, place: TransitPlace, server: OpenBao
) -> None:
    to_server = NextRoot(RootKind.TRANSIT, transit=place)
    with opened(path, None) as vault, ExitStack() as stack:
        before = read_all(vault)
        server.kill()
        with pytest.raises(RootUnreachableError):
            list(life(vault, path, stack).migrate(ADMINISTRATOR, WHY, to_server))
        assert read_all(vault) == before
        restart(server)
        *_, last = life(vault, path, stack).migrate(ADMINISTRATOR, WHY, to_server)
        assert (last.done, last.remaining) == (PEOPLE + 2, 0)
        assert read_all(vault) == before
    with opened(path, place) as vault, ExitStack() as stack:
        server.kill()
        with pytest.raises(RootUnreachableError):
            list(life(vault, path, stack).migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.FILE)))
        restart(server)
        assert read_all(vault) == before
        *_, last = life(vault, path, stack).migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.FILE))
        assert last.remaining == 0
    server.kill()
    with opened(path, None) as vault:
        assert read_all(vault) == before
        assert AuditView(vault.parts).verify(AUDITOR, Purpose.AUDIT).passed


def test_rewrapping_and_sealing_anew_go_on_after_the_server_was_killed_in_their_midst(
    path: Path, place: TransitPlace, server: OpenBao
) -> None:
    with opened(path, None) as vault, ExitStack() as stack:
        list(life(vault, path, stack).migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.TRANSIT, transit=place)))
    with opened(path, place) as vault, ExitStack() as stack:
        commands = life(vault, path, stack)
        before = read_all(vault)
        list(commands.rotate(ADMINISTRATOR, WHY))
        steps = commands.reencrypt(ADMINISTRATOR, WHY)
        first = next(steps)
        assert 0 < first.rows.rows <= BATCH
        vault.parts.keyring._keys._leases.clear()
        server.kill()
        with pytest.raises(RootUnreachableError):
            list(steps)
        restart(server)
        assert read_all(vault) == before
        *_, moved = commands.reencrypt(ADMINISTRATOR, WHY)
        assert (moved.rows.remaining, len(moved.rows.idle)) == (0, PEOPLE)
        server.rotate()
        server.kill()
        with pytest.raises(RootUnreachableError):
            list(commands.rewrap(ADMINISTRATOR, WHY))
        restart(server)
        *_, last = commands.rewrap(ADMINISTRATOR, WHY)
        assert (last.done, last.remaining) == (2 * PEOPLE + 2, 0)
    server.configure_key(min_decryption_version=2)
    with opened(path, place) as vault:
        assert read_all(vault) == before
        assert AuditView(vault.parts).verify(AUDITOR, Purpose.AUDIT).passed


def test_what_the_operator_takes_away_has_its_own_error_and_nothing_is_lost(
    path: Path, place: TransitPlace, server: OpenBao
) -> None:
    with opened(path, None) as vault, ExitStack() as stack:
        list(life(vault, path, stack).migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.TRANSIT, transit=place)))
    with opened(path, place) as vault, ExitStack() as stack:
        commands = life(vault, path, stack)
        before, boxes = read_all(vault), list(vault.parts.key_store.records())
        with pytest.raises(RootDeniedError):  # the vault's policy makes no versions
            list(commands.rewrap(ADMINISTRATOR, WHY, new_version=True))
        server.rotate()
        server.configure_key(min_decryption_version=2, deletion_allowed=True)
        with pytest.raises(RootVersionError):
            list(commands.rewrap(ADMINISTRATOR, WHY))
        server.configure_key(min_decryption_version=1)
        none = 'path "none" { capabilities = ["read"] }'
        server.call("PUT", "sys/policies/acl/memvault", {"policy": none})
        with pytest.raises(RootDeniedError):
            list(commands.rewrap(ADMINISTRATOR, WHY))
        with pytest.raises(RootDeniedError):
            list(commands.migrate(ADMINISTRATOR, WHY, NextRoot(RootKind.FILE)))
        assert list(vault.parts.key_store.records()) == boxes

        server.call("PUT", "sys/policies/acl/memvault", {"policy": POLICY})
        assert read_all(vault) == before
        *_, last = commands.rewrap(ADMINISTRATOR, WHY)
        assert last.remaining == 0
        server.call("DELETE", f"transit/keys/{KEY}")
        with pytest.raises(RootKeyGoneError):
            list(commands.rewrap(ADMINISTRATOR, WHY))
        assert all(record.wrapped for record in vault.parts.key_store.records())
        assert vault.unmatched_intents() == {}
