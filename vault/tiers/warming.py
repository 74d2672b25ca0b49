"""Warming: what stands in the tier `activation` is opened when the vault is opened, within the bounds.

Owns which and how much: each tenant gets an equal share of activation memory's bounds, the latest used first. Nobody is
shown anything by it, and who may see what is decided at each call as ever. A row that does not open is passed over:
the reader's and the consistency job's to report (law 12).
"""

from typing import Final

from vault.errors import KeyDestroyedError, KeyMissingError, TamperedError
from vault.parts import Parts
from vault.storage.due import current_rows
from vault.storage.placing import to_warm

FIELDS: Final = 2
"""Of a memory that an answer opens; its episode has one."""
_AT_ONCE: Final = 256


def warm(parts: Parts, tenant: str, tenants: int) -> int:
    """Open a tenant's share of activation memory beforehand, and return how many memories that are.

    Args:
        parts: Of the vault.
        tenant: Whose.
        tenants: Among how many the bounds are shared.

    Raises:
        RootUnusableError: or one of its kinds: no key can be had now.
    """
    at_hand = parts.sealers.at_hand
    most = at_hand.limits.items // (FIELDS * max(tenants, 1))
    room = at_hand.limits.size // max(tenants, 1)
    with parts.store.log_connection(tenant) as connection:
        ids = to_warm(connection, tenant, most)
    warmed = 0
    for start in range(0, len(ids), _AT_ONCE):
        with parts.store.log_connection(tenant) as connection:
            rows = current_rows(connection, tenant, ids[start : start + _AT_ONCE])
        parts.sealers.lease(tenant, [(row.subjects, row.text) for row in rows])
        for row in rows:
            if at_hand.status(tenant).size >= room:
                return warmed
            try:
                parts.sealers.open_memory(tenant, row, at_hand=True)
            except (TamperedError, KeyDestroyedError, KeyMissingError, ValueError, TypeError):
                continue
            warmed += 1
    return warmed
