"""Shapes of feedback and of supported drafts, over HTTP and under `--json`."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.feedback import Verdict
from vault.guarding.grounding import Missing
from vault.guarding.held_back import Held
from vault.guarding.supporting import Supported


class VerdictView(View):
    """What feedback came to."""

    leaf_index: int
    disputed: Annotated[list[str], Field(description="ids of derived memories that are disputed since")]
    complete: Annotated[bool, Field(description="false: more was derived within reach")]

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """Show a verdict."""
        return cls(
            leaf_index=verdict.receipt.leaf_index,
            disputed=list(verdict.disputed),
            complete=verdict.complete,
        )


class SupportedView(View):
    """One statement of a draft."""

    start: int
    end: int
    text: Annotated[str, Field(description="as it was screened")]
    memory_id: Annotated[str | None, Field(description="what bears it out; null: nothing does")]
    source_start: int | None
    source_end: int | None
    missing: list[Missing]


class SupportView(View):
    """A draft, checked."""

    statements: list[SupportedView]

    @classmethod
    def of(cls, found: Sequence[Supported]) -> Self:
        """Show a check."""
        return cls(
            statements=[
                SupportedView(
                    start=one.span.start,
                    end=one.span.end,
                    text=one.text,
                    memory_id=one.memory_id,
                    source_start=None if one.source is None else one.source.start,
                    source_end=None if one.source is None else one.source.end,
                    missing=list(one.missing),
                )
                for one in found
            ]
        )


class HeldMemoryView(View):
    """A memory that is held back."""

    memory_id: str
    version: int
    since: str


class HeldView(View):
    """What is held back."""

    held: list[HeldMemoryView]

    @classmethod
    def of(cls, held: Sequence[Held]) -> Self:
        """Show what is held back."""
        return cls(
            held=[
                HeldMemoryView(memory_id=one.memory_id, version=one.version, since=one.since) for one in held
            ]
        )
