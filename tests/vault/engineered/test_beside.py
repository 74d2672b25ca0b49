"""Runs beside everything else: many at once, denials of what they call, restores."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from policies.bundle import SHIPPED, Bundle
from policies.errors import DeniedError
from policies.model import Action, Purpose
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, OWNER, Clinic
from tests.simulators.fakes import fake_options
from tests.simulators.operators import Twice, badly
from tests.vault.engineered.test_running import TWO_STEPS, sample
from vault.errors import ConflictError, StepFailedError
from vault.model import EdgeKind
from vault.opening import Vault
from vault.restoring import restore_snapshot
from vault.snapshots import Snapshots


def test_many_run_at_once_and_each_does_its_own(clinic: Clinic) -> None:
    patients = [f"patient {letter}" for letter in "abcdefgh"]

    def run(patient: str) -> int:
        given = {**sample("clinical-notes"), "patient": patient, "note": f"The knee of {patient} hurts."}
        report = clinic.mem(OWNER).run_pipeline("clinical-notes", given)
        handover = str(report.outputs["handover"])
        assert f"The knee of {patient} hurts." in handover
        assert handover.count("<memory ") == 1
        return len(report.steps)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, patients)) == [7] * len(patients)
    assert clinic.count("memory") == len(patients)
    assert clinic.count("run", "state = 'done'") == len(patients)
    assert clinic.count("run_effect") == 0
    assert clinic.audit().verify().passed


def test_who_may_not_is_denied_and_the_denial_is_an_entry(clinic: Clinic) -> None:
    one, two = (clinic.mem(OWNER).extract(text, subject="anna").memory_ids[0] for text in ("one", "two"))
    nobody = clinic.mem(AUDITOR)
    for call, action in (
        (lambda: nobody.link(one, EdgeKind.SUPPORTS, [two]), Action.ORGANIZE),
        (lambda: nobody.own([one]), Action.READ),
        (lambda: nobody.screen("the knee hurts"), Action.WRITE),
    ):
        with pytest.raises(DeniedError):
            call()
        entry = clinic.last()
        assert (entry.decision, entry.principal) == ("denied", AUDITOR.id)
        assert entry.asked is not None
        assert f":{action}:" in entry.asked
    assert clinic.count("edge") == 0


def test_what_the_privacy_rules_refuse_stops_a_run_before_anything_is_kept(
    template: Path, tmp_path: Path
) -> None:
    files = dict(Bundle.raw(SHIPPED))
    rules = files["privacy.yaml"].decode()
    strict = rules.replace("SECRET:         {action: redact", "SECRET:         {action: refuse")
    assert strict != rules
    bundle = Bundle({**files, "privacy.yaml": strict.encode()})
    clinic = Clinic(template, tmp_path / "strict", replace(fake_options(), bundle=bundle))
    try:
        before = clinic.state()
        memory = clinic.mem(OWNER, Purpose.RESEARCH)
        assert memory.screen("the key is sk-abcdefgh12345678").refused
        given = {**sample("research"), "source": "the key is sk-abcdefgh12345678"}
        with pytest.raises(StepFailedError, match="failed: contract"):
            memory.run_pipeline("research", given)
        assert clinic.state() == before
    finally:
        clinic.close()


def failed(clinic: Clinic, twice: Twice) -> str:
    """Return a run that failed in the midst of its second step."""
    with pytest.raises(StepFailedError) as caught:
        clinic.mem(OWNER).run_pipeline(TWO_STEPS, {"note": "the knee"}, catalogue=badly(twice))
    return caught.value.run


def test_a_run_whose_memories_a_restore_took_does_not_go_on(clinic: Clinic, tmp_path: Path) -> None:
    twice = Twice()
    clinic.mem(OWNER).extract("what was there before", subject="anna")
    assert clinic.vault.wait(20)
    folder = Snapshots(clinic.vault.parts).create(ADMINISTRATOR, tmp_path / "backup").folder.path
    run = failed(clinic, twice)
    clinic.vault.close()
    restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    clinic.vault = Vault.open(clinic.path, options=clinic.options)
    assert clinic.count("memory") == 1
    twice.broken = False
    with pytest.raises(ConflictError, match="the run is void"):
        clinic.mem(OWNER).resume_pipeline(run, TWO_STEPS, {"note": "the knee"}, catalogue=badly(twice))
    assert clinic.count("run_effect") == 0
    assert clinic.audit().verify().passed


def test_a_run_that_failed_goes_on_after_the_vault_was_opened_anew(clinic: Clinic) -> None:
    twice = Twice()
    run = failed(clinic, twice)
    clinic.reopen()
    twice.broken = False
    report = clinic.mem(OWNER).resume_pipeline(run, TWO_STEPS, {"note": "the knee"}, catalogue=badly(twice))
    assert report.run == run
    assert clinic.count("memory") == 3
    assert clinic.audit().verify().passed
