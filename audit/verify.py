"""The offline verifier: recomputes every leaf, every tile and every root, and replays the invariants.

Owns judging evidence across logs; `audit.verify_log` goes through one log, `audit.verify_run` holds what spans them, `audit.report` has the words.
It reads entries, checkpoints and tiles wherever they come from (`audit.bundle`, a database) in one pass
and in bounded memory, and reports what does not hold. It imports nothing beyond `audit/` and
`cryptography`; it neither trusts nor needs the vault.

What it cannot show: an entry that was never made, a lie in an entry, entries cut off after the last
checkpoint that anyone remembers, and a history shown to others only (a split view).

Example:
    report = verify_logs(read_bundle(file).logs, VerifierKey.parse(key_from_elsewhere))
    report.require()
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from audit.evidence import LogEvidence
from audit.report import MAX_FINDINGS, Check, Finding, LogSummary, Report
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_log import LogRun
from audit.verify_run import Run, shown_name

__all__ = ["MAX_FINDINGS", "Check", "Finding", "LogSummary", "Report", "verify_logs"]


def verify_logs(
    logs: Iterable[LogEvidence],
    key: VerifierKey | Trust,
    *,
    remembered: Iterable[bytes] = (),
    now: datetime | None = None,
    complete: bool = False,
    unsigned_allowed: bool = False,
) -> Report:
    """Verify logs, each entry read once and none kept.

    Args:
        logs: The system log first where it is among them, so that its records serve the others.
        key: The deployment's log key, or keys of logs and witnesses, got from elsewhere than the evidence.
        remembered: Notes of checkpoints that were seen before: only these show that a tail was cut.
        now: Time of verification; a later entry is worth a warning.
        complete: Every log that the system log has recorded must be among `logs`.
        unsigned_allowed: Accept a log that has no checkpoint yet, which proves nothing; not one whose
            checkpoint the system log recorded.

    Raises:
        BundleMalformedError: the evidence is read from a bundle that breaks off.
    """
    trust = key if isinstance(key, Trust) else Trust((key,))
    run = Run(trust, now, unsigned_allowed=unsigned_allowed)
    run.remember(remembered)
    summaries: list[LogSummary] = []
    for given in logs:
        log = replace(given, tenant=shown_name(given.tenant))
        run.begin(log.tenant)
        summaries.append(LogRun(run, log).verify())
    run.check_absent(complete=complete)
    return Report(
        tuple(summaries),
        tuple(run.findings.kept),
        run.findings.more,
        tuple(run.warnings.kept),
        run.warnings.more,
    )
