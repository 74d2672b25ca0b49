"""From screened text to what search works on: keyed term hashes and the text that is embedded.

Owns the hashing of words, dates and names under the tenant's index key, the wording of the text given to
the embedder, and the preparation of a query so that both meet. It leaves words and stems to
`vault.search.words`, the packed form to `vault.search.record`, ranking to `vault.search.index`.

Originals of tokenized personal data are hashed beside the masked words, so that exact names and numbers are
found; they leave no other trace here. Redacted values are gone and are not indexed. The embedder sees
neither, nor the speaker: a plain word of its kind stands for each value (`vault.search.stand_ins`).

    hasher = TermHasher(key)
    record = hasher.record(screened, speaker=screened_name, at=said)      # pack(record) is sealed
    vector = embedder.embed([embedding_text(screened)])[0]
    query = prepare_query(hasher, screened_question)                     # the raw question is not kept
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vault.clock import microseconds
from vault.model import Replacement, Screened, TimeMention, expect_screened
from vault.search.dates import terms_of_question, terms_of_time
from vault.search.record import (
    MAX_COUNT,
    MAX_DATE_TERMS,
    MAX_LENGTH,
    MAX_SPEAKER_TERMS,
    MAX_TERMS,
    TermRecord,
)
from vault.search.stand_ins import OTHERWISE, STAND_INS
from vault.search.words import STOP_WORDS, stems, words

KEY_BYTES: Final = 32
MAX_QUERY_TERMS: Final = 64
"""Distinct terms of a question that count; the first ones stay."""
MAX_EMBEDDED_CHARACTERS: Final = 2_000
_ASKS: Final = re.compile(r"[?\uff1f\u061f](?![^\W_])")
"""A question mark that no letter or digit follows, as one would in an address."""


class TermHasher:
    """Hashes search terms under one tenant's index key. Safe to share between threads.

    Args:
        key: 32 secret bytes; terms hashed under another key never meet.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"expected an index key of {KEY_BYTES} bytes, got {len(key)}")
        self._keyed = hashlib.blake2b(digest_size=8, key=key)

    def __repr__(self) -> str:
        return "TermHasher(<key>)"

    def hash(self, word: str) -> int:
        """64-bit keyed hash of one word."""
        state = self._keyed.copy()
        state.update(word.encode("utf-8", "replace"))
        return int.from_bytes(state.digest(), "little")

    def record(
        self,
        text: Screened,
        *,
        speaker: Screened | None = None,
        at: datetime | None = None,
        times: Iterable[TimeMention] = (),
    ) -> TermRecord:
        """Return what search needs to know of one memory.

        Args:
            text: the memory's screened text.
            speaker: the speaker's screened name.
            at: when it was said.
            times: times named in the text, made absolute.
        """
        readable = restore(text)
        found = stems(readable)
        counts = Counter(found)
        counts.update({code: 1 for code in _codes(text.replacements) if code not in counts})
        common = counts.items() if len(counts) <= MAX_TERMS else counts.most_common(MAX_TERMS)
        kept = sorted([(self.hash(word), min(count, MAX_COUNT)) for word, count in common])
        return TermRecord(
            terms=tuple([term for term, _ in kept]),
            counts=tuple([count for _, count in kept]),
            speaker=self._hashes(() if speaker is None else _name_words(speaker), MAX_SPEAKER_TERMS),
            dates=self._hashes(terms_of_time(at, times), MAX_DATE_TERMS),
            length=min(len(found), MAX_LENGTH),
            question=_ASKS.search(readable) is not None,
            at=None if at is None else microseconds(at) // 1_000_000,
        )

    def _hashes(self, found: Iterable[str], most: int) -> tuple[int, ...]:
        return tuple(sorted({self.hash(word) for word in sorted(set(found))[:most]}))


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A question as search sees it: hashes, and masked text for the embedder."""

    terms: tuple[int, ...]
    """Distinct hashes of stems, in the question's order."""
    names: tuple[int, ...]
    """Hashes of the unstemmed words, to meet speakers' names; ascending."""
    dates: tuple[int, ...]
    """Hashes of date terms, ascending."""
    embedding_text: str


def prepare_query(hasher: TermHasher, question: Screened, times: Iterable[TimeMention] = ()) -> PreparedQuery:
    """Return what is searched for; nothing of the raw question is kept.

    Args:
        hasher: the tenant's.
        question: the screened question; originals of its tokens are hashed, redacted values are not.
        times: relative times in the question, made absolute.
    """
    readable = restore(question)
    found = dict.fromkeys(stems(readable))  # not the tokens' codes: the same name would count twice
    return PreparedQuery(
        terms=tuple(map(hasher.hash, list(found)[:MAX_QUERY_TERMS])),
        names=tuple(sorted(map(hasher.hash, sorted(set(words(readable)))[: 4 * MAX_QUERY_TERMS]))),
        dates=tuple(sorted(map(hasher.hash, terms_of_question(readable) | terms_of_time(None, times)))),
        embedding_text=embedding_text(question),
    )


def embedding_text(text: Screened) -> str:
    """Return the masked text with a plain word in place of each token; bounded in length."""
    return _replaced(text, lambda replacement: STAND_INS.get(replacement.entity_type, OTHERWISE))[
        :MAX_EMBEDDED_CHARACTERS
    ]


def restore(text: Screened) -> str:
    """Return the text with originals in place of tokens and nothing in place of redacted values."""
    return _replaced(text, lambda replacement: replacement.original or " ")


def _replaced(text: Screened, put: Callable[[Replacement], str]) -> str:
    expect_screened(text)
    if not text.replacements:
        return text.text
    return "".join(_pieces(text.text, sorted(text.replacements, key=lambda found: found.masked.start), put))


def _pieces(masked: str, found: Sequence[Replacement], put: Callable[[Replacement], str]) -> Iterator[str]:
    place = 0
    for replacement in found:
        yield masked[place : replacement.masked.start]
        yield put(replacement)
        place = replacement.masked.end
    yield masked[place:]


def _codes(replacements: Iterable[Replacement]) -> Iterator[str]:
    """Codes of tokens, so that a token copied from an answer finds its memories."""
    for replacement in replacements:
        if replacement.original is not None:
            yield from words(replacement.token.rpartition("-")[2])


def _name_words(speaker: Screened) -> Iterator[str]:
    """Words that name a speaker: of "The Doctor" not the first, of "Will" the only one."""
    found = words(restore(speaker))
    yield from [word for word in found if word not in STOP_WORDS] or found
    yield from _codes(speaker.replacements)
