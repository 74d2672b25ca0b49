"""Which memories a legal hold by words is over: all that have them, not the best few.

Owns the comparison of words. It leaves what becomes of the ids to `vault.holds`.

A memory matches a query if each of the query's words stands in it, in any form of the word and in any case, in the
text as it was said or in its speaker's name; originals of personal data count, though nobody sees them. It is
looked for in sealed rows, not in the search index: the index ranks, leaves out what nobody may see, and may lag.

Present versions are looked at. What cannot be opened, or is in quarantine, is counted: whoever places the hold is to
know of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from policies.model import AccessTier
from vault.errors import InputInvalidError
from vault.parts import Parts
from vault.pipeline.limits import check_visible
from vault.rebuilding import BAD_ROW, leased_rows
from vault.sealing import IndexPlace
from vault.search.lexical import PreparedQuery, prepare_query
from vault.search.record import unpack
from vault.storage.holding import count_quarantined
from vault.subject_sealer import TokenScope


@dataclass(frozen=True, slots=True)
class Matched:
    """What a query matched."""

    memories: tuple[str, ...]
    digests: tuple[str, ...]
    """Keyed digests of the queries, as the log keeps them."""
    unreadable: int
    """Memories that could not be opened, and may be more."""


def match_queries(parts: Parts, tenant: str, asker: str, queries: Iterable[str]) -> Matched:
    """Return the memories of a tenant that match any of some queries.

    Args:
        parts: Of the vault.
        tenant: Whose.
        asker: Who asks: in whose tokens personal data in a query is masked.
        queries: Words of which a memory must have all.

    Raises:
        InputInvalidError: a query is empty, too long, or has no word to look for.
    """
    given = tuple(queries)
    wanted = [_prepared(parts, tenant, asker, query) for query in given]
    found: list[str] = []
    with parts.store.log_connection(tenant) as connection:
        unreadable = count_quarantined(connection, tenant)
    for row in leased_rows(parts, tenant):
        try:
            place = IndexPlace(row.memory_id, row.version, row.subjects, AccessTier(row.access_tier))
            record = unpack(parts.sealers.open_terms(tenant, place, row.terms))
        except BAD_ROW:
            unreadable += 1
            continue
        terms, speaker = frozenset(record.terms), frozenset(record.speaker)
        if any(_has(query, terms, speaker) for query in wanted):
            found.append(row.memory_id)
    digests = tuple(parts.sealers.query_digest(tenant, query) for query in given)
    return Matched(tuple(found), digests, unreadable)


def _prepared(parts: Parts, tenant: str, asker: str, query: str) -> PreparedQuery:
    check_visible("query", query, parts.limits.query_chars)
    tokens = parts.sealers.query_tokens(tenant, (), TokenScope(AccessTier.PRIVATE, asker))
    prepared = prepare_query(parts.sealers.hasher(tenant), parts.gate.screen(query, tokens))
    if not prepared.terms:
        raise InputInvalidError("expected a query with at least one word to look for")
    return prepared


def _has(query: PreparedQuery, terms: frozenset[int], speaker: frozenset[int]) -> bool:
    """Say whether a memory has all words of a query, or its speaker's name is made of them."""
    return terms.issuperset(query.terms) or (bool(query.names) and speaker.issuperset(query.names))
