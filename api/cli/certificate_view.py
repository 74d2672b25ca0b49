"""What `--json` prints of erasures: plans, and what a certificate showed."""

from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from audit.certificate_check import ProvenErasure
from vault.erasing.plan import ErasurePlan


class PlanView(View):
    """What an erasure would take, and what would stay."""

    subject: Annotated[str, Field(description="vault id of the person")]
    found: Annotated[bool, Field(description="whether anything belongs to that name")]
    counts: Annotated[dict[str, int], Field(description="what would be removed, by kind")]
    others: Annotated[int, Field(description="other persons for whom joint memories would be shredded")]
    keys: int
    waiting: Annotated[int, Field(description="texts that wait in memory for their vector")]
    holds: Annotated[list[str], Field(description="legal holds that forbid it")]
    held: Annotated[int, Field(description="memories under one of them")]
    log_payloads: Annotated[int, Field(description="payloads of the log that would be dropped")]
    log_payloads_kept: Annotated[int, Field(description="payloads that name the person, and stay")]
    log_headers: Annotated[int, Field(description="headers that name vault ids, and stay")]
    packages: Annotated[int, Field(description="packages that were sent: this version makes none")]
    snapshots: Annotated[int, Field(description="snapshots that may still lie somewhere")]
    oldest_snapshot: Annotated[str | None, Field(description="when the oldest of them was made")]
    backup_horizon_days: Annotated[int | None, Field(description="null: nobody said")]
    erasure: Annotated[str | None, Field(description="the erasure that was begun or done before")]
    plan: Annotated[str, Field(description="digest that --confirm repeats")]

    @classmethod
    def of(cls, plan: ErasurePlan) -> Self:
        """Show a plan."""
        entries = plan.entries
        return cls(
            subject=plan.subject,
            found=plan.found,
            counts=dict(plan.counts),
            others=plan.others,
            keys=plan.keys,
            waiting=plan.waiting,
            holds=list(plan.holds),
            held=len(plan.held),
            log_payloads=0 if entries is None else len(entries.alone),
            log_payloads_kept=0 if entries is None else len(entries.shared) + len(entries.fixed),
            log_headers=0 if entries is None else entries.headers,
            packages=0,
            snapshots=len(plan.snapshots),
            oldest_snapshot=plan.snapshots[0].made.isoformat() if plan.snapshots else None,
            backup_horizon_days=plan.backup_horizon_days,
            erasure=plan.erasure,
            plan=plan.digest,
        )


class ErasedView(View):
    """An erasure that is done."""

    erasure: str
    subject: str
    again: Annotated[bool, Field(description="it had been done before: nothing happened now")]
    file: Annotated[str | None, Field(description="where the certificate was written")]
    verifier_key: str


class ResumedView(View):
    """Erasures that were brought to their end."""

    erasures: list[str]


class CertificateView(View):
    """What a certificate showed."""

    passed: bool
    erasure: str
    subject: str
    tenant: str
    matched: dict[str, int]
    others: int
    keys: list[str]
    remaining: dict[str, int]
    not_reached: list[str]
    backup_horizon_days: int | None
    tests: dict[str, str]
    begun: str
    unreadable: str
    ended: str
    digest: Annotated[str, Field(description="SHA-256 of what is certified, as the log has it")]
    index: Annotated[int, Field(description="entry that names the certificate")]
    origin: str
    size: int
    root: str
    witnesses: list[str]

    @classmethod
    def of(cls, found: ProvenErasure) -> Self:
        """Show what was proved."""
        one, checkpoint = found.certificate, found.entry.checkpoint
        return cls(
            passed=True,
            erasure=one.erasure,
            subject=one.subject,
            tenant=one.tenant,
            matched=dict(one.matched),
            others=one.others,
            keys=[key.fingerprint for key in one.keys],
            remaining={stays.what: stays.count for stays in one.remaining},
            not_reached=[lost.what for lost in one.not_reached],
            backup_horizon_days=one.backup_horizon_days,
            tests={test.name: test.result.value for test in one.tests},
            begun=one.begun,
            unreadable=one.unreadable,
            ended=one.ended,
            digest=found.digest,
            index=found.entry.index,
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            witnesses=list(found.entry.witnesses),
        )
