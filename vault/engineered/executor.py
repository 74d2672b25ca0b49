"""The one executor: runs an operator for a run, within its contract, its capability and its time, and logs the step.

    executor = Executor(parts, memory, built_in())
    run = executor.begin(RunTerms("triage", 1, definition, Purpose.TREATMENT, capability, actions))
    result = executor.run(OperatorCall("found", "retrieve/1", {"query": "knee", "k": 3}), run)
    executor.end(run, RunState.DONE)

Pipelines call it (`vault.engineered.runner`), and nothing else runs an operator: whoever is to call operators in another
way calls it, too, and has the same guarantees. One call goes in seven lines:

1. Find the operator; it is in the run's capability, and not destructive unless that was granted.
2. Read the arguments by its input contract.
3. Check what must hold before.
4. Run it in a thread of its own, with the run's principal and purpose, until its time is over.
5. Read what it returned by its output contract; check what must hold afterwards, and that what is kept has no content.
6. Write how it ended: the step's row and its entry, in one transaction.
7. Return the result.

A thread cannot be killed. One that outlasts its time is given up: what it returns is dropped, its next call to the
facade is refused, and a write of its that is under way is refused where it would commit. It keeps its memory and, if
it computes, its share of a core until it returns or the process ends; `vault.engineered.working` bears a few of these.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Purpose
from vault.clock import microseconds, monotonic
from vault.engineered.marks import StepMark
from vault.engineered.stepping import StepMemory, View
from vault.engineered.working import REFUSALS, Ended, RefusedError, reason_of, work_in_time
from vault.errors import (
    ConflictError,
    ContractError,
)
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.ids import IdKind, check_vault_id, new_id
from vault.journal import Call
from vault.operators.catalogue import Catalogue
from vault.parts import Parts
from vault.pipeline.contracts import AnyOperator, Capability, Contract, Scope, validated
from vault.storage.group_commit import WriteSet
from vault.storage.run_rows import (
    RunPlace,
    RunState,
    StepState,
    StoredRun,
    StoredStep,
    change_run,
    effects_of,
    expect_running,
    finish,
    put_step,
    run_row,
    stored_run,
    stored_steps,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.memos import MemOS

DEFAULT_SECONDS: Final = 60.0
MAX_SECONDS: Final = 3_600.0
_STEP: Final = re.compile(r"[a-z][a-z0-9]{0,23}(?:-[a-z0-9]{1,24}){0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a run is of, and what it may do."""

    name: str
    """Of the pipeline: lower-case words joined by `-`."""
    version: int
    definition: str
    """Digest of what was declared: `sha256:` and 64 hex digits."""
    purpose: Purpose
    capability: Capability
    needs: frozenset[Action]
    """Actions without which nothing of it is begun."""
    inputs: str = ""
    """Keyed digest of what it is given: whoever goes on with it must give the same."""
    event: EventType = EventType.PIPELINE_RUN
    """Of the entries that tell of the run itself."""
    steps: int = 0
    """How many there will be, where that is known."""


@dataclass(slots=True)
class Run:
    """A run that is under way."""

    place: RunPlace
    grant: Grant
    """For the entries that tell of it; the operators' calls have grants of their own."""
    terms: RunTerms
    done: Mapping[str, StoredStep] = field(default_factory=dict)
    """Steps that were done before, where it goes on."""

    @property
    def id(self) -> str:
        """Vault id."""
        return self.place.run_id


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """One call of an operator."""

    step: str
    """Name of the step, once in a run: lower-case letters and digits, joined by `-`."""
    operator: str
    """`name/version`, or `name` for the newest."""
    arguments: Mapping[str, object] = field(repr=False)
    seconds: float = DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step ended."""

    step: str
    operator: str | None
    """`name/version`; None where there is no such operator."""
    state: StepState
    reason: str
    """A fixed word; empty where it was done."""
    output: Contract | None = field(repr=False)
    """With what is shown; None unless it was done."""
    kept: Mapping[str, JsonValue]
    took: int
    """Microseconds."""
    leaf_index: int
    """Of the step's entry."""
    error: Exception | None = field(repr=False, default=None)
    """Of the vault or the policies; never an operator's own, whose message may hold anything."""


class Executor:
    """Runs operators for one principal.

    Args:
        parts: Of the vault.
        memory: The principal's facade.
        catalogue: What may be called.
        ticks: Seconds that never go back, for timings.
    """

    def __init__(
        self,
        parts: Parts,
        memory: "MemOS",
        catalogue: Catalogue,
        *,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._parts, self._memory, self._catalogue, self._ticks = parts, memory, catalogue, ticks

    def begin(self, terms: RunTerms) -> Run:
        """Begin a run: its row and its entry, durably.

        Raises:
            DeniedError: something that it needs is not allowed for its purpose; the denial is logged.
        """
        parts = self._parts
        grant = self.authorised(terms)
        now = parts.clock()
        key = parts.sealers.credential_key(grant.tenant)
        place = RunPlace(grant.tenant, new_id(IdKind.RUN, now, parts.entropy), 1, key)
        stored = StoredRun(
            run_id=place.run_id,
            principal=grant.principal.id,
            name=terms.name,
            version=terms.version,
            definition=terms.definition,
            inputs=terms.inputs,
            purpose=terms.purpose.value,
            state=RunState.RUNNING,
            token=place.token,
            started=microseconds(now),
            finished=None,
        )
        run = Run(place, grant, terms)
        draft = parts.journal.allowed(grant, _run_payload(terms, "begun"), resource=run.id, event=terms.event)
        parts.store.submit(WriteSet(drafts=[draft], rows=[run_row(stored, grant.tenant)]))
        parts.probe("run-begun")
        return run

    def resume(self, run_id: str, terms: RunTerms) -> Run:
        """Go on with a run that failed, or whose process ended; whoever was at it writes nothing any more.

        Raises:
            DeniedError: as for `begin`.
            NotFoundError: the principal has no such run.
            ConflictError: it ended, or is of another definition, purpose or input.
            LeaseLostError: somebody else went on with it at the same moment.
        """
        parts = self._parts
        check_vault_id(IdKind.RUN, run_id)
        grant = self.authorised(terms)
        with parts.store.log_connection(grant.tenant) as connection:
            stored = stored_run(connection, grant.tenant, run_id, grant.principal.id)
        _expect_same(stored, terms)
        key = parts.sealers.credential_key(grant.tenant)
        place, token = RunPlace(grant.tenant, run_id, stored.token + 1, key), stored.token

        def change(connection: Connection, _leaves: "Sequence[Leaf]") -> None:
            change_run(connection, place, token, RunState.RUNNING)

        draft = parts.journal.allowed(
            grant, _run_payload(terms, "resumed"), resource=run_id, event=terms.event
        )
        parts.store.submit(WriteSet(drafts=[draft], changes=[change]))
        with parts.store.log_connection(grant.tenant) as connection:
            steps = stored_steps(connection, place)
        done = {name: step for name, step in steps.items() if step.state is StepState.DONE}
        return Run(place, grant, terms, done)

    def authorised(self, terms: RunTerms) -> Grant:
        """Return the grant for a run's own entries, where all that it needs is allowed.

        Raises:
            DeniedError: something is not; the denial is logged.
            ContractError: it needs nothing.
        """
        principal, grants = self._memory.principal, []
        for action in sorted(terms.needs):
            try:
                grant = authorise(self._parts.policy, principal, action, terms.purpose, over=EVERY_MEMORY)
            except DeniedError:
                self._parts.journal.deny(Call(principal, action, terms.purpose), event=terms.event)
                raise
            grants.append(grant)
        if not grants:
            raise ContractError("expected a run that needs at least one action")
        return grants[0]

    def run(self, call: OperatorCall, run: Run) -> StepResult:
        """Run one call and return how it ended; whatever it did, and that it ended so, is durable then.

        Raises:
            LeaseLostError: the run ended, or somebody else goes on with it; nothing more was written.
            ConflictError: the run has done a step of this name.
            StorageError: the step's entry cannot be written.
        """
        # 1. Find
        if not _STEP.fullmatch(call.step):
            raise ContractError("expected a step's name of lower-case letters and digits, joined by -")
        began = self._ticks()
        operator = self._catalogue.get(call.operator)
        mark = self._mark(call, run)
        ended, state = Ended(), StepState.REFUSED
        try:
            value = self._admitted(call, run, operator)
        except ContractError as error:
            ended.reason, ended.error = reason_of(error), error
        else:
            assert operator is not None  # noqa: S101  # `_admitted` found it
            # 4. Run, 5. Check
            ended, state = self._in_time(call, run, operator, value, mark)
        took = round((self._ticks() - began) * 1_000_000)
        self._parts.probe("step-ran")
        # 6. Write
        reference = None if operator is None else operator.reference
        leaf = self._write(call, run, reference or "", ended, state=state, took=took)
        self._parts.probe("step-kept")
        # 7. Return
        return StepResult(
            step=call.step,
            operator=reference,
            state=state,
            reason=ended.reason,
            output=ended.output,
            kept=ended.kept,
            took=took,
            leaf_index=leaf.index,
            error=ended.error,
        )

    def end(self, run: Run, state: RunState) -> None:
        """Write how a run ended; once it is done, what only a run that goes on needs is gone.

        Raises:
            LeaseLostError: somebody else goes on with it.
        """
        parts, place, token = self._parts, run.place, run.place.token
        now = microseconds(parts.clock())

        def change(connection: Connection, _leaves: "Sequence[Leaf]") -> None:
            expect_running(connection, place, token)
            change_run(connection, place, token, state, finished=now)
            if state is RunState.DONE:
                finish(connection, place)

        outcome = Outcome.OK if state is RunState.DONE else Outcome.FAILED
        draft = parts.journal.allowed(
            run.grant,
            _run_payload(run.terms, state.value),
            resource=run.id,
            outcome=outcome,
            event=run.terms.event,
        )
        parts.store.submit(WriteSet(drafts=[draft], changes=[change]))
        place.token = token + 1
        parts.probe("run-ended")

    def _mark(self, call: OperatorCall, run: Run) -> StepMark:
        with self._parts.store.log_connection(run.place.tenant) as connection:
            expect_running(connection, run.place, run.place.token)
            known = effects_of(connection, run.place, call.step)
        return StepMark(run.place, call.step, known)

    def _admitted(self, call: OperatorCall, run: Run, operator: AnyOperator | None) -> Contract:
        """Return what goes in, where the call may be made at all.

        Raises:
            ContractError: it may not.
        """
        if operator is None:
            raise RefusedError("operator-unknown")
        capability = run.terms.capability
        if operator.reference not in capability.operators:
            raise RefusedError("operator-not-granted")
        if operator.destructive and not capability.destructive:
            raise RefusedError("not-confirmed")
        if not 0 < call.seconds <= MAX_SECONDS:
            raise RefusedError("seconds-out-of-range")
        try:  # 2. Read
            value: Contract = validated(operator.input, call.arguments)
        except ContractError as error:
            raise RefusedError("input-invalid", str(error)) from None
        return value

    def _in_time(
        self, call: OperatorCall, run: Run, operator: AnyOperator, value: Contract, mark: StepMark
    ) -> tuple[Ended, StepState]:
        parts, terms = self._parts, run.terms
        view = View(self._memory, terms.purpose, parts.origin(run.place.tenant))
        scope = Scope(StepMemory(view, operator, terms.capability, mark), terms.purpose, parts.clock)
        ended = work_in_time(operator, scope, value, call.seconds)
        if ended is None:
            mark.give_up()
            return Ended(reason="timed-out"), StepState.TIMED_OUT
        if not ended.reason:
            return ended, StepState.DONE
        return ended, StepState.REFUSED if isinstance(ended.error, REFUSALS) else StepState.FAILED

    def _write(
        self, call: OperatorCall, run: Run, reference: str, ended: Ended, *, state: StepState, took: int
    ) -> Leaf:
        parts, place, token = self._parts, run.place, run.place.token
        done = ended.kept if state is StepState.DONE else None

        def change(connection: Connection, leaves: "Sequence[Leaf]") -> None:
            expect_running(connection, place, token)
            if state is StepState.TIMED_OUT:  # what it still does is fenced off
                change_run(connection, place, token, RunState.RUNNING)
            step = StoredStep(call.step, reference, state, ended.reason or None, took, done, leaves[0].index)
            put_step(connection, place, step)

        payload: dict[str, JsonValue] = {
            "step": call.step,
            "operator": reference,
            "definition": run.terms.definition,
            "state": state.value,
        }
        if ended.reason:
            payload["reason"] = ended.reason
        with parts.store.log_connection(place.tenant) as connection:
            did = effects_of(connection, place, call.step)
        if did:
            payload["entries"] = [effect.leaf_index for effect in did.values()]
        draft = parts.journal.allowed(
            run.grant, payload, resource=run.id, outcome=_OUTCOMES[state], event=EventType.PIPELINE_STEP
        )
        (leaf,) = parts.store.submit(WriteSet(drafts=[draft], changes=[change]))
        if state is StepState.TIMED_OUT:
            place.token = token + 1
        return leaf


_OUTCOMES: Final = {
    StepState.DONE: Outcome.OK,
    StepState.REFUSED: Outcome.REFUSED,
    StepState.FAILED: Outcome.FAILED,
    StepState.TIMED_OUT: Outcome.FAILED,
}


def _expect_same(stored: StoredRun, terms: RunTerms) -> None:
    """See that what goes on is what was begun.

    Raises:
        ConflictError: it is not, or it ended.
    """
    if stored.state not in {RunState.RUNNING, RunState.FAILED}:
        raise ConflictError(f"the run is {stored.state}: nothing of it is left to do")
    same = (stored.name, stored.version, stored.definition, stored.purpose)
    if same != (terms.name, terms.version, terms.definition, terms.purpose.value):
        raise ConflictError("expected the pipeline that the run was begun with: it has changed")
    if stored.inputs != terms.inputs:
        raise ConflictError("expected what the run was given when it was begun")


def _run_payload(terms: RunTerms, state: str) -> dict[str, JsonValue]:
    return {
        "pipeline": terms.name,
        "version": terms.version,
        "definition": terms.definition,
        "steps": terms.steps,
        "state": state,
    }
