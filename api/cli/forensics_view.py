"""What `memvault audit forensics --json` prints. Fields are added over time, never renamed."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from vault.forensics import Forensics


class LogForensicsView(BaseModel):
    """What was found of one log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: str
    size: int
    points: Annotated[int, Field(description="checkpoints that it was held against")]
    agrees_up_to: int
    differs_at: int | None
    seen_by: str
    first_bad_entry: int | None
    cosigned: int


class ForensicsView(BaseModel):
    """The outcome of an examination."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: bool
    store_sha256: str
    logs: list[LogForensicsView]
    findings: list[str]
    more_findings: int
    has_anchor: bool
    anchor_damaged: Annotated[int, Field(description="lines of the anchor that are no record")]
    kept_in: Annotated[str, Field(description="where it is written that this was looked into")]

    @classmethod
    def of(cls, found: Forensics, where: str, *, has_anchor: bool) -> Self:
        """Show an examination."""
        return cls(
            clean=found.clean,
            store_sha256=found.store_sha256,
            logs=[
                LogForensicsView(
                    log=one.log,
                    size=one.size,
                    points=one.points,
                    agrees_up_to=one.agrees_up_to,
                    differs_at=one.differs_at,
                    seen_by=one.seen_by,
                    first_bad_entry=one.first_bad_entry,
                    cosigned=one.cosigned,
                )
                for one in found.logs
            ],
            findings=list(found.findings),
            more_findings=found.more_findings,
            has_anchor=has_anchor,
            anchor_damaged=found.anchor_damaged,
            kept_in=where,
        )
