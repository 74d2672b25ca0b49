"""What an operator holds: the principal's facade, narrowed to what the operator declares and the run may do.

Owns the narrowing: an action that the operator does not declare, an access tier outside the run's capability and a
call after the step was given up are refused here, before the facade is asked. Everything else the facade decides,
screens, seals and logs as for any caller. It has no way to reveal originals, to erase, or to export.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from policies.model import AccessTier, Action, Purpose
from vault.engineered.marks import StepMark
from vault.errors import ContractError, NotFoundError
from vault.model import Answer, EdgeKind, Memory, Receipt, Source
from vault.pipeline.contracts import AnyOperator, Capability, Judged, Linked
from vault.storage.run_rows import Effect

if TYPE_CHECKING:
    from vault.context_path import Context
    from vault.engineered.screening import Screening
    from vault.feedback import Rating, Verdict
    from vault.memos import MemOS

SETTLE_SECONDS: Final = 5.0
"""How long a search waits for vectors of what was written before, so that the same run finds the same."""


@dataclass(frozen=True, slots=True)
class View:
    """Whose facade it is, and why it is asked."""

    memory: "MemOS"
    purpose: Purpose
    origin: str
    """Of the tenant's log."""


class StepMemory:
    """One step's view of the facade; see `vault.pipeline.contracts.Memories`."""

    def __init__(self, view: View, operator: AnyOperator, capability: Capability, mark: StepMark) -> None:
        self._memory, self._purpose, self._origin = view.memory, view.purpose, view.origin
        self._operator, self._capability, self._mark = operator, capability, mark
        self._narrow: Final = capability.access_tiers != frozenset(AccessTier)

    def extract(
        self,
        source: Source | str,
        *,
        subject: str | None = None,
        access_tier: AccessTier = AccessTier.PRIVATE,
    ) -> Receipt:
        """As the facade; done once in a run."""
        self._expect(Action.WRITE, access_tier)
        return self._mark.once(
            Action.WRITE,
            lambda: self._memory.extract(
                source, subject=subject, access_tier=access_tier, purpose=self._purpose
            ),
            self._receipt,
        )

    def organize(self, *, subject: str | None = None) -> Linked:
        """As the facade, in numbers; done once in a run."""
        self._expect(Action.ORGANIZE)
        self._expect_wide()

        def call() -> Linked:
            done = self._memory.organize(subject=subject, purpose=self._purpose)
            return Linked(done.examined, len(done.links), len(done.trust), done.receipt)

        return self._mark.once(Action.ORGANIZE, call, self._linked)

    def retrieve(self, query: str, *, k: int = 10, subject: str | None = None) -> Answer:
        """As the facade, without what is outside the run's access tiers."""
        self._expect(Action.SEARCH)
        self._settle()
        answer = self._memory.retrieve(query, k=k, subject=subject, purpose=self._purpose)
        hits = tuple(hit for hit in answer.hits if hit.memory.access_tier in self._capability.access_tiers)
        return replace(answer, hits=hits)

    def context(
        self, query: str, *, tokens: int = 2_000, k: int = 8, window: str = "", subject: str | None = None
    ) -> "Context":
        """As the facade, in a window of the step's own; not for a run that is narrowed to some access tiers."""
        self._expect(Action.SEARCH)
        self._expect_wide()
        self._settle()
        return self._memory.context(
            query,
            tokens=tokens,
            k=k,
            window=window or self._mark.window,
            subject=subject,
            purpose=self._purpose,
        )

    def get(self, memory_id: str) -> Memory:
        """As the facade."""
        self._expect(Action.READ)
        return self._within(self._memory.get(memory_id, purpose=self._purpose))

    def update(self, memory_id: str, text: str, *, expected_version: int | None = None) -> Receipt:
        """As the facade; done once in a run."""
        self._expect(Action.UPDATE)
        self._expect_within(memory_id)
        return self._mark.once(
            Action.UPDATE,
            lambda: self._memory.update(
                memory_id, text, expected_version=expected_version, purpose=self._purpose
            ),
            self._receipt,
        )

    def promote(self, memory_id: str, to: AccessTier, *, expected_version: int | None = None) -> Receipt:
        """As the facade; done once in a run."""
        self._expect(Action.PROMOTE, to)
        self._expect_within(memory_id)
        return self._mark.once(
            Action.PROMOTE,
            lambda: self._memory.promote(
                memory_id, to, expected_version=expected_version, purpose=self._purpose
            ),
            self._receipt,
        )

    def link(self, source: str, kind: EdgeKind, targets: Sequence[str]) -> Receipt:
        """As the facade; done once in a run."""
        self._expect(Action.ORGANIZE)
        for memory_id in (source, *targets):
            self._expect_within(memory_id)
        return self._mark.once(
            Action.ORGANIZE,
            lambda: self._memory.link(source, kind, targets, purpose=self._purpose),
            self._receipt,
        )

    def confirm(self, memory_id: str) -> Judged:
        """As the facade's feedback; done once in a run."""
        return self._judge(
            Action.ORGANIZE,
            memory_id,
            lambda: self._memory.feedback.confirm(memory_id, purpose=self._purpose),
        )

    def correct(self, memory_id: str, text: str, *, expected_version: int | None = None) -> Judged:
        """As the facade's feedback; done once in a run."""
        return self._judge(
            Action.UPDATE,
            memory_id,
            lambda: self._memory.feedback.correct(
                memory_id, text, expected_version=expected_version, purpose=self._purpose
            ),
        )

    def retract(self, memory_id: str) -> Judged:
        """As the facade's feedback; done once in a run."""
        return self._judge(
            Action.UPDATE,
            memory_id,
            lambda: self._memory.feedback.retract(memory_id, purpose=self._purpose),
        )

    def rate(self, memory_id: str, rating: "Rating") -> Judged:
        """As the facade's feedback; done once in a run."""
        return self._judge(
            Action.ORGANIZE,
            memory_id,
            lambda: self._memory.feedback.rate(memory_id, rating, purpose=self._purpose),
        )

    def _judge(self, action: Action, memory_id: str, verdict: Callable[[], "Verdict"]) -> Judged:
        self._expect(action)
        self._expect_within(memory_id)

        def call() -> Judged:
            given = verdict()
            return Judged(given.disputed, given.receipt)

        return self._mark.once(action, call, self._judged)

    def own(self, memory_ids: Sequence[str]) -> tuple[str, ...]:
        """As the facade; none where the run may not see what is private."""
        self._expect(Action.READ)
        if AccessTier.PRIVATE not in self._capability.access_tiers:
            return ()
        return self._memory.own(memory_ids, purpose=self._purpose)

    def screen(self, text: str) -> "Screening":
        """As the facade."""
        self._expect(Action.WRITE)
        return self._memory.screen(text, purpose=self._purpose)

    def _expect(self, action: Action, access_tier: AccessTier | None = None) -> None:
        self._mark.expect_alive()
        if action not in self._operator.actions:
            raise ContractError(f"{self._operator.reference} does not declare the action {action}")
        if access_tier is not None and access_tier not in self._capability.access_tiers:
            raise ContractError(f"the run may not write to the access tier {access_tier}")

    def _expect_wide(self) -> None:
        if self._narrow:
            raise ContractError("not in a run that is narrowed to some access tiers")

    def _expect_within(self, memory_id: str) -> None:
        """See that a memory is in the run's access tiers: read as the principal may, which is an entry."""
        if self._narrow:
            self._within(self._memory.get(memory_id, purpose=self._purpose))

    def _within(self, memory: Memory) -> Memory:
        if memory.access_tier not in self._capability.access_tiers:
            raise NotFoundError("there is no such memory here")
        return memory

    def _settle(self) -> None:
        self._memory.wait(SETTLE_SECONDS)

    def _receipt(self, done: Effect) -> Receipt:
        return Receipt(
            memory_ids=tuple(cast("list[str]", done.told["ids"])),
            episode_id=cast("str | None", done.told["episode"]),
            log_origin=self._origin,
            leaf_index=done.leaf_index,
            leaf_hash=bytes.fromhex(cast("str", done.told["hash"])),
            bundle_digest=cast("str", done.told["policy"]),
        )

    def _judged(self, done: Effect) -> Judged:
        receipt = self._receipt(done)
        return Judged(receipt.memory_ids[1:], replace(receipt, memory_ids=receipt.memory_ids[:1]))

    def _linked(self, done: Effect) -> Linked:
        receipt = self._receipt(done)
        examined, edges = (cast("int", done.told[key]) for key in ("examined", "edges"))
        return Linked(examined, edges, len(receipt.memory_ids), receipt)
