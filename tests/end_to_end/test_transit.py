"""A vault whose root lies on a server: the real one, sealed, stopped, killed and started under it."""

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.assembly import vault_options
from api.settings import read_settings
from policies.model import Principal, Purpose, Role
from tests.conftest import REPOSITORY
from tests.simulators.fakes import fake_options
from tests.simulators.openbao import KEY, OpenBao, needs_openbao
from tests.simulators.transit import TOKEN, TransitSimulator
from vault.crypto.keyring import KeyLimits
from vault.crypto.patience import PatienceLimits
from vault.crypto.root import RootKind
from vault.crypto.transit_place import TransitPlace
from vault.errors import (
    ConflictError,
    InputInvalidError,
    KeyFileUnsafeError,
    KeyMissingError,
    KeyWrongError,
    RootDeniedError,
    RootKeyGoneError,
    RootSealedError,
    RootUnreachableError,
    RootUnusableError,
    RootVersionError,
)
from vault.memos import MemOS
from vault.opening import Vault, VaultOptions
from vault.roots import root_kind
from vault.storage.directory import VaultDirectory

OWNER = Principal("agent-1", "clinic", frozenset({Role.OWNER_AGENT}))
QUICK = PatienceLimits(seconds=2.0, attempts=2, pause_seconds=0.01, failures=1_000)


def options(url: str, file: Path, key: str = KEY, lease_seconds: float = 300.0) -> VaultOptions:
    place = TransitPlace(url, key, file, patience=QUICK)
    return replace(fake_options(), transit=place, key_limits=KeyLimits(lease_seconds=lease_seconds))


def private(file: Path, content: str) -> Path:
    file.write_text(content)
    file.chmod(0o600)
    return file


def mem(vault: Vault) -> MemOS:
    return MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with OpenBao(tmp_path_factory.mktemp("bao")) as server:
        yield server


@pytest.fixture
def simulator() -> Iterator[TransitSimulator]:
    with TransitSimulator() as server:
        yield server


# ---- the real server ----


@needs_openbao
def test_a_vault_is_made_closed_and_opened_under_a_transit_key(dev: OpenBao, tmp_path: Path) -> None:
    chosen = options(dev.url, private(tmp_path / "token", dev.token(period="1h")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no root lies beside the data
        made = Vault.create(tmp_path / "vault", tenant="clinic", options=chosen)
    with made as vault:
        receipt = mem(vault).extract("The left knee hurts.", subject="Anna")
        fingerprint = vault.parts.sealers.root.fingerprint
    dev.rotate()
    with Vault.open(tmp_path / "vault", options=chosen) as vault:
        assert mem(vault).get(receipt.memory_ids[0]).text == "The left knee hurts."
        assert vault.parts.sealers.root.fingerprint == fingerprint
        assert vault.parts.sealers.root.health().fault is None
    assert root_kind(VaultDirectory(tmp_path / "vault")) is RootKind.TRANSIT
    assert not (tmp_path / "vault" / "root.key").exists()


@needs_openbao
def test_what_an_operator_does_to_the_key_has_its_own_error_and_is_undone(tmp_path: Path) -> None:
    with OpenBao(tmp_path) as bao:
        file = private(tmp_path / "token", bao.token(period="1h"))
        chosen = options(bao.url, file)
        with Vault.create(tmp_path / "vault", tenant="clinic", options=chosen) as vault:
            receipt = mem(vault).extract("The left knee hurts.", subject="Anna")
        bao.rotate()
        bao.configure_key(min_decryption_version=2, deletion_allowed=True)
        with pytest.raises(RootVersionError):
            Vault.open(tmp_path / "vault", options=chosen)
        bao.configure_key(min_decryption_version=1)
        bao.call("PUT", "sys/policies/acl/memvault", {"policy": 'path "none" { capabilities = ["read"] }'})
        with pytest.raises(RootDeniedError):
            Vault.open(tmp_path / "vault", options=chosen)
        private(file, bao.root_token)
        with Vault.open(tmp_path / "vault", options=chosen) as vault:
            assert mem(vault).get(receipt.memory_ids[0]).text == "The left knee hurts."
            bao.call("DELETE", f"transit/keys/{KEY}")
            with pytest.raises(RootKeyGoneError):
                mem(vault).extract("Later.", subject="Ben")
        with pytest.raises(RootKeyGoneError):
            Vault.open(tmp_path / "vault", options=chosen)
        bao.call("POST", f"transit/keys/{KEY}")  # of the same name, and another
        with pytest.raises(KeyWrongError, match="not the one"):
            Vault.open(tmp_path / "vault", options=chosen)


@needs_openbao
def test_a_server_that_is_sealed_killed_and_started_in_the_midst_of_writes_loses_nothing(
    tmp_path: Path,
) -> None:
    with OpenBao(tmp_path, raft=True) as bao:
        chosen = options(bao.url, private(tmp_path / "token", bao.token(period="1h")))
        written: list[str] = []
        with Vault.create(tmp_path / "vault", tenant="clinic", options=chosen) as vault:

            def write(subject: str) -> None:
                receipt = mem(vault).extract(f"About {subject}.", subject=subject)
                written.extend(receipt.memory_ids)

            write("Anna")
            for stop, kind in ((bao.seal, RootSealedError), (bao.kill, RootUnreachableError)):
                stop()
                write("Anna")  # its key is leased
                before = vault.parts.store.tenants(), len(written)
                with pytest.raises(kind):
                    write(f"new {kind.__name__}")
                assert (vault.parts.store.tenants(), len(written)) == before
                if stop == bao.kill:
                    bao.start()
                bao.unseal()
                write(f"new {kind.__name__}")
            assert vault.unmatched_intents() == {}
        with Vault.open(tmp_path / "vault", options=chosen) as vault:
            assert [mem(vault).get(one).text.startswith("About") for one in written] == [True] * 5


# ---- the simulator ----


def test_leases_run_out_on_time_while_the_server_is_away_and_come_back_by_themselves(
    simulator: TransitSimulator, tmp_path: Path
) -> None:
    chosen = options(simulator.url, private(tmp_path / "token", TOKEN), lease_seconds=0.5)
    with Vault.create(tmp_path / "vault", tenant="clinic", options=chosen) as vault:
        receipt = mem(vault).extract("The left knee hurts.", subject="Anna")
        simulator.state.sealed = True
        for _ in range(200):
            try:
                mem(vault).get(receipt.memory_ids[0])
            except RootSealedError:
                break
            time.sleep(0.02)
        else:
            pytest.fail("a lease outlived its time")
        with pytest.raises(RootSealedError):
            mem(vault).extract("More.", subject="Anna")
        simulator.state.sealed = False
        assert mem(vault).get(receipt.memory_ids[0]).text == "The left knee hurts."
        mem(vault).extract("More.", subject="Anna")


def test_the_very_first_write_asks_twice_later_first_ones_once_at_most_and_the_next_not_at_all(
    simulator: TransitSimulator, tmp_path: Path
) -> None:
    chosen = options(simulator.url, private(tmp_path / "token", TOKEN))
    with Vault.create(tmp_path / "vault", tenant="clinic", options=chosen) as vault:
        simulator.asked.clear()
        mem(vault).extract("One.", subject="Anna")
        assert [path.split("/")[3] for path in simulator.asked] == ["encrypt", "decrypt"]
        mem(vault).extract("Two.", subject="Anna")
        assert len(simulator.asked) == 2
        for nth in range(20):
            mem(vault).extract("Three.", subject=f"Patient {nth}")
        assert len(simulator.asked) <= 2 + 20
    simulator.asked.clear()
    with Vault.open(tmp_path / "vault", options=chosen):
        pass
    assert len(simulator.asked) <= 6, "keys are unwrapped together at an opening"


def test_the_directory_says_which_root_is_the_right_one(simulator: TransitSimulator, tmp_path: Path) -> None:
    file, path = private(tmp_path / "token", TOKEN), tmp_path / "vault"
    chosen = options(simulator.url, file)
    with pytest.raises(InputInvalidError, match="got both"):
        Vault.create(path, tenant="clinic", passphrase="a long passphrase", options=chosen)
    assert not path.exists()
    Vault.create(path, tenant="clinic", options=chosen).close()
    with pytest.raises(KeyMissingError, match="say where its server is"):
        Vault.open(path, options=fake_options())
    with pytest.raises(KeyWrongError, match="expected the transit key memvault"):
        Vault.open(path, options=options(simulator.url, file, key="other"))
    with pytest.raises(KeyWrongError, match="passphrase"):
        Vault.open(path, passphrase="a long passphrase", options=chosen)
    simulator.state.keys.clear()
    with pytest.raises(RootKeyGoneError):
        Vault.open(path, options=chosen)
    (path / "root.key").write_bytes(b"")
    with pytest.raises(KeyFileUnsafeError, match="one root"):
        Vault.open(path, options=chosen)


def test_a_local_vault_is_not_opened_by_settings_of_a_server(
    template: Path, simulator: TransitSimulator, tmp_path: Path
) -> None:
    with pytest.raises(KeyWrongError, match="key file"):
        Vault.open(template, options=options(simulator.url, private(tmp_path / "token", TOKEN)))


def test_a_making_that_the_server_refused_can_be_made_again(
    simulator: TransitSimulator, tmp_path: Path
) -> None:
    chosen = options(simulator.url, private(tmp_path / "token", TOKEN))
    simulator.state.sealed = True
    with pytest.raises(RootUnusableError):
        Vault.create(tmp_path / "vault", tenant="clinic", options=chosen)
    simulator.state.sealed = False
    Vault.create(tmp_path / "vault", tenant="clinic", options=chosen).close()
    with pytest.raises(ConflictError):
        Vault.create(tmp_path / "vault", tenant="clinic", options=chosen)


# ---- the command line ----


def memvault(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "HOME": "/nonexistent", **variables}
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        cwd=REPOSITORY,
    )


def test_init_and_doctor_by_settings_show_the_root_and_no_token(
    simulator: TransitSimulator, tmp_path: Path
) -> None:
    variables = {
        "MEMVAULT_VAULT": str(tmp_path / "vault"),
        "MEMVAULT_TRANSIT_URL": simulator.url,
        "MEMVAULT_TRANSIT_KEY": "memvault",
        "MEMVAULT_TRANSIT_CREDENTIAL_FILE": str(private(tmp_path / "token", TOKEN)),
        "MEMVAULT_TRANSIT_SECONDS": "1",
    }
    chosen = vault_options(read_settings(variables)).transit
    assert chosen is not None
    assert (chosen.url, chosen.patience.seconds) == (simulator.url, 1)
    refused = memvault({"MEMVAULT_VAULT": str(tmp_path / "none")}, "init", "--transit")
    assert (refused.returncode, (tmp_path / "none").exists()) == (2, False)
    made = memvault(variables, "init", "--transit", "--tenant", "clinic", "--json")
    assert json.loads(made.stdout)["root_key"] == "transit", made.stderr
    well = memvault(variables, "doctor", "--json")
    checks = {one["check"]: one["status"] for one in json.loads(well.stdout)["checks"]}
    assert (checks["root"], checks["key file"]) == ("ok", "ok")
    simulator.state.sealed = True
    ill = memvault(variables, "doctor", "--json")
    vault = next(one for one in json.loads(ill.stdout)["checks"] if one["check"] == "vault")
    assert (vault["status"], "sealed" in vault["detail"], ill.returncode != 0) == ("failed", True, True)
    for done in (refused, made, well, ill):
        assert TOKEN not in done.stdout + done.stderr
