"""What a log does whose rows somebody else wrote: it says so, and never fails on their types."""

# ruff: noqa: S608  # the statements are the tests' own

from datetime import timedelta

import pytest

from audit.errors import LogDamagedError
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.merkle import CompactRange
from audit.reader import verify_stored
from audit.replay import CLOCK_SKEW, Invariant
from audit.verify import Check, Report
from tests.simulators.small_deployment import LOG_KEY, POLICY, START, CountingSalts, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
JUNK = b"\x00\xff"


def verify(deployment: SmallDeployment) -> Report:
    return verify_stored(deployment.connection, deployment.key, now=deployment.now)


def check_head(deployment: SmallDeployment, tenant: str = A) -> None:
    deployment.log.check(deployment.connection, tenant)


@pytest.mark.parametrize("tenant", [A, SYSTEM_LOG])
def test_a_whole_log_agrees_with_its_last_checkpoint_also_when_it_grew_since(
    lived: SmallDeployment, tenant: str
) -> None:
    check_head(lived, tenant)
    lived.log.append(lived.connection, [draft(tenant=tenant)])
    check_head(lived, tenant)


def test_a_log_without_entries_or_checkpoints_is_whole(deployment: SmallDeployment) -> None:
    check_head(deployment)
    deployment.open_logs(A)
    check_head(deployment)


def test_a_log_shorter_than_its_last_checkpoint_is_damaged(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).truncate(A, 7)
    with pytest.raises(LogDamagedError, match="clinic-a at its last checkpoint: expected size 9"):
        check_head(lived)


def test_a_log_whose_signed_entries_were_rewritten_is_damaged(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter(A, 3, leaf_hash=bytes(32))
    with pytest.raises(LogDamagedError, match="clinic-a at its last checkpoint"):
        check_head(lived)


def test_a_leaf_hash_of_another_type_is_damage(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql(
        f"UPDATE audit_leaf SET leaf_hash = '{'x' * 32}' WHERE tenant_id = '{A}' AND leaf_index = 3"
    )
    with pytest.raises(LogDamagedError):
        check_head(lived)


def test_a_head_that_is_not_the_edge_of_its_entries_is_damaged(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).set_head(A, CompactRange(8, (bytes(32),)))
    with pytest.raises(LogDamagedError, match="head of log clinic-a: expected size 9"):
        check_head(lived)


def test_a_log_whose_head_is_gone_takes_no_entry(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql(f"DELETE FROM audit_head WHERE tenant_id = '{A}'")
    with pytest.raises(LogDamagedError, match="as there are entries"):
        lived.log.append(lived.connection, [draft()])
    with pytest.raises(LogDamagedError, match="head of log clinic-a"):
        check_head(lived)


@pytest.mark.parametrize("column", ["size", "nodes"])
def test_a_head_of_another_type_is_damage_and_a_finding(lived: SmallDeployment, column: str) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    lived.connection.exec_driver_sql(f"UPDATE audit_head SET {column} = 'junk' WHERE tenant_id = '{A}'")
    with pytest.raises(LogDamagedError, match="expected a right edge"):
        lived.log.head(lived.connection, A)
    assert Check.HEAD in {finding.check for finding in verify(lived).findings}


@pytest.mark.parametrize(
    ("column", "check"),
    [
        ("header", Check.HEADER),
        ("salt", Check.COMMITMENT),
        ("payload", Check.COMMITMENT),
        ("leaf_hash", Check.LEAF_HASH),
        ("event", Check.COLUMNS),
        ("time_us", Check.COLUMNS),
    ],
)
def test_a_column_of_another_type_is_a_finding_and_no_failure(
    lived: SmallDeployment, column: str, check: Check
) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    value = "'junk'" if column in {"salt", "leaf_hash"} else "x'00ff'"
    lived.connection.exec_driver_sql(
        f"UPDATE audit_leaf SET {column} = {value} WHERE tenant_id = '{A}' AND leaf_index = 3"
    )
    assert check in {finding.check for finding in verify(lived).findings}


def test_a_checkpoint_of_another_type_is_damage_and_a_finding(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql(f"UPDATE audit_checkpoint SET note = x'00ff' WHERE tenant_id = '{A}'")
    with pytest.raises(LogDamagedError, match="expected a note"):
        lived.log.latest_checkpoint(lived.connection, A)
    assert Check.CHECKPOINT_NOTE in {finding.check for finding in verify(lived).findings}


def test_a_clock_that_was_set_is_a_warning_and_no_finding(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)
    for ahead in (timedelta(days=400), timedelta(0), timedelta(seconds=1)):
        deployment.log.append(deployment.connection, [draft(time=START + ahead)])
    deployment.sign()
    report = verify_stored(deployment.connection, deployment.key, now=START + timedelta(seconds=2))
    report.require()
    assert report.passed
    found = [(warning.log, warning.index, warning.check) for warning in report.warnings]
    assert found == [(A, 1, Invariant.TIME_PAST), (A, 2, Invariant.TIME_ORDER)], "one for each step"
    assert report.more_warnings == 0


def test_a_small_step_of_the_clock_is_not_even_a_warning(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)
    deployment.log.append(deployment.connection, [draft(time=START - CLOCK_SKEW)])
    deployment.sign()
    assert verify(deployment).warnings == ()


def test_a_log_may_be_unsigned_only_where_no_checkpoint_of_it_was_recorded(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection)
    lived.connection.exec_driver_sql(f"DELETE FROM audit_checkpoint WHERE tenant_id IN ('{A}', 'system')")
    report = verify_stored(lived.connection, lived.key, unsigned_allowed=True)
    assert {finding.log for finding in report.findings if finding.check == Check.SIGNED} == {A, SYSTEM_LOG}


def test_a_log_signed_with_another_key_says_so_before_anything_is_appended(lived: SmallDeployment) -> None:
    other = type(LOG_KEY).for_deployment("ward-1", bytes(32))
    stranger = AuditLog(other, salt_source=CountingSalts(), clock=lambda: START)
    assert stranger.origin(A) == lived.log.origin(A)
    with pytest.raises(Exception, match="signature"):
        stranger.checkpoint(lived.connection, A, policy=POLICY)
