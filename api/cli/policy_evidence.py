"""Logged decisions of an evidence bundle, decided anew without a vault.

Owns reading them while the bundle is verified, in one pass and in constant memory. What was decided counts only if the
verification passes: a second reading could be of another file. Without keys nothing is verified, and the answer says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from audit.bundle_reading import read_bundle
from audit.canonical import parse_canonical
from audit.errors import BundleMalformedError, MalformedError
from audit.event import Header, parse_header
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.manifest import Manifest
from audit.offline import Terms
from audit.verify_bundle import BundleReport, verify_bundle
from policies.review.replay import Logged
from vault.decision_log import logged
from vault.journal import VAULT_PRINCIPAL

VERIFIED: Final = "verified"
UNVERIFIED: Final = "not verified"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a replay rests on."""

    state: str
    """`verified` or `not verified`."""
    log: str
    first: int
    stop: int
    size: int
    """Entries from `first` to before `stop` are shown, of a log of so many."""


class EvidenceRefusedError(Exception):
    """The evidence is not what its keys signed."""

    def __init__(self, found: BundleReport) -> None:
        super().__init__("the evidence does not verify")
        self.found = found


def read_evidence(
    path: Path, keys: Sequence[str | Path], since: datetime | None, take: Callable[[Logged], None]
) -> Evidence:
    """Hand each decision of a bundle to `take`; what it made of them counts only if this returns.

    Args:
        path: What `audit export` wrote.
        keys: Verifier keys of the log, or files of them; none: nothing is verified.
        since: Only decisions of this time and later; None is all.
        take: Gets the decisions of the one tenant's log, oldest first.

    Raises:
        OSError: the file cannot be read.
        MalformedError: it is no bundle, or one of several tenants' logs; or a key is none.
        EvidenceRefusedError: it does not verify.
    """

    def beside(log: LogEvidence) -> LogEvidence:
        return log if log.tenant == SYSTEM_LOG else replace(log, entries=_taking(log.entries, since, take))

    with path.open("rb") as file:
        if keys:
            found = verify_bundle(file, Terms(keys).trust, now=datetime.now(UTC), beside=beside)
            if not (found.whole and found.report.passed):
                raise EvidenceRefusedError(found)
            return _shown(found.manifest, VERIFIED)
        return _shown(_read(file, beside), UNVERIFIED)


def _read(file: BinaryIO, beside: Callable[[LogEvidence], LogEvidence]) -> Manifest:
    bundle = read_bundle(file)
    for log in bundle.logs:
        for _ in beside(log).entries:
            pass
    return bundle.manifest


def _shown(manifest: Manifest, state: str) -> Evidence:
    logs = [one for one in manifest.logs if one.log != SYSTEM_LOG]
    if len(logs) != 1:
        raise BundleMalformedError(f"expected the log of one tenant, got {len(logs)}")
    return Evidence(state, logs[0].log, logs[0].start, logs[0].stop, logs[0].size)


def _taking(
    entries: Iterable[StoredEntry], since: datetime | None, take: Callable[[Logged], None]
) -> Iterator[StoredEntry]:
    """Hand on each entry, and what it tells of a decision."""
    for entry in entries:
        try:
            header = parse_header(entry.header)
            if header.principal != VAULT_PRINCIPAL and (since is None or header.time >= since):
                take(_decision(entry, header))
        except (
            MalformedError
        ):  # the verifier refuses it; where nothing is verified it is counted as what it is
            take(Logged(entry.index, "", None, allowed=False, asked=""))
        yield entry


def _decision(entry: StoredEntry, header: Header) -> Logged:
    if entry.payload is None:
        return logged(entry.index, header, None)._replace(erased=not entry.withheld, withheld=entry.withheld)
    payload = parse_canonical(entry.payload)
    return logged(entry.index, header, payload if isinstance(payload, dict) else {})
