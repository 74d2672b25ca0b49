"""The pipelines' part of the facade: what `vault.memos.MemOS` lets a principal run.

    report = memory.run_pipeline("clinical-notes", {"note": text, "patient": "patient 17"})
    report.outputs["known"]

Owns the methods. A pipeline is named (one that comes with the vault), given as the path of a YAML file, or declared in
Python; each is checked before anything of it runs.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from audit.event import EventType
from policies.errors import DeniedError
from policies.model import Action, Purpose
from vault.engineered.checking import Checked, check
from vault.engineered.declared import Pipeline
from vault.engineered.linking import link_memories, own_private
from vault.engineered.reading import read_pipeline_file, ready_pipeline
from vault.engineered.runner import PlannedStep, Runner, RunReport
from vault.engineered.screening import Screening, screen_only
from vault.errors import InputInvalidError
from vault.grant import EVERY_MEMORY, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.log_view import LogView
from vault.model import EdgeKind, Receipt
from vault.operators.catalogue import Catalogue, built_in
from vault.storage.run_rows import (
    MAX_LISTED,
    RunPlace,
    StoredRun,
    StoredStep,
    stored_run,
    stored_runs,
    stored_steps,
)

if TYPE_CHECKING:
    from vault.memos import MemOS

Declared = str | Path | Pipeline


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run, with its steps that ended."""

    run: StoredRun
    steps: Sequence[StoredStep]


class PipelineView(LogView):
    """One principal's pipelines; `MemOS` inherits it."""

    @abstractmethod
    def _call(self, action: Action, purpose: Purpose | None) -> Call: ...

    def run_pipeline(
        self,
        pipeline: Declared,
        inputs: Mapping[str, object],
        *,
        catalogue: Catalogue | None = None,
    ) -> RunReport:
        """Run a pipeline: its steps as operators over this facade, each with an entry of its own.

        Args:
            pipeline: Name of a ready one, path of a YAML file, or a declaration.
            inputs: What it is given, by name.
            catalogue: Operators; None takes those that come with the vault.

        Raises:
            PipelineInvalidError: it does not fit together; with its place.
            ContractError: it is given what it does not take; nothing was begun.
            DeniedError: something that it does is not allowed; nothing was begun, the denial is logged.
            StepFailedError: a step failed; `resume_pipeline` goes on from there.
        """
        runner, checked = self._runner(pipeline, catalogue)
        return runner.run(checked, inputs)

    def resume_pipeline(
        self,
        run: str,
        pipeline: Declared,
        inputs: Mapping[str, object],
        *,
        catalogue: Catalogue | None = None,
    ) -> RunReport:
        """Go on with a run that failed or whose process ended, with the same pipeline, given the same.

        Raises:
            NotFoundError: this principal has no such run.
            ConflictError: it ended, or the pipeline or what it is given is another.
            PipelineInvalidError, ContractError, DeniedError, StepFailedError: as for `run_pipeline`.
        """
        runner, checked = self._runner(pipeline, catalogue)
        return runner.resume(run, checked, inputs)

    def dry_run_pipeline(
        self,
        pipeline: Declared,
        inputs: Mapping[str, object],
        *,
        catalogue: Catalogue | None = None,
    ) -> tuple[PlannedStep, ...]:
        """Say what a run would call, and what the rules would say; nothing is read, written or logged.

        Raises:
            PipelineInvalidError, ContractError: as for `run_pipeline`.
        """
        runner, checked = self._runner(pipeline, catalogue)
        return runner.dry_run(checked, inputs)

    def link(
        self, source: str, kind: EdgeKind, targets: Sequence[str], *, purpose: Purpose | None = None
    ) -> Receipt:
        """Write typed edges from one memory to others of the same owner and access tier.

        Raises:
            NotFoundError: one of them is not there, or out of reach.
            ConflictError: they are of several owners or access tiers.
            DeniedError: nothing may be organized for this purpose; the denial is logged.
        """
        return link_memories(self._parts, self._principal, self._why(purpose), (source, kind, targets))

    def own(self, memory_ids: Sequence[str], *, purpose: Purpose | None = None) -> tuple[str, ...]:
        """Return those of the memories that are this principal's own and private, in their order.

        Raises:
            DeniedError: nothing may be read for this purpose; the denial is logged.
        """
        return own_private(self._parts, self._principal, self._why(purpose), memory_ids)

    def screen(self, text: str, *, purpose: Purpose | None = None) -> Screening:
        """Say what the privacy gate would do to a text, were it written; nothing of it is kept.

        Raises:
            DeniedError: nothing may be written for this purpose; the denial is logged.
            InputInvalidError: the text is empty, too long, or no text.
        """
        return screen_only(self._parts, self._principal, self._why(purpose), text)

    def pipeline_runs(self, *, limit: int = 20, purpose: Purpose | None = None) -> list[StoredRun]:
        """Return this principal's runs, newest first; that it looked is an entry.

        Raises:
            DeniedError: it may read nothing for this purpose; the denial is logged.
            InputInvalidError: `limit` is out of range.
        """
        if type(limit) is not int or not 1 <= limit <= MAX_LISTED:
            raise InputInvalidError(f"expected a limit from 1 to {MAX_LISTED}")
        parts, tenant, me = self._parts, self._principal.tenant, self._principal.id
        note = self._looking(self._why(purpose))
        with parts.store.log_connection(tenant) as connection:
            found = stored_runs(connection, tenant, me, limit)
        note(len(found))
        return found

    def pipeline_run(self, run: str, *, purpose: Purpose | None = None) -> RunShown:
        """Return one of this principal's runs with its steps; that it looked is an entry.

        Raises:
            NotFoundError: this principal has no such run.
            DeniedError: as for `pipeline_runs`.
        """
        check_vault_id(IdKind.RUN, run)
        parts, tenant, me = self._parts, self._principal.tenant, self._principal.id
        note, key = self._looking(self._why(purpose)), parts.sealers.credential_key(tenant)
        with parts.store.log_connection(tenant) as connection:
            found = stored_run(connection, tenant, run, me)
            steps = stored_steps(connection, RunPlace(tenant, run, found.token, key))
        note(1)
        return RunShown(found, tuple(steps.values()))

    def _why(self, purpose: Purpose | None) -> Purpose:
        return self._call(Action.READ, purpose).purpose

    def _looking(self, purpose: Purpose) -> Callable[[int], object]:
        parts, call = self._parts, Call(self._principal, Action.READ, purpose)
        try:
            grant = authorise(parts.policy, self._principal, Action.READ, purpose, over=EVERY_MEMORY)
        except DeniedError:
            parts.journal.deny(call, event=EventType.PIPELINE_RUN)
            raise
        return lambda count: parts.journal.note(
            grant, {"count": count, "state": "listed"}, event=EventType.PIPELINE_RUN
        )

    def _runner(self, pipeline: Declared, catalogue: Catalogue | None) -> tuple[Runner, Checked]:
        known = built_in() if catalogue is None else catalogue
        return Runner(self._parts, cast("MemOS", self), known), check(declared(pipeline), known)


def declared(pipeline: Declared) -> Pipeline:
    """Return a pipeline by its name, from its file, or as it is.

    Raises:
        PipelineInvalidError: there is none of this name, or the file holds none.
    """
    if isinstance(pipeline, Pipeline):
        return pipeline
    return read_pipeline_file(pipeline) if isinstance(pipeline, Path) else ready_pipeline(pipeline)
