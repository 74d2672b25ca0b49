"""Links that a caller asks for: typed edges from one memory to others, authorised, checked and logged like organizing.

Owns the checks: all ends are within reach, and of one owner and one access tier: what one owner says privately must
neither show beside another's memories nor dispute them.
"""

from collections.abc import Sequence
from typing import Final

from audit.event import Outcome
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose
from vault.errors import ConflictError, InputInvalidError, NotFoundError, TamperedError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.guarding.held_back import HeldBack
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.model import EdgeKind, Receipt
from vault.parts import Parts
from vault.storage.rows import StoredMemory

MAX_TARGETS: Final = 200


def link_memories(
    parts: Parts,
    principal: Principal,
    purpose: Purpose,
    edge: tuple[str, EdgeKind, Sequence[str]],
) -> Receipt:
    """Write edges from one memory to others; those that are there already stay.

    Args:
        parts: Of the vault.
        principal: Who asks.
        purpose: Why.
        edge: Id of the memory that the edges start at, their kind, and ids of those that they lead to.

    Raises:
        DeniedError: nothing may be organized for this purpose; the denial is logged.
        NotFoundError: one of them is not there, or out of reach; the entry says so.
        ConflictError: they are of several owners or access tiers, or one is the source itself.
        InputInvalidError: none, or too many targets.
    """
    source, kind, targets = edge[0], edge[1], list(dict.fromkeys(edge[2]))
    if not 1 <= len(targets) <= MAX_TARGETS:
        raise InputInvalidError(f"expected 1 to {MAX_TARGETS} memories to link to")
    ids = [check_vault_id(IdKind.MEMORY, one) for one in (source, *targets)]
    if source in targets:
        raise ConflictError("expected no link of a memory to itself")
    call = Call(principal, Action.ORGANIZE, purpose)
    try:
        grant = authorise(parts.policy, principal, call.action, purpose, over=EVERY_MEMORY)
    except DeniedError:
        parts.journal.deny(call, resource=source)
        raise
    rows = _of_one_scope(parts, grant, call, ids)
    if kind is EdgeKind.DERIVED_FROM:
        # Before it is linked: what is not borne out is served to nobody, whatever happens in between.
        HeldBack(parts).look_at(grant, rows[source], [rows[target] for target in targets])
    unit = parts.store.write(grant)
    unit.expect_present(ids)
    for target in targets:
        unit.add_edge(source, kind, target)
    links = [[kind.value, source, target] for target in targets]
    unit.entry(parts.journal.allowed(grant, {"links": links, "edges": len(links), "examined": len(ids)}))
    leaf = unit.commit()[0]
    return Receipt((), None, parts.origin(grant.tenant), leaf.index, leaf.hash, grant.bundle_digest)


def own_private(
    parts: Parts, principal: Principal, purpose: Purpose, memory_ids: Sequence[str]
) -> tuple[str, ...]:
    """Return those of the memories that are the principal's own and private, in their order; an entry says so.

    Raises:
        DeniedError: nothing may be read for this purpose; the denial is logged.
        InputInvalidError: too many, or no ids.
    """
    ids = [check_vault_id(IdKind.MEMORY, one) for one in dict.fromkeys(memory_ids)]
    if len(ids) > MAX_TARGETS:
        raise InputInvalidError(f"expected at most {MAX_TARGETS} memories")
    call = Call(principal, Action.READ, purpose)
    try:
        grant = authorise(parts.policy, principal, call.action, purpose, over=EVERY_MEMORY)
    except DeniedError:
        parts.journal.deny(call)
        raise
    with parts.store.read(grant) as unit:
        rows = unit.memories(ids)
    own = tuple(
        one
        for one in ids
        if one in rows and (rows[one].owner, rows[one].access_tier) == (principal.id, AccessTier.PRIVATE)
    )
    parts.journal.note(grant, {"memories": list(own), "count": len(own)})
    return own


def _of_one_scope(parts: Parts, grant: Grant, call: Call, ids: Sequence[str]) -> dict[str, StoredMemory]:
    with parts.store.read(grant) as unit:
        rows = unit.memories(ids)
    if unit.damaged:
        parts.journal.note(grant, {"unreadable": list(unit.damaged)}, outcome=Outcome.FAILED)
        raise TamperedError("a row is not of the form of a memory")
    if len(rows) != len(ids):
        parts.journal.deny(call, resource=ids[0])
        raise NotFoundError("there is no such memory here")
    if len({(row.access_tier, row.owner) for row in rows.values()}) != 1:
        parts.journal.note(grant, {}, resource=ids[0], outcome=Outcome.REFUSED)
        raise ConflictError("expected memories of one owner and one access tier")
    return rows
