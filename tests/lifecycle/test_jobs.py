"""The jobs of the catalogue, each run over a vault; and the page that tells of them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from audit.anchor import FileAnchor
from audit.errors import AuditError
from audit.event import EventType
from audit.selection import latest_of
from lifecycle.catalogue import JOBS, catalogue
from lifecycle.running import Ran, Runner, RunOutcome
from policies.model import Purpose
from tests.conftest import REPOSITORY
from tests.simulators.clinic import AUDITOR, CLINIC, OFFICER, OWNER, Clinic, make_template
from tests.simulators.fakes import FrozenClock, fake_options
from vault.auditing import AuditView
from vault.errors import InputInvalidError, VaultError
from vault.hold_terms import Placing
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.model import Chat, Turn
from vault.opening import Vault
from vault.outside import Places


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """An open vault of two tenants."""
    opened = Clinic(template, tmp_path / "clinic")
    yield opened
    opened.close()


BY_NAME = {one.name: one for one in JOBS}


def run(vault: Vault, name: str) -> Ran:
    ran = Runner(vault.parts).run(BY_NAME[name], CLINIC)
    assert ran is not None
    return ran


@pytest.mark.parametrize("name", BY_NAME)
def test_every_job_runs_over_a_sound_vault_twice(vault: Vault, name: str, clock: FrozenClock) -> None:
    for _ in range(2):
        assert run(vault, name).outcome is RunOutcome.COMPLETE
        clock.advance(timedelta(hours=1))


def test_the_page_tells_of_every_job_as_the_catalogue_has_it() -> None:
    page = (REPOSITORY / "docs" / "jobs.md").read_text("utf-8")
    told = re.findall(r"^\| `([a-z-]+)` \| `([^`]+)` \| ([^|]+) \|", page, re.MULTILINE)
    assert [(name, term, about.strip()) for name, term, about in told] == [
        (one.name, one.term.text if one.term else "off", one.about) for one in JOBS
    ]


def test_terms_are_changed_by_name_and_nothing_else_is() -> None:
    changed = {one.name: one for one in catalogue({"anchor": "off", "consistency": "30 4 * * mon"})}
    assert changed["anchor"].term is None
    assert changed["consistency"].term is not None
    assert changed["consistency"].term.text == "30 4 * * mon"
    assert {name: one for name, one in changed.items() if name not in {"anchor", "consistency"}} == {
        name: one for name, one in BY_NAME.items() if name not in {"anchor", "consistency"}
    }
    assert catalogue() == JOBS
    for bad in ({"nosuch": "1h"}, {"anchor": "often"}):
        with pytest.raises(InputInvalidError):
            catalogue(bad)


def test_a_log_that_was_changed_beneath_an_open_vault_is_found_within_the_hour(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract(Chat((Turn("Maria", "The left knee hurts."),)), subject="maria")
    assert run(clinic.vault, "checkpoint").outcome is RunOutcome.COMPLETE
    ((head,),) = clinic.sql("SELECT size FROM audit_head WHERE tenant_id = ?", CLINIC)
    guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_head'"
    for (trigger,) in clinic.sql(guards):
        clinic.sql(f"DROP TRIGGER {trigger}")
    clinic.sql("UPDATE audit_head SET size = size - 2 WHERE tenant_id = ?", CLINIC)
    with pytest.raises((VaultError, AuditError)):
        run(clinic.vault, "checkpoint")  # not even the entry of the run can be written
    kept = clinic.sql("SELECT outcome, finished < started FROM job WHERE name = 'checkpoint'")
    assert kept == [("complete", 1)]
    assert clinic.sql("SELECT size FROM audit_head WHERE tenant_id = ?", CLINIC) == [(int(str(head)) - 2,)]


def test_the_checkpoint_job_signs_what_is_not_signed_yet(vault: Vault) -> None:
    vault.parts.journal.write([vault.parts.journal.event(EventType.VAULT_REPAIR, CLINIC, {})])
    assert run(vault, "checkpoint").counts["unsigned"] >= 1
    with vault.parts.store.log_connection(CLINIC) as connection:
        signed = vault.parts.log.latest_checkpoint(connection, CLINIC)
        size = vault.parts.log.head(connection, CLINIC).size
    assert signed is not None
    assert size - signed.checkpoint.size <= 1, "but for the entry of the run itself"


def test_an_anchor_that_was_cut_while_the_vault_is_open_is_found(template: Path, tmp_path: Path) -> None:
    file = tmp_path / "anchor"
    FileAnchor.create(file).close()
    options = replace(
        fake_options(clock=FrozenClock(step=timedelta(milliseconds=10))), outside=Places(anchor=file)
    )
    clinic = Clinic(template, tmp_path / "vault", options)
    try:
        assert run(clinic.vault, "anchor").counts["anchored"] > 0
        file.unlink()
        ran = run(clinic.vault, "anchor")
        assert (ran.outcome, ran.reason) == (RunOutcome.FAILED, "anchor-unusable")
    finally:
        clinic.close()


def test_a_hold_whose_review_is_due_is_named_until_somebody_reviews_it(
    vault: Vault, clock: FrozenClock
) -> None:
    placing = Placing(HoldScope.TENANT, HoldReason.LITIGATION, clock.now + timedelta(days=30))
    hold = Holds(vault.parts).place(OFFICER, placing).hold_id
    assert run(vault, "hold-review").counts == {"due": 0}
    clock.advance(timedelta(days=31))
    for _ in range(2):
        assert run(vault, "hold-review").counts == {"due": 1}
        with vault.parts.store.log_connection(CLINIC) as connection:
            (newest,) = latest_of(connection, CLINIC, EventType.JOB_RUN, holding="hold-review", limit=1)
        assert f'"holds":["{hold}"]' in str(newest.payload)
    Holds(vault.parts).review(OFFICER, hold, clock.now + timedelta(days=30))
    assert run(vault, "hold-review").counts == {"due": 0}
    assert AuditView(vault.parts).verify(AUDITOR, Purpose.AUDIT).passed


def test_without_an_anchor_the_job_says_that_nothing_is_anchored(vault: Vault) -> None:
    assert run(vault, "anchor").counts == {"anchored": 0}
