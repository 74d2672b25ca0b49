"""How the memory tiers of a tenant stand, in numbers; no content, and nothing of other tenants.

Owns who may ask and the entry of it. It leaves counting rows to `vault.storage.placing`, and what activation memory and
the context windows did to themselves: those numbers are this process's, since it opened the vault.
"""

from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.grant import authorise
from vault.journal import Call
from vault.model import MemoryTier
from vault.parts import Parts
from vault.storage.placing import TierCount, count_tiers
from vault.tiers.activation import ActivationStatus
from vault.tiers.windows import ContextUse

_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class TiersStatus:
    """The memory tiers of one tenant."""

    tiers: tuple[TierCount, ...]
    """All of them, in the order of `MemoryTier`."""
    at_hand: ActivationStatus
    context: ContextUse


def tiers_status(parts: Parts, principal: Principal, purpose: Purpose) -> TiersStatus:
    """Return how the memory tiers of the principal's tenant stand.

    Raises:
        DeniedError: not allowed; the denial is logged.
    """
    over = ((SystemResource.VAULT, Relation.INSTITUTION),)
    try:
        grant = authorise(parts.policy, principal, Action.ADMINISTER, purpose, over=over)
    except DeniedError:
        parts.journal.deny(Call(principal, Action.ADMINISTER, purpose), resource=_VAULT)
        raise
    with parts.store.log_connection(grant.tenant) as connection:
        found = {one.memory_tier: one for one in count_tiers(connection, grant.tenant)}
    counts = tuple(found.get(tier.value, TierCount(tier.value, 0, 0)) for tier in MemoryTier)
    told: dict[str, JsonValue] = {"count": sum(one.memories for one in counts), "kind": "tiers"}
    parts.journal.note(grant, told, resource=_VAULT)
    return TiersStatus(counts, parts.sealers.at_hand.status(grant.tenant), parts.windows.use(grant.tenant))
