"""Shapes of feedback and of supported drafts, over HTTP and under `--json`."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.feedback import Verdict


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
