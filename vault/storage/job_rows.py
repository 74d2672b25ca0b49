"""The `job` table: how far a job came for a tenant, when it is due, and whether it is paused.

Owns its statements. What runs when is `lifecycle.timetable`'s; what a run did stands in the log, and the last of it
here, too, so that a timetable need not read the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, select

from audit.canonical import canonical, parse_canonical
from audit.errors import MalformedError
from vault.errors import InputInvalidError
from vault.storage.schema import JOB

MAX_CURSOR: Final = 65_536
_LAST: Final = 253_402_300_800_000_000 - 1
"""The last microsecond of the year 9999."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job stands for a tenant."""

    paused: bool = False
    due: int = 0
    """When it runs next, in microseconds since 1970 UTC; 0: as soon as somebody looks."""
    cursor: str = ""
    started: int | None = None
    finished: int | None = None
    outcome: str | None = None
    """Of the last run that ended."""
    counts: Mapping[str, int] | None = None


def job_state(connection: Connection, tenant: str, name: str) -> JobState:
    """Return how a job stands; one that nobody touched yet is due."""
    row = connection.execute(select(JOB).where(_of(tenant, name))).first()
    if row is None:
        return JobState()
    return JobState(
        paused=bool(row.paused),
        due=_time(row.due) or 0,
        cursor=str(row.cursor),
        started=_time(row.started),
        finished=_time(row.finished),
        outcome=row.outcome if isinstance(row.outcome, str) else None,
        counts=_counts(row.counts),
    )


def set_job(connection: Connection, tenant: str, name: str, **values: object) -> None:
    """Set some columns of a job's row, which is made where there is none."""
    known = values.get("counts")
    if isinstance(known, Mapping):
        values["counts"] = canonical(dict(known))
    fresh = {"paused": 0, "due": 0, "cursor": "", "counts": "{}"}
    changed = connection.execute(JOB.update().where(_of(tenant, name)).values(values)).rowcount
    if not changed:
        connection.execute(JOB.insert(), {"tenant_id": tenant, "name": name, **fresh, **values})


def set_cursor(connection: Connection, tenant: str, name: str, cursor: str) -> None:
    """Keep where the next run goes on.

    Raises:
        InputInvalidError: it is longer than any cursor has to be.
    """
    if len(cursor) > MAX_CURSOR:
        raise InputInvalidError(f"expected a cursor of at most {MAX_CURSOR} characters, got {len(cursor)}")
    set_job(connection, tenant, name, cursor=cursor)


def _of(tenant: str, name: str) -> ColumnElement[bool]:
    return and_(JOB.c.tenant_id == tenant, JOB.c.name == name)


def _time(written: object) -> int | None:
    """Return a time that a clock can show; None for any other value: SQLite keeps whatever was put there."""
    return written if isinstance(written, int) and 0 <= written <= _LAST else None


def _counts(written: object) -> Mapping[str, int] | None:
    """Read counts back; None where the row does not hold what was written."""
    try:
        read = parse_canonical(written) if isinstance(written, str) else None
    except MalformedError:
        return None
    if not isinstance(read, Mapping):
        return None
    return {key: value for key, value in read.items() if isinstance(value, int)}
