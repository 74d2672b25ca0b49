"""What the commands about retention print as JSON. Fields are added over time, never renamed."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.clock import from_microseconds
from vault.retention_desk import ClassStanding, Explanation
from vault.storage.reviews import Review


class ClassView(View):
    """A retention class."""

    retention_class: Annotated[str, Field(description="its id")]
    known: Annotated[bool, Field(description="false: the rules in force have no such class; nothing ends")]
    description: str | None
    term: Annotated[str | None, Field(description="ISO 8601, or forever")]
    starts: Annotated[str | None, Field(description="recorded, last-used or event")]
    then: str | None
    next: str | None
    memories: int
    due: Annotated[
        int, Field(description="memories whose term is over, held ones and those kept by a floor too")
    ]

    @classmethod
    def of(cls, standing: ClassStanding) -> Self:
        """Return the view of a class."""
        known = standing.known
        term = None if known is None else "forever" if known.term is None else str(known.term)
        runs = known is not None and known.term is not None
        return cls(
            retention_class=standing.class_id,
            known=known is not None,
            description=None if known is None else known.description,
            term=term,
            starts=known.start.value if known is not None and runs else None,
            then=None if known is None or known.then is None else known.then.value,
            next=None if known is None else known.next,
            memories=standing.memories,
            due=standing.due,
        )


class ClassesView(View):
    """All classes of a tenant."""

    tenant: str
    classes: list[ClassView]


class FloorView(View):
    """A floor that may speak of a memory."""

    floor: str
    until: str


class ExplanationView(View):
    """Why a memory is kept, and until when."""

    memory_id: str
    retention_class: str
    description: str | None
    term: str | None
    rule: Annotated[str, Field(description="the rule that chose the class, or a class before it")]
    recorded: str
    start: str
    last_used: str | None
    ends: Annotated[str | None, Field(description="null: never")]
    then: str | None
    floors: list[FloorView]
    holds: list[str]

    @classmethod
    def of(cls, found: Explanation) -> Self:
        """Return the view of an explanation."""
        shown = ClassView.of(ClassStanding(found.class_id, found.known, 0, 0))
        return cls(
            memory_id=found.memory_id,
            retention_class=found.class_id,
            description=shown.description,
            term=shown.term,
            rule=found.rule,
            recorded=found.recorded.isoformat(),
            start=found.start.isoformat(),
            last_used=None if found.last_used is None else found.last_used.isoformat(),
            ends=None if found.ends is None else found.ends.isoformat(),
            then=shown.then,
            floors=[FloorView(floor=name, until=until.isoformat()) for name, until in found.floors],
            holds=list(found.holds),
        )


class ReviewView(View):
    """A memory that waits for a decision."""

    memory_id: str
    reason: Annotated[str, Field(description="term-over, unused, superseded, disputed or low-value")]
    since: str
    retention_class: str
    recorded: str
    entry: Annotated[int, Field(description="audit leaf index of the entry that brought it up")]

    @classmethod
    def of(cls, review: Review) -> Self:
        """Return the view of a review."""
        return cls(
            memory_id=review.memory_id,
            reason=review.reason,
            since=from_microseconds(review.since).isoformat(),
            retention_class=review.retention,
            recorded=from_microseconds(review.recorded).isoformat(),
            entry=review.leaf_index,
        )


class ReviewsView(View):
    """Memories that wait for a decision."""

    tenant: str
    reviews: list[ReviewView]


class DecidedView(View):
    """A decision that was made."""

    memory_id: str | None
    decision: str
    entry: Annotated[int, Field(description="audit leaf index")]
