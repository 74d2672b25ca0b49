"""Verifying one file with nothing but public keys: what it takes, and what is said of it.

Owns telling bundles, proofs and certificates apart, reading keys as people give them, and the words for people. It leaves
judging to `audit.verify_bundle`, `audit.proof` and `audit.certificate_check`, and printing and ending to `python -m audit` and to
the command line. Nothing here needs a vault.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from audit.certificate import FIRST_BYTES, MAX_CERTIFICATE_SIZE
from audit.certificate_check import ProvenErasure, describe_erasure, verify_certificate
from audit.cosignature import WitnessVerifierKey
from audit.errors import BundleMalformedError
from audit.evidence import SYSTEM_LOG
from audit.manifest import FORMAT, Manifest
from audit.proof import (
    FIRST_LINE,
    MAX_PROOF_SIZE,
    SUFFIX,
    CarriedEntry,
    ProvenEntry,
    parse_proof,
    verify_proof,
)
from audit.report import Finding, LogSummary, Report
from audit.signing import VerifierKey, follow_handovers
from audit.tiles import MAX_ENTRY_SIZE
from audit.trust import Trust
from audit.verify_bundle import BundleReport, verify_bundle

MAX_KEYS_SIZE: Final = 64 * 1024
MAX_KEPT_SIZE: Final = 1_000_001

_WIDTH: Final = 16

Proven = BundleReport | ProvenEntry | ProvenErasure


@dataclass(frozen=True, slots=True)
class Terms:
    """What a file is verified with: paths and keys as they were given."""

    keys: Sequence[str | Path]
    """Each a verifier key, or the path of a file with one a line."""
    witnesses: Sequence[str | Path] = ()
    """The same, of witnesses."""
    required: int = 0
    """Cosignatures without which a verification fails, over all entries that are shown."""
    remembered: Sequence[Path] = ()
    """Checkpoints that were kept."""
    entry: Path | None = None
    """The entry of a proof that carries none."""
    handovers: Sequence[Path] = ()
    """Notes in which one log key hands over to the next, in order."""
    may_lag: int = 0
    """Entries at the end that these cosignatures need not cover."""
    trust: Trust = field(init=False)

    def __post_init__(self) -> None:
        notes = [_limited(file, MAX_KEPT_SIZE) for file in self.handovers]
        keys = follow_handovers([VerifierKey.parse(key) for key in _keys_of(self.keys)], notes)
        witnesses = [WitnessVerifierKey.parse(key) for key in _keys_of(self.witnesses)]
        object.__setattr__(self, "trust", Trust(keys, tuple(witnesses), self.required, self.may_lag))


def verify_file(path: Path, terms: Terms, *, now: datetime | None = None) -> Proven:
    """Verify a bundle, a proof or a certificate.

    Args:
        path: The file.
        terms: Keys and checkpoints, from elsewhere than the file.
        now: Time of verification.

    Raises:
        OSError: a file cannot be read.
        MalformedError: it is none of them, or cannot be read as one.
        VerificationError: it is a proof or a certificate, and does not hold. What is found in a bundle is in its report.
    """
    kept = [_limited(file, MAX_KEPT_SIZE) for file in terms.remembered]
    with path.open("rb") as file:
        certified = _starts_with(file, FIRST_BYTES)
        if not certified and not _is_proof(file, path):
            return verify_bundle(file, terms.trust, remembered=kept, now=now)
        if kept:
            raise BundleMalformedError(
                "expected checkpoints that were kept with a bundle, not with a proof or a certificate"
            )
        if certified:
            return verify_certificate(file.read(MAX_CERTIFICATE_SIZE + 1), terms.trust)
        proof = parse_proof(file.read(MAX_PROOF_SIZE + 1))
    entry = None if terms.entry is None else CarriedEntry(_limited(terms.entry, MAX_ENTRY_SIZE + 1))
    return verify_proof(proof, terms.trust, entry)


def _is_proof(file: BinaryIO, path: Path) -> bool:
    return _starts_with(file, FIRST_LINE.encode()) or path.suffix == SUFFIX


def _starts_with(file: BinaryIO, first: bytes) -> bool:
    start = file.read(len(first))
    file.seek(0)
    return start == first


def _limited(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _keys_of(given: Iterable[str | Path]) -> Iterator[str]:
    for one in given:
        if isinstance(one, str) and not Path(one).is_file():
            yield one.strip()
            continue
        try:
            text = _limited(Path(one), MAX_KEYS_SIZE).decode("ascii")
        except UnicodeDecodeError as error:
            raise BundleMalformedError("expected a file of keys to be text") from error
        yield from filter(None, map(str.strip, text.splitlines()))


def describe(found: Proven) -> list[str]:
    """Return lines for people: what was checked, what was found, what it shows and what it does not."""
    if isinstance(found, ProvenErasure):
        return describe_erasure(found)
    return list(_bundle_lines(found) if isinstance(found, BundleReport) else _proof_lines(found))


def _line(label: str, text: str) -> str:
    return f"{label:<{_WIDTH}} {text}"


def _bundle_lines(found: BundleReport) -> Iterator[str]:
    yield _line("bundle", _exported(found.manifest))
    for log in found.report.logs:
        yield from _log_lines(log)
    for mark, findings in (("warning", found.report.warnings), ("FAILED", found.report.findings)):
        for finding in findings:
            yield _line(mark, _finding(finding))
    if found.report.more_findings:
        yield _line("", f"and {found.report.more_findings} more")
    if not found.whole:
        yield _line("", "a file was altered so that the rest cannot be read")
    yield from _meaning(found.report)
    yield f"verified{_reach(found.report)}" if found.report.passed else "verification failed"


def _reach(report: Report) -> str:
    """Say what a verification rests on less than its name: whom it was cosigned by, what it did not see."""
    cosigned = "".join(
        f"; {log.tenant}: only the first {log.cosigned_size} of {log.size} entries are cosigned"
        for log in report.logs
        if log.witnesses and log.cosigned_size < log.stop
    )
    unseen = sum(log.erased + log.withheld for log in report.logs)
    return cosigned + (f"; {unseen} entries without payload" if unseen else "")


def _exported(manifest: Manifest) -> str:
    by = manifest.exported
    if by is None:
        return FORMAT
    shown = any(log.start <= by.entry < log.stop for log in manifest.logs if log.log != SYSTEM_LOG)
    proof = f"entry {by.entry}" if shown else f"so the bundle says: entry {by.entry} is not shown"
    return f"{FORMAT}, exported by {by.by} for {by.purpose} at {by.time} ({proof})"


def _log_lines(log: LogSummary) -> Iterator[str]:
    shown = (
        f"all {log.size}"
        if log.stop - log.start == log.size
        else f"{log.start} to {log.stop - 1} of {log.size}"
    )
    parts = [f"entries: {shown}", f"signed up to {log.signed_size}"]
    if log.witnesses:
        parts.append(f"cosigned up to {log.cosigned_size} by {', '.join(log.witnesses)}")
    for count, what in (
        (log.erased, "erased"),
        (log.withheld, "without payload"),
        (log.beside, "erasing entries shown beside"),
        (log.unproven, "claims unproven"),
        (log.earlier, "checkpoints by a key before yours alone"),
    ):
        if count:
            parts.append(f"{count} {what}")
    yield _line(log.tenant, ", ".join(parts))
    yield _line("", f"root {log.root.hex()}")
    for handover in log.handovers:
        yield _line("", f"key rolled over: {handover}")


def _finding(one: Finding) -> str:
    place = one.log if one.index is None else f"{one.log}[{one.index}]"
    return f"{place}: {one.check}: expected {one.expected}, got {one.got}"


def _meaning(report: Report) -> Iterator[str]:
    yield _line(
        "checked", "leaves, payloads, tiles, roots, signatures, order, erasures, policies, uses of memories"
    )
    if report.passed:
        yield _line(
            "shows", "these are the entries that the key signed, in this order, none changed or missing"
        )
        yield _line("", "before the last signed checkpoint; each payload is what its entry committed to")
    yield _line(
        "does not show", "an entry that was never made, or a lie in one; entries after that checkpoint;"
    )
    yield _line("", "a tail cut behind a checkpoint that you did not give; another history shown to others")
    if any(log.unproven or log.unchecked for log in report.logs):
        yield _line("", "claims whose proof lies in entries or payloads that were left out or erased")
    if any(log.earlier for log in report.logs):
        yield _line("", "that a checkpoint by a key before yours was signed in its time: a thief of that key")
        yield _line("", "can sign them, too; your key vouches for their entries by its own checkpoints")


def _proof_lines(found: ProvenEntry) -> Iterator[str]:
    header, checkpoint = found.header, found.checkpoint
    by = ", ".join(found.witnesses) or "no witness that was given"
    yield _line("entry", f"{found.index} of {checkpoint.origin}")
    yield _line("", f"{header.time.isoformat()} {header.event} {header.outcome} by {header.principal}")
    yield _line(
        "", f"resource {header.resource or '-'}, purpose {header.purpose or '-'}, policy {header.policy}"
    )
    yield _line("tree", f"size {checkpoint.size}, root {checkpoint.root.hex()}, cosigned by {by}")
    yield _line("payload", "as the entry committed to" if found.payload is not None else "not carried")
    yield _line(
        "checked", "the log's signature, cosignatures, the path from leaf to root, the payload's commitment"
    )
    yield _line("shows", "this entry stands at this place of the log that the key signed")
    yield _line(
        "does not show", "that it tells the truth, what else the log holds, or that others see the same log"
    )
    yield "verified"
