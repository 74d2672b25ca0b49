"""What the commands about care teams and consents print as JSON. Fields are added over time, never renamed."""

from typing import Annotated

from pydantic import Field

from api.schemas.views import View


class MemberView(View):
    """Somebody on a care team."""

    principal: str
    since: str


class CareTeamView(View):
    """The care team of a person."""

    members: list[MemberView]


class CareTeamChangedView(View):
    """Somebody joined a care team or left it."""

    principal: str
    done: Annotated[str, Field(description="joined or left")]


class ConsentView(View):
    """A consent to a purpose."""

    purpose: str
    since: str


class ConsentsView(View):
    """The consents of a person."""

    consents: list[ConsentView]


class ConsentChangedView(View):
    """A consent was given or withdrawn."""

    purpose: str
    done: Annotated[str, Field(description="given or withdrawn")]
