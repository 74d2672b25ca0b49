"""The one shape of every HTTP error (RFC 9457)."""

from pydantic import BaseModel, ConfigDict, Field


class FaultView(BaseModel):
    """One field that is not as it must be."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(examples=["body.chat.turns.3.text"])
    reason: str


class ProblemView(BaseModel):
    """What went wrong. Ids and limits only, never content."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(
        description="stable name of the kind of problem", examples=["urn:memvault:problem:denied"]
    )
    title: str = Field(examples=["Not allowed"])
    status: int = Field(examples=[403])
    detail: str = Field(examples=["reveal for audit is not allowed"])
    instance: str = Field(
        description="this request; also in the Memvault-Request header",
        examples=["urn:memvault:request:3f0c…"],
    )
    errors: list[FaultView] | None = Field(default=None, description="fields at fault, where fields are")
    position: int | None = Field(
        default=None, description="where a query stops being one, in code points from 0", examples=[6]
    )
    expected: list[str] | None = Field(
        default=None, description="what may stand there, where that is a short list"
    )
