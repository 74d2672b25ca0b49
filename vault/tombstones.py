"""What was erased, as keyed digests: by them it is known again when it comes back (law 5).

Owns the normal form of a fact and the digests of subjects, memories and facts. It leaves the rows to
`vault.storage.removal`, and when something is removed to the operations that remove.

A fact is known in any case, width and punctuation: its letters and digits count, words apart by one space. Of a
memory that was erased the fact stays known

- *together with each of its subjects*: the same words about the same person are refused;
- *by itself, if it holds a personal value*: "Anna Keller's left knee" is refused under any subject, while another
  person's "I have a headache" is not.

The digests are keyed: who reads the table cannot try words against it without the tenant's key.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

from policies.model import AccessTier
from vault.crypto.encoding import frame
from vault.model import Screened
from vault.pipeline.assertions import bare, supposed
from vault.pipeline.sentences import split_statements
from vault.storage.removal import Tombstone, TombstoneKind

_DIGEST_BYTES: Final = 32


class EchoScope(NamedTuple):
    """Within which memories a statement that was taken back is known again."""

    access_tier: AccessTier
    owner: str


_LEAST_SPACES: Final = 2
"""Of a statement that is known again: "no" and "thank you" say nothing that could be taken back."""


class Tombstones:
    """Makes the digests of one tenant.

    Args:
        key: The tenant's tombstone key, of 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def subject(self, subject_id: str) -> Tombstone:
        """Return the tombstone of a person."""
        return self._made(TombstoneKind.SUBJECT, subject_id)

    def memory(self, memory_id: str) -> Tombstone:
        """Return the tombstone of a memory."""
        return self._made(TombstoneKind.MEMORY, memory_id)

    def facts(self, subjects: Iterable[str], text: Screened) -> Iterator[Tombstone]:
        """Yield the tombstones of what a memory says: none where it has no letter or digit."""
        normal = normal_fact(original_text(text))
        if not normal:
            return
        for subject in subjects:
            yield self._made(TombstoneKind.FACT, subject, normal)
        if any(found.original is not None for found in text.replacements):
            yield self._made(TombstoneKind.FACT, "", normal)

    def of_write(self, subjects: Iterable[str], texts: Iterable[Screened]) -> dict[bytes, TombstoneKind]:
        """Return the digests under which a write about these subjects would be known as erased."""
        about = tuple(subjects)
        made = [self.subject(subject) for subject in about]
        for text in texts:
            made += self.facts(about, text)
        return {one.digest: one.kind for one in made}

    def echoes(self, scope: EchoScope, subjects: Iterable[str], text: Screened) -> Iterator[Tombstone]:
        """Yield what each statement of a memory is known by once it is taken back; none of one that only asks.

        Threat: whoever writes guesses, and looks at their trust, learns what somebody else took back about a person. So
        a statement is known again within one owner's memories of one access tier, as organizing goes.
        """
        about = tuple(subjects)
        original = original_text(text)
        for one in split_statements(original):
            stated = original[one.span.start : one.span.end]
            normal = normal_fact(bare(stated))
            if one.question or normal.count(" ") < _LEAST_SPACES or supposed(stated):
                continue
            for subject in about:
                yield self._made(TombstoneKind.ECHO, scope.access_tier, scope.owner, subject, normal)

    def _made(self, kind: TombstoneKind, *parts: str) -> Tombstone:
        framed = frame(*(part.encode("utf-8", "surrogatepass") for part in (kind.value, *parts)))
        return Tombstone(kind, blake2b(framed, digest_size=_DIGEST_BYTES, key=self._key).digest())


def original_text(screened: Screened) -> str:
    """Return a text with the originals of its tokens; what was redacted stays redacted."""
    parts: list[str] = []
    end = 0
    for found in sorted(screened.replacements, key=lambda one: one.masked.start):
        kept = found.token if found.original is None else found.original
        parts += (screened.text[end : found.masked.start], kept)
        end = found.masked.end
    return "".join((*parts, screened.text[end:]))


def normal_fact(text: str) -> str:
    """Return a text's letters, digits and signs of them in one case and width, words apart by one space.

    Compatibility forms are folded (Unicode NFKC), then case, then compatibility forms again, as UAX 15 and the
    Unicode Standard's caseless matching (D146) ask.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(one if unicodedata.category(one)[0] in "LNM" else " " for one in folded)
    return " ".join(kept.split())
