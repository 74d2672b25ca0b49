"""Rows of runs: how a run stands, what its steps left for those after them, and what they did.

Threat: whoever can write to the database, and has no key, puts another memory's id where a step that is to come takes
one: the caller's own run would then open, change or promote it. So what steps left is sealed with its place, by
HMAC-SHA256 under a key of the tenant, and checked whenever it is read.

Owns the statements. Who may see a run is `vault.engineered.view`'s, who may go on with it `vault.engineered.executor`'s; whatever stands here is ids, numbers
and fixed words, and goes when the run ends (`finish`) or a memory that it names is removed (`forget`).
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select, update

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import MalformedError
from vault.errors import ConflictError, LeaseLostError, NotFoundError, TamperedError
from vault.storage.schema import RUN, RUN_EFFECT, RUN_STEP

MAX_LISTED: Final = 200
_DOMAIN: Final = "memos-vault/run/1"
_NO_STEP: Final = "the row of a run's step is not what was written"


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    """Somebody is at it, or was when the process ended."""
    DONE = "done"
    FAILED = "failed"
    """A step failed; it can go on from there."""
    VOID = "void"
    """A memory that it had to do with was removed: nobody goes on with it."""


class StepState(StrEnum):
    """How a step ended."""

    DONE = "done"
    REFUSED = "refused"
    """Not allowed, not within the run's capability, or not fit for the contract: nothing was done."""
    FAILED = "failed"
    TIMED_OUT = "timed-out"


@dataclass(slots=True)
class RunPlace:
    """Whose run it is, and the token under which it is written to."""

    tenant: str
    run_id: str
    token: int
    key: bytes | None = field(default=None, repr=False)
    """Of the tenant's seals; None: nothing of what its steps left is read or written."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it stands."""

    run_id: str
    principal: str
    name: str
    version: int
    definition: str
    inputs: str
    purpose: str
    state: RunState
    token: int
    started: int
    finished: int | None


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step that ended."""

    step: str
    operator: str
    state: StepState
    reason: str | None
    took: int
    """Microseconds."""
    kept: Mapping[str, JsonValue] | None
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a step did."""

    told: Mapping[str, JsonValue]
    leaf_index: int


def run_row(run: StoredRun, tenant: str) -> tuple[Table, dict[str, object]]:
    """Return the row of a new run, for a write set whose first entry tells of it."""
    return RUN, {
        "tenant_id": tenant,
        "run_id": run.run_id,
        "principal_id": run.principal,
        "name": run.name,
        "version": run.version,
        "definition": run.definition,
        "inputs": run.inputs,
        "purpose": run.purpose,
        "state": run.state.value,
        "token": run.token,
        "started": run.started,
        "finished": run.finished,
        "leaf_index": -1,
    }


def expect_running(connection: Connection, place: RunPlace, token: int) -> None:
    """See in the caller's transaction that a run is still this one's to write to.

    Raises:
        LeaseLostError: it ended, was given up, or somebody else went on with it.
    """
    query = select(RUN.c.token).where(_this(RUN, place), RUN.c.state == RunState.RUNNING.value)
    if connection.execute(query).scalar() != token:
        raise LeaseLostError("the run is not this one's any more: nothing was written")


def change_run(
    connection: Connection, place: RunPlace, token: int, state: RunState, **values: object
) -> None:
    """Set how a run stands, where its token is this one; the next is one higher.

    Raises:
        LeaseLostError: it is another.
    """
    statement = update(RUN).where(_this(RUN, place), RUN.c.token == token)
    changed = connection.execute(statement.values(state=state.value, token=token + 1, **values))
    if changed.rowcount != 1:
        raise LeaseLostError("the run is not this one's any more: nothing was written")


def finish(connection: Connection, place: RunPlace) -> None:
    """Drop what only a run that goes on needs."""
    connection.execute(update(RUN).where(_this(RUN, place)).values(inputs=""))
    connection.execute(update(RUN_STEP).where(_this(RUN_STEP, place)).values(kept=None))
    connection.execute(RUN_EFFECT.delete().where(_this(RUN_EFFECT, place)))


def put_step(connection: Connection, place: RunPlace, step: StoredStep) -> None:
    """Write how a step ended; one that had failed before is replaced, one that was done is not.

    Raises:
        IntegrityError: it was done before.
    """
    known = and_(_this(RUN_STEP, place), RUN_STEP.c.step_id == step.step)
    connection.execute(RUN_STEP.delete().where(known, RUN_STEP.c.state != StepState.DONE.value))
    row = {
        "tenant_id": place.tenant,
        "run_id": place.run_id,
        "step_id": step.step,
        "operator": step.operator,
        "state": step.state.value,
        "reason": step.reason,
        "took": step.took,
        "kept": None if step.kept is None else _closed(place, _step_words(step), step.kept),
        "leaf_index": step.leaf_index,
    }
    connection.execute(RUN_STEP.insert(), [row])


def add_effect(connection: Connection, place: RunPlace, step: str, call: int, effect: Effect) -> None:
    """Write that a step did something; call it in the transaction that does it.

    Raises:
        IntegrityError: it was done before.
    """
    row = {
        "tenant_id": place.tenant,
        "run_id": place.run_id,
        "step_id": step,
        "call": call,
        "told": _closed(place, _effect_words(step, call), effect.told),
        "leaf_index": effect.leaf_index,
    }
    connection.execute(RUN_EFFECT.insert(), [row])


def stored_run(connection: Connection, tenant: str, run_id: str, principal: str) -> StoredRun:
    """Return a principal's run.

    Raises:
        NotFoundError: there is none of this id; of another's it says the same.
    """
    query = select(RUN).where(
        RUN.c.tenant_id == tenant, RUN.c.run_id == run_id, RUN.c.principal_id == principal
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFoundError("there is no such run here")
    return _run(row)


def stored_runs(connection: Connection, tenant: str, principal: str, limit: int) -> list[StoredRun]:
    """Return a principal's runs, newest first."""
    query = select(RUN).where(RUN.c.tenant_id == tenant, RUN.c.principal_id == principal)
    return [_run(row) for row in connection.execute(query.order_by(RUN.c.run_id.desc()).limit(limit))]


def stored_steps(connection: Connection, place: RunPlace) -> dict[str, StoredStep]:
    """Return the steps of a run that ended, in the order in which they did."""
    query = select(RUN_STEP).where(_this(RUN_STEP, place)).order_by(RUN_STEP.c.leaf_index)
    return {row.step_id: _step(place, row) for row in connection.execute(query)}


def effects_of(connection: Connection, place: RunPlace, step: str) -> dict[int, Effect]:
    """Return what a step did, by the number of its call."""
    query = select(RUN_EFFECT).where(_this(RUN_EFFECT, place), RUN_EFFECT.c.step_id == step)
    return {
        row.call: Effect(_opened(place, _effect_words(step, row.call), row.told), row.leaf_index)
        for row in connection.execute(query)
    }


def forget(connection: Connection, tenant: str, memory_ids: Sequence[str]) -> None:
    """Void the runs that have to do with memories that are removed, in the caller's transaction."""
    unfinished = RUN.c.state.in_([RunState.RUNNING.value, RunState.FAILED.value])
    runs = connection.execute(select(RUN.c.run_id).where(RUN.c.tenant_id == tenant, unfinished)).scalars()
    for run_id in list(runs):
        place = RunPlace(tenant, run_id, 0)
        kept = connection.execute(select(RUN_STEP.c.kept).where(_this(RUN_STEP, place))).scalars()
        told = connection.execute(select(RUN_EFFECT.c.told).where(_this(RUN_EFFECT, place))).scalars()
        texts = [text for text in (*kept, *told) if text]
        if any(memory_id in text for memory_id in memory_ids for text in texts):
            void = {"state": RunState.VOID.value, "token": RUN.c.token + 1}
            connection.execute(update(RUN).where(_this(RUN, place)).values(void))
            finish(connection, place)


def _this(table: Table, place: RunPlace) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == place.tenant, table.c.run_id == place.run_id)


def _run(row: Row[tuple[object, ...]]) -> StoredRun:
    try:
        state = RunState(row.state)
    except ValueError:
        raise TamperedError("the row of a run is not of the form of one") from None
    return StoredRun(
        run_id=row.run_id,
        principal=row.principal_id,
        name=row.name,
        version=row.version,
        definition=row.definition,
        inputs=row.inputs,
        purpose=row.purpose,
        state=state,
        token=row.token,
        started=row.started,
        finished=row.finished,
    )


def _step(place: RunPlace, row: Row[tuple[object, ...]]) -> StoredStep:
    try:
        state = StepState(row.state)
    except ValueError:
        raise TamperedError(_NO_STEP) from None
    step = StoredStep(row.step_id, row.operator, state, row.reason, row.took, None, row.leaf_index)
    if row.kept is None:
        return step
    return replace(step, kept=_opened(place, _step_words(step), row.kept))


def _step_words(step: StoredStep) -> tuple[str, ...]:
    return "step", step.step, step.operator, step.state.value


def _effect_words(step: str, call: int) -> tuple[str, ...]:
    return "effect", step, str(call)


def _closed(place: RunPlace, words: tuple[str, ...], value: Mapping[str, JsonValue]) -> str:
    """Return what a row holds: a value, and the seal over it and its place."""
    return canonical({"value": value, "seal": _seal(place, words, value)})


def _opened(place: RunPlace, words: tuple[str, ...], text: object) -> Mapping[str, JsonValue]:
    """Return a row's value.

    Raises:
        TamperedError: it is not what was written there.
    """
    try:
        row = parse_canonical(str(text))
    except MalformedError:
        row = None
    value, seal = (row.get("value"), row.get("seal")) if isinstance(row, Mapping) else (None, None)
    if not isinstance(value, Mapping) or not isinstance(seal, str):
        raise TamperedError(_NO_STEP)
    if not hmac.compare_digest(seal.encode(), _seal(place, words, value).encode()):
        raise TamperedError(_NO_STEP)
    return value


def _seal(place: RunPlace, words: tuple[str, ...], value: Mapping[str, JsonValue]) -> str:
    if place.key is None:
        raise ConflictError("expected the key of the tenant's seals")
    sealed = canonical([_DOMAIN, place.tenant, place.run_id, *words, value])
    return hmac.digest(place.key, sealed.encode(), "sha256").hex()
