"""What is pinned is the least that a bundle has to be: at openings, at reloads, and after the data is lost."""

import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.payload_keys import outgoing
from policies.bundle import ACCESS_RULES, Bundle
from policies.errors import DeniedError, PolicyInvalidError, PolicyRefusedError
from policies.identity import IDENTITY, Identity, parse_identity
from policies.model import Role
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, CLINICIAN, OWNER, Clinic, person
from tests.simulators.fakes import fake_options
from tests.vault.bundles.folders import change, versioned
from vault.bundles.pins import Pin, Pins, mirror_pin, pinned
from vault.bundles.source import BundleSource
from vault.errors import ConflictError, StorageError, TamperedError
from vault.opening import Vault


def pin(clinic: Clinic, bundle: Bundle | None = None, *, over: bool = False) -> Pin:
    return Pins(clinic.vault.parts).pin(ADMINISTRATOR, bundle, replace=over)[0]


def refused_to_open(clinic: Clinic) -> PolicyInvalidError:
    """Return why the vault does not open; nothing is written by that."""
    clinic.close()
    before = [clinic.count("audit_leaf"), clinic.count("audit_head")]
    with pytest.raises(PolicyInvalidError) as error:
        Vault.open(clinic.path, options=clinic.options)
    assert [clinic.count("audit_leaf"), clinic.count("audit_head")] == before
    return error.value


def place(error: PolicyInvalidError) -> tuple[str, str | None, int | None, int | None]:
    return error.code, error.file, error.line, error.column


def test_a_vault_pins_what_is_in_force_and_the_log_tells_who_did(clinic: Clinic, folder: Path) -> None:
    made = pin(clinic)
    assert made == Pin(1, "ours", 1, Bundle.read(folder).digest)
    entry = clinic.last(CLINIC)
    assert (entry.event, entry.principal, entry.outcome) == ("policy.pin", ADMINISTRATOR.id, "ok")
    assert entry.payload == {"kind": "pinned", "pin": made.told()}
    assert clinic.last("system").payload == entry.payload
    assert Pins(clinic.vault.parts).show(ADMINISTRATOR) == made
    assert clinic.last(CLINIC).event == "vault.read"
    assert pinned(clinic.reopen().vault.parts) == made


def test_nothing_is_pinned_at_first(clinic: Clinic) -> None:
    assert Pins(clinic.vault.parts).show(ADMINISTRATOR) is None


@pytest.mark.parametrize("who", [OWNER, CLINICIAN, person("auditor", Role.AUDITOR)])
def test_who_does_not_run_the_vault_pins_nothing_and_sees_no_pin(clinic: Clinic, who: object) -> None:
    pins = Pins(clinic.vault.parts)
    for call in (pins.pin, pins.show):
        with pytest.raises(DeniedError):
            call(who)  # type: ignore[arg-type]  # one of both
        assert (clinic.last(CLINIC).event, clinic.last(CLINIC).decision) == ("policy.pin", "denied")
    assert pinned(clinic.vault.parts) is None


def test_an_older_bundle_opens_nothing_and_says_where_its_version_stands(
    clinic: Clinic, folder: Path
) -> None:
    versioned(folder, 2)
    clinic.vault.reload_policy()
    pin(clinic)
    versioned(folder, 1)
    with pytest.raises(PolicyRefusedError) as refused:
        clinic.vault.reload_policy()
    assert place(refused.value) == ("pin-older", IDENTITY, 2, 10)
    assert clinic.vault.parts.bundle.identity.version == 2  # type: ignore[union-attr]  # it has one
    assert place(refused_to_open(clinic)) == ("pin-older", IDENTITY, 2, 10)
    versioned(folder, 3)
    clinic.reopen()


def test_other_files_under_the_pinned_version_another_name_and_no_version_open_nothing(
    clinic: Clinic, folder: Path
) -> None:
    pin(clinic)
    change(folder, ACCESS_RULES, "# Who", "# who")
    assert place(refused_to_open(clinic)) == ("pin-other-files", IDENTITY, 2, 10)
    versioned(folder, 2, name="theirs")
    assert place(refused_to_open(clinic)) == ("pin-other-name", IDENTITY, 1, 7)
    (folder / IDENTITY).unlink()
    assert place(refused_to_open(clinic)) == ("pin-unversioned", IDENTITY, 1, 1)
    versioned(folder, 2)
    clinic.reopen()


def test_a_lower_pin_needs_an_act_of_its_own_which_is_an_entry(clinic: Clinic, folder: Path) -> None:
    low = Bundle.read(folder)
    high = Bundle.read(versioned(folder, 5))
    pin(clinic, high)
    versioned(folder, 1)
    for other in (low, Bundle.read(versioned(folder, 9, name="theirs"))):
        with pytest.raises(ConflictError, match="replace the pin"):
            pin(clinic, other)
    assert pinned(clinic.vault.parts) == Pin(1, "ours", 5, high.digest)
    assert pin(clinic, low, over=True) == Pin(2, "ours", 1, low.digest)
    assert clinic.last(CLINIC).payload["kind"] == "replaced"
    versioned(folder, 1)
    assert pinned(clinic.reopen().vault.parts) == Pin(2, "ours", 1, low.digest), "the later, not the higher"


def test_what_says_no_version_cannot_be_pinned(clinic: Clinic, folder: Path) -> None:
    (folder / IDENTITY).unlink()
    with pytest.raises(PolicyInvalidError, match="cannot be pinned"):
        pin(clinic, Bundle.read(folder))
    assert pinned(clinic.vault.parts) is None


def test_a_pin_survives_the_loss_of_the_data(clinic: Clinic, folder: Path, tmp_path: Path) -> None:
    clinic.close()
    shutil.copy(clinic.path / "vault.db", tmp_path / "old.db")
    clinic.reopen()
    versioned(folder, 4)
    made = pin(clinic, Bundle.read(folder))
    clinic.close()
    shutil.copy(tmp_path / "old.db", clinic.path / "vault.db")
    versioned(folder, 1)
    assert place(refused_to_open(clinic)) == ("pin-older", IDENTITY, 2, 10)
    versioned(folder, 4)
    clinic.reopen()
    assert pinned(clinic.vault.parts) == made
    guards = clinic.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'", file="keys.db")
    for (name,) in guards:
        clinic.sql(f'DROP TRIGGER "{name}"', file="keys.db")
    clinic.sql("DELETE FROM ledger", file="keys.db")
    assert pinned(clinic.vault.parts) == made, "the opening repeated it in the log"
    assert pin(clinic).number == 2


def test_a_pin_counts_although_the_ledger_could_not_be_told(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space is left")

    with monkeypatch.context() as broken:
        broken.setattr("vault.crypto.ledger.Ledger.add", full)
        made = pin(clinic)
        assert clinic.sql("SELECT * FROM ledger WHERE kind = 'policy-pin'", file="keys.db") == []
    assert pinned(clinic.vault.parts) == made
    clinic.reopen()
    assert len(clinic.sql("SELECT * FROM ledger WHERE kind = 'policy-pin'", file="keys.db")) == 1
    mirror_pin(clinic.vault.parts)
    assert len(clinic.sql("SELECT * FROM ledger WHERE kind = 'policy-pin'", file="keys.db")) == 1


@pytest.mark.parametrize("body", ["nonsense", "[1,2]", "{}"])
def test_a_row_of_the_ledger_that_is_no_pin_is_no_reason_to_open(clinic: Clinic, body: str) -> None:
    pin(clinic)
    clinic.close()
    clinic.sql(
        "INSERT INTO ledger VALUES ('system', 'policy-pin', zeroblob(32), ?, -1)", body, file="keys.db"
    )
    with pytest.raises(TamperedError):
        Vault.open(clinic.path, options=clinic.options)


def test_an_altered_entry_of_a_pin_is_no_pin(clinic: Clinic) -> None:
    pin(clinic)
    parts = clinic.vault.parts
    with clinic.without_wall() as connection:
        names = (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .scalars()
            .all()
        )
        for name in names:
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        connection.exec_driver_sql(
            "UPDATE audit_leaf SET payload = replace(payload, 'ours', 'mine')"
            " WHERE tenant_id = 'system' AND event = 'policy.pin'"
        )
        connection.commit()
    with pytest.raises(TamperedError):
        pinned(parts)


def test_every_tenants_administrator_may_pin_and_the_vault_has_one_pin(clinic: Clinic, folder: Path) -> None:
    banker = person("admin-b", Role.ADMINISTRATOR, tenant=BANK)
    versioned(folder, 2)
    made, _ = Pins(clinic.vault.parts).pin(banker, Bundle.read(folder))
    assert clinic.last(BANK).principal == "admin-b"
    assert Pins(clinic.vault.parts).show(ADMINISTRATOR) == made


@given(st.text("ab019-", min_size=1, max_size=70), st.integers(1, 999_999_999_999))
def test_what_an_entry_tells_of_a_pin_may_leave_the_vault_whatever_the_bundle_is_called(
    name: str, version: int
) -> None:
    with suppress(PolicyInvalidError):
        identity = parse_identity(f"name: '{name}'\nversion: {version}\n")
        _expect_to_leave(identity)


def _expect_to_leave(identity: Identity) -> None:
    pin_ = Pin(1, identity.name, identity.version, "sha256:" + "0" * 64)
    assert outgoing({"pin": pin_.told(), "bundle": identity.name, "version": identity.version}).withheld == 0


def pin_and_die(path: Path, folder: Path, step: str, tell: Tell) -> None:
    armed = ""

    def trap(step: str) -> None:
        if step == armed:
            os.kill(os.getpid(), signal.SIGKILL)

    options = replace(fake_options(probe=trap), policies=BundleSource(folder))
    with Vault.open(path, options=options) as vault:
        armed = step
        Pins(vault.parts).pin(ADMINISTRATOR)
        tell(done=True)


@pytest.mark.parametrize("step", ["logged", "committed", "policy-pinned"])
def test_a_kill_leaves_a_pin_with_its_entry_or_neither(clinic: Clinic, folder: Path, step: str) -> None:
    clinic.close()
    assert run_child(partial(pin_and_die, clinic.path, folder, step)).killed
    clinic.reopen()
    stands = step != "logged"
    events = [one.event for one in clinic.log("system")]
    assert (pinned(clinic.vault.parts) is not None, events.count("policy.pin")) == (stands, stands)
    assert len(clinic.sql("SELECT * FROM ledger WHERE kind = 'policy-pin'", file="keys.db")) == stands
    assert clinic.audit().verify().passed
