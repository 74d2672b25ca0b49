"""From an erasure that is concluded to its certificate, and a certificate with fresh proofs.

Owns what a certificate says, taken from the erasure's own entries alone: so it is the same whoever finishes, after
whatever crash. It leaves its form and its check to `audit.certificate`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.certificate import (
    CarriedCertificate,
    Certificate,
    DestroyedKey,
    NegativeTest,
    NotReached,
    Ran,
    Remaining,
    ShownStep,
    Step,
    digest_of,
    parse_certificate,
)
from audit.certificate_check import CERTIFIED, certifying_payload
from audit.errors import AuditError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.log import Leaf
from audit.proof import CarriedEntry, TlogProof
from vault.clock import from_microseconds, microseconds
from vault.erasing.negative import REASONS
from vault.erasing.record import (
    ErasureEntry,
    ErasureRecord,
    State,
    StepName,
    Voice,
    entries_of_erasure,
    moved,
)
from vault.errors import TamperedError
from vault.parts import Parts
from vault.storage.group_commit import Change, WriteSet

LEFT: Final = {
    "log-headers": "headers of the log name vault ids, times and fixed words, and stay for ever",
    "log-payloads-of-kinds-that-stay": "plans, holds and erasures name vault ids, and have to be answered for",
    "log-payloads-about-others-too": "they say who read or organized memories of others; of the erased, ids alone",
    "tombstones": "keyed digests, by which what was erased is refused when it comes back",
    "texts-not-opened": "sealed texts that could not be read before their keys were destroyed: not known again",
    "snapshots": "sealed rows in copies that lie elsewhere: nothing of them opens, and a restore leaves them out",
    "old-pages": "a reader kept pages of before beside the databases; they go when the vault is closed",
}
"""What stays of a person, and why."""
NOT_REACHED: Final = (
    NotReached("backups", "copies of the vault's files that somebody made: rows do not open, unless keys.db is among them"),
    NotReached("mentions", "what other persons' memories say of this one: it is sealed as theirs, and named by no id"),
    NotReached("exports", "answers, reports and log entries that left the vault before"),
    NotReached("packages", "this version makes no packages: none were sent"),
    NotReached("snapshots", "copies of snapshots that this vault does not know; restoring one replays the tombstones"),
)  # fmt: skip


def certify(parts: Parts, voice: Voice, record: ErasureRecord, fence: Change | None = None) -> ErasureRecord:
    """Write an erasure's certificate, and the entry that names it; the erasure is done.

    Raises:
        TamperedError: an entry of the erasure is not what an erasure writes.
    """
    with parts.store.log_connection(record.tenant) as connection:
        entries = list(entries_of_erasure(connection, record))
    ended = microseconds(parts.clock())
    certificate = _certificate(parts, record, entries, ended)
    text = certificate.encode()
    done = replace(record, state=State.DONE, finished=ended, certificate=text)
    draft = voice.draft(EventType.SUBJECT_ERASE, certifying_payload(certificate, digest_of(text)))
    changes = [moved(done)] if fence is None else [fence, moved(done)]
    parts.store.submit(WriteSet(drafts=[draft], changes=changes))
    parts.probe("erase-certified")
    _sign(parts, record.tenant)
    return done


def carried(parts: Parts, record: ErasureRecord) -> CarriedCertificate:
    """Return the certificate of an erasure that is done, with proofs under the log's last checkpoint.

    Raises:
        TamperedError: row and log do not fit each other: an altered certificate is handed out to nobody.
    """
    if record.certificate is None:
        raise TamperedError(f"the erasure {record.erasure_id} is done and has no certificate")
    certificate = parse_certificate(record.certificate)
    with parts.store.log_connection(record.tenant) as connection:
        entries = list(entries_of_erasure(connection, record))
        certifying = next((one for one in reversed(entries) if one.payload.get("step") == CERTIFIED), None)
        latest = parts.log.latest_checkpoint(connection, record.tenant)
    if certifying is None or certifying.payload.get("certificate") != digest_of(record.certificate):
        raise TamperedError(f"no entry names the certificate of {record.erasure_id}")
    if latest is None or latest.checkpoint.size <= certifying.index:
        _sign(parts, record.tenant)
    with parts.store.log_connection(record.tenant) as connection:
        try:
            return _proved(parts, connection, record, certificate, certifying.index)
        except AuditError as error:
            raise TamperedError(f"the log does not prove the erasure: {error}") from error


def _proved(
    parts: Parts, connection: Connection, record: ErasureRecord, certificate: Certificate, last: int
) -> CarriedCertificate:
    log, tenant = parts.log, record.tenant
    latest = log.latest_checkpoint(connection, tenant)
    if latest is None:
        raise TamperedError(f"the log of {tenant} has no checkpoint")
    size = latest.checkpoint.size
    shown = {}
    for step in certificate.steps:
        (entry,) = log.entries(connection, tenant, step.index, step.index + 1)
        path = tuple(log.inclusion_proof(connection, tenant, step.index, size))
        shown[step.index] = ShownStep(entry.header, path)
    (entry,) = log.entries(connection, tenant, last, last + 1)
    extra = CarriedEntry(entry.header.encode(), entry.salt, entry.payload).encode()
    path = tuple(log.inclusion_proof(connection, tenant, last, size))
    note = log.cosigned(connection, tenant, latest)
    return CarriedCertificate(str(record.certificate), certificate, TlogProof(last, path, note, extra), shown)


def _sign(parts: Parts, tenant: str) -> None:
    """Sign the log up to now, and let anchor and witnesses have it."""

    def sign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        for log in (tenant, SYSTEM_LOG):
            parts.log.checkpoint(connection, log, policy=parts.policy.digest)

    parts.store.change(sign)
    parts.assurance.publish()


def _certificate(
    parts: Parts, record: ErasureRecord, entries: Sequence[ErasureEntry], ended: int
) -> Certificate:
    tested = _step(entries, StepName.TESTED)
    shredded = _step(entries, StepName.SHREDDED)
    keys = [
        DestroyedKey(version, fingerprint)
        for one in entries
        if one.header.event is EventType.KEY_DESTROY
        for version, fingerprint in zip(
            _numbers(one.payload.get("versions")), _words(one.payload.get("fingerprints")), strict=True
        )
    ]
    matched, others = _matched(entries)
    return Certificate(
        tenant=record.tenant,
        erasure=record.erasure_id,
        subject=record.subject,
        matched=matched,
        others=others,
        remaining=tuple(
            Remaining(kind, count, LEFT[kind])
            for kind, count in _pairs(tested.payload.get("left"))
            if count and kind in LEFT
        ),
        not_reached=NOT_REACHED,
        keys=tuple(keys),
        steps=tuple(Step(one.index, one.header.event.value) for one in entries),
        backup_horizon_days=parts.backup_horizon_days,
        tests=tuple(_tests(tested.payload.get("tests"))),
        begun=_time(from_microseconds(record.begun)),
        unreadable=_time(shredded.header.time),
        ended=_time(from_microseconds(ended)),
        policy=parts.policy.digest,
    )


def _matched(entries: Sequence[ErasureEntry]) -> tuple[dict[str, int], int]:
    """Return what was matched by kind, and how many others it touches: at the beginning, or with what came since.

    The greater counts: what came between the plan and the beginning is told of once the texts were read, and what
    went by itself meanwhile, or was left out by a restore, was told of at the beginning.
    """
    matched: dict[str, int] = {}
    others = 0
    for one in entries:
        for kind, count in _pairs(one.payload.get("matched")):
            matched[kind] = max(count, matched.get(kind, 0))
        touched = one.payload.get("others")
        others = max(others, touched) if isinstance(touched, int) else others
    return matched, others


def _step(entries: Sequence[ErasureEntry], name: StepName) -> ErasureEntry:
    found = [one for one in entries if one.payload.get("step") == name.value]
    if not found:
        raise TamperedError(f"an erasure has no entry of its step {name}")
    return found[-1]


def _tests(value: JsonValue) -> list[NegativeTest]:
    found = []
    for one in value if isinstance(value, list) else ():
        name, result, count, reason = one
        found.append(NegativeTest(str(name), Ran(result), int(count), REASONS[str(reason)]))
    return found


def _pairs(value: JsonValue) -> list[tuple[str, int]]:
    return [(str(kind), int(count)) for kind, count in value] if isinstance(value, list) else []


def _numbers(value: JsonValue) -> list[int]:
    return [int(one) for one in value] if isinstance(value, list) else []


def _words(value: JsonValue) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
