"""What the commands of a witness print; apart from the vault's shapes, which a witness does not load."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class WitnessView(BaseModel):
    """A witness: its key and whom it trusts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: str
    verifier_key: Annotated[str, Field(description="C2SP verifier key of type 0x04: goes into the policy")]
    trusted: Annotated[list[str], Field(description="lines of log or deployment and a key")]
