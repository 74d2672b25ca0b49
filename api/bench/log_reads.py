"""A log of a million entries: exported and verified offline, and asked.

Owns both measures over one made-up log of a real vault. It is exported as `memvault audit export` does, and
verified by the command an auditor runs, in a process of its own. Questions are whole calls of `MemOS`: parse,
authorise, catch up the index, find, read the entries from the log, commit the question's own entry.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from api.bench.log_made_up import Calendar, Step, clinic, fill
from api.bench.log_targets import (
    COUNTS,
    JUDGED_RUNS,
    PAGE,
    RESIDENT,
    VERIFY,
    LogEffort,
    Times,
    part,
    timed,
)
from api.bench.made_up import TENANT, bare_options, new_vault
from api.bench.report import Figure, p95
from audit.event import EntryDraft
from policies.model import Principal, Purpose, Role
from vault.memos import MemOS
from vault.opening import Vault

AUDITOR: Final = Principal("bench-auditor", TENANT, frozenset({Role.AUDITOR}))
QUESTIONS: Final = (
    "actor:agent-7 action:read",
    "actor:agent-7 -outcome:allowed",
    "purpose:legal outcome:failed",
    "tier:private since:2026-01-05",
    "actor:agent-199 event:memory.reveal",
)
"""Two filters each: frequent and rare, of values, of what is not so, and of time."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_LONGEST: Final = 600.0
"""Seconds after which a verifier is ended: ten times the target."""
_INDEXING: Final = 600.0


def reads(scratch: Path, effort: LogEffort, step: Step) -> list[Figure]:
    """Make a log, export and verify it at two sizes, and ask it; what fails says why in its place."""
    return part((VERIFY, RESIDENT, PAGE, COUNTS), lambda: _of_one_log(scratch, effort, step))


def _of_one_log(scratch: Path, effort: LogEffort, step: Step) -> list[Figure]:
    calendar = Calendar()
    with new_vault(scratch / "clinic", replace(bare_options(), clock=calendar)) as vault:
        made = clinic(calendar, vault.parts.policy.digest)
        verified = part((VERIFY, RESIDENT), lambda: _verified(scratch, vault, made, effort, step))
        fill(vault, made, effort.entries, step)  # where the export failed, the log can still be asked
        return [*verified, *part((PAGE, COUNTS), lambda: _asked(vault, effort, step))]


def _verified(
    scratch: Path, vault: Vault, made: Iterator[EntryDraft], effort: LogEffort, step: Step
) -> list[Figure]:
    peaks: list[float] = []
    for size in (effort.tenth, effort.entries):
        fill(vault, made, size, step)
        step(f"exporting and verifying {size:,} entries")
        start = time.process_time()
        bundle, key = scratch / "evidence.tar", str(vault.parts.verifier_key)
        with bundle.open("wb") as file:
            MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT).export(file)
        exporting = time.process_time() - start
        found = verify_alone(bundle, key)
        peaks.append(found["peak"])
    size, weight = effort.entries, bundle.stat().st_size / effort.entries
    bundle.unlink()
    note = (
        f"processor time of `python -m audit` in a process of its own; {size / found['seconds']:,.0f} entries/s, "
        f"{weight:.0f} bytes each; `MemOS.export`, which verifies first, took {exporting:.0f} s"
    )
    before = f"{found['before']:.0f} MB before it began; {peaks[0]:.0f} MB at {effort.tenth:,}"
    more = (peaks[1] - peaks[0]) * 1e6 / (effort.entries - effort.tenth)
    grown = f"{more:.0f} bytes for each entry more, where {weight:.0f} lie in the bundle"
    enough, sample = size >= LogEffort().entries, f"{size:,} entries"
    return [
        VERIFY.measured(found["seconds"], note, enough=enough, sample=sample),
        RESIDENT.measured(peaks[1], before, enough=enough, sample=sample),
        Figure(f"the same less that of {effort.tenth:,} entries", peaks[1] - peaks[0], "MB", note=grown),
    ]


def verify_alone(bundle: Path, key: str) -> dict[str, float]:
    """Verify a bundle in a process of its own; return seconds of processor, and MB before and at most.

    Raises:
        ChildProcessError: it ended without a result, or the bundle did not pass.
    """
    command = [sys.executable, "-m", "api.bench.log_verifier", str(bundle), key]
    done = subprocess.run(  # noqa: S603  # our own program
        command, check=False, capture_output=True, text=True, cwd=_ROOT, timeout=_LONGEST
    )
    found: dict[str, float] = {"code": -1} if done.returncode else json.loads(done.stdout)
    if found["code"]:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ChildProcessError(f"the verifier ended with {found['code']:.0f}: {last[0]}")
    return found


def _asked(vault: Vault, effort: LogEffort, step: Step) -> list[Figure]:
    memory = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
    step("indexing")
    start = time.perf_counter()
    with vault.parts.log_indexes.log_of(TENANT) as log:
        reached = vault.parts.log_indexes.of(TENANT).catch_up(log, seconds=_INDEXING)
    seconds = time.perf_counter() - start
    for text in QUESTIONS:
        _counts(memory, text)
        memory.query_log(text)
    step("asking")
    pages = {one: timed([partial(memory.query_log, one)] * effort.runs) for one in QUESTIONS}
    counts = {one: timed([partial(_counts, memory, one)] * effort.runs) for one in QUESTIONS}
    sample = f"{reached:,} entries and {effort.runs} runs"
    enough = reached >= LogEffort().entries and effort.runs >= JUDGED_RUNS
    return [
        PAGE.measured(*_worst(pages, "whole calls of `MemOS.query_log`"), enough=enough, sample=sample),
        COUNTS.measured(
            *_worst(counts, "`MemOS.log_facets` and `log_histogram` together"), enough=enough, sample=sample
        ),
        Figure(
            "index a log for questions",
            reached / seconds,
            "entries/s",
            note=f"{reached:,} in {seconds:.0f} s",
        ),
    ]


def _counts(memory: MemOS, text: str) -> None:
    memory.log_facets(text)
    memory.log_histogram(text)


def _worst(times: dict[str, Times], how: str) -> tuple[float, str]:
    """Return the 95th percentile of the question that took longest, and what stands beside it."""
    asked = max(times, key=lambda one: p95(times[one].walls))
    runs, fastest = len(times[asked].walls), min(p95(one.walls) for one in times.values()) * 1e3
    note = (
        f"{how}, {runs} of each question, a wait of the wall; the slowest of {len(times)}, `{asked}`: "
        f"{times[asked].told}; the fastest p95 {fastest:.1f} ms"
    )
    return p95(times[asked].walls) * 1e3, note
