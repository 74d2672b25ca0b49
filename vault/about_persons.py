"""What every row about a person has in common: none is written about one who was erased.

Owns the condition of a write set. It leaves how the erased are known again to `vault.tombstones`. Writes of memories
have it in `vault.storage.write_unit`, together with what the memories say.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from audit.log import Leaf
from vault.parts import Parts
from vault.storage.group_commit import Change
from vault.storage.removal import expect_not_erased


def about_nobody_erased(parts: Parts, tenant: str, subject: str) -> Change:
    """Return a condition that refuses a write set about an erased person, as its transaction sees it.

    Threat: a consent or a place on a care team that comes after an erasure, or in the midst of one, says for ever
    that this person was known here, and nothing would erase it again.

    Raises:
        ErasedError: at the commit.
    """
    known = parts.sealers.tombstones(tenant).of_write((subject,), ())

    def check(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        expect_not_erased(connection, tenant, known)

    return check
