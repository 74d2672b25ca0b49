"""Trying to get back what was erased: each test must fail to.

Owns the tests, and the few sealed samples that they need from before. It leaves when they are run, and what
follows where one gets something, to `vault.erasing.run`. Samples are kept in memory while an erasure runs; one that
was interrupted in between has none, and says of the tests that need them that they were not run.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, or_, select

from audit.certificate import Ran
from vault.erasing.record import ErasureRecord
from vault.errors import ErasedError, KeyDestroyedError, VaultError
from vault.ledger_mirror import known_gone
from vault.model import Screened
from vault.parts import Parts
from vault.search.lexical import PreparedQuery, TermHasher, prepare_query
from vault.selector import belongings, pieces
from vault.storage.removal import MAX_REMOVED, expect_not_erased
from vault.storage.rows import StoredMemory
from vault.storage.schema import EDGE, EMBEDDING, MEMORY, MEMORY_SUBJECT

SAMPLES: Final = 4
"""Memories that are kept sealed and looked for afterwards."""
HITS: Final = 200
NEEDLE_BYTES: Final = 24
"""Long enough to occur by chance nowhere, short enough not to lie on two pages of the database often."""
_PIECE_BYTES: Final = 1 << 21
REASONS: Final = {
    "rows": "no row has the id of a former memory, and none is about the person",
    "keys": "no version of the person's key can be had",
    "copies": "copies of sealed rows that were kept from before do not open",
    "search": "their own words find none of the former memories",
    "write": "what is written about the person, and what was written before, is refused",
    "restore": "a restore leaves out all former memories and the person: their tombstones stand beside the keys, too",
    "bytes": "no file of the vault holds a wrapped key or a sealed text of before",
    "came-back": "something came back",
    "no-samples": "nothing was kept to try it with: the erasure was interrupted, or nothing had opened",
    "not-folded": "a reader kept pages of before beside the databases; they go when the vault is closed",
    "no-packages": "this version makes and takes no packages",
}
"""What is said of a result, by its reason; of a test that passed that is its name."""


class Tried(NamedTuple):
    """A test that was run, or why it was not."""

    name: str
    result: Ran
    things: int
    """How many it was tried with."""
    reason: str
    """A key of `REASONS`."""


@dataclass(slots=True)
class Samples:
    """A few things of before, sealed, or as keyed hashes."""

    rows: list[StoredMemory] = field(default_factory=list)
    questions: list[PreparedQuery] = field(default_factory=list, repr=False)
    texts: list[Screened] = field(default_factory=list, repr=False)
    wrapped: list[bytes] = field(default_factory=list, repr=False)

    def take(self, row: StoredMemory, text: Screened, hasher: TermHasher) -> None:
        """Keep a memory, while few are kept."""
        if len(self.rows) < SAMPLES:
            self.rows.append(row)
            self.texts.append(text)
            self.questions.append(prepare_query(hasher, text))

    @property
    def needles(self) -> list[bytes]:
        """Bytes that must stand nowhere any more."""
        sealed = [one.data for row in self.rows for one in (row.text, row.attributes)]
        found = [data[len(data) // 2 :][:NEEDLE_BYTES] for data in (*sealed, *self.wrapped)]
        return [needle for needle in found if len(needle) == NEEDLE_BYTES]


def run_tests(
    parts: Parts, record: ErasureRecord, gone: Collection[str], samples: Samples, *, folded: bool
) -> list[Tried]:
    """Try to get back what was erased.

    Args:
        parts: Of the vault.
        record: The erasure.
        gone: Ids of the memories that it removed.
        samples: What was kept from before.
        folded: Whether no old page stands beside the databases.
    """
    trial = _Trial(parts, record, sorted(gone), samples)
    unfolded = Tried("bytes", Ran.NOT_RUN, 0, "not-folded")
    return [
        _tried("rows", trial.rows, len(gone) + 1),
        _tried("keys", trial.keys, len(trial.versions)),
        _tried("copies", trial.copies, len(samples.rows)),
        _tried("search", trial.search, len(samples.questions)),
        _tried("write", trial.write, len(samples.texts) + 1),
        _tried("bytes", trial.bytes, len(samples.needles)) if folded else unfolded,
        _tried("restore", trial.restore, len(gone) + 1),
        Tried("import", Ran.NOT_RUN, 0, "no-packages"),
    ]


def _tried(name: str, nothing_back: Callable[[], bool], count: int) -> Tried:
    if not count:
        return Tried(name, Ran.NOT_RUN, 0, "no-samples")
    return (
        Tried(name, Ran.PASSED, count, name)
        if nothing_back()
        else Tried(name, Ran.FAILED, count, "came-back")
    )


@dataclass(slots=True)
class _Trial:
    """One round of tests; each says whether nothing came back."""

    parts: Parts
    record: ErasureRecord
    gone: Sequence[str]
    samples: Samples

    @property
    def versions(self) -> list[int]:
        tenant, subject = self.record.tenant, self.record.subject
        return [key.name.version for key in self.parts.sealers.subject_keys(tenant, subject)]

    def rows(self) -> bool:
        tenant = self.record.tenant
        with self.parts.store.log_connection(tenant) as connection:
            if belongings(connection, tenant, self.record.subject).found:
                return False
            return not any(_rows_of(connection, tenant, some) for some in pieces(self.gone, MAX_REMOVED // 2))

    def keys(self) -> bool:
        tenant, subject = self.record.tenant, self.record.subject
        return all(
            _refused(lambda version=version: self.parts.sealers.try_key(tenant, subject, version))  # type: ignore[misc]  # bound at once
            for version in self.versions
        )

    def copies(self) -> bool:
        sealers, tenant = self.parts.sealers, self.record.tenant
        return all(
            _refused(lambda row=row: sealers.open_memory(tenant, row, reveal=True))  # type: ignore[misc]  # bound at once
            for row in self.samples.rows
        )

    def search(self) -> bool:
        former = set(self.gone)
        return all(
            former.isdisjoint(self.parts.indexes.found_anywhere(self.record.tenant, question, HITS))
            for question in self.samples.questions
        )

    def write(self) -> bool:
        tombstones = self.parts.sealers.tombstones(self.record.tenant)
        subject = self.record.subject
        tried = [tombstones.of_write([subject], [])]
        tried += [
            {one.digest: one.kind for one in facts}
            for text in self.samples.texts
            if (facts := list(tombstones.facts([subject], text)))
        ]
        with self.parts.store.log_connection(self.record.tenant) as connection:
            for known in tried:
                try:
                    expect_not_erased(connection, self.record.tenant, known)
                except ErasedError:
                    continue
                return False
        return True

    def restore(self) -> bool:
        tombstones = self.parts.sealers.tombstones(self.record.tenant)
        known = known_gone(self.parts.ledger.rows(self.record.tenant))
        wanted = {tombstones.memory(memory).digest for memory in self.gone}
        return wanted | {tombstones.subject(self.record.subject).digest} <= known.keys()

    def bytes(self) -> bool:
        return not any(
            _holds(file, self.samples.needles)
            for file in sorted(self.parts.store.folder.rglob("*"))
            if file.is_file()
        )


def _refused(opening: Callable[[], object]) -> bool:
    try:
        opening()
    except KeyDestroyedError:
        return True
    except VaultError:
        return False  # another error says nothing of the erasure: the next run tries again
    return False


def _rows_of(connection: Connection, tenant: str, ids: Sequence[str]) -> int:
    """Count what hangs on memories."""
    counts = [
        select(func.count()).select_from(table).where(table.c.tenant_id == tenant, table.c.memory_id.in_(ids))
        for table in (MEMORY, MEMORY_SUBJECT, EMBEDDING)
    ]
    ends = or_(EDGE.c.source_id.in_(ids), EDGE.c.target_id.in_(ids))
    counts.append(select(func.count()).select_from(EDGE).where(EDGE.c.tenant_id == tenant, ends))
    return sum(int(connection.execute(count).scalar_one()) for count in counts)


def _holds(file: Path, needles: Sequence[bytes]) -> bool:
    """Say whether a file holds one of these bytes; looked through piece by piece, so that others can work between."""
    before = b""
    with file.open("rb", buffering=0) as opened:
        while piece := opened.read(_PIECE_BYTES):
            content = before + piece
            if any(needle in content for needle in needles):
                return True
            before = content[1 - NEEDLE_BYTES :]
    return False
