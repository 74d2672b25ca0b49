"""Logs of any size that nobody wrote: entries of a clinic, and a tree of tiles with no entries behind it.

Owns what is invented for the log's figures. A clinic's log is appended to a real vault, through the store's
own commits, so that it is exported, verified and asked as any other. The tree of ten million leaves is tiles
alone: a proof reads tiles and the leaves of the last one, and these are there.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Final

from sqlalchemy import Connection, insert

from api.bench.made_up import TENANT
from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict
from audit.merkle import CompactRange
from audit.signing import SignerKey
from audit.store import HEAD, LEAF
from audit.tile_store import StoredTiles
from audit.tiles import TILE_WIDTH, grow
from vault.opening import Vault
from vault.storage.group_commit import WriteSet

LOG_KEY: Final = SignerKey.for_deployment("bench", bytes(range(32)))
POLICY: Final = "sha256:" + "9a" * 32
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS_APART: Final = 15
_COMMIT: Final = 4_096
"""Entries of one commit while a log is filled, which is not what is measured."""
_STEP: Final = TILE_WIDTH * TILE_WIDTH
_WRITES_EVERY: Final = 5
_DIGEST: Final = "5f" * 32
# What a clinic's agents do between writes, and how often.
_CALLS: Final = (
    (EventType.MEMORY_SEARCH, "search", 40),
    (EventType.MEMORY_READ, "read", 25),
    (EventType.MEMORY_UPDATE, "update", 6),
    (EventType.MEMORY_ORGANIZE, "organize", 5),
    (EventType.MEMORY_REVEAL, "reveal", 3),
)

Step = Callable[[str], None]


class Calendar:
    """A clock that goes forward with the entries that are made up."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        """Return its present."""
        return self.now


def no_clock() -> datetime:
    """Return one and the same time."""
    return BEGIN


def write_draft(tenant: str = TENANT) -> EntryDraft:
    """Return a draft of the size that a write of the vault makes."""
    payload: dict[str, JsonValue] = {
        "written": ["mem_01k9v3c0aq8m4n6r2t5w7x9y0z"],
        "digests": ["5f" * 16],
        "subjects": ["sub_k7f2qah4k7f2qah4k7f2qah4k7"],
        "detector": "tagger/1",
    }
    return EntryDraft(
        EventType.MEMORY_WRITE,
        BEGIN,
        "agent-7",
        tenant,
        "write",
        Verdict.ALLOWED,
        POLICY,
        Outcome.OK,
        "epi_01k9v3c0aq8m4n6r2t5w7x9y0z",
        "treatment",
        payload,
    )


def clinic(calendar: Calendar, policy: str, seed: int = 7) -> Iterator[EntryDraft]:
    """Yield entries without end: 200 agents, a fifth of it writes, 2 % denied, each call later than the last.

    What is read, revealed or changed was written before, as the verifier demands.
    """
    draw = random.Random(seed)  # noqa: S311  # entries to measure with, no secrets
    calls, often = [call[:2] for call in _CALLS], [call[2] for call in _CALLS]
    index = written = 0
    while True:
        calendar.now += timedelta(seconds=SECONDS_APART)
        actor = f"agent-{min(int(draw.expovariate(0.03)), 199)}"
        denied = index > 0 and draw.random() < 0.02  # noqa: PLR2004  # a share
        (purpose,) = draw.choices(("treatment", "operations", "research", "legal"), (80, 15, 4, 1))
        (outcome,) = draw.choices((Outcome.OK, Outcome.NOT_FOUND, Outcome.FAILED), (97, 2, 1))
        event, action = EventType.MEMORY_WRITE, "write"
        if index % _WRITES_EVERY:
            ((event, action),) = draw.choices(calls, often)
            memory = _memory(draw.randrange(written))
            resource = None if event is EventType.MEMORY_SEARCH else memory
            payload: dict[str, JsonValue] = {"memories": [memory]} if resource is None else {"nth": index}
        else:
            outcome, denied = Outcome.OK, False
            resource = f"epi_{written:026}"
            payload = {
                "written": [_memory(written)],
                "digests": [_DIGEST],
                "detector": "tagger/1",
                "access_tier": "private",
            }
            written += 1
        yield EntryDraft(
            event,
            calendar.now,
            actor,
            TENANT,
            action,
            Verdict.DENIED if denied else Verdict.ALLOWED,
            policy,
            Outcome.DENIED if denied else outcome,
            resource,
            purpose,
            payload,
        )
        index += 1


def fill(vault: Vault, made: Iterator[EntryDraft], size: int, step: Step) -> None:
    """Append entries to a vault's log, with the vault's own commits, until it has so many."""
    store, log = vault.parts.store, vault.parts.log
    with store.log_connection(TENANT) as connection:
        held = log.head(connection, TENANT).size
    while held < size:
        drafts = list(islice(made, min(_COMMIT, size - held)))
        held = store.submit(WriteSet(drafts=drafts))[-1].index + 1
        step(f"making {held:,} of {size:,} entries")


def _memory(nth: int) -> str:
    return f"mem_{nth:026}"


def fill_tiles(connection: Connection, leaves: int, step: Step) -> CompactRange:
    """Store the tiles of a log whose leaf hashes are those of numbers, and the leaves that are in no tile yet.

    Returns:
        The tree's right edge, which has its root.
    """
    connection.exec_driver_sql("DROP TRIGGER audit_leaf_append")  # the leaves of full tiles are left out
    edge, stored = CompactRange(), StoredTiles(connection, TENANT)
    while edge.size < leaves:
        count = min(_STEP, leaves - edge.size)
        growth = grow(edge, [number_leaf(nth) for nth in range(edge.size, edge.size + count)], stored.hashes)
        stored.add(growth.tiles)
        edge = growth.edge
        connection.commit()
        step(f"making tiles of {edge.size:,} of {leaves:,} leaves")
    connection.execute(insert(HEAD), {"tenant_id": TENANT, "size": edge.size, "nodes": edge.encode()})
    connection.commit()
    return edge


def add_leaves(connection: Connection, indexes: set[int]) -> None:
    """Store rows that have the right leaf hash, and nothing behind it."""
    empty = {"header": "{}", "salt": bytes(32), "payload": "{}", "event": "memory.write", "time_us": 0}
    rows = [
        {"tenant_id": TENANT, "leaf_index": index, "leaf_hash": number_leaf(index), "erased_by": None} | empty
        for index in sorted(indexes)
    ]
    if rows:
        connection.execute(insert(LEAF), rows)
        connection.commit()


def number_leaf(index: int) -> bytes:
    """Return the leaf hash that stands at an index of the tree of tiles."""
    return sha256(index.to_bytes(8)).digest()
