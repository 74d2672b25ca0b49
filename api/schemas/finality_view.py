"""What a receipt is worth, as the edge shows it."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.finality import Finality, FinalityState
from vault.model import Receipt


class FinalityView(View):
    """What a receipt is worth now."""

    state: Annotated[
        FinalityState,
        Field(description="pending: no signed checkpoint covers it; signed: one does; final: enough hold it"),
    ]
    cosignatures: Annotated[int, Field(description="by different witnesses of the policy, verified")]
    required: Annotated[int, Field(description="how many the policy asks for")]
    anchored: Annotated[bool, Field(description="a checkpoint that covers it stands in the anchor")]
    tree_size: Annotated[int | None, Field(description="of the checkpoint that is spoken of")]
    reasons: Annotated[list[str], Field(description="what is missing, and who did not answer")]

    @classmethod
    def of(cls, found: Finality) -> Self:
        """Show a finality."""
        return cls(
            state=found.state,
            cosignatures=found.cosignatures,
            required=found.required,
            anchored=found.anchored,
            tree_size=found.size,
            reasons=list(found.reasons),
        )


def receipt_of(index: int, leaf_hash: bytes) -> Receipt:
    """Return the receipt of which only place and hash are told: all that its finality needs."""
    return Receipt((), None, "", index, leaf_hash, "")
