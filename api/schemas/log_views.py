"""Shapes of look-ups, intents and single leaves, over HTTP and under `--json`."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.bodies import Body, PurposeField, Whole
from api.schemas.views import View
from audit.event import EventType
from audit.intent import Intent
from audit.log import Leaf
from vault.log_lookup import LookupAnswer
from vault.payload_erasure import Erased


class LookupBody(Body):
    """A value that the caller holds."""

    value: Annotated[str, Field(repr=False, max_length=1_024)]
    """A name, a number, a question, an id; it is neither stored nor shown again."""
    start: Whole = 0
    """First index to go through."""
    purpose: PurposeField = None


class OccurrenceView(View):
    """An entry that knows the value."""

    index: int
    event: EventType
    forms: Annotated[list[str], Field(description="as what: subject, query, id or text")]


class LookupView(View):
    """Which entries know a value."""

    occurrences: list[OccurrenceView]
    start: int
    stop: Annotated[int, Field(description="entries from start to before this were gone through")]
    tree_size: int
    complete: Annotated[bool, Field(description="false: go on at stop")]
    erased: Annotated[int, Field(description="payloads erased in that range: what they said is not known")]

    @classmethod
    def of(cls, answer: LookupAnswer) -> Self:
        """Show an answer."""
        return cls(
            occurrences=[
                OccurrenceView(index=one.index, event=one.event, forms=list(one.forms))
                for one in answer.occurrences
            ],
            start=answer.start,
            stop=answer.stop,
            tree_size=answer.tree_size,
            complete=answer.complete,
            erased=answer.erased,
        )


class IntentView(View):
    """An intent without an outcome."""

    index: int
    kind: str
    resource: str | None
    principal: str
    time: datetime

    @classmethod
    def of(cls, intent: Intent) -> Self:
        """Show an intent."""
        return cls(
            index=intent.index,
            kind=intent.kind,
            resource=intent.resource,
            principal=intent.principal,
            time=intent.time,
        )


class IntentsView(View):
    """Intents without an outcome, oldest first."""

    intents: list[IntentView]


class LeafView(View):
    """An entry that was written."""

    leaf_index: int
    leaf_hash: Annotated[str, Field(description="hex")]

    @classmethod
    def of(cls, leaf: Leaf) -> Self:
        """Show where an entry stands."""
        return cls(leaf_index=leaf.index, leaf_hash=leaf.hash.hex())


class ErasedView(LeafView):
    """An entry that erased payloads."""

    bytes_may_remain: Annotated[
        bool, Field(description="true: in the write-ahead log, until the vault is closed; a reader holds it")
    ]

    @classmethod
    def of_erasure(cls, done: Erased) -> Self:
        """Show what an erasure did."""
        return cls(
            leaf_index=done.leaf.index,
            leaf_hash=done.leaf.hash.hex(),
            bytes_may_remain=done.bytes_may_remain,
        )
