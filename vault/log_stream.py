"""The log as a stream for systems that watch it: in order, resumable, itself logged.

Owns what a stream sees and the entries that tell of it. It leaves forms to `audit.siem`, the place
where a receiver stopped to `vault.stream_cursor`, and receivers to the edge.

An entry says that a range of the log may have left, before the first item of the range leaves: one for
each session with an end, one for each `AHEAD` items of a session that follows. These entries are items
like all others, but they wake no stream: where nothing else is new, a stream has nothing to give. So
neither a follower nor a caller that polls, nor two of them in turn, keep a silent log growing.

Each entry is checked on its way out: next index, header to leaf hash, payload to commitment. A stream
ends at the first that does not hold, with an alarm: what follows would be evidence of nothing.

A stream that a query narrows looks at every entry all the same, and gives those that fit. Its place moves on
behind what it looked at; where nothing fits, nothing leaves and nothing is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError, VerificationError
from audit.event import EventType, Header, parse_header, verify_payload
from audit.evidence import StoredEntry
from audit.log import Leaf
from audit.merkle import leaf_hash
from audit.payload_keys import outgoing
from audit.query.evaluate import predicate
from audit.query.parse import parse_query
from audit.query.rows import row_of
from audit.query.syntax import Node
from audit.siem.formats import Format
from audit.siem.item import LogItem
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.errors import InputInvalidError, TamperedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_queries import LogQueries
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
    """Most entries that are looked at, each of them an item where no query narrows it; None is all that there are."""
    follow: bool = False
    """Whether to go on when the end is reached."""
    query: str = ""
    """Which entries are items (docs/log/queries.md); empty for all. Its relative times count from the opening."""


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
            QueryInvalidError: the query is none.
            TamperedError: the log is not the one that the earlier stream was of: shorter, or another.
        """
        if asked.start < 0 or (asked.limit is not None and not 1 <= asked.limit <= MAX_LIMIT):
            raise InputInvalidError(f"expected a start of at least 0 and a limit from 1 to {MAX_LIMIT}")
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
        try:
            grant = authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=_LOG)
            raise
        if after is not None:
            self._expect_same_log(grant, after)
            asked = replace(asked, start=after.start)
        narrowed = self._narrowed(grant.tenant, asked.query) if asked.query.strip() else None
        return LogStream(self._parts, grant, asked, self._version, narrowed)

    def _narrowed(self, tenant: str, query: str) -> "_Narrowed":
        node = parse_query(query, now=self._parts.clock())
        return _Narrowed(node, LogQueries(self._parts).logged_text(tenant, node))

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


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """A query that says which entries are items."""

    node: Node
    told: str
    """What an entry says of it."""


class LogStream:
    """One session: hands out items in order until there are no more."""

    def __init__(
        self,
        parts: Parts,
        grant: Grant,
        asked: StreamRequest,
        version: str,
        narrowed: _Narrowed | None = None,
    ) -> None:
        self._parts = parts
        self._grant = grant
        self._asked = asked
        self._version = version
        self._origin = parts.origin(grant.tenant)
        self._narrowed = narrowed
        self._next = asked.start
        self._announced = asked.start
        """First index that no entry of this session speaks for."""
        self._last = b""
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
        """Leaf index after the last entry that this session looks at, as far as it knows."""
        return self._announced

    @property
    def reached(self) -> Anchored | None:
        """The place behind the last entry that was looked at; None before the first."""
        return Anchored(self._origin, self._next, self._last) if self._last else None

    def last_hash(self) -> bytes | None:
        """Return the leaf hash of the entry before `end`; None where there is none."""
        with self._parts.store.log_connection(self._grant.tenant) as connection:
            held = list(self._parts.log.entries(connection, self._grant.tenant, self.end - 1, self.end))
        return held[0].leaf_hash if self.end and held else None

    def take(self) -> list[LogItem]:
        """Return the next items, at most `BATCH`; none where there is nothing to give now, or nothing fits yet.

        Raises:
            TamperedError: an entry is not what its leaf says.
        """
        if self._next >= self._announced and not self._announce():
            return []
        with self._parts.store.log_connection(self._grant.tenant) as connection:
            size = self._parts.log.head(connection, self._grant.tenant).size
            stop = min(size, self._announced, self._next + BATCH)
            looked = self._look(connection, size, stop)
        if self._narrowed is None:
            return [item for _, item in looked]
        fits = predicate(self._narrowed.node, size)
        return [item for entry, item in looked if fits(row_of(entry))]

    def batches(self) -> Iterator[list[LogItem]]:
        """Yield batches until there is nothing more to give; an empty one where nothing fits of what was looked at."""
        before = -1
        while before != self._next:
            before = self._next
            items = self.take()
            if before != self._next:
                yield items

    def _look(self, connection: Connection, size: int, stop: int) -> list[tuple[StoredEntry, LogItem]]:
        """Check the next entries, and go on behind them."""
        stored = list(self._parts.log.entries(connection, self._grant.tenant, self._next, stop))
        looked = [(entry, self._item(entry, size, self._next + nth)) for nth, entry in enumerate(stored)]
        if len(looked) != max(0, stop - self._next):
            raise TamperedError(f"the log of {self._grant.tenant} has a gap after entry {self._next}")
        self._next += len(looked)
        if looked:
            self._last = looked[-1][1].leaf_hash
        return looked

    def _is_silent(self, connection: Connection, size: int) -> bool:
        """Say whether all that comes next was written for streams."""
        rest = self._parts.log.entries(connection, self._grant.tenant, self._next, size)
        return all(_tells_of_a_stream(entry) for entry in rest)

    def _announce(self) -> bool:
        """Write the entry for what is looked at next; say whether anything is.

        A query whose answer is that nothing fits tells something of the log, too: it is an entry like any other.
        """
        if self._begun and not self._asked.follow:
            return False
        with self._parts.store.log_connection(self._grant.tenant) as connection:
            size = self._parts.log.head(connection, self._grant.tenant).size
            if self._is_silent(connection, size):
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
        if self._narrowed is not None:
            payload["query"] = self._narrowed.told
        elif not self._asked.follow:
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
