"""Small made-up memories for the search tests."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.model import SCREENED_ISSUER, Replacement, Screened, Span
from vault.search.index import Entry, Query, Scope
from vault.search.lexical import TermHasher, prepare_query
from vault.search.record import pack

HASHER = TermHasher(bytes(range(32)))
ALICE = Scope(AccessTier.PRIVATE, "alice")
BOB = Scope(AccessTier.PRIVATE, "bob")
WARD = Scope(AccessTier.INSTITUTIONAL)
DIMENSIONS = 8
SAID = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def clear(text: str) -> Screened:
    """Text in which the gate found nothing."""
    return Screened(text, (), "test", SCREENED_ISSUER)


def masked(text: str, original: str, kind: str = "PERSON", code: str = "k7f2qa") -> Screened:
    """Text whose only `{}` is a token for `original`."""
    token = f"[{kind}-{code}]"
    start = text.index("{}")
    found = Replacement(
        kind, Span(start, start + len(token)), Span(start, start + len(original)), token, original
    )
    return Screened(text.replace("{}", token), (found,), "test", SCREENED_ISSUER)


def record(text: str, speaker: str = "", at: datetime | None = SAID) -> bytes:
    """Packed term record of clear text."""
    return pack(HASHER.record(clear(text), speaker=clear(speaker) if speaker else None, at=at))


def vector(seed: int) -> NDArray[np.float32]:
    """A unit vector, the same for the same seed."""
    drawn = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


def entry(number: int, text: str, scope: Scope = ALICE, episode: str = "e1", speaker: str = "") -> Entry:
    """The `number`-th turn of an episode, with a vector."""
    return Entry(scope, f"m{number}", episode, number, record(text, speaker), vector(number))


def ask(question: str, seed: int | None = None) -> Query:
    """A prepared question, by words alone or with a vector."""
    return Query(prepare_query(HASHER, clear(question)), None if seed is None else vector(seed))
