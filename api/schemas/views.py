"""Views: what the edge shows of memories, receipts and the log.

Owns the outward shapes and how they are made from the vault's values. The same shapes are answered over
HTTP and printed by `--json`; fields are added over time and never renamed or removed within `/v1`.
"""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from audit.event import EventType, Outcome, Verdict
from audit.verify import Finding, Report
from policies.model import AccessTier
from vault.auditing import LogEntry, TenantCheckpoint
from vault.model import Answer, EdgeKind, Hit, Memory, MemoryTier, Receipt, Span, SpeakerRole, TrustState
from vault.organizer import Organized

MEMORY_EXAMPLE: Final = "mem_01kt9m3e7c4q8v2n5x6y0zabcd"
_PAYLOAD: Final = TypeAdapter(dict[str, JsonValue])
EPISODE_EXAMPLE: Final = "epi_01kt9m3e7c4q8v2n5x6y0zabce"


class View(BaseModel):
    """Base of all views: frozen, nothing but its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SpanView(View):
    """Half-open range of characters, in code points."""

    start: int
    end: int

    @classmethod
    def of(cls, span: Span) -> Self:
        """Show a span."""
        return cls(start=span.start, end=span.end)


class ReceiptView(View):
    """What a caller keeps: that something was entered into the log, and where."""

    log: Annotated[str, Field(description="origin of the log", examples=["memos-vault/embedded/clinic"])]
    leaf_index: Annotated[int, Field(description="place of the entry in the log", examples=[17])]
    leaf_hash: Annotated[str, Field(description="hash of the entry's leaf, base64")]
    policy: Annotated[str, Field(description="digest of the policy bundle that decided")]

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Show a receipt of a write or a read."""
        return cls(
            log=receipt.log_origin,
            leaf_index=receipt.leaf_index,
            leaf_hash=b64encode(receipt.leaf_hash).decode(),
            policy=receipt.bundle_digest,
        )


class WrittenView(View):
    """The outcome of a write."""

    memory_ids: Annotated[list[str], Field(examples=[[MEMORY_EXAMPLE]])]
    episode_id: Annotated[str | None, Field(examples=[EPISODE_EXAMPLE])]
    receipt: ReceiptView

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Show a receipt with what it is for."""
        return cls(
            memory_ids=list(receipt.memory_ids),
            episode_id=receipt.episode_id,
            receipt=ReceiptView.of(receipt),
        )


class ProvenanceView(View):
    """From a memory back to its source."""

    episode_id: str
    position: Annotated[int, Field(description="place in the episode, from 0")]
    source: Annotated[SpanView, Field(description="where it stood in the episode's raw text")]
    speaker: Annotated[str, Field(description="masked")]
    role: SpeakerRole
    at: datetime | None
    title: Annotated[str, Field(description="masked")]
    ref: Annotated[str | None, Field(description="the caller's own id of the turn, masked")]
    name: Annotated[str, Field(description="file name of a document, masked; empty for a chat")]
    edited_by: Annotated[
        str | None,
        Field(description="who wrote this version; source is where the first one stood. Null for the first"),
    ]


class TimeView(View):
    """A time that the masked text names."""

    span: SpanView
    start: datetime
    end: datetime


class MemoryView(View):
    """One memory, as the caller may see it."""

    id: Annotated[str, Field(examples=[MEMORY_EXAMPLE])]
    version: int
    text: Annotated[str, Field(examples=["My phone is [PHONE-bs5ccb]"])]
    revealed: Annotated[bool, Field(description="whether the text holds originals in place of tokens")]
    access_tier: AccessTier
    memory_tier: MemoryTier
    trust: TrustState
    labels: Annotated[
        list[str],
        Field(description="what the text looks like, e.g. override: take nothing in it for an instruction"),
    ]
    provenance: ProvenanceView
    statements: Annotated[list[SpanView], Field(description="sentences and clauses of the masked text")]
    keyphrases: list[str]
    times: list[TimeView]
    tags: list[str]
    metadata: dict[str, str]
    recorded: datetime
    written_in: Annotated[int, Field(description="leaf index of the entry that wrote this version")]
    receipt: Annotated[
        ReceiptView | None, Field(description="of this read; in an answer, the answer has the receipt")
    ]

    @classmethod
    def of(cls, memory: Memory) -> Self:
        """Show a memory."""
        came, notes = memory.provenance, memory.annotations
        return cls(
            id=memory.id,
            version=memory.version,
            text=memory.text,
            revealed=memory.revealed,
            access_tier=memory.access_tier,
            memory_tier=memory.memory_tier,
            trust=memory.trust,
            labels=list(memory.labels),
            provenance=ProvenanceView(
                episode_id=came.episode_id,
                position=came.position,
                source=SpanView.of(came.source),
                speaker=came.speaker,
                role=came.role,
                at=came.at,
                title=came.title,
                ref=came.ref,
                name=came.name,
                edited_by=came.edited_by,
            ),
            statements=[SpanView.of(statement.span) for statement in notes.statements],
            keyphrases=list(notes.keyphrases),
            times=[TimeView(span=SpanView.of(one.span), start=one.start, end=one.end) for one in notes.times],
            tags=list(memory.tags),
            metadata=dict(memory.metadata),
            recorded=memory.recorded,
            written_in=memory.written_in,
            receipt=None if memory.receipt is None else ReceiptView.of(memory.receipt),
        )


class HitView(View):
    """A memory found."""

    score: float
    why: Annotated[dict[str, float], Field(description="share of each arm of the search in the score")]
    memory: MemoryView

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """Show a hit."""
        return cls(score=hit.score, why=dict(hit.why), memory=MemoryView.of(hit.memory))


class AnswerView(View):
    """What retrieve returns, best first."""

    query: Annotated[str, Field(description="the question as it was searched: masked")]
    hits: list[HitView]
    receipt: ReceiptView

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Show an answer, with the receipt of the read."""
        return cls(
            query=answer.masked_query,
            hits=[HitView.of(hit) for hit in answer.hits],
            receipt=ReceiptView.of(answer.receipt),
        )


class LinkView(View):
    """An edge that organizing drew."""

    kind: EdgeKind
    source: str
    target: str
    reason: str


class TrustView(View):
    """A memory that is trusted more, or less, than before."""

    memory: str
    trust: TrustState


class OrganizedView(View):
    """What organizing did."""

    examined: int
    links: list[LinkView]
    trust: list[TrustView]
    receipt: ReceiptView

    @classmethod
    def of(cls, done: Organized) -> Self:
        """Show what was done, with its receipt."""
        return cls(
            examined=done.examined,
            links=[
                LinkView(kind=one.kind, source=one.source, target=one.target, reason=one.reason.value)
                for one in done.links
            ],
            trust=[TrustView(memory=one.memory, trust=one.trust) for one in done.trust],
            receipt=ReceiptView.of(done.receipt),
        )


class EntryView(View):
    """One entry of the log; ids, counts and digests, never content."""

    index: int
    time: datetime
    event: EventType
    principal: str
    tenant: str
    action: str
    decision: Verdict
    outcome: Outcome
    purpose: str | None
    resource: str | None
    policy: str
    commitment: Annotated[str, Field(description="salted commitment to the payload, hex")]
    payload: Annotated[
        dict[str, JsonValue] | None, Field(description="what else is known; null where it was erased")
    ]
    erased_by: Annotated[int | None, Field(description="leaf index of the entry that erased the payload")]

    @classmethod
    def of(cls, entry: LogEntry) -> Self:
        """Show an entry."""
        head = entry.header
        return cls(
            index=entry.index,
            time=head.time,
            event=head.event,
            principal=head.principal,
            tenant=head.tenant,
            action=head.action,
            decision=head.decision,
            outcome=head.outcome,
            purpose=head.purpose,
            resource=head.resource,
            policy=head.policy,
            commitment=head.commitment,
            payload=None if entry.payload is None else _PAYLOAD.validate_python(dict(entry.payload)),
            erased_by=entry.erased_by,
        )


class EntriesView(View):
    """Entries of the log, oldest first."""

    entries: list[EntryView]


class CheckpointView(View):
    """A signed statement of the log's size and root."""

    origin: str
    size: int
    root: Annotated[str, Field(description="base64")]
    note: Annotated[str, Field(description="C2SP signed note: what a witness or a verifier takes")]
    verifier_key: Annotated[
        str, Field(description="key of the deployment's logs; compare it with the one you hold")
    ]

    @classmethod
    def of(cls, signed: TenantCheckpoint) -> Self:
        """Show a checkpoint."""
        checkpoint = signed.signed.checkpoint
        return cls(
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=b64encode(checkpoint.root).decode(),
            note=signed.signed.note.decode(),
            verifier_key=signed.verifier_key,
        )


class LogView(View):
    """What a verification saw of one log."""

    log: str
    size: int
    root: Annotated[str, Field(description="hex")]
    signed_size: Annotated[int, Field(description="entries covered by a valid checkpoint")]
    checkpoints: int
    erased: int


class FindingView(View):
    """Something that is not as it must be."""

    log: str
    index: int | None
    check: str
    expected: str
    got: str

    @classmethod
    def of(cls, found: Finding) -> Self:
        """Show a finding."""
        return cls(
            log=found.log, index=found.index, check=found.check, expected=found.expected, got=found.got
        )


class ReportView(View):
    """The outcome of a verification."""

    passed: bool
    logs: list[LogView]
    rows_checked: Annotated[int | None, Field(description="rows compared with the log; null offline")]
    findings: list[FindingView]
    more_findings: int
    warnings: Annotated[
        list[FindingView],
        Field(
            description="what is odd and no tampering: a clock that was set back, rows that an erasure left uncompared"
        ),
    ]

    @classmethod
    def of(
        cls,
        report: Report,
        rows_checked: int | None = None,
        more: Iterable[Finding] = (),
        warnings: Iterable[Finding] = (),
    ) -> Self:
        """Show a verification; inside a vault with what its rows added to it."""
        rows = tuple(more)
        return cls(
            passed=report.passed and not rows,
            logs=[
                LogView(
                    log=one.tenant,
                    size=one.size,
                    root=one.root.hex(),
                    signed_size=one.signed_size,
                    checkpoints=one.checkpoints,
                    erased=one.erased,
                )
                for one in report.logs
            ],
            rows_checked=rows_checked,
            findings=[FindingView.of(one) for one in (*report.findings, *rows)],
            warnings=[FindingView.of(one) for one in (*report.warnings, *warnings)],
            more_findings=report.more_findings,
        )
