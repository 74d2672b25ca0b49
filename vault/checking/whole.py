"""What takes the whole of a tenant at once: all rows against the log, the index against rows, open intents.

Owns turning what those say into findings. The comparisons are `vault.row_check`'s and `vault.intents`'.
"""

import struct
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType
from vault.auditing import AuditView
from vault.checking.finding import Bounds, Check, Finding, Findings, Severity, shown
from vault.errors import RootUnusableError, VaultError
from vault.intents import Effects
from vault.parts import Parts
from vault.rebuilding import freshen
from vault.sealing import IndexPlace
from vault.storage.consistency_rows import current_ids, quarantined, versions_of
from vault.storage.group_commit import WriteSet

UNDER_WAY: Final = timedelta(minutes=15)
"""An intent that is younger may still get its outcome."""
_NAMED: Final = 100


def check_log(parts: Parts, tenant: str, findings: Findings) -> None:
    """Compare all rows with the whole log, and tell of effects whose outcome nobody knows."""
    compared = AuditView(parts).rows_against_log(tenant)
    for severity, found in ((Severity.ERROR, compared.findings), (Severity.WARNING, compared.warnings)):
        for one in found:
            where = "log" if one.index is None else f"entry-{one.index}"
            findings.add(
                Finding(Check.LOG, severity, where, f"{one.check}: {one.expected}"[:300], one.got[:300])
            )
    findings.more += compared.more
    findings.counts[f"{Severity.ERROR}s"] += compared.more
    now = parts.clock()
    for intent in Effects(parts).unmatched(tenant):
        if now - intent.time >= UNDER_WAY:
            got = f"none for {shown(intent.kind)}: see memvault audit intents"
            findings.add(Finding(Check.INTENT, Severity.WARNING, f"entry-{intent.index}", "an outcome", got))


def check_quarantine(parts: Parts, tenant: str, findings: Findings) -> None:
    """Tell of what stands in quarantine."""
    with parts.store.log_connection(tenant) as connection:
        standing = quarantined(connection, tenant)
    for (memory_id, version), reason in sorted(standing.items(), key=repr):
        got = f"version {shown(version)} in quarantine: {shown(reason)}"
        findings.add(Finding(Check.QUARANTINE, Severity.NOTICE, shown(memory_id), "no bad row", got))


def check_index(parts: Parts, tenant: str, bounds: Bounds, findings: Findings) -> None:
    """Compare the index with the rows, between two commits where they differ; build it anew where they still do."""
    freshen(parts, tenant)  # one that is known to lack something is built anew in any case
    missing, extra = _difference(parts, tenant)
    if missing or extra:
        doubtful, seen = [*missing, *extra], list[tuple[set[str], set[str]]]()
        # A write that is durable is in the index a moment later: look again, at those, while nothing is committed.
        parts.store.submit(WriteSet(prepare=lambda: seen.append(_difference(parts, tenant, doubtful))))
        missing, extra = seen[0]
    missing = {one for one in missing if _opens(parts, tenant, one)}
    if not missing and not extra:
        return
    told: dict[str, JsonValue] = {
        "about": "index",
        "count": len(missing) + len(extra),
        "targets": sorted([*missing, *extra])[:_NAMED],
    }
    if bounds.repair:
        draft = parts.journal.event(EventType.VAULT_REPAIR, tenant, told)
        parts.store.submit(WriteSet(drafts=[draft], changes=bounds.fenced()))
        parts.indexes.distrust(tenant)
        freshen(parts, tenant)
    for ids, got in ((missing, "cannot be found"), (extra, "can be found and has no row")):
        for memory_id in sorted(ids):
            expected = "an index of all rows and no others"
            found = Finding(Check.INDEX, Severity.WARNING, shown(memory_id), expected, got, bounds.repair)
            findings.add(found)


def _opens(parts: Parts, tenant: str, memory_id: str) -> bool:
    """Say whether a row could be in the index: one that does not open is left out, and told of elsewhere."""
    with parts.store.log_connection(tenant) as connection:
        rows = versions_of(connection, tenant, [memory_id])
    current = next((row.stored for row in rows if row.is_current), None)
    if current is None:
        return False
    place = IndexPlace(current.memory_id, current.version, current.subjects, current.access_tier)
    try:
        parts.sealers.open_terms(tenant, place, current.terms)
    except RootUnusableError:
        raise
    except (VaultError, ValueError, TypeError, AttributeError, struct.error):
        return False
    return True


def _difference(parts: Parts, tenant: str, among: Sequence[str] | None = None) -> tuple[set[str], set[str]]:
    """Return what the index lacks, and what it has too many; of some memories, or of all."""
    indexed = set(parts.indexes.memory_ids(tenant))
    if among is not None:
        indexed &= set(among)
    with parts.store.log_connection(tenant) as connection:
        rows = set(current_ids(connection, tenant, among))
    return rows - indexed, indexed - rows
