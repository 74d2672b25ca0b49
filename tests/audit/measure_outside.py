"""What anchor and witness cost: `python -m tests.audit.measure_outside`. A shared machine: trust ratios."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from audit.anchor import FileAnchor
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.merkle import leaf_hash
from audit.signing import SignerKey
from audit.witness import Submission, TrustList
from audit.witness_store import StandaloneWitness, WitnessStore
from tests.simulators.plain_tree import PlainTree

LOG = SignerKey("memos-vault/ward-1/clinic-a", bytes(range(32)))
LINES = 100_000
TIMES = 300


def spread(work: Callable[[int], object]) -> str:
    """Return p50 and p95 of `TIMES` runs, in milliseconds."""
    taken = []
    for nth in range(TIMES):
        started = time.perf_counter()
        work(nth)
        taken.append(1000 * (time.perf_counter() - started))
    cuts = quantiles(taken, n=20)
    return f"p50 {cuts[9]:.2f} ms, p95 {cuts[18]:.2f} ms"


def note_of(size: int, root: bytes) -> bytes:
    """Return a signed checkpoint."""
    return sign_checkpoint(Checkpoint(LOG.name, size, root), [LOG]).note


def measure_anchor(folder: Path) -> None:
    """Measure a line, and reading a long anchor at opening."""
    anchor = FileAnchor.create(folder / "anchor")
    notes = [note_of(size, bytes(32)) for size in range(TIMES)]
    say("a line of the anchor, fsync included", spread(lambda nth: anchor.append(notes[nth])))
    anchor.close()
    whole = (folder / "anchor").read_bytes()
    header, _, lines = whole.partition(b"\n")
    (folder / "long").write_bytes(header + b"\n" + lines * (LINES // TIMES))
    (folder / "long").chmod(0o600)
    started = time.process_time()
    opened = FileAnchor(folder / "long")
    opened.latest(LOG.name, [LOG.verifier])
    taken = time.process_time() - started
    size = (folder / "long").stat().st_size / 1e6
    say(f"opening an anchor of {LINES:,} lines, {size:.0f} MB", f"{taken:.2f} s")
    opened.close()


def measure_witness(folder: Path) -> None:
    """Measure answering a submission, from its bytes to the cosignature, its state made durable."""
    tree = PlainTree(leaf_hash(str(nth).encode()) for nth in range(TIMES + 1))
    bodies = [
        Submission(
            size - 1,
            tuple(tree.consistency_proof(size - 1, size)) if size > 1 else (),
            note_of(size, tree.root(size)),
        ).encode()
        for size in range(1, TIMES + 1)
    ]
    key, trust = WitnessSignerKey("witness.example/w1", bytes(32)), TrustList((LOG.verifier,))
    witness = StandaloneWitness(key, lambda: trust, WitnessStore.create(folder / "w.db"), lambda: 1)
    say("a submission to the witness, durable", spread(lambda nth: witness.answer(bodies[nth])))


def say(what: str, figure: str) -> None:
    """Print a row."""
    sys.stdout.write(f"| {what} | {figure} |\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        measure_anchor(Path(made))
        measure_witness(Path(made))
