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
from audit.cosignature_rows import claims_beyond, lines_at, note_at, notes_beyond
from audit.errors import AuditError, MalformedError, VerificationError
from audit.log import AuditLog
from audit.merkle import verify_inclusion
from audit.note import Note, parse_note, verify_note
from audit.tile_store import StoredTiles
from audit.tiles import TileTree
from policies.log_rules import AnchorRule
from vault.assurance import Assurance
from vault.errors import NotFoundError, TamperedError
from vault.storage.store import Store
from vault.witnessing import Standing

_LOOKED_AT: Final = 8
"""Signed checkpoints that are looked at beside the last: the smallest that cover the entry."""
_MOST_CLAIMS: Final = 512
"""Cosigned checkpoints that are looked at, where rows claim more than their signatures hold."""


class FinalityState(StrEnum):
    """What a receipt is worth."""

    PENDING = "pending"
    """No signed checkpoint covers the entry yet: wait a few seconds."""
    SIGNED = "signed"
    """A signed checkpoint covers it; less than the policy asks for holds it from outside."""
    FINAL = "final"
    """As much as the policy asks for holds it from outside, and at least something does."""


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
        TamperedError: the entry's row is not what the signed tree holds.
    """
    status, rules = assurance.status, assurance.rules
    with store.log_connection(tenant) as connection:
        held = list(log.entries(connection, tenant, index, index + 1))
        same = bool(held) and held[0].leaf_hash == leaf_hash
        entry = _Entry(connection, tenant, index, leaf_hash)
        latest = _latest(log, connection, tenant)
        size, count = _best(entry, log, assurance, latest)
        note = assurance.anchored_note(tenant)
        anchored = note is not None and entry.is_under(note)
        # Under the checkpoint of the keys in force: a thief of one that was put down cannot make another.
        covered = latest is not None and parse_checkpoint(parse_note(latest).text).size > index
        proven = (latest is not None and entry.is_under(latest)) or anchored
    if (proven and not same) or (same and covered and not proven):
        # Threat: the database's writer changes an old entry with its hash; the signed tree holds another.
        raise TamperedError(f"entry {index}: its row is not what the signed tree holds")
    if not same:
        raise NotFoundError("the log has no entry of this index and hash")
    reasons: list[str] = []
    if size is None:
        reasons.append("no signed checkpoint covers the entry yet")
    if count < rules.required:
        reasons.append(f"expected {rules.required} cosignatures, got {count}")
    if rules.anchor is AnchorRule.REQUIRED and not anchored:
        reasons.append("no checkpoint that covers the entry stands in the anchor")
    if size is not None and not reasons and not anchored and not count:
        reasons.append("nothing outside the database holds it: no anchor, no witness")
    missing = bool(reasons)
    reasons += [
        f"witness {one.name}: {one.standing.value}{': ' + one.reason if one.reason else ''}"
        for one in status.witnesses
        if one.standing is not Standing.COSIGNS
    ]
    if status.anchor.configured and not status.anchor.usable:
        reasons.append(f"anchor: {status.anchor.reason}")
    reasons += status.missing
    contradicted = any(one.standing is Standing.CONTRADICTS for one in status.witnesses)
    if size is None:
        state = FinalityState.PENDING
    else:
        state = FinalityState.SIGNED if missing or contradicted else FinalityState.FINAL
    return Finality(state, count, rules.required, anchored, size, tuple(reasons))


def _latest(log: AuditLog, connection: Connection, tenant: str) -> bytes | None:
    try:
        found = log.latest_checkpoint(connection, tenant)
    except (MalformedError, VerificationError) as error:
        raise TamperedError(f"the last checkpoint of {tenant} is not one of its log") from error
    return None if found is None else found.note


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry as the caller knows it, never as its row has it."""

    connection: Connection
    tenant: str
    index: int
    leaf_hash: bytes

    def is_under(self, note: bytes) -> bool:
        """Say whether the root in a note, whose signature was verified, covers the caller's hash."""
        seen = parse_checkpoint(parse_note(note).text)
        try:
            tree = TileTree(StoredTiles(self.connection, self.tenant), seen.size)
            proof = tree.inclusion_proof(self.index)
            verify_inclusion(self.index, seen.size, self.leaf_hash, proof, seen.root)
        except AuditError:
            return False
        return True


def _best(entry: _Entry, log: AuditLog, assurance: Assurance, latest: bytes | None) -> tuple[int | None, int]:
    """Return size and number of cosignatures of the checkpoint that speaks best for an entry.

    Threat: who writes the database adds rows that claim much and hold nothing, so that what holds is not looked at.
    They lower a state and never raise it; so many have to be gone through that it takes more of them than anybody
    would overlook. Without them it is one checkpoint: where its claims hold, none that claims less is better.
    """
    connection, tenant, index = entry.connection, entry.tenant, entry.index
    witnesses = [WitnessVerifierKey.parse(key) for key in assurance.rules.witnesses]
    best: tuple[int | None, int] = (None, 0)
    for note in (*notes_beyond(connection, tenant, index, _LOOKED_AT), *filter(None, [latest])):
        if _is_signed(log, tenant, note) and entry.is_under(note):
            best = (parse_checkpoint(parse_note(note).text).size, 0)
            break
    names = [witness.name for witness in witnesses]
    for size, claims in claims_beyond(connection, tenant, index, names, _MOST_CLAIMS):
        if claims <= best[1] or best[1] >= max(1, assurance.rules.required):
            break
        note_there = note_at(connection, tenant, size)
        if note_there is None or not _is_signed(log, tenant, note_there):
            continue
        count = _count(connection, tenant, size, note_there, witnesses)
        if count > best[1] and entry.is_under(note_there):  # the proof last: it costs the most
            best = (size, count)
    return best


def _count(
    connection: Connection, tenant: str, size: int, note: bytes, witnesses: list[WitnessVerifierKey]
) -> int:
    """Count the cosignatures that hold, one a witness; one that does not hold adds nothing."""
    text, names = parse_note(note).text, {witness.name for witness in witnesses}
    found: set[bytes] = set()
    for line in lines_at(connection, tenant, size):
        if line.name not in names:
            continue
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
