"""The rights of persons: what is held of them told, taken along, and put right.

    rights = SubjectRights(vault.parts)
    with rights.disclosing(officer, "Anna Keller", DisclosureTerms(originals=True)) as told:
        for piece in json_pieces(told):
            file.write(piece)
    rights.rectify(officer, Rectification(memory_id, "it is the right knee", RectificationReason.INACCURATE))

Owns who may ask, and that the log has it before anything leaves: the entry of the report and the intent of its
effect come first, the outcome after. It leaves what is told to `vault.disclosure`, a new version to the update path,
restriction and objection to `vault.restrictions`, erasure to `vault.erasure`; all of them ask one selector.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from audit.canonical import JsonValue
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.disclosure import FORMAT, Asked, Disclosure, DisclosureTerms, disclose
from vault.grant import Grant, authorise
from vault.intents import Effects
from vault.journal import Call
from vault.model import Receipt
from vault.parts import Parts
from vault.update_path import Change, UpdatePath

EFFECT: Final = "subject.report"
"""Kind of the effect of a disclosure."""
_VAULT: Final = SystemResource.VAULT.value


class RectificationReason(StrEnum):
    """Why a memory is put right."""

    INACCURATE = "inaccurate"
    INCOMPLETE = "incomplete"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Rectification:
    """What is to be put right."""

    memory_id: str
    text: str = field(repr=False)
    reason: RectificationReason
    expected_version: int | None = None


class SubjectRights:
    """Tells persons what is held of them, and puts it right."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @contextmanager
    def disclosing(
        self, principal: Principal, name: str, terms: DisclosureTerms, purpose: Purpose = Purpose.LEGAL
    ) -> Iterator[Disclosure]:
        """Lend what is held of a person, to be written where it is to go; go through it before the block ends.

        Of somebody whom nobody here knows nothing is held, and that is told.

        Args:
            principal: Who tells.
            name: The caller's name of the person.
            terms: What is told.
            purpose: Why.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the name is not acceptable.
            StorageError: or one of its kinds: the entry is not durable, and nothing left.
        """
        grant = self._authorise(principal, purpose)
        tenant = grant.tenant
        (subject,) = self._parts.sealers.subject_ids(tenant, [name])
        asked = Asked(tenant, subject, name, terms, self._parts.clock())
        with self._parts.store.log_connection(tenant) as connection:
            told, found = disclose(self._parts, connection, asked)
            payload: dict[str, JsonValue] = {
                "subjects": [subject],
                "format": FORMAT,
                "count": len(found.memories),
                "kind": "report" if terms.readers else "export",
                "reason": "originals" if terms.originals else "masked",
            }
            self._parts.journal.note(grant, payload, resource=_VAULT)
            effects = Effects(self._parts)
            with effects.intended(grant, EFFECT, _VAULT, {"count": len(found.memories)}) as effect:
                yield told
                effect.told["count"] = told.told
                effect.told["unreadable"] = len(told.unreadable)

    def rectify(
        self, principal: Principal, rectification: Rectification, purpose: Purpose = Purpose.LEGAL
    ) -> Receipt:
        """Write a new version of a memory that was not right; the older ones stay for the record.

        Raises:
            NotFoundError: there is none of this id within reach.
            ConflictError: its version is not the expected one any more.
            DeniedError, InputInvalidError, ScreeningRefusedError, ErasedError: as for an update.
        """
        change = Change(
            rectification.memory_id,
            rectification.text,
            rectification.expected_version,
            purpose,
            rectification.reason.value,
        )
        return UpdatePath(self._parts).update(principal, change)

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.DISCLOSE, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.DISCLOSE, purpose), resource=_VAULT)
            raise
