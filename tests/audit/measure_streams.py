"""Figures of streams, intents and look-ups: `python -m tests.audit.measure_streams`.

Prints what a formatter costs an entry, what a stream of a vault costs an entry, and what a look-up through a
long log takes. Thread time where code alone is measured, so that others on the machine do not count.
"""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from audit.event import EventType
from audit.siem.formats import Format, formatter_of
from policies.model import Purpose
from tests.audit.siem.conftest import Items
from tests.simulators.clinic import AUDITOR, CLINIC, OWNER, Clinic, make_template
from tests.simulators.fakes import FrozenClock, fake_options
from vault.log_lookup import LogLookup
from vault.log_stream import StreamRequest

ENTRIES: Final = 50_000
ROUNDS: Final = 5_000


def main() -> None:
    """Measure and print."""
    say("formatting an entry")
    item = Items()(payload={"memories": [f"mem_01kq5xw{nth:02d}" for nth in range(5)], "count": 5, "k": 5})
    for chosen in Format:
        write = formatter_of(chosen)
        began = time.thread_time()
        for _ in range(ROUNDS):
            write(item)
        say(f"  {chosen:<12} {(time.thread_time() - began) / ROUNDS * 1e6:7.1f} µs, {len(write(item))} bytes")
    with tempfile.TemporaryDirectory() as folder:
        measure_vault(Path(folder))


def measure_vault(folder: Path) -> None:
    """Measure a stream and a look-up over a log of some length."""
    clock = FrozenClock(step=timedelta(milliseconds=1))
    clinic = Clinic(make_template(folder / "template"), folder / "vault", fake_options(clock=clock))
    journal = clinic.vault.parts.journal
    for start in range(0, ENTRIES, 1_000):
        drafts = [journal.event(EventType.VAULT_READ, CLINIC, {"count": start + nth}) for nth in range(1_000)]
        journal.write(drafts)
    clinic.mem(OWNER).extract("a note", subject="Zyxwanda Quellmeister")
    for chosen in Format:
        write = formatter_of(chosen)
        stream = clinic.audit().stream(StreamRequest(chosen))
        began, count, octets = time.thread_time(), 0, 0
        for items in stream.batches():
            count += len(items)
            octets += sum(len(write(item)) for item in items)
        taken = time.thread_time() - began
        say(f"stream {chosen:<12} {count / taken:9.0f} entries/s, {octets / count:6.0f} bytes an entry")
    began_at = time.perf_counter()
    found = LogLookup(clinic.vault.parts).find(AUDITOR, Purpose.AUDIT, "Zyxwanda Quellmeister")
    taken = time.perf_counter() - began_at
    say(f"look-up through {found.stop} entries: {taken * 1e3:.0f} ms, {len(found.occurrences)} found")
    clinic.close()


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
