"""From screened content to sealed rows: which field of a memory or an episode is sealed how.

Owns `SubjectSealer`, made for one write, and the values that it takes. It leaves keys to the keyring, bytes to
`vault.content`, and opening what was sealed to `vault.sealing`; nothing here decides or stores.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from policies.model import AccessTier, Purpose
from vault.clock import Entropy
from vault.content import (
    EpisodeAttributes,
    MaskedField,
    MemoryAttributes,
    Originals,
    encode_episode_attributes,
    encode_memory_attributes,
    encode_originals,
)
from vault.crypto.keyring import TenantKeys
from vault.crypto.sealed import Sealed, SealedField
from vault.crypto.sealing_key import SealingKey
from vault.indexes import Indexed
from vault.model import Annotations, MemoryTier, Retention, Screened, Span, SpeakerRole, TrustState
from vault.privacy.tokens import SubjectTokens
from vault.search.lexical import TermHasher, embedding_text
from vault.search.record import pack
from vault.storage.rows import StoredMemory

FIRST_VERSION: Final = 1
TEXT, SPEAKER, REF = "text", "speaker", "ref"
"""Names of the fields that originals belong to."""


class MemoryContent(NamedTuple):
    """What a memory says, screened, before it is sealed."""

    owner: str
    text: Screened
    speaker: Screened
    ref: Screened | None
    role: SpeakerRole
    at: datetime | None
    source: Span
    annotations: Annotations
    edited_by: str | None = None
    """Principal who wrote this version; None for the first."""


class EpisodeContent(NamedTuple):
    """What an episode is called, screened, before it is sealed."""

    owner: str
    title: Screened
    name: Screened
    at: datetime | None
    tags: tuple[Screened, ...]
    metadata: tuple[tuple[Screened, Screened], ...]


class RecordPlace(NamedTuple):
    """Where a memory stands, in clear."""

    memory_id: str
    version: int
    episode_id: str
    position: int
    access_tier: AccessTier
    memory_tier: MemoryTier
    trust: TrustState
    recorded: int
    purpose: Purpose
    retention: Retention


@dataclass(frozen=True, slots=True)
class TokenScope:
    """Within which memories about a subject equal values have equal tokens: one owner's of one access tier.

    Threat: whoever may write about a subject learns the tokens of any values that it cares to write.
    Were they those of another's memories, too, a thousand guesses in one document would unmask them.
    """

    access_tier: AccessTier
    owner: str

    def tokens(self, subject_key: bytes) -> SubjectTokens:
        """Return the tokens of one subject in this scope."""
        return SubjectTokens(hmac.digest(subject_key, f"{self.access_tier}|{self.owner}".encode(), "sha256"))


class SubjectSealer:
    """Seals what is about one set of subjects; made for one write."""

    def __init__(
        self,
        keys: TenantKeys,
        key: SealingKey,
        scope: TokenScope,
        names: Mapping[str, str] | None = None,
        nonces: Entropy | None = None,
    ) -> None:
        self._keys = keys
        self._key = key
        self._hasher = TermHasher(keys.search_key())
        self._names = names or {}
        self._nonces = nonces
        self.subjects: Final = key.subjects
        self.tokens: Final = scope.tokens(keys.token_key(self.subjects[0]))
        """Tokens of the first subject in this scope."""

    def sealed_names(self) -> dict[str, Sealed]:
        """Return each subject's name under its own key."""
        return {
            subject: self._keys.sealing_key([subject])
            .bind(subject, FIRST_VERSION, AccessTier.PRIVATE)
            .seal(SealedField.SUBJECT_NAME, name.encode())
            for subject, name in self._names.items()
        }

    def seal_memory(self, place: RecordPlace, content: MemoryContent) -> Indexed:
        """Seal every field of a memory for its place."""
        sealer = self._key.bind(place.memory_id, place.version, place.access_tier, self._nonces)
        attributes = MemoryAttributes(
            owner=content.owner,
            role=content.role,
            at=content.at,
            source=content.source,
            speaker=MaskedField.of(content.speaker),
            ref=MaskedField() if content.ref is None else MaskedField.of(content.ref),
            text_marks=MaskedField.of(content.text).marks,
            annotations=content.annotations,
            edited_by=content.edited_by,
        )
        originals = _originals({TEXT: content.text, SPEAKER: content.speaker, REF: content.ref})
        made = self._hasher.record(
            content.text, speaker=content.speaker, at=content.at, times=content.annotations.times
        )
        record = pack(made)
        stored = StoredMemory(
            memory_id=place.memory_id,
            version=place.version,
            episode_id=place.episode_id,
            position=place.position,
            owner=content.owner,
            access_tier=place.access_tier,
            memory_tier=place.memory_tier,
            trust=place.trust,
            subjects=self.subjects,
            recorded=place.recorded,
            purpose=place.purpose,
            retention=place.retention,
            leaf_index=-1,
            detector=content.text.detector,
            text=sealer.seal(SealedField.TEXT, content.text.text.encode()),
            attributes=sealer.seal(SealedField.ATTRIBUTES, encode_memory_attributes(attributes)),
            originals=sealer.seal(SealedField.ORIGINALS, encode_originals(originals)) if originals else None,
            terms=sealer.seal(SealedField.TERMS, record),
        )
        return Indexed(stored, record, embedding_text(content.text), made)

    def seal_episode(self, episode_id: str, access_tier: AccessTier, content: EpisodeContent) -> Sealed:
        """Seal an episode's attributes; its originals stand in the same field, shown to nobody by reading."""
        named = {"title": content.title, "name": content.name}
        named.update({f"tag.{place}": tag for place, tag in enumerate(content.tags)})
        for place, (key, value) in enumerate(content.metadata):
            named.update({f"key.{place}": key, f"value.{place}": value})
        attributes = EpisodeAttributes(
            owner=content.owner,
            title=MaskedField.of(content.title),
            name=MaskedField.of(content.name),
            at=content.at,
            tags=tuple(MaskedField.of(tag) for tag in content.tags),
            metadata=tuple((MaskedField.of(key), MaskedField.of(value)) for key, value in content.metadata),
            originals=_originals(named),
        )
        sealer = self._key.bind(episode_id, FIRST_VERSION, access_tier, self._nonces)
        return sealer.seal(SealedField.EPISODE, encode_episode_attributes(attributes))


def _originals(fields: dict[str, Screened] | dict[str, Screened | None]) -> Originals:
    return {
        name: tuple(replacement.original for replacement in screened.replacements)
        for name, screened in fields.items()
        if screened is not None and screened.replacements
    }
