"""The job that seals rows anew: what is due, what is left, and what it leaves alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.catalogue import JOBS
from lifecycle.running import Ran, Runner, RunOutcome
from tests.simulators.clinic import CLINIC, OWNER, Clinic, make_template
from vault.crypto.key_record import KeyState

JOB = next(one for one in JOBS if one.name == "rekey")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    opened = Clinic(template, tmp_path / "clinic")
    opened.mem(OWNER).extract("Anna sleeps well", subject="anna")
    assert opened.vault.wait(20)
    yield opened
    opened.close()


def run(clinic: Clinic) -> Ran:
    ran = Runner(clinic.vault.parts).run(JOB, CLINIC)
    assert ran is not None
    return ran


def test_rows_under_older_keys_are_sealed_anew_once_and_no_key_is_destroyed(clinic: Clinic) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    anna = keys.subject_id("anna")
    keys.rotate(anna)
    first = run(clinic)
    assert first.outcome is RunOutcome.COMPLETE
    assert dict(first.counts) == {"memories": 1, "rows": 4, "unreadable": 0, "remaining": 0}
    told = [entry for entry in clinic.log() if entry.event == "key.reencrypt"]
    assert told[-1].payload["remaining"] == 0
    again = run(clinic)
    assert dict(again.counts) == {"memories": 0, "rows": 0, "unreadable": 0, "remaining": 0}
    assert len([entry for entry in clinic.log() if entry.event == "key.reencrypt"]) == len(told)
    assert [record.state for record in keys.records_of(anna)] == [KeyState.RETIRED, KeyState.ACTIVE]


def test_a_row_that_cannot_be_moved_is_counted_and_tried_again_the_next_time(clinic: Clinic) -> None:
    keys = clinic.vault.parts.keyring.tenant(CLINIC)
    keys.rotate(keys.subject_id("anna"))
    clinic.sql("UPDATE memory SET recorded = recorded + 1")
    assert (run(clinic).counts["unreadable"], run(clinic).counts["remaining"]) == (1, 1)
    clinic.sql("UPDATE memory SET recorded = recorded - 1")
    assert dict(run(clinic).counts) == {"memories": 1, "rows": 1, "unreadable": 0, "remaining": 0}
