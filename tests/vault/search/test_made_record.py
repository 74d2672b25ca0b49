"""A record that was just made goes into the index as the packed one does, without being read back."""

from datetime import UTC, datetime

import pytest

from policies.model import AccessTier
from tests.vault.search.makers import HASHER, clear
from vault.search import partition
from vault.search.index import Query, Scope, TenantIndex
from vault.search.lexical import prepare_query
from vault.search.record import TermRecord, pack

SCOPE = Scope(AccessTier.PRIVATE, "ward-agent")
TEXTS = ("Where is the red kite?", "The kite hangs in the hall.", "We ate apples.", "Whose apples?")
AT = datetime(2026, 3, 2, tzinfo=UTC)


def record(text: str) -> TermRecord:
    return HASHER.record(clear(text), speaker=clear("Ana"), at=AT)


def filled(*, with_made: bool, episodes: int) -> TenantIndex:
    """An index of the texts, in so many episodes by turns."""
    index = TenantIndex()
    for place, text in enumerate(TEXTS):
        made = record(text)
        index.add(
            SCOPE,
            f"m{place}",
            f"e{place % episodes}",
            place,
            pack(made),
            made if with_made else None,
        )
    return index


@pytest.mark.parametrize("episodes", [1, 2, 4])
def test_a_made_record_is_found_with_the_same_scores_as_its_packed_form(episodes: int) -> None:
    made, read = (filled(with_made=which, episodes=episodes) for which in (True, False))
    for question in ("red kite", "apples", "Ana"):
        query = Query(prepare_query(HASHER, clear(question)))
        found = made.search(query, frozenset({SCOPE}), 4)
        assert found == read.search(query, frozenset({SCOPE}), 4)
        assert found


def test_a_made_record_is_not_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: bytes) -> TermRecord:
        raise AssertionError("read back")

    monkeypatch.setattr(partition, "unpack", fails)
    assert len(filled(with_made=True, episodes=2)) == len(TEXTS)


def test_a_made_record_is_removed_by_its_packed_form() -> None:
    index = filled(with_made=True, episodes=1)
    for place in range(len(TEXTS)):
        assert index.remove(f"m{place}")
    assert len(index) == 0
