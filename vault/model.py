"""The values that pass between the vault's rooms: sources, screened text, memories, receipts, answers.

Owns no behaviour beyond checking itself. Everything here is frozen; text that was not screened yet
exists only as `Source` and `Passage`, and storage has no column that takes either.
"""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, final

from policies.issued import issued
from policies.model import AccessTier


class SourceKind(StrEnum):
    """What raw input was."""

    CHAT = "chat"
    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


class SpeakerRole(StrEnum):
    """Whose word a turn is: what only the assistant said is not yet a fact."""

    USER = "user"
    ASSISTANT = "assistant"
    OTHER = "other"


class TrustState(StrEnum):
    """How far a memory may be relied on."""

    CANDIDATE = "candidate"
    """Said, not confirmed: what only the assistant asserted stays here."""
    VERIFIED = "verified"
    """Said by the user or taken from a document of record."""
    DISPUTED = "disputed"
    """Contradicted or corrected by a later memory."""
    REVOKED = "revoked"
    """Withdrawn; kept for the record, never retrieved."""


class MemoryTier(StrEnum):
    """Where a memory stands in the MemOS hierarchy."""

    REFERENCE = "reference"
    ACTIVATION = "activation"
    PLAINTEXT = "plaintext"


class Retention(NamedTuple):
    """How long a memory is kept, and why."""

    class_id: str
    """Id of the class, which says the term and what comes at its end."""
    rule: str
    """Id of the rule that chose the class."""
    start: int
    """From when the term runs: microseconds since 1970 UTC."""

    @classmethod
    def unclassified(cls, start: int) -> "Retention":
        """Return what holds where no rule was asked: it has no term."""
        return cls("unclassified", "none", start)


class EdgeKind(StrEnum):
    """Typed edges of the memory graph."""

    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"
    SUPPORTS = "supports"
    DERIVED_FROM = "derived-from"
    SAME_ENTITY = "same-entity"


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a conversation, raw."""

    speaker: str = field(repr=False)
    text: str = field(repr=False)
    role: SpeakerRole = SpeakerRole.USER
    at: datetime | None = None
    """When it was said; None takes the session's start."""
    ref: str | None = None
    """The caller's own id of the turn, e.g. `D3:12`; sealed like any attribute."""


@dataclass(frozen=True, slots=True)
class Chat:
    """One session of a conversation: becomes one episode."""

    turns: tuple[Turn, ...] = field(repr=False)
    started: datetime | None = None
    title: str = field(default="", repr=False)
    tags: tuple[str, ...] = field(default=(), repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A document: becomes one episode of passages that tile its text."""

    text: str = field(repr=False)
    kind: SourceKind = SourceKind.TEXT
    name: str = field(default="", repr=False)
    """File name; screened like everything else."""
    title: str = field(default="", repr=False)
    author: str = field(default="", repr=False)
    written: datetime | None = None
    tags: tuple[str, ...] = field(default=(), repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


Source = Chat | Document


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open character range `[start, end)`, in code points."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of raw input that will become one memory; not screened yet, never stored as it is."""

    text: str = field(repr=False)
    position: int
    """0-based place in the episode."""
    source: Span
    """Where `text` stands in the episode's raw text (turns joined by one newline, without speakers)."""
    speaker: str = field(default="", repr=False)
    role: SpeakerRole = SpeakerRole.OTHER
    at: datetime | None = None
    ref: str | None = None
    taken_back: bool = False
    """Whether its speaker says in the same breath that it was wrong."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One run of personal data that no longer stands in the text."""

    entity_type: str
    masked: Span
    """Where the token stands in the masked text."""
    source: Span
    """Where the original stood in the text given to the gate."""
    token: str
    original: str | None = field(repr=False)
    """The value itself, to be sealed apart; None where it was redacted for good."""


SCREENED_ISSUER: Final = object()
"""Shown by the gate's modules, and by the opening of what passed it before, when they make a `Screened`."""


@final
@issued
@dataclass(frozen=True, slots=True)
class Screened:
    """Text that has passed the privacy gate.

    Made by `vault.privacy.gate`, `names` and `kept`, and by `vault.sealing` from a row that passed the gate
    before; what seals, indexes and embeds takes one, not a string, and asks `expect_screened`.

    Raises:
        TypeError: made, copied, pickled or subclassed by anyone else.
    """

    text: str
    replacements: tuple[Replacement, ...]
    detector: str
    """Name and version of the detector and digest of its rules, stamped on the record."""
    issuer: InitVar[object]
    _issuer: object = field(init=False, repr=False, compare=False)
    """What an instance that no constructor made has not got."""

    def __post_init__(self, issuer: object) -> None:
        if issuer is not SCREENED_ISSUER:
            raise TypeError("screened text is made by the privacy gate alone")
        object.__setattr__(self, "_issuer", issuer)


def expect_screened(value: object) -> None:
    """See that a value is what the gate made, before it is sealed, hashed or embedded.

    Threat: a look-alike, or an instance of `object.__new__` with its fields put in, carries raw text.

    Raises:
        TypeError: it is not.
    """
    if type(value) is not Screened or getattr(value, "_issuer", None) is not SCREENED_ISSUER:
        raise TypeError("expected screened text, as the privacy gate makes it")


@dataclass(frozen=True, slots=True)
class TimeMention:
    """A time named in a text, made absolute where the turn's date allows."""

    span: Span
    start: datetime
    end: datetime
    """Half-open; a day is [00:00, next 00:00)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence or clause of a memory's masked text."""

    span: Span
    question: bool


@dataclass(frozen=True, slots=True)
class Annotations:
    """What can be read off a masked text without a model."""

    statements: tuple[Statement, ...]
    keyphrases: tuple[str, ...]
    times: tuple[TimeMention, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a caller holds after a write or a read: proof follows with the next checkpoint."""

    memory_ids: tuple[str, ...]
    episode_id: str | None
    log_origin: str
    leaf_index: int
    leaf_hash: bytes
    """32 bytes."""
    bundle_digest: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """From an answer back to its source."""

    episode_id: str
    position: int
    source: Span
    speaker: str
    """Masked."""
    role: SpeakerRole
    at: datetime | None
    title: str
    ref: str | None
    name: str = ""
    """File name of a document; masked."""
    edited_by: str | None = None
    """Principal who wrote this version; `source` is then where the first version stood. None for the first."""


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory as a principal may see it."""

    id: str
    version: int
    text: str
    access_tier: AccessTier
    memory_tier: MemoryTier
    trust: TrustState
    provenance: Provenance
    annotations: Annotations
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    recorded: datetime
    revealed: bool
    """Whether `text` holds originals in place of tokens."""
    written_in: int
    """Audit leaf index of the entry that wrote this version."""
    receipt: Receipt | None = None
    """Of the entry that says it was read by its id; what a search found has the answer's receipt."""
    labels: tuple[str, ...] = ()
    """What its text looks like, as `vault.guarding.labels` names it: not to be taken for instructions."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory found, with how well it fits."""

    memory: Memory
    score: float
    why: Mapping[str, float]
    """Each arm's share of the score, e.g. `lexical`, `dense`, `window`, `speaker`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What retrieve returns: hits, best first, and the entry that says they were read."""

    hits: tuple[Hit, ...]
    masked_query: str
    receipt: Receipt
    """Of the entry that says what was read."""

    @property
    def read_in(self) -> int:
        """Audit leaf index of the read."""
        return self.receipt.leaf_index
