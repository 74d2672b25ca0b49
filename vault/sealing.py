"""Makers of sealers, and the way back: sealed rows opened where they stand.

Owns opening and its checks. It leaves sealing a memory to `vault.subject_sealer`, keys to the keyring and
bytes to `vault.content`; nothing here decides or stores.
"""

import hmac
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.clock import Entropy
from vault.content import (
    EpisodeAttributes,
    MaskedField,
    Originals,
    decode_episode_attributes,
    decode_memory_attributes,
    decode_originals,
    decode_text,
)
from vault.crypto.aead import key_versions
from vault.crypto.key_record import KeyRecord
from vault.crypto.keyring import DestroyedKey, KeyLimits, Keyring
from vault.crypto.root import RootKey
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.crypto.sealing_key import Sealer
from vault.errors import IdentifierInvalidError, KeyDestroyedError, KeyMissingError, TamperedError
from vault.model import (
    SCREENED_ISSUER,
    Screened,
)
from vault.opened import OpenedMemory, ScreenedAgain, screened_from
from vault.privacy.tokens import SubjectTokens
from vault.search.lexical import TermHasher
from vault.storage.rows import StoredEpisode, StoredMemory
from vault.subject_sealer import (
    FIRST_VERSION,
    REF,
    SPEAKER,
    TEXT,
    EpisodeContent,
    SubjectSealer,
    TokenScope,
)
from vault.tiers.activation import ActivationLimits, ActivationMemory
from vault.tombstones import Tombstones

_QUERY_DIGEST_BYTES: Final = 16

Vector = NDArray[np.float32]


class Sealers:
    """Makes sealers, and opens what they sealed."""

    def __init__(self, keyring: Keyring, at_hand: ActivationLimits | None = None) -> None:
        self._keyring = keyring
        self.at_hand: Final = ActivationMemory(at_hand)
        """What answers were made of lately."""
        self._recorded: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @property
    def root(self) -> RootKey:
        """What wraps every key."""
        return self._keyring.root

    @property
    def key_limits(self) -> KeyLimits:
        """Bounds of the keys."""
        return self._keyring.limits

    def key_records(self, tenant: str) -> Iterator[KeyRecord]:
        """Go through what is known of a tenant's keys; nothing is unwrapped."""
        return self._keyring.tenant(tenant).records()

    def tombstones(self, tenant: str) -> Tombstones:
        """Return what makes the digests by which the removed is known again.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return Tombstones(self._keyring.tenant(tenant).tombstone_key())

    def subject_keys(self, tenant: str, subject: str) -> tuple[KeyRecord, ...]:
        """Return what is known of all versions of a subject's key, oldest first; nothing is unwrapped."""
        return self._keyring.tenant(tenant).records_of(subject)

    def try_key(self, tenant: str, subject: str, version: int) -> None:
        """Unwrap a version of a subject's key, as an opening would.

        Raises:
            KeyDestroyedError: it was destroyed.
            KeyAccessError: or another of its kinds.
        """
        self._keyring.tenant(tenant).opening_key((subject,), (version,))

    def destroy(self, tenant: str, subject: str) -> tuple[DestroyedKey, ...]:
        """Destroy a subject's key in all its versions, for good; one that never had any never gets one."""
        return self._keyring.tenant(tenant).destroy(subject, bury=True)

    def fold_keys(self, seconds: float) -> bool:
        """Leave no byte of a destroyed key beside its store; say whether that was done within the time."""
        return self._keyring.fold(seconds)

    def establish(self, tenant: str) -> None:
        """Make a tenant's own keys, if it has none yet."""
        self._keyring.establish(tenant)

    def for_writing(
        self, tenant: str, subjects: Mapping[str, str], scope: TokenScope, nonces: Entropy | None = None
    ) -> SubjectSealer:
        """Return a sealer for these subjects; their keys are made where they are missing.

        Args:
            tenant: Whose.
            subjects: Their vault ids, and the caller's names of them, from `named`.
            scope: Within which equal values have equal tokens.
            nonces: Where nonces come from: a stock of this one call; None is the keyring's source.

        Raises:
            IdentifierInvalidError: there are too many.
            KeyAccessError: or one of its kinds: a key cannot be used.
        """
        keys = self._keyring.tenant(tenant)
        return SubjectSealer(keys, keys.sealing_key(subjects), scope, subjects, nonces)

    def lease(self, tenant: str, values: Iterable[tuple[tuple[str, ...], Sealed]]) -> None:
        """Have the keys of many sealed values unwrapped at one go; what cannot be is left to its opening.

        Raises:
            RootUnusableError: or one of its kinds: the root cannot be used now.
        """
        places = []
        for subjects, sealed in values:
            with suppress(TamperedError, TypeError, AttributeError):
                places.append((subjects, key_versions(sealed)))
        self._keyring.tenant(tenant).lease(places)

    def credential_key(self, tenant: str) -> bytes:
        """Return the key that credentials of a tenant are sealed with.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keyring.tenant(tenant).credential_key()

    def named(self, tenant: str, names: Sequence[str]) -> dict[str, str]:
        """Return the vault ids of subjects, with the names; makes no key.

        Raises:
            IdentifierInvalidError: a name is not acceptable.
        """
        keys = self._keyring.tenant(tenant)
        return {keys.subject_id(name): name for name in names}

    def keyless(self, tenant: str, subjects: Iterable[str]) -> list[str]:
        """Return those subjects that have no key here: new ones, or ones whose key was lost."""
        keys = self._keyring.tenant(tenant)
        return [subject for subject in subjects if not keys.has_key(subject)]

    def of_row(self, tenant: str, row: StoredMemory | StoredEpisode) -> SubjectSealer:
        """Return a sealer for the subjects of a row that exists."""
        keys = self._keyring.tenant(tenant)
        return SubjectSealer(
            keys, keys.sealing_key(row.subjects, create=False), TokenScope(row.access_tier, row.owner)
        )

    def unrecorded(self, tenant: str, sealer: SubjectSealer) -> dict[str, Sealed]:
        """Return the sealed names of subjects that this process has not yet written."""
        if all((tenant, subject) in self._recorded for subject in sealer.subjects):
            return {}
        return sealer.sealed_names()

    def note_recorded(self, tenant: str, sealer: SubjectSealer) -> None:
        """Take note that the subjects' rows are durable."""
        with self._lock:
            self._recorded.update((tenant, subject) for subject in sealer.subjects)

    def subject_ids(self, tenant: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return the vault ids of subjects; makes no key.

        Raises:
            IdentifierInvalidError: a name is not acceptable.
        """
        return tuple(sorted(self.named(tenant, names)))

    def query_tokens(self, tenant: str, subjects: Sequence[str], scope: TokenScope) -> SubjectTokens:
        """Return the tokens in which a query is shown masked: those of the asker's own memories about one subject."""
        keys = self._keyring.tenant(tenant)
        if len(subjects) == 1:
            with suppress(KeyMissingError, KeyDestroyedError):
                return scope.tokens(keys.token_key(subjects[0]))
        return scope.tokens(keys.surrogate_key())

    def hasher(self, tenant: str) -> TermHasher:
        """Return the hasher of a tenant's search terms."""
        return TermHasher(self._keyring.tenant(tenant).search_key())

    def query_digest(self, tenant: str, query: str) -> str:
        """Return the keyed hash of a query as it stands in the log, in hex."""
        key = self._keyring.tenant(tenant).query_key()
        return hmac.digest(key, query.encode("utf-8", "surrogatepass"), "sha256")[:_QUERY_DIGEST_BYTES].hex()

    def open_memory(
        self, tenant: str, row: StoredMemory, *, reveal: bool = False, at_hand: bool = False
    ) -> OpenedMemory:
        """Open a row and check that it stands where it was sealed.

        Args:
            tenant: Whose.
            row: Its row.
            reveal: Whether the originals of its tokens are opened, too; these are never kept.
            at_hand: Whether what is opened is kept in activation memory: for answers, not for work on all rows.

        Raises:
            TamperedError: it does not, or its owner was changed.
            KeyAccessError: or one of its kinds.
        """
        sealer = self._sealer_of(tenant, row)

        def opened(name: SealedField, sealed: Sealed) -> bytes:
            return sealer.open_kept(name, sealed, self.at_hand) if at_hand else sealer.open(name, sealed)

        attributes = decode_memory_attributes(opened(SealedField.ATTRIBUTES, row.attributes))
        if attributes.owner != row.owner:
            raise TamperedError(f"{row.memory_id} has another owner than it was sealed for")
        text = MaskedField(decode_text(opened(SealedField.TEXT, row.text)), attributes.text_marks)
        if not reveal:
            return OpenedMemory(
                text.text, attributes.speaker.text, attributes.ref.text, attributes, revealed=False
            )
        originals = self._originals(tenant, row)
        return OpenedMemory(
            text=text.revealed(originals.get(TEXT, ())),
            speaker=attributes.speaker.revealed(originals.get(SPEAKER, ())),
            ref=attributes.ref.revealed(originals.get(REF, ())),
            attributes=attributes,
            revealed=True,
        )

    def screened_again(self, tenant: str, row: StoredMemory) -> ScreenedAgain:
        """Return a row's content as it was when the gate let it through.

        For work inside the vault (embedding anew, updating); never for an answer.
        """
        opened = self.open_memory(tenant, row)
        originals = self._originals(tenant, row)
        attributes = opened.attributes
        text = MaskedField(opened.text, attributes.text_marks)
        ref = screened_from(attributes.ref, originals.get(REF, ()), row.detector)
        return ScreenedAgain(
            attributes,
            text=screened_from(text, originals.get(TEXT, ()), row.detector),
            speaker=screened_from(attributes.speaker, originals.get(SPEAKER, ()), row.detector),
            ref=ref if ref.text else None,
        )

    def episode_screened_again(self, tenant: str, row: StoredEpisode, detector: str) -> EpisodeContent:
        """Return what an episode is called as it was when the gate let it through; never for an answer.

        Args:
            tenant: Whose.
            row: Its row, which does not say what screened it.
            detector: What is to be said of that.
        """
        attributes = self.open_episode(tenant, row)

        def again(name: str, field: MaskedField) -> Screened:
            return screened_from(field, attributes.originals.get(name, ()), detector)

        return EpisodeContent(
            owner=attributes.owner,
            title=again("title", attributes.title),
            name=again("name", attributes.name),
            at=attributes.at,
            tags=tuple(again(f"tag.{place}", tag) for place, tag in enumerate(attributes.tags)),
            metadata=tuple(
                (again(f"key.{place}", key), again(f"value.{place}", value))
                for place, (key, value) in enumerate(attributes.metadata)
            ),
        )

    def fact(self, tenant: str, row: StoredMemory) -> Screened:
        """Return a row's text as it was when the gate let it through: `screened_again`, without the rest of the row.

        Raises:
            TamperedError: it does not stand where it was sealed.
            KeyAccessError: or one of its kinds.
        """
        if row.originals is not None:
            return self.screened_again(tenant, row).text
        # Nothing was replaced anywhere in the row.
        text = decode_text(self._sealer_of(tenant, row).open(SealedField.TEXT, row.text))
        return Screened(text, (), row.detector, SCREENED_ISSUER)

    def open_terms(self, tenant: str, place: "IndexPlace", terms: Sealed) -> bytes:
        """Open the packed term record of a row that the index is rebuilt from."""
        return self._unseal(place.binding(tenant, SealedField.TERMS), terms)

    def open_vector(self, tenant: str, place: "IndexPlace", vector: Sealed) -> Vector:
        """Open the dense vector of a row that the index is rebuilt from."""
        data = self._unseal(place.binding(tenant, SealedField.EMBEDDING), vector)
        return np.frombuffer(data, "<f2").astype(np.float32)

    def seal_vector(self, tenant: str, row: StoredMemory, vector: Vector) -> Sealed:
        """Seal the dense vector of a memory, as float16."""
        key = self._keyring.tenant(tenant).sealing_key(row.subjects, create=False)
        sealer = key.bind(row.memory_id, row.version, row.access_tier)
        return sealer.seal(SealedField.EMBEDDING, vector.astype("<f2").tobytes())

    def check_name(self, tenant: str, subject: str, name: Sealed) -> None:
        """See that a subject's sealed name opens where it stands, and is the one that its id was made of.

        Raises:
            TamperedError: it is another's, or was changed.
            KeyAccessError: or one of its kinds.
        """
        self.subject_name(tenant, subject, name)

    def subject_name(self, tenant: str, subject: str, name: Sealed) -> str:
        """Return the caller's name of a subject, as it is normal.

        Raises:
            TamperedError: it is another's, or was changed.
            KeyAccessError: or one of its kinds.
        """
        place = Binding(
            tenant, subject, FIRST_VERSION, (subject,), AccessTier.PRIVATE, SealedField.SUBJECT_NAME
        )
        opened = self._unseal(place, name).decode()
        if self._keyring.tenant(tenant).subject_id(opened) != subject:
            raise TamperedError(f"the name of {subject} is not the one that its id was made of")
        return opened

    def open_episode(self, tenant: str, row: StoredEpisode, *, at_hand: bool = False) -> EpisodeAttributes:
        """Open an episode's attributes; keep them in activation memory where that is asked for.

        Raises:
            TamperedError: it does not stand where it was sealed, or its owner was changed.
            KeyAccessError: or one of its kinds.
        """
        try:
            key = self._keyring.tenant(tenant).opening_key(row.subjects, key_versions(row.attributes))
        except IdentifierInvalidError:
            raise TamperedError(f"{row.episode_id} names subjects that cannot be") from None
        sealer = key.bind(row.episode_id, FIRST_VERSION, row.access_tier)
        if at_hand:
            content = sealer.open_kept(SealedField.EPISODE, row.attributes, self.at_hand)
        else:
            content = sealer.open(SealedField.EPISODE, row.attributes)
        attributes = decode_episode_attributes(content)
        if attributes.owner != row.owner:
            raise TamperedError(f"{row.episode_id} has another owner than it was sealed for")
        return attributes

    def _sealer_of(self, tenant: str, row: StoredMemory) -> Sealer:
        """Return what opens the fields of a row, which were sealed together under one key."""
        try:
            key = self._keyring.tenant(tenant).opening_key(row.subjects, key_versions(row.text))
            return key.bind(row.memory_id, row.version, row.access_tier)
        except IdentifierInvalidError:
            raise TamperedError(f"{row.memory_id} names subjects that cannot be") from None

    def _originals(self, tenant: str, row: StoredMemory) -> Originals:
        if row.originals is None:
            return {}
        return decode_originals(self._open(tenant, row, SealedField.ORIGINALS, row.originals))

    def _open(self, tenant: str, row: StoredMemory, name: SealedField, sealed: Sealed) -> bytes:
        binding = Binding(tenant, row.memory_id, row.version, row.subjects, row.access_tier, name)
        return self._unseal(binding, sealed)

    def _unseal(self, binding: Binding, sealed: Sealed) -> bytes:
        try:
            return self._keyring.tenant(binding.tenant).open(binding, sealed)
        except IdentifierInvalidError:
            raise TamperedError(f"{binding.record} names subjects that cannot be") from None


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where a row of the index feed stands."""

    memory_id: str
    version: int
    subjects: tuple[str, ...]
    access_tier: AccessTier

    def binding(self, tenant: str, name: SealedField) -> Binding:
        """Return the binding of one of its fields."""
        return Binding(tenant, self.memory_id, self.version, self.subjects, self.access_tier, name)
