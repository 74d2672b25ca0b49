"""What `tiers`, `context`, `episode` and `queue` show, over HTTP and with `--json`."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import MemoryView, ReceiptView, View
from vault.context_path import Context
from vault.episodes import Episode
from vault.queueing.desk import DeadTask, QueueStatus
from vault.queueing.view import PutOff
from vault.tiers.status import TiersStatus


class TierView(View):
    """One memory tier."""

    tier: str
    memories: int
    bytes: Annotated[int, Field(description="of sealed content")]


class AtHandView(View):
    """What activation memory holds of this tenant, and was good for since the vault was opened."""

    items: int
    bytes: int
    hits: int
    misses: int
    evicted: int
    wiped: int
    hit_rate: float


class ReuseView(View):
    """What context blocks spared a provider's prompt cache since the vault was opened."""

    windows: int
    tokens: int
    reused: int
    hit_rate: float


class TiersView(View):
    """The memory tiers of a tenant, in numbers."""

    tiers: list[TierView]
    at_hand: AtHandView
    context: ReuseView

    @classmethod
    def of(cls, status: TiersStatus) -> Self:
        """Show how tiers stand."""
        held, used = status.at_hand, status.context
        return cls(
            tiers=[
                TierView(tier=one.memory_tier, memories=one.memories, bytes=one.size) for one in status.tiers
            ],
            at_hand=AtHandView(
                items=held.items,
                bytes=held.size,
                hits=held.hits,
                misses=held.misses,
                evicted=held.evicted,
                wiped=held.wiped,
                hit_rate=round(held.hit_rate, 4),
            ),
            context=ReuseView(
                windows=used.windows, tokens=used.tokens, reused=used.reused, hit_rate=round(used.hit_rate, 4)
            ),
        )


class ContextView(View):
    """A context block, for a model's prompt."""

    query: Annotated[str, Field(description="the question as it was searched: masked")]
    text: Annotated[str, Field(description="to stand before what changes with each question")]
    memory_ids: list[str]
    tokens: int
    reused: Annotated[int, Field(description="tokens at its beginning that stood there before")]
    left_out: Annotated[int, Field(description="memories that were found and did not fit")]
    digest: Annotated[str, Field(description="SHA-256 of the text")]
    receipt: ReceiptView

    @classmethod
    def of(cls, made: Context) -> Self:
        """Show a block, with the receipt of the read."""
        block = made.block
        return cls(
            query=made.masked_query,
            text=block.text,
            memory_ids=list(block.memory_ids),
            tokens=block.tokens,
            reused=block.reused,
            left_out=block.left_out,
            digest=block.digest,
            receipt=ReceiptView.of(made.receipt),
        )


class EpisodeView(View):
    """A stretch of an episode, as it was written, masked."""

    episode_id: str
    title: str
    start: int
    more: bool
    turns: list[MemoryView]
    receipt: ReceiptView

    @classmethod
    def of(cls, episode: Episode) -> Self:
        """Show an episode."""
        return cls(
            episode_id=episode.id,
            title=episode.title,
            start=episode.start,
            more=episode.more,
            turns=[MemoryView.of(turn) for turn in episode.turns],
            receipt=ReceiptView.of(episode.receipt),
        )


class PutOffView(View):
    """Work that was put off, or that waits already."""

    task: str
    leaf_index: int

    @classmethod
    def of(cls, put_off: PutOff) -> Self:
        """Show a task."""
        return cls(task=put_off.task_id, leaf_index=put_off.leaf_index)


class TakenBackView(View):
    """The sources of a distilled memory, verified again."""

    memories: list[str]


class QueueCountView(View):
    """Tasks of one kind that stand alike."""

    kind: str
    state: str
    tasks: int


class QueueView(View):
    """How a tenant's queue stands."""

    open: int
    depth: int
    embeddings: Annotated[int, Field(description="memories that wait for their vector in this process")]
    counts: list[QueueCountView]

    @classmethod
    def of(cls, status: QueueStatus) -> Self:
        """Show how a queue stands."""
        return cls(
            open=status.open,
            depth=status.depth,
            embeddings=status.embeddings,
            counts=[QueueCountView(kind=one.kind, state=one.state, tasks=one.tasks) for one in status.counts],
        )


class DeadTaskView(View):
    """A task that somebody is to decide about."""

    task: str
    kind: str
    subject: str
    principal: str
    reason: str
    attempts: int
    queued: datetime

    @classmethod
    def of(cls, dead: DeadTask) -> Self:
        """Show a dead task."""
        return cls(
            task=dead.id,
            kind=dead.kind,
            subject=dead.subject,
            principal=dead.principal,
            reason=dead.reason,
            attempts=dead.attempts,
            queued=dead.queued,
        )


class DeadTasksView(View):
    """Dead tasks, the oldest first."""

    tasks: list[DeadTaskView]


class WorkedView(View):
    """What a round of work came to."""

    done: int
