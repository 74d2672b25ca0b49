"""Keys against the log: each destroyed one has its entry, none that was destroyed is there, none is used up soon.

Owns that comparison. That the keys of rows exist is seen where the rows are opened (`vault.checking.rows`).

Threat: `keys.db` has a backup horizon of its own. Put back from before an erasure, it brings a destroyed key with it;
the log knows its fingerprint.
"""

from typing import Final

from audit.errors import AuditError
from audit.event import EventType
from audit.selection import entries_of
from vault.checking.finding import Check, Finding, Findings, Severity, shown
from vault.crypto.key_record import KeyKind, KeyRecord, KeyState
from vault.erasing.record import unfinished
from vault.errors import TamperedError
from vault.log_stream import checked
from vault.parts import Parts

NEAR: Final = 0.8
"""The share of its seals from which a key is told of."""


def check_keys(parts: Parts, tenant: str, findings: Findings) -> None:
    """Compare a tenant's keys with the entries of their destruction."""
    told = _destroyed_by_log(parts, tenant)
    with parts.store.log_connection(tenant) as connection:
        under_way = {record.subject for record in unfinished(connection, tenant)}
    limit = parts.sealers.key_limits.seals
    records = list(parts.sealers.key_records(tenant))
    newest = {record.name[:3]: record.name.version for record in records}  # in the order of their versions
    for record in records:
        findings.counts["keys"] += 1
        if record.state is KeyState.DESTROYED and record.name.version != newest[record.name[:3]]:
            continue  # an older version under which nothing lay; of many, the entry names the first alone
        where = shown(record.name.subject or record.name.kind.value)
        found = _fault(record, told, limit)
        if found is not None:
            expected, got, severity = found
            if record.name.subject in under_way:
                severity = Severity.NOTICE
            findings.add(Finding(Check.KEY, severity, where, expected, got))


def _fault(record: KeyRecord, told: set[str], limit: int) -> tuple[str, str, Severity] | None:
    version = f"version {record.name.version}"
    if record.state is KeyState.DESTROYED:
        # A grave of somebody who never had a key has no fingerprint, and no entry of its own.
        if record.fingerprint and record.fingerprint not in told and record.name.kind is KeyKind.SUBJECT:
            return "an entry of its destruction", f"none of {version}", Severity.ERROR
        return None
    if record.fingerprint in told:
        return "no key: the log says that it was destroyed", f"{version} is back", Severity.ERROR
    if record.state is KeyState.ACTIVE and record.seal_reserved >= NEAR * limit:
        return f"fewer than {limit} seals", f"{record.seal_reserved} of {version}: rotate", Severity.WARNING
    return None


def _destroyed_by_log(parts: Parts, tenant: str) -> set[str]:
    """Return the fingerprints that entries of destructions name; of an entry that is not as it was, none."""
    found: set[str] = set()
    with parts.store.log_connection(tenant) as connection:
        for entry in entries_of(connection, tenant, [EventType.KEY_DESTROY]):
            try:
                _, payload = checked(entry, entry.index, tenant)
            except (TamperedError, AuditError):
                continue  # the comparison with the whole log says so
            named = (payload or {}).get("fingerprints")
            if isinstance(named, list):
                found.update(str(one) for one in named if one)
    return found
