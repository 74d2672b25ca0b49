"""What the log says of single rows: the digest that the last entry about each one names.

Owns the reading of that word for a batch of rows that are about to be sealed anew. It leaves the comparison of all
rows with the whole log to `vault.row_check`. An entry is relied on if it is what its leaf says.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.selection import entries_at
from vault.errors import TamperedError
from vault.log_stream import checked

_OF_EPISODE: Final = -1
_Digests = dict[tuple[str, int | None], str]


class RowWord:
    """The log's word on some rows.

    Args:
        connection: A reading one, of the tenant.
        tenant: Whose log.
        indexes: Of the entries that are asked for.
    """

    def __init__(self, connection: Connection, tenant: str, indexes: Iterable[int]) -> None:
        self._digests: dict[int, _Digests] = {}
        self._erased: set[int] = set()
        for entry in entries_at(connection, tenant, sorted(set(indexes))):
            try:
                header, payload = checked(entry, entry.index, tenant)
            except TamperedError:
                continue  # what it says is not relied on: its rows are not told of
            if payload is None:
                self._erased.add(entry.index)
            else:
                self._digests[entry.index] = _digests(payload, header.resource)

    def expect(self, index: int, memory_id: str, version: int, digest: str) -> None:
        """See that a version of a memory is the one that an entry told of; nobody can where that was erased.

        Raises:
            TamperedError: it is not.
        """
        told = self._digests.get(index, {})
        self._expect(index, memory_id, told.get((memory_id, version), told.get((memory_id, None))), digest)

    def expect_episode(self, index: int, episode_id: str, digest: str) -> None:
        """See the same of an episode.

        Raises:
            TamperedError: it is not.
        """
        told = self._digests.get(index, {}).get((episode_id, _OF_EPISODE))
        self._expect(index, episode_id, told, digest)

    def _expect(self, index: int, row_id: str, told: str | None, digest: str) -> None:
        if index not in self._erased and told != digest:
            raise TamperedError(f"the row of {row_id} is not what entry {index} says")


def _digests(payload: Mapping[str, JsonValue], resource: str | None) -> _Digests:
    """Return the digests that a payload names; of a memory whose version it does not say, under None."""
    memories = _texts(payload.get("written")) or _texts(payload.get("memories"))
    digests, versions = _texts(payload.get("digests")), payload.get("versions")
    numbers = versions if isinstance(versions, list) else [None] * len(memories)
    found: _Digests = {
        (memory_id, number if isinstance(number, int) else None): digest
        for memory_id, number, digest in zip(memories, numbers, digests, strict=False)
    }
    episode = payload.get("episode")
    if isinstance(episode, str) and resource is not None:
        found[resource, _OF_EPISODE] = episode
    told = zip(_texts(payload.get("episodes")), _texts(payload.get("episode_digests")), strict=False)
    found.update({(episode_id, _OF_EPISODE): digest for episode_id, digest in told})
    return found


def _texts(value: JsonValue) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
