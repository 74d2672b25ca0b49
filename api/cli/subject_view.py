"""What the commands about a person's rights print as JSON. Fields are added over time, never renamed."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from vault.clock import from_microseconds
from vault.storage.restricting import Standing


class DisclosedView(View):
    """A report or an export that was written."""

    file: str
    sha256: str
    memories: int
    unreadable: Annotated[list[str], Field(description="memories that could not be opened")]


class RestrictionView(View):
    """A restriction, or an objection to one purpose."""

    kind: str
    purpose: Annotated[str | None, Field(description="of an objection")]
    since: str

    @classmethod
    def of(cls, one: Standing) -> Self:
        """Return the view of what stands."""
        purpose = None if one.purpose is None else one.purpose.value
        return cls(kind=one.kind.value, purpose=purpose, since=from_microseconds(one.since).isoformat())


class RestrictionsView(View):
    """What stands for a person."""

    restrictions: list[RestrictionView]


class SubjectChangedView(View):
    """Something was set or lifted."""

    done: Annotated[str, Field(description="restricted, objected or lifted")]
