"""Verifying a bundle whole: its logs, and that its files and its manifest are what they say.

Owns what only a bundle can be wrong about. It leaves logs to `audit.verify` and the form to
`audit.bundle_reading`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from audit.bundle_reading import Bundle, read_bundle
from audit.bundle_section import LogSection
from audit.errors import BundleMalformedError, MalformedError
from audit.event import EventType, parse_header
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.manifest import Export, Manifest
from audit.report import MAX_FINDINGS, Check, Finding, Report
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify import verify_logs


@dataclass(frozen=True, slots=True)
class BundleReport:
    """The outcome of verifying a bundle."""

    manifest: Manifest
    report: Report
    whole: bool
    """Whether all of it could be read; otherwise the findings say which file was altered."""


def verify_bundle(
    file: BinaryIO,
    trust: Trust,
    *,
    remembered: Iterable[bytes] = (),
    now: datetime | None = None,
    beside: Callable[[LogEvidence], LogEvidence] | None = None,
) -> BundleReport:
    """Verify a bundle, in bounded memory.

    Args:
        file: The bundle; one that can be sought in.
        trust: Keys that were got from elsewhere than the bundle.
        remembered: Notes of checkpoints that were seen before.
        now: Time of verification.
        beside: What else goes through the entries of each log while they are verified. What it learns counts only if the
            report passes: a second reading could be of another file.

    Raises:
        BundleMalformedError: it cannot be read, and not because a file was altered after its writing.
    """
    bundle = read_bundle(file)
    watch = _ExportWatch(bundle.manifest)
    whole, report = True, Report((), (), 0)
    try:
        logs = map(watch.watched, bundle.logs if beside is None else map(beside, bundle.logs))
        report = verify_logs(logs, trust, remembered=remembered, now=now, complete=bundle.manifest.complete)
    except BundleMalformedError:
        if not bundle.altered:
            raise
        whole = False
    found = [*_altered_files(bundle), *_manifest_findings(bundle.manifest, report, trust), *watch.findings]
    kept = (*found, *report.findings)[:MAX_FINDINGS]
    more = report.more_findings + len(found) + len(report.findings) - len(kept)
    return BundleReport(bundle.manifest, replace(report, findings=kept, more_findings=more), whole)


def _altered_files(bundle: Bundle) -> Iterator[Finding]:
    for path in bundle.altered:
        log, _, name = path.partition("/")
        yield Finding(log, None, Check.FILE, f"{name} of the listed SHA-256", "other content")


def _manifest_findings(manifest: Manifest, report: Report, trust: Trust) -> Iterator[Finding]:
    first = manifest.logs[0].log if manifest.logs else SYSTEM_LOG
    if not manifest.logs:
        yield Finding(first, None, Check.MANIFEST, "at least one log", "none")
    if not _names_a_trusted_key(manifest, trust):
        yield Finding(
            first, None, Check.MANIFEST, "log keys in their form, a trusted one among them", "others"
        )
    for section, log in zip(manifest.logs, report.logs, strict=False):
        if (section.size, section.root) != (log.size, log.root.hex()):
            expected = f"size {log.size} and root {log.root.hex()}"
            yield Finding(
                section.log, None, Check.MANIFEST, expected, f"size {section.size}, root {section.root}"
            )
        if section.checkpoints and trust.tenant_of(section.origin) != section.log:
            yield Finding(section.log, None, Check.MANIFEST, "the origin of this log", "another")
        # Threat: a forger without the key keeps an early checkpoint, drops the later ones and makes up the
        # rest. An export signs before it is written, and ends where that was.
        if 0 < log.signed_size < section.stop:
            expected = f"a checkpoint that covers entry {section.stop - 1}"
            yield Finding(section.log, None, Check.SIGNED_END, expected, f"one of size {log.signed_size}")
        if section.left_out and (section.start, section.stop) == (0, section.size):
            yield Finding(section.log, None, Check.MANIFEST, "no checkpoints left out of a whole log", "some")


def _names_a_trusted_key(manifest: Manifest, trust: Trust) -> bool:
    try:
        keys = [VerifierKey.parse(key) for key in manifest.keys]
    except MalformedError:
        return False
    return bool({key.public for key in keys} & {key.public for key in trust.keys})


class _ExportWatch:
    """Looks, as entries go by, for the one that recorded the export."""

    def __init__(self, manifest: Manifest) -> None:
        self._export = manifest.exported
        tenants = [log for log in manifest.logs if log.log != SYSTEM_LOG]
        self._section = tenants[0] if tenants else None
        self.findings: list[Finding] = []

    def watched(self, log: LogEvidence) -> LogEvidence:
        """Return a log that is watched if it is the one that was exported."""
        if self._export is None or self._section is None or log.tenant != self._section.log:
            return log
        return replace(log, entries=self._watch(log.entries, self._export, self._section))

    def _watch(
        self, entries: Iterable[StoredEntry], export: Export, section: LogSection
    ) -> Iterator[StoredEntry]:
        # Outside the range it is believed, and `audit.offline` says so; behind the log's end it is none.
        seen = export.entry < section.size and not section.start <= export.entry < section.stop
        for nth, entry in enumerate(entries, section.start):
            if nth == export.entry:
                seen = _records(entry, export)
            yield entry
        if not seen:
            expected = f"entry {export.entry} to record this export by {export.by}"
            self.findings.append(
                Finding(section.log, None, Check.MANIFEST, expected, "another entry, or none")
            )


def _records(entry: StoredEntry, export: Export) -> bool:
    try:
        header = parse_header(entry.header)
    except MalformedError:
        return False
    time = header.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    named = (header.principal, header.purpose, time) == (export.by, export.purpose, export.time)
    return named and header.event is EventType.AUDIT_EXPORT
