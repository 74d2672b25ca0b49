"""What was corrected or retracted, as keyed digests: a write that says it again from an older source is known.

Owns looking them up in the transaction of a write. It leaves making digests to `vault.tombstones`, with which they
share a table, and what becomes of an echo to `vault.write_path`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from audit.driver import ListStatement
from audit.log import Leaf
from vault.errors import EchoedError
from vault.storage.group_commit import Change
from vault.storage.removal import Tombstone, TombstoneKind, add_tombstones, has_tombstones
from vault.storage.schema import TOMBSTONE


class Said(NamedTuple):
    """Where a statement stands that may be an echo, and from when it is."""

    place: int
    """Of its memory among those that are written."""
    at: int | None
    """When it was said, in microseconds since 1970 UTC; None: nobody knows."""


_KNOWN: Final = ListStatement(
    lambda digests: select(TOMBSTONE.c.digest, TOMBSTONE.c.recorded).where(
        TOMBSTONE.c.tenant_id == bindparam("tenant"),
        TOMBSTONE.c.kind == bindparam("kind"),
        TOMBSTONE.c.digest.in_(digests),
    )
)


def refuse_echoes(tenant: str, said: Callable[[], Mapping[bytes, Sequence[Said]]]) -> Change:
    """Return the check that a write says nothing that was taken back after it was said.

    Args:
        tenant: Whose.
        said: Makes the digests of what is written; asked only where anything was ever removed or taken back.

    Raises:
        EchoedError: of the change: some of it is; it names the places.
    """

    def check(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        if not has_tombstones(connection, tenant):
            return
        about = said()
        found = _KNOWN.rows(connection, {"tenant": tenant, "kind": TombstoneKind.ECHO.value}, list(about))
        places = {
            one.place
            for digest, taken_back in found
            for one in about[digest]
            if one.at is None or one.at <= taken_back
        }
        if places:
            raise EchoedError(frozenset(places))

    return check


def take_back(tenant: str, echoes: Sequence[Tombstone], recorded: int) -> Change:
    """Return the change by which statements are known from now on as taken back."""

    def add(connection: Connection, leaves: Sequence[Leaf]) -> None:
        add_tombstones(connection, tenant, echoes, recorded, leaves[0].index)

    return add
