"""What leaves a vault as evidence: decided, recorded, signed, and of the caller's own log alone."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from audit.checkpoint import parse_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.event import EventType
from audit.note import parse_note
from audit.proof import parse_proof, verify_proof
from audit.trust import Trust
from audit.verify_bundle import BundleReport, verify_bundle
from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, BANK_AUDITOR, CLINIC, CLINICIAN, OWNER, Clinic
from vault.assurance import Assurance
from vault.errors import InputInvalidError, NotFoundError, OverloadedError
from vault.log_exports import ExportTerms, LogExports
from vault.memos import MemOS
from vault.payload_erasure import ErasureReason, PayloadErasure

WITNESS = WitnessSignerKey("witness.example/w1", bytes([7]) * 32)


def auditor(clinic: Clinic) -> MemOS:
    return clinic.mem(AUDITOR, Purpose.AUDIT)


def verified(clinic: Clinic, content: bytes, *witnesses: WitnessSignerKey) -> BundleReport:
    keys = (clinic.vault.parts.verifier_key,)
    trust = Trust(keys, tuple(one.verifier for one in witnesses), len(witnesses))
    return verify_bundle(io.BytesIO(content), trust)


def exported(clinic: Clinic, terms: ExportTerms | None = None) -> bytes:
    file = io.BytesIO()
    auditor(clinic).export(file, terms)
    return file.getvalue()


def test_an_export_holds_the_callers_log_and_no_other(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("I met Anna.")
    found = verified(clinic, exported(clinic))
    found.report.require()
    assert [log.tenant for log in found.report.logs] == [CLINIC]
    assert b"bank" not in exported(clinic)
    file = io.BytesIO()
    clinic.mem(BANK_AUDITOR, Purpose.AUDIT).export(file)
    assert [log.tenant for log in verified(clinic, file.getvalue()).report.logs] == ["bank"]


def test_an_export_names_the_entry_that_recorded_it(clinic: Clinic) -> None:
    found = verified(clinic, exported(clinic))
    told = found.manifest.exported
    assert told is not None
    entry = clinic.log(CLINIC)[told.entry]
    assert (entry.event, entry.principal, entry.purpose) == ("audit.export", "auditor-a", "audit")
    assert (told.by, told.purpose) == ("auditor-a", "audit")
    assert entry.payload == {"export": True, "first": 0, "format": "memos-vault-audit/2"}


def test_who_may_not_read_the_log_exports_and_proves_nothing(clinic: Clinic) -> None:
    file = io.BytesIO()
    with pytest.raises(DeniedError):
        clinic.mem(CLINICIAN, Purpose.TREATMENT).export(file)
    with pytest.raises(DeniedError):
        clinic.mem(CLINICIAN, Purpose.TREATMENT).prove_entry(0)
    assert file.getvalue() == b""
    assert [entry.decision for entry in clinic.log(CLINIC)[-2:]] == ["denied", "denied"]


@pytest.mark.parametrize(("first", "stop"), [(-1, None), (0, 0), (5, 5), (10**6, None)])
def test_a_range_that_is_none_is_refused(first: int, stop: int | None, clinic: Clinic) -> None:
    file = io.BytesIO()
    with pytest.raises(InputInvalidError):
        auditor(clinic).export(file, ExportTerms(first, stop))
    assert file.getvalue() == b""


def test_a_range_is_of_whole_tiles_and_verifies(clinic: Clinic) -> None:
    journal, parts = clinic.vault.parts.journal, clinic.vault.parts
    journal.write([journal.event(EventType.VAULT_READ, CLINIC, {"nth": nth}) for nth in range(600)])
    file = io.BytesIO()
    told = auditor(clinic).export(file, ExportTerms(300, 301))
    assert (told.first, told.stop, told.entries) == (256, 512, 256)
    found = verified(clinic, file.getvalue())
    found.report.require()
    (log,) = found.report.logs
    with parts.store.log_connection(CLINIC) as connection:
        assert log.size == told.size == parts.log.head(connection, CLINIC).size
    assert log.signed_size == log.size


def test_a_range_shows_who_erased_payloads_in_it(clinic: Clinic) -> None:
    index = clinic.mem(OWNER).extract("I met Anna.").leaf_index
    journal = clinic.vault.parts.journal
    journal.write([journal.event(EventType.VAULT_READ, CLINIC, {"nth": nth}) for nth in range(600)])
    erasure = PayloadErasure(clinic.vault.parts)
    erasure.erase(ADMINISTRATOR, Purpose.OPERATIONS, [index], ErasureReason.RETENTION)
    before, behind = ExportTerms(0, 256), ExportTerms(256)
    found = verified(clinic, exported(clinic, before))
    found.report.require()
    (log,) = found.report.logs
    assert (log.erased, log.unproven, log.beside) == (1, 0, 1)
    found = verified(clinic, exported(clinic, behind))
    assert found.report.logs[0].beside == 0, "the eraser stands in it, and what it erased does not"
    found = verified(clinic, exported(clinic, replace(before, payloads=False)))
    found.report.require()
    assert found.report.logs[0].beside == 0


def test_every_entry_can_be_proved_and_no_other(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("I met Anna.")
    trust = Trust((clinic.vault.parts.verifier_key,))
    size = len(clinic.log(CLINIC))
    for index in range(size):
        proof = parse_proof(auditor(clinic).prove_entry(index).encode())
        proven = verify_proof(proof, trust)
        assert (proven.index, str(proven.header.event)) == (index, clinic.log(CLINIC)[index].event)
        entry = clinic.log(CLINIC)[index]
        assert proven.payload == {**entry.payload, **({} if entry.asked is None else {"asked": entry.asked})}
    for index in (-1, 10**6):
        with pytest.raises(NotFoundError):
            auditor(clinic).prove_entry(index)
    assert [entry.event for entry in clinic.log(CLINIC)[size:]] == ["audit.export"] * size


def test_a_checkpoint_that_witnesses_signed_is_preferred_for_a_proof(clinic: Clinic) -> None:
    parts = clinic.vault.parts
    auditor(clinic).checkpoint()
    with parts.store.log_connection(CLINIC) as connection:
        note = parts.log.checkpoints(connection, CLINIC)[-1]
    text = parse_note(note).text
    size = parse_checkpoint(text).size
    clinic.sql(
        "INSERT INTO audit_cosignature VALUES (?, ?, ?, ?, 0)",
        CLINIC,
        size,
        WITNESS.name,
        str(WITNESS.cosign(text, 1_700_000_000)),
    )
    trust = Trust((parts.verifier_key,), (WITNESS.verifier,), 1)
    proven = verify_proof(auditor(clinic).prove_entry(0), trust)
    assert (proven.checkpoint.size, proven.witnesses) == (size, (WITNESS.name,))
    later = auditor(clinic).prove_entry(size)
    assert verify_proof(later, Trust((parts.verifier_key,))).checkpoint.size > size
    bundle = exported(clinic)
    found = verified(clinic, bundle, WITNESS)
    assert {str(one.check) for one in found.report.findings} == {"cosignatures required"}
    (log,) = found.report.logs
    assert log.cosigned_size == size
    trust = Trust((parts.verifier_key,), (WITNESS.verifier,), 1, log.size - size)
    verify_bundle(io.BytesIO(bundle), trust).report.require()


@pytest.mark.parametrize("answers", [True, False])
def test_an_export_waits_for_its_witnesses_and_no_longer(
    *, answers: bool, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = clinic.vault.parts

    def cosign(_: Assurance) -> None:
        with parts.store.log_connection(CLINIC) as connection:
            text = parse_note(parts.log.checkpoints(connection, CLINIC)[-1]).text
        row = (CLINIC, parse_checkpoint(text).size, WITNESS.name, str(WITNESS.cosign(text, 1_700_000_000)))
        clinic.sql("INSERT INTO audit_cosignature VALUES (?, ?, ?, ?, 0)", *row)

    rules = SimpleNamespace(required=0, witnesses=(str(WITNESS.verifier),))
    with monkeypatch.context() as patched:
        patched.setattr(Assurance, "rules", property(lambda _: rules))
        patched.setattr(Assurance, "publish", cosign if answers else lambda _: None)
        file = io.BytesIO()
        told = auditor(clinic).export(file, ExportTerms(wait=0.15))
    assert (told.awaited, told.cosigned) == (1, int(answers))
    found = verified(clinic, file.getvalue(), WITNESS)
    assert found.report.passed == answers
    assert found.report.logs[0].cosigned_size == (told.size if answers else 0)


def test_an_erasure_while_the_log_is_exported_refuses_the_export_and_never_makes_evidence_that_fails(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = clinic.mem(OWNER).extract("I met Anna.").leaf_index
    job, real = PayloadErasure(clinic.vault.parts), LogExports._await_witnesses

    def erase_meanwhile(exports: LogExports, tenant: str, size: int, seconds: float) -> tuple[int, int]:
        job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [index], ErasureReason.RETENTION)
        return real(exports, tenant, size, seconds)

    file = io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr(LogExports, "_await_witnesses", erase_meanwhile)
        with pytest.raises(OverloadedError, match="export it again"):
            auditor(clinic).export(file)
    assert file.getvalue() == b""
    found = verified(clinic, exported(clinic))
    found.report.require()
    assert found.report.logs[0].erased == 1


def test_a_damaged_log_is_exported_as_it_is_and_not_signed(clinic: Clinic) -> None:
    clinic.mem(OWNER).extract("I met Anna.")
    auditor(clinic).checkpoint()
    before = clinic.count("audit_checkpoint")
    clinic.sql("DROP TRIGGER audit_leaf_erase")
    clinic.sql("UPDATE audit_leaf SET payload = '{}' WHERE tenant_id = ? AND leaf_index = 1", CLINIC)
    found = verified(clinic, exported(clinic))
    assert "payload commitment" in {str(one.check) for one in found.report.findings}
    assert clinic.count("audit_checkpoint") == before
