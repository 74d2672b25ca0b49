"""Credentials are compared with the entries that made and revoked them: what was revoked stays away."""

import pytest

from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, Clinic
from vault.administration import Administration
from vault.credentials import Credential, Credentials
from vault.row_check import ROW_CREDENTIAL, ROW_PRESENT


@pytest.fixture
def made(clinic: Clinic) -> str:
    """The id of a credential that stands."""
    credentials = Credentials(clinic.vault.parts)
    credential = Credential(credentials.reserve_id(), ADMINISTRATOR, b"v" * 64)
    credentials.add(credential)
    return credential.id


def found(clinic: Clinic) -> set[tuple[str, bool]]:
    report = clinic.audit().verify()
    assert report.log.passed
    return {(finding.check, finding.index is not None) for finding in report.row_findings}


def rows(clinic: Clinic) -> list[tuple[object, ...]]:
    return clinic.sql("SELECT * FROM credential")


def put(clinic: Clinic, row: tuple[object, ...]) -> None:
    clinic.sql(f"INSERT INTO credential VALUES ({', '.join('?' * len(row))})", *row)  # noqa: S608 - marks alone


def revoke(clinic: Clinic, credential_id: str) -> None:
    Administration(clinic.vault.parts).revoke(ADMINISTRATOR, Purpose.OPERATIONS, credential_id)


def test_credentials_that_were_made_and_revoked_are_no_finding(clinic: Clinic, made: str) -> None:
    assert found(clinic) == set()
    revoke(clinic, made)
    assert found(clinic) == set()


def test_a_revoked_credential_that_is_put_back_is_found(clinic: Clinic, made: str) -> None:
    (row,) = rows(clinic)
    revoke(clinic, made)
    put(clinic, row)
    assert Credentials(clinic.vault.parts).find(made) is not None, "its seal holds: only the log tells"
    assert found(clinic) == {(ROW_CREDENTIAL, True)}


def test_a_credential_without_an_entry_is_found(clinic: Clinic, made: str) -> None:
    (row,) = rows(clinic)
    put(clinic, tuple("crd_zzzzzzzzzzzz" if value == made else value for value in row))
    assert found(clinic) == {(ROW_CREDENTIAL, False)}


def test_a_credential_that_is_gone_without_an_entry_is_found(clinic: Clinic, made: str) -> None:
    assert made
    clinic.sql("DELETE FROM credential")
    assert found(clinic) == {(ROW_PRESENT, True)}
