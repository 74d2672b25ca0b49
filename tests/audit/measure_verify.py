"""Measure verifying a bundle offline: `python -m tests.audit.measure_verify [ENTRIES | checkpoints | browser]`.

Without a number, 1,000,000 entries; with `checkpoints`, 200,000 and a checkpoint after each; with `browser`,
100,000 in the page, where chromium is installed.

Owns a throw-away bundle of made-up entries, written by the functions that write real ones, and verified in
a process of its own, so that its memory is the verifier's alone. It asserts the target: 60 s of one core
for 1,000,000 entries, and memory that does not grow with them.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

from playwright.sync_api import sync_playwright

from audit.bundle import BundleTerms, write_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.event import EventType, encode_entry
from audit.evidence import LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.merkle import leaf_hash
from audit.verify_html import build_page
from tests.simulators.small_deployment import LOG_KEY, START, CountingSalts, draft

ENTRIES: Final = 1_000_000
SECONDS: Final = 60.0
TENANT: Final = "clinic-a"
_VERIFY: Final = """
import sys
from pathlib import Path
from time import process_time
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
def peak():
    # Not getrusage: its figure begins with that of the process which started this one.
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
begun = peak()
with open(sys.argv[1], "rb") as file:
    verify_bundle(file, Trust((VerifierKey.parse(sys.argv[2]),))).report.require()
print(process_time(), peak(), begun)
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


def verified(path: Path) -> tuple[float, float, float]:
    """Return seconds of the processor, peak and initial resident megabytes of a process that verifies."""
    command = [sys.executable, "-c", _VERIFY, str(path), str(LOG_KEY.verifier)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3_600)
    seconds, peak, begun = map(float, run.stdout.split())
    return seconds, peak, begun


def main(count: int, *, every: int | None = None) -> None:
    """Print what it costs to verify a tenth of the entries, and all of them."""
    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 10, count):
            path = Path(folder) / "evidence.tar"
            start = process_time()
            write(path, size, every=every)
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


if __name__ == "__main__":
    if sys.argv[1:] == ["browser"]:
        measure_browser(ENTRIES // 10)
    elif sys.argv[1:] == ["checkpoints"]:
        main(ENTRIES // 5, every=1)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
