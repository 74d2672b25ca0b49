"""Erasing payloads of the log: authorised, with a reason, and an entry in the same transaction.

Owns the operation that an erasure of a person ends with, as far as the log is concerned. It leaves the
UPDATE and what may be erased at all to `audit.erasure`, and finding which entries speak of a person to
the erasure job.

Header, leaf, tree and every old proof stand. The `payload.erase` entry names the log, the entries and the
reason; each erased entry names that entry (`erased_by`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from audit.canonical import JsonValue, parse_canonical
from audit.erasure import erase_payloads
from audit.errors import EntryInvalidError, PayloadMalformedError, RangeInvalidError
from audit.event import EventType, Outcome
from audit.log import Leaf
from audit.store import LEAF
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.errors import ConflictError, HeldError, InputInvalidError
from vault.grant import Grant, authorise
from vault.ids import IdKind
from vault.journal import Call
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.removal import expect_not_held

_MEMORY: Final = f"{IdKind.MEMORY.value}_"
_SUBJECT: Final = "sub_"
_PIECE: Final = 500  # below SQLite's limit of bound parameters
FOLD_SECONDS: Final = 2.0
"""How long is waited for readers of an older state until what was dropped is gone from the disk, too."""


class ErasureReason(StrEnum):
    """Why payloads are dropped."""

    ERASURE_REQUEST = "erasure-request"
    """A person asked for it."""
    RETENTION = "retention"
    """Their time is over."""
    ENTERED_IN_ERROR = "entered-in-error"
    COURT_ORDER = "court-order"


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did."""

    leaf: Leaf
    """Its entry."""
    bytes_may_remain: bool
    """Whether the old bytes may still stand in the write-ahead log: a reader looked at an older state. They go
    with the next erasure, or when the vault is closed."""


class PayloadErasure:
    """Drops payloads of one vault's logs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def erase(
        self, principal: Principal, purpose: Purpose, indexes: Sequence[int], reason: ErasureReason
    ) -> Erased:
        """Drop payload and salt of entries of the principal's log, for good.

        The old bytes are overwritten in the database file (`secure_delete`), and the write-ahead log beside it
        is folded in and cut, if no reader holds that off for too long.

        Raises:
            DeniedError: who calls may not administer the vault; the denial is logged.
            InputInvalidError: no entry, too many, one twice, or none of this log.
            ConflictError: a payload is erased already, or of a kind that stays; nothing was erased.
            HeldError: an entry speaks of what is under a legal hold (law 4); the refusal is logged.
        """
        grant = self._authorise(principal, purpose)
        chosen = sorted(indexes)
        payload: dict[str, JsonValue] = {"entries": chosen, "log": grant.tenant, "reason": reason.value}
        drafted = self._parts.journal.allowed(grant, payload, resource=SystemResource.AUDIT_LOG.value)
        draft = replace(drafted, event=EventType.PAYLOAD_ERASE)

        def erase(connection: Connection, leaves: Sequence[Leaf]) -> None:
            _expect_not_held(connection, grant.tenant, chosen)
            erase_payloads(connection, grant.tenant, chosen, by=leaves[0].index)

        try:
            (leaf,) = self._parts.store.submit(WriteSet(drafts=[draft], changes=[erase]))
        except HeldError as error:
            held: dict[str, JsonValue] = {
                "held": len(error.memories),
                "holds": list(error.holds),
                "reason": reason.value,
            }
            self._parts.journal.note(
                grant,
                held,
                resource=SystemResource.AUDIT_LOG.value,
                event=EventType.PAYLOAD_ERASE,
                outcome=Outcome.REFUSED,
            )
            raise
        except RangeInvalidError as error:
            raise InputInvalidError(str(error)) from None
        except EntryInvalidError as error:
            raise ConflictError(str(error)) from None
        return Erased(leaf, bytes_may_remain=not self._parts.store.fold(FOLD_SECONDS))

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ADMINISTER, purpose)
            self._parts.journal.deny(call, resource=SystemResource.AUDIT_LOG.value)
            raise


def _expect_not_held(connection: Connection, tenant: str, indexes: Sequence[int]) -> None:
    """See in the caller's transaction that no entry speaks of a memory or a person under a hold.

    Threat: who read a held memory is what the matter may be about.

    Raises:
        HeldError: one does, or the whole tenant is held.
    """
    named = set(_named_by(connection, tenant, indexes))
    memories, subjects = (
        sorted(one for one in named if one.startswith(kind)) for kind in (_MEMORY, _SUBJECT)
    )
    for start in range(0, max(len(memories), len(subjects), 1), _PIECE):
        stop = start + _PIECE
        expect_not_held(connection, tenant, memories[start:stop], subjects[start:stop])


def _named_by(connection: Connection, tenant: str, indexes: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(indexes), _PIECE):
        some = indexes[start : start + _PIECE]
        query = select(LEAF.c.payload).where(LEAF.c.tenant_id == tenant, LEAF.c.leaf_index.in_(some))
        for payload in connection.execute(query).scalars():
            try:
                yield from _texts(parse_canonical(payload or "null"))
            except PayloadMalformedError:
                continue  # it names nobody; the verifier tells of it


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _texts(one)
