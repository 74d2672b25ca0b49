"""What a receipt is worth: pending, signed or final, and what is missing (law 7).

Owns counting: the cosignatures that hold over a checkpoint that covers the entry, and whether it is
anchored. It leaves what is enough to `policies.log_rules`. Nothing stored is believed: each signature is
verified anew.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from audit.checkpoint import parse_checkpoint
from audit.cosignature import WitnessVerifierKey, verify_cosignatures
from audit.cosignature_rows import cosigned_sizes, lines_at, note_at, notes_beyond
from audit.errors import MalformedError, VerificationError
from audit.log import AuditLog
from audit.note import Note, parse_note, verify_note
from policies.log_rules import AnchorRule
from vault.assurance import Assurance
from vault.errors import NotFoundError
from vault.storage.store import Store
from vault.witnessing import Standing

_LOOKED_AT: Final = 8
"""Cosigned checkpoints that are looked at: those with the most cosignatures."""


class FinalityState(StrEnum):
    """What a receipt is worth."""

    PENDING = "pending"
    """No signed checkpoint covers the entry yet: wait a few seconds."""
    SIGNED = "signed"
    """A signed checkpoint covers it; less than the policy asks for holds it from outside."""
    FINAL = "final"
    """As many witnesses as the policy asks for cosigned a checkpoint that covers it."""


@dataclass(frozen=True, slots=True)
class Finality:
    """What a receipt is worth, and what is missing."""

    state: FinalityState
    cosignatures: int
    """Of different witnesses that the policy names, over one checkpoint that covers the entry."""
    required: int
    anchored: bool
    """Whether a checkpoint that covers the entry stands in the anchor."""
    size: int | None
    """Size of the checkpoint that is spoken of; None where there is none."""
    reasons: tuple[str, ...]
    """What is missing, and who did not answer."""


def finality_of(
    store: Store, log: AuditLog, assurance: Assurance, *, tenant: str, index: int, leaf_hash: bytes
) -> Finality:
    """Return what a receipt is worth now.

    Raises:
        NotFoundError: the log has no entry of this index and hash.
    """
    status, rules = assurance.status, assurance.rules
    with store.log_connection(tenant) as connection:
        held = list(log.entries(connection, tenant, index, index + 1))
        if not held or held[0].leaf_hash != leaf_hash:
            raise NotFoundError("the log has no entry of this index and hash")
        size, count = _best(connection, log, assurance, tenant, index)
    anchored = assurance.anchored(tenant) > index
    reasons: list[str] = []
    if size is None:
        reasons.append("no signed checkpoint covers the entry yet")
    if count < rules.required:
        reasons.append(f"expected {rules.required} cosignatures, got {count}")
    if rules.anchor is AnchorRule.REQUIRED and not anchored:
        reasons.append("no checkpoint that covers the entry stands in the anchor")
    missing = bool(reasons)
    reasons += [
        f"witness {one.name}: {one.standing.value}{': ' + one.reason if one.reason else ''}"
        for one in status.witnesses
        if one.standing is not Standing.COSIGNS
    ]
    if status.anchor.configured and not status.anchor.usable:
        reasons.append(f"anchor: {status.anchor.reason}")
    contradicted = any(one.standing is Standing.CONTRADICTS for one in status.witnesses)
    if size is None:
        state = FinalityState.PENDING
    else:
        state = FinalityState.SIGNED if missing or contradicted else FinalityState.FINAL
    return Finality(state, count, rules.required, anchored, size, tuple(reasons))


def _best(
    connection: Connection, log: AuditLog, assurance: Assurance, tenant: str, index: int
) -> tuple[int | None, int]:
    """Return size and number of cosignatures of the checkpoint that speaks best for an entry."""
    witnesses = [WitnessVerifierKey.parse(key) for key in assurance.rules.witnesses]
    best: tuple[int | None, int] = (None, 0)
    for note in notes_beyond(connection, tenant, index, _LOOKED_AT):
        if _is_signed(log, tenant, note):
            best = (parse_checkpoint(parse_note(note).text).size, 0)
            break
    for size in cosigned_sizes(connection, tenant, index, _LOOKED_AT) if witnesses else ():
        note_there = note_at(connection, tenant, size)
        if note_there is None or not _is_signed(log, tenant, note_there):
            continue
        count = _count(connection, tenant, size, note_there, witnesses)
        if count > best[1]:
            best = (size, count)
        if count >= assurance.rules.required:
            break
    return best


def _count(
    connection: Connection, tenant: str, size: int, note: bytes, witnesses: list[WitnessVerifierKey]
) -> int:
    """Count the cosignatures that hold, one a witness; one that does not hold adds nothing."""
    text = parse_note(note).text
    found: set[bytes] = set()
    for line in lines_at(connection, tenant, size):
        try:
            found |= {one.witness.public for one in verify_cosignatures(Note(text, (line,)), witnesses)}
        except VerificationError:
            continue
    return len(found)


def _is_signed(log: AuditLog, tenant: str, note: bytes) -> bool:
    """Say whether one of the log's own keys signed a stored note."""
    try:
        verify_note(note, [key.for_log(tenant) for key in log.keys.verifiers])
    except (MalformedError, VerificationError):
        return False
    return True
