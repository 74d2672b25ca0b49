"""Entries that are shown beside a range, because they erased payloads in it.

Owns whether such an entry stands in the signed tree and is what it is shown for. It leaves reading it to
`audit.bundle_reading`, and what it erased to `audit.replay`. Threat: an erasure that was made up for payloads
which somebody took out, or one of other entries.
"""

from collections.abc import Mapping
from typing import NamedTuple

from audit.canonical import JsonValue, parse_canonical
from audit.errors import VerificationError
from audit.event import EventType, Outcome, parse_header, verify_payload
from audit.evidence import EntryBeside
from audit.merkle import leaf_hash, verify_inclusion
from audit.report import Check


class SignedTree(NamedTuple):
    """A tree that a checkpoint signs."""

    tenant: str
    size: int
    root: bytes


def erased_by(beside: EntryBeside, tree: SignedTree, shown: range, above: int) -> list[int]:
    """Return the entries of a range that an entry behind it says it erased.

    Args:
        beside: The entry, with its path.
        tree: That it must stand in.
        shown: The range.
        above: Index that its own must lie above: entries come in order, behind the range.

    Raises:
        MalformedError: header or payload is not of its form.
        VerificationError: it is not in the tree, or says that it erased nothing in the range.
    """
    entry = beside.entry
    if entry.index <= above:
        raise _failed(f"one behind entry {above}", str(entry.index))
    verify_inclusion(entry.index, tree.size, leaf_hash(entry.header.encode()), beside.path, tree.root)
    header = parse_header(entry.header)
    if entry.salt is None or entry.payload is None:
        raise _failed("its payload", "none")
    verify_payload(header.commitment, entry.salt, entry.payload)
    payload = parse_canonical(entry.payload)
    erases = header.event is EventType.PAYLOAD_ERASE and header.outcome is Outcome.OK
    inside = [one for one in _named(payload, header.tenant) if one in shown]
    if not erases or header.tenant != tree.tenant or not inside:
        raise _failed("one that erased payloads in the range", "another")
    return inside


def _named(payload: JsonValue, tenant: str) -> list[int]:
    if not isinstance(payload, Mapping) or payload.get("log") != tenant:
        return []
    named = payload.get("entries")
    return [one for one in named if type(one) is int] if isinstance(named, list) else []


def _failed(expected: str, got: str) -> VerificationError:
    return VerificationError(Check.BESIDE, expected=expected, got=got)
