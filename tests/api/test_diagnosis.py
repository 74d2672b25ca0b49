"""What the doctor makes of figures: each bad one is named, none is called well."""

from dataclasses import replace

import pytest

from api.cli.diagnosis import Status, exit_of, judged_index, memories_of, store_of
from api.cli.shapes import CheckView, DoctorView
from audit.query.examine import Examined
from vault.administration import Health

WELL = Health(
    schema="rows_0001",
    schema_expected="rows_0001",
    pragmas=(("journal_mode", "wal"), ("synchronous", "2"), ("secure_delete", "1"), ("foreign_keys", "1")),
    damage=(),
    rows=10,
    indexed=10,
    unreadable=(),
    unreadable_count=0,
    vectors=10,
    backlog=0,
    failed=0,
    policy="sha256:00",
)


def _statuses(health: Health) -> dict[str, str]:
    return {check.check: check.status for check in (*store_of(health), *memories_of(health, ""))}


def test_a_well_vault_is_well() -> None:
    assert set(_statuses(WELL).values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "check", "status"),
    [
        ({"schema": "rows_0000"}, "schema", "failed"),
        ({"pragmas": (("journal_mode", "delete"),)}, "durability", "failed"),
        ({"pragmas": (("synchronous", "1"),)}, "durability", "failed"),
        ({"pragmas": (("secure_delete", "0"),)}, "durability", "failed"),
        ({"damage": ("page 3 is never used",)}, "store", "failed"),
        ({"indexed": 9}, "index", "failed"),
        ({"indexed": 11}, "index", "failed"),
        ({"indexed": 9, "index_stale": True}, "index", "warning"),
        ({"unreadable": ("mem_1",), "unreadable_count": 1, "indexed": 9}, "rows", "failed"),
        ({"misnamed": ("sub_1",), "misnamed_count": 1}, "subjects", "failed"),
        ({"vectors": 9}, "dense vectors", "warning"),
    ],
)
def test_each_bad_figure_is_named_and_no_other(change: dict[str, object], check: str, status: str) -> None:
    found = _statuses(replace(WELL, **change))  # type: ignore[arg-type]  # by name, as the table has them
    assert found.pop(check) == status
    assert set(found.values()) == {"ok"}


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ({"store": Status.OK}, 0),
        ({"store": Status.WARNING}, 0),
        ({"store": Status.UNCHECKED}, 9),
        ({"store": Status.FAILED, "log": Status.OK}, 1),
        ({"store": Status.FAILED, "log": Status.FAILED}, 1),
        ({"log": Status.FAILED}, 3),
        ({"log of bank": Status.FAILED, "store": Status.UNCHECKED}, 3),
    ],
)
def test_the_worst_finding_decides_the_exit_code(statuses: dict[str, Status], code: int) -> None:
    checks = [CheckView(check=check, status=status.value, detail="") for check, status in statuses.items()]
    healthy = not any(status in {Status.FAILED, Status.UNCHECKED} for status in statuses.values())
    assert exit_of(DoctorView(healthy=healthy, checks=checks)) == code


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (None, Status.OK, "none"),
        (Examined(2048, 0o600, 7, ""), Status.OK, "7 entries, 2 KiB"),
        (Examined(2048, 0o640, 7, ""), Status.FAILED, "0640"),
        (
            Examined(2048, 0o600, 7, "it does not say of entry 3 what the log does"),
            Status.FAILED,
            "delete it",
        ),
    ],
)
def test_the_index_of_the_logs_entries_is_judged(found: Examined | None, status: Status, said: str) -> None:
    judged, told = judged_index(found)
    assert judged is status
    assert said in told
