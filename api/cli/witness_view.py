"""What the commands of a witness print; apart from the vault's shapes, which a witness does not load."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class WitnessView(BaseModel):
    """A witness: its key and whom it trusts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: str
    verifier_key: Annotated[str, Field(description="C2SP verifier key of type 0x04: goes into the policy")]
    trusted: Annotated[list[str], Field(description="lines of log or deployment and a key")]


class ForkView(BaseModel):
    """A fork: two notes of one log with different roots of one size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: Annotated[str, Field(description="origin of the log")]
    size: int
    signed: Annotated[bool, Field(description="whether keys that are trusted now signed both notes")]
    seen_root: Annotated[str, Field(description="base64 of the root that was cosigned")]
    shown_root: Annotated[str, Field(description="base64 of the root that was shown later")]
    seen: Annotated[str, Field(description="the note that was cosigned")]
    shown: Annotated[str, Field(description="the note that was shown later")]


class RefusedNoteView(BaseModel):
    """A note of a log that was refused; it proves nothing by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: Annotated[str, Field(description="origin of the log")]
    size: int
    root: Annotated[str, Field(description="base64; compare it with the log's own checkpoint of this size")]
    time: Annotated[datetime, Field(description="when it was brought")]
    seen: Annotated[int, Field(description="size that the witness had cosigned by then")]
    reason: Annotated[str, Field(description="proof: it did not hold; smaller: an older tree than was seen")]
    signed: Annotated[bool, Field(description="whether a key that is trusted now signed it")]
    note: Annotated[str, Field(description="as it was brought")]


class EvidenceView(BaseModel):
    """What a witness keeps against the logs that it watches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    forks: list[ForkView]
    refused: Annotated[list[RefusedNoteView], Field(description="proves nothing by itself")]
