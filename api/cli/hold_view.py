"""What the commands about legal holds print as JSON. Fields are added over time, never renamed."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.hold_terms import Hold, Placed


class PlacedView(View):
    """What a hold got."""

    hold: str
    subjects: int
    memories: Annotated[int, Field(description="named by id or by words")]
    unreadable: Annotated[int, Field(description="memories that no words could be looked for in")]
    entry: Annotated[int, Field(description="audit leaf index")]

    @classmethod
    def of(cls, placed: Placed) -> Self:
        """Return the view of what was placed."""
        return cls(
            hold=placed.hold_id,
            subjects=placed.subjects,
            memories=placed.memories,
            unreadable=placed.unreadable,
            entry=placed.leaf_index,
        )


class HoldView(View):
    """A hold."""

    hold: str
    in_force: bool
    scope: str
    matter: str | None
    reason: str
    placed_by: str
    placed: str
    review: str
    asked_by: str | None
    asked: str | None
    released_by: str | None
    released: str | None
    subjects: int
    memories: int
    targets: Annotated[list[str] | None, Field(description="vault ids; of one hold alone")] = None

    @classmethod
    def of(cls, hold: Hold, targets: tuple[str, ...] | None = None) -> Self:
        """Return the view of a hold."""
        return cls(
            hold=hold.hold_id,
            in_force=hold.in_force,
            scope=hold.scope.value,
            matter=hold.matter,
            reason=hold.reason.value,
            placed_by=hold.placed_by,
            placed=hold.placed.isoformat(),
            review=hold.review.isoformat(),
            asked_by=hold.asked_by,
            asked=None if hold.asked is None else hold.asked.isoformat(),
            released_by=hold.released_by,
            released=None if hold.released is None else hold.released.isoformat(),
            subjects=hold.subjects,
            memories=hold.memories,
            targets=None if targets is None else list(targets),
        )


class HoldsView(View):
    """The holds of a tenant."""

    tenant: str
    holds: list[HoldView]


class HoldChangedView(View):
    """A hold to which something was done."""

    hold: str
    done: Annotated[str, Field(description="reviewed, release-asked or released")]
