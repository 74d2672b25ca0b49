"""The log as a stream for systems that watch it: in order, resumable, itself logged.

Owns what a stream sees and the entries that tell of it. It leaves forms to `audit.siem`, the place
where a receiver stopped to `vault.stream_cursor`, and receivers to the edge.

An entry says that a range of the log may have left, before the first item of the range leaves: one for
each session with an end, one for each `AHEAD` items of a session that follows. These entries are items
like all others, but they wake no stream: where nothing else is new, a stream has nothing to give. So
neither a follower nor a caller that polls, nor two of them in turn, keep a silent log growing.

Each entry is checked on its way out: next index, header to leaf hash, payload to commitment. A stream
ends at the first that does not hold, with an alarm: what follows would be evidence of nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError, VerificationError
from audit.event import EventType, Header, parse_header, verify_payload
from audit.evidence import StoredEntry
from audit.log import Leaf
from audit.merkle import leaf_hash
from audit.payload_keys import outgoing
from audit.siem.formats import Format
from audit.siem.item import LogItem
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.errors import InputInvalidError, TamperedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.parts import Parts

BATCH: Final = 500
"""Items that are read, and handed to a receiver, at one time."""
AHEAD: Final = 1_000
"""Items that one entry of a following stream speaks for."""
MAX_LIMIT: Final = 10_000

_LOG: Final = SystemResource.AUDIT_LOG.value


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What part of the log is asked for, and in which form."""

    format: Format
    start: int = 0
    """First leaf index."""
    limit: int | None = None
    """Most items; None is all that there are."""
    follow: bool = False
    """Whether to go on when the end is reached."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where a receiver stopped: it had everything before `start`, the last with this leaf hash."""

    origin: str
    start: int
    leaf_hash: bytes


class LogStreams:
    """Streams of one vault's logs.

    Args:
        parts: Of the vault.
        version: Of this program, which some formats carry.
    """

    def __init__(self, parts: Parts, version: str = "0") -> None:
        self._parts = parts
        self._version = version

    def open(
        self, principal: Principal, purpose: Purpose, asked: StreamRequest, after: Anchored | None = None
    ) -> "LogStream":
        """Begin a stream of the principal's tenant's log.

        Args:
            principal: Who asks.
            purpose: Why.
            asked: What is asked for.
            after: Where an earlier stream stopped; it takes the place of `asked.start`.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            InputInvalidError: a bound is out of range.
            TamperedError: the log is not the one that the earlier stream was of: shorter, or another.
        """
        if asked.start < 0 or (asked.limit is not None and not 1 <= asked.limit <= MAX_LIMIT):
            raise InputInvalidError(f"expected a start of at least 0 and a limit from 1 to {MAX_LIMIT}")
        over = ((SystemResource.AUDIT_LOG, Relation.OTHER),)
        try:
            grant = authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=_LOG)
            raise
        if after is not None:
            self._expect_same_log(grant, after)
            asked = replace(asked, start=after.start)
        return LogStream(self._parts, grant, asked, self._version)

    def _expect_same_log(self, grant: Grant, after: Anchored) -> None:
        origin = self._parts.origin(grant.tenant)
        if after.origin != origin:
            raise InputInvalidError(f"expected a cursor of {origin}, got one of another log")
        if after.start == 0:
            return
        with self._parts.store.log_connection(grant.tenant) as connection:
            held = list(self._parts.log.entries(connection, grant.tenant, after.start - 1, after.start))
        if not held or held[0].leaf_hash != after.leaf_hash:
            raise TamperedError(
                f"entry {after.start - 1} of the log of {grant.tenant} is not the one that was delivered"
            )


class LogStream:
    """One session: hands out items in order until there are no more."""

    def __init__(self, parts: Parts, grant: Grant, asked: StreamRequest, version: str) -> None:
        self._parts = parts
        self._grant = grant
        self._asked = asked
        self._version = version
        self._origin = parts.origin(grant.tenant)
        self._next = asked.start
        self._announced = asked.start
        """First index that no entry of this session speaks for."""
        self._begun = False
        self.entries_written = 0
        """Entries that tell of this session."""

    @property
    def origin(self) -> str:
        """Origin of the log."""
        return self._origin

    @property
    def position(self) -> int:
        """Leaf index of the next item."""
        return self._next

    @property
    def end(self) -> int:
        """Leaf index after the last item that was announced; that of the next one where nothing was."""
        return self._announced

    def take(self) -> list[LogItem]:
        """Return the next items, at most `BATCH`; none where there is nothing to give now.

        Raises:
            TamperedError: an entry is not what its leaf says.
        """
        if self._next >= self._announced and not self._announce():
            return []
        with self._parts.store.log_connection(self._grant.tenant) as connection:
            size = self._parts.log.head(connection, self._grant.tenant).size
            stop = min(size, self._announced, self._next + BATCH)
            stored = list(self._parts.log.entries(connection, self._grant.tenant, self._next, stop))
        items = [self._item(entry, size, self._next + nth) for nth, entry in enumerate(stored)]
        if len(items) != max(0, stop - self._next):
            raise TamperedError(f"the log of {self._grant.tenant} has a gap after entry {self._next}")
        self._next += len(items)
        return items

    def batches(self) -> Iterator[list[LogItem]]:
        """Yield batches until there is nothing more to give."""
        while items := self.take():
            yield items

    def _announce(self) -> bool:
        """Write the entry for what leaves next; say whether anything does."""
        if self._begun and not self._asked.follow:
            return False
        with self._parts.store.log_connection(self._grant.tenant) as connection:
            size = self._parts.log.head(connection, self._grant.tenant).size
            rest = self._parts.log.entries(connection, self._grant.tenant, self._next, size)
            if all(_tells_of_a_stream(entry) for entry in rest):
                return False
        stop = self._next + AHEAD if self._asked.follow else self._end(size)
        self._write_entry(self._next, stop, size)
        self._begun, self._announced = True, stop
        return True

    def _end(self, size: int) -> int:
        limit = self._asked.limit
        return size if limit is None else min(size, self._next + limit)

    def _write_entry(self, first: int, stop: int, size: int) -> Leaf:
        payload: dict[str, JsonValue] = {
            "first": first,
            "follow": self._asked.follow,
            "format": self._asked.format.value,
            "stop": stop,
            "tree_size": size,
        }
        if not self._asked.follow:
            payload["count"] = stop - first
        draft = self._parts.journal.allowed(self._grant, payload, resource=_LOG)
        (leaf,) = self._parts.journal.write([replace(draft, event=EventType.AUDIT_EXPORT)])
        self.entries_written += 1
        return leaf

    def _item(self, stored: StoredEntry, size: int, expected: int) -> LogItem:
        header, payload = checked(stored, expected, self._grant.tenant)
        sieved = None if payload is None else outgoing(payload)
        return LogItem(
            origin=self._origin,
            tree_size=size,
            index=stored.index,
            leaf_hash=leaf_hash(stored.header.encode("ascii")),
            header=header,
            leaf=stored.header,
            fields=None if sieved is None else sieved.fields,
            withheld=0 if sieved is None else sieved.withheld,
            erased_by=stored.erased_by,
            version=self._version,
        )


def checked(stored: StoredEntry, expected: int, tenant: str) -> tuple[Header, dict[str, JsonValue] | None]:
    """Return header and payload of a stored entry that is what its leaf says.

    Raises:
        TamperedError: it is not.
    """
    payload: JsonValue = None
    try:
        header = parse_header(stored.header)
        if stored.payload is not None and stored.salt is not None:
            verify_payload(header.commitment, stored.salt, stored.payload)
            payload = parse_canonical(stored.payload)
    except (MalformedError, VerificationError) as error:
        raise TamperedError(f"entry {expected} of the log of {tenant} is not what its leaf says") from error
    same = (stored.index, header.tenant, stored.leaf_hash)
    if same != (expected, tenant, leaf_hash(stored.header.encode("ascii"))):
        raise TamperedError(f"entry {expected} of the log of {tenant} does not stand where it should")
    if payload is not None and not isinstance(payload, dict):
        raise TamperedError(f"entry {expected} of the log of {tenant} has no payload of the form of one")
    return header, payload


def _tells_of_a_stream(stored: StoredEntry) -> bool:
    """Say whether an entry was written for a stream; one that cannot be read is worth waking up for."""
    if stored.event != EventType.AUDIT_EXPORT.value or stored.payload is None:
        return False
    try:
        payload = parse_canonical(stored.payload)
    except MalformedError:
        return False
    return isinstance(payload, dict) and payload.get("format") in set(Format)
