"""Measure what the log costs: `python -m tests.audit.measure_log [ENTRIES]` prints the figures of its guide.

Owns a throw-away database on disk with the vault's durability settings. It asserts nothing.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from os import urandom
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter
from typing import BinaryIO, Final

from sqlalchemy import Connection, create_engine, event

from audit.bundle import BundleTerms, write_bundle
from audit.event import EntryDraft, EventType, encode_entry
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.reader import LogReader, verify_stored
from audit.store import METADATA
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from tests.simulators.small_deployment import LOG_KEY, POLICY, START, draft

BATCH: Final = 32
TENANTS: Final = tuple(f"clinic-{letter}" for letter in "abcde")


def write_draft(tenant: str) -> EntryDraft:
    """Return a draft of the size that a write of the vault makes."""
    payload = {
        "written": ["mem_01k9v3c0aq8m4n6r2t5w7x9y0z"],
        "digests": ["5f" * 16],
        "subjects": ["sub_k7f2qah4k7f2qah4k7f2qah4k7"],
        "detector": "tagger/1",
    }
    return draft(tenant=tenant, resource="epi_01k9v3c0aq8m4n6r2t5w7x9y0z", payload=payload)


def verify_whole(file: BinaryIO) -> None:
    """Verify a bundle; raise where it fails."""
    verify_bundle(file, Trust((LOG_KEY.verifier,))).report.require()


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` took."""
    start = perf_counter()
    work()
    return perf_counter() - start


def measure_encoding() -> None:
    """Print the cost of one leaf."""
    made = write_draft(TENANTS[0])
    runs = [timed(lambda: [encode_entry(made, urandom(32)) for _ in range(1000)]) for _ in range(9)]
    say(f"encoding an entry: {median(runs) * 1e3:.1f} µs")


def measure_appending(log: AuditLog, connection: Connection, entries: int) -> None:
    """Print the cost of appending, early and late."""
    loads = [draft(EventType.POLICY_LOAD, tenant=tenant) for tenant in (SYSTEM_LOG, *TENANTS)]
    log.append(connection, loads)
    connection.commit()
    for quarter in range(4):
        appending = committing = 0.0
        for nth in range(entries // 4 // BATCH):
            drafts = [write_draft(TENANTS[nth % len(TENANTS)]) for _ in range(BATCH)]
            appending += timed(lambda: log.append(connection, drafts))  # noqa: B023 - called at once
            committing += timed(connection.commit)
        done = entries // 4 // BATCH * BATCH
        say(
            f"appending {BATCH} in a call, quarter {quarter + 1}: {done / appending:,.0f} entries/s,"
            f" {done / (appending + committing):,.0f} with a FULL commit each"
        )
    singles: list[float] = []
    for _ in range(500):
        drafts = [write_draft(TENANTS[0])]
        singles.append(timed(lambda: log.append(connection, drafts)))  # noqa: B023 - called at once
        connection.commit()
    say(f"appending one: {median(singles) * 1e3:.3f} ms p50, SQL included, commit not")


def measure_verifying(log: AuditLog, connection: Connection, folder: Path) -> None:
    """Print the cost of checkpoints, proofs, export and verification."""
    say(f"signing all logs: {timed(lambda: log.checkpoint_all(connection, policy=POLICY)) * 1e3:.1f} ms")
    connection.commit()
    size = log.head(connection, TENANTS[0]).size
    log.inclusion_proof(connection, TENANTS[0], 0, size)
    proof = timed(lambda: [log.inclusion_proof(connection, TENANTS[0], nth, size) for nth in range(100)])
    say(f"a proof from memory: {proof * 10:.2f} ms")
    total = sum(log.head(connection, tenant).size for tenant in log.tenants(connection))
    rows = timed(lambda: verify_stored(connection, LOG_KEY.verifier).require())
    path = folder / "evidence.tar"
    with path.open("wb") as file:
        logs = LogReader().evidence(connection)
        write_bundle(file, [LOG_KEY.verifier], logs, BundleTerms(complete=True))
    with path.open("rb") as file:
        bundle = timed(lambda: verify_whole(file))
    say(f"verifying: {total / rows:,.0f} entries/s from rows, {total / bundle:,.0f} from a bundle")
    say(f"a bundle: {path.stat().st_size / total:.0f} bytes an entry")
    say(f"resident at most: {getrusage(RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main(entries: int) -> None:
    """Run all measurements over `entries` entries."""
    measure_encoding()
    with tempfile.TemporaryDirectory() as name:
        engine = create_engine(f"sqlite:///{name}/log.db")

        @event.listens_for(engine, "connect")
        def configure(connection: sqlite3.Connection, _record: object) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")

        METADATA.create_all(engine)
        log = AuditLog(LOG_KEY, salt_source=urandom, clock=lambda: START)
        with engine.connect() as connection:
            measure_appending(log, connection, entries)
            measure_verifying(log, connection, Path(name))
        say(f"the database: {(Path(name) / 'log.db').stat().st_size / entries:.0f} bytes an entry")
        engine.dispose()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
