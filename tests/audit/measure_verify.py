"""Measure what `memvault bench --only log` does not of verifying: `python -m tests.audit.measure_verify WHAT`.

`checkpoints` is 200,000 entries and a checkpoint after each, `browser` 100,000 entries in the page, where
chromium is installed.

Owns a throw-away bundle of made-up entries, written by the functions that write real ones. Under Python it is
verified in a process of its own, so that its memory is the verifier's alone. It asserts nothing.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

from playwright.sync_api import sync_playwright

from api.bench.log_reads import verify_alone
from audit.bundle import BundleTerms, write_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.event import EventType, encode_entry
from audit.evidence import LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.merkle import leaf_hash
from audit.verify_html import build_page
from tests.simulators.small_deployment import LOG_KEY, START, CountingSalts, draft

CHECKPOINTS: Final = 200_000
IN_BROWSER: Final = 100_000
TENANT: Final = "clinic-a"


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


def write(path: Path, count: int, *, every: int | None = None) -> None:
    """Write a bundle of so many entries under one checkpoint; the entries are made twice, and never kept.

    Args:
        path: Where to.
        count: Entries.
        every: Entries from one checkpoint to the next; None is one checkpoint at the end.
    """
    tree, notes, key = GrowingTree(), [], LOG_KEY.for_log(TENANT)
    for entry in made_entries(count):
        tree.add(encode_leaf(entry))
        if tree.size == count or (every is not None and tree.size % every == 0):
            checkpoint = Checkpoint(f"{LOG_KEY.name}/{TENANT}", tree.size, tree.root())
            notes.append(sign_checkpoint(checkpoint, [key]).note)
    with path.open("wb") as file:
        log = LogEvidence(TENANT, notes, made_entries(count))
        write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))


def encode_leaf(entry: StoredEntry) -> bytes:
    """Return an entry's leaf hash."""
    return leaf_hash(entry.header.encode())


def measure_checkpoints(count: int) -> None:
    """Print what it costs to verify a tenth of the entries, and all of them, with a checkpoint after each."""
    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 10, count):
            path = Path(folder) / "evidence.tar"
            start = process_time()
            write(path, size, every=1)
            writing = process_time() - start
            found = verify_alone(path, str(LOG_KEY.verifier))
            sys.stdout.write(
                f"{size:>9,} entries and checkpoints: written in {writing:.1f} s, "
                f"verified in {found['seconds']:.1f} s ({size / found['seconds']:,.0f} entries/s), "
                f"{found['peak']:.0f} MB resident at most ({found['before']:.0f} MB before it began)\n"
            )


_LONGEST_GAP: Final = """() => new Promise((done) => {
  let [last, worst] = [performance.now(), 0];
  const look = (now) => {
    [last, worst] = [now, Math.max(worst, now - last)];
    document.documentElement.dataset.done ? done(worst) : requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def measure_browser(count: int) -> None:
    """Print how long the page takes, and for how long it does not answer meanwhile."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        bundle, html = Path(folder) / "evidence.tar", Path(folder) / "verify.html"
        write(bundle, count)
        html.write_bytes(build_page())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(html.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        page.fill("#keys", str(LOG_KEY.verifier))
        page.set_input_files("#file", str(bundle))
        start = perf_counter()
        page.click("#verify")
        gap = page.evaluate(_LONGEST_GAP)
        outcome = page.locator("#result").get_attribute("data-outcome")
        sys.stdout.write(
            f"{count:>9,} entries in chromium: {outcome} in {perf_counter() - start:.1f} s; "
            f"the longest gap between two frames was {gap:.0f} ms\n"
        )
        browser.close()


MODES: Final = {
    "checkpoints": lambda: measure_checkpoints(CHECKPOINTS),
    "browser": lambda: measure_browser(IN_BROWSER),
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODES:
        sys.exit(f"expected one of {', '.join(MODES)}")
    MODES[sys.argv[1]]()
