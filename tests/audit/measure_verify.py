"""Measure verifying a bundle offline: `python -m tests.audit.measure_verify [ENTRIES]`; 1,000,000 if none.

Owns a throw-away bundle of made-up entries, written by the functions that write real ones, and verified in
a process of its own, so that its memory is the verifier's alone. It asserts the target: 60 s of one core
for 1,000,000 entries, and memory that does not grow with them.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import process_time
from typing import Final

from audit.bundle import BundleTerms, write_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.event import EventType, encode_entry
from audit.evidence import LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.merkle import leaf_hash
from tests.simulators.small_deployment import LOG_KEY, START, CountingSalts, draft

ENTRIES: Final = 1_000_000
SECONDS: Final = 60.0
TENANT: Final = "clinic-a"
_VERIFY: Final = """
import sys
from resource import RUSAGE_SELF, getrusage
from time import process_time
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
begun = getrusage(RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as file:
    verify_bundle(file, Trust((VerifierKey.parse(sys.argv[2]),))).report.require()
print(process_time(), getrusage(RUSAGE_SELF).ru_maxrss / 1024, begun / 1024)
"""


def made_entries(count: int) -> Iterator[StoredEntry]:
    """Yield entries of the size that writes and reads of the vault make."""
    salts = CountingSalts()
    first = encode_entry(draft(EventType.POLICY_LOAD, action="load"), salts(32))
    yield StoredEntry(0, first.header, first.salt, first.payload)
    for index in range(1, count):
        memory = f"mem_01k9v3c0aq8m4n6r2t5w{index:08d}"
        payload = {"written": [memory], "digests": ["5f" * 32], "detector": "tagger/1", "trust": "v"}
        made = draft(
            time=START + timedelta(seconds=index), resource="epi_01k9v3c0aq8m4n6r2t5w7x", payload=payload
        )
        entry = encode_entry(made, salts(32))
        yield StoredEntry(index, entry.header, entry.salt, entry.payload)


def write(path: Path, count: int) -> None:
    """Write a bundle of so many entries under one checkpoint; the entries are made twice, and never kept."""
    tree = GrowingTree()
    for entry in made_entries(count):
        tree.add(encode_leaf(entry))
    checkpoint = Checkpoint(f"{LOG_KEY.name}/{TENANT}", count, tree.root())
    note = sign_checkpoint(checkpoint, [LOG_KEY.for_log(TENANT)]).note
    with path.open("wb") as file:
        log = LogEvidence(TENANT, (note,), made_entries(count))
        write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))


def encode_leaf(entry: StoredEntry) -> bytes:
    """Return an entry's leaf hash."""
    return leaf_hash(entry.header.encode())


def verified(path: Path) -> tuple[float, float, float]:
    """Return seconds of the processor, peak and initial resident megabytes of a process that verifies."""
    command = [sys.executable, "-c", _VERIFY, str(path), str(LOG_KEY.verifier)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak, begun = map(float, run.stdout.split())
    return seconds, peak, begun


def main(count: int) -> None:
    """Print what it costs to verify a tenth of the entries, and all of them."""
    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 10, count):
            path = Path(folder) / "evidence.tar"
            start = process_time()
            write(path, size)
            writing = process_time() - start
            seconds, peak, begun = verified(path)
            sys.stdout.write(
                f"{size:>9,} entries: written in {writing:.1f} s, {path.stat().st_size / size:.0f} bytes each; "
                f"verified in {seconds:.1f} s ({size / seconds:,.0f} entries/s), "
                f"{peak:.0f} MB resident at most ({begun:.0f} MB before it began)\n"
            )
            path.unlink()
    if count >= ENTRIES and seconds > SECONDS * count / ENTRIES:
        sys.exit(f"expected at most {SECONDS:.0f} s of one core, got {seconds:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
