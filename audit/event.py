"""Entries of the log: a canonical header that stays for ever, and a payload that can be erased.

Owns the form of a leaf and its strict reading back. It leaves order and storage to `audit.log`.

A leaf's bytes are the header: RFC 8785 JSON of fixed shape, all values restricted to identifiers and
fixed words, so that personal data has no field to stand in:

    {"action":"write","commitment":"5f…","decision":"allowed","event":"memory.write","outcome":"ok",
     "policy":"sha256:9a…","principal":"agent-7","purpose":"treatment","resource":"epi_k7f2…",
     "tenant":"clinic-a","time":"2026-11-22T18:51:27.000001Z","v":1}

`commitment` is SHA-256(domain || salt || canonical payload) in hex. Without the salt the payload can
be neither found nor guessed: dropping both erases it, and the leaf, the tree and every proof stand.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from audit.canonical import JsonValue, canonical
from audit.errors import EntryInvalidError, HeaderMalformedError, VerificationError
from audit.merkle import leaf_hash

SALT_SIZE: Final = 32
MAX_PAYLOAD_SIZE: Final = 1 << 20
MAX_HEADER_SIZE: Final = 2048
COMMITMENT_DOMAIN: Final = b"memos-vault/audit/payload/v1\x00"


class EventType(StrEnum):
    """What kind of thing happened, as `area.verb`; a denial is the same event with decision `denied`."""

    MEMORY_WRITE = "memory.write"
    MEMORY_READ = "memory.read"
    MEMORY_SEARCH = "memory.search"
    MEMORY_REVEAL = "memory.reveal"
    MEMORY_UPDATE = "memory.update"
    MEMORY_ORGANIZE = "memory.organize"
    MEMORY_PROMOTE = "memory.promote"
    """A memory was opened to a wider access tier, after a look at its content."""
    MEMORY_EXPIRE = "memory.expire"
    """Memories came to the end of their term."""
    MEMORY_MOVE = "memory.move"
    """Memories moved to another memory tier: nothing of them is lost."""
    MEMORY_QUARANTINE = "memory.quarantine"
    """A bad row is not served any more, or is served again."""
    MEMORY_RESCREEN = "memory.rescreen"
    """A newer privacy gate masked what an older one had let pass."""
    MEMORY_REVIEW = "memory.review"
    """Memories came up for review, or somebody decided about one."""
    AUDIT_EXPORT = "audit.export"
    """The log left the vault: as a bundle, as tiles, to a SIEM."""
    AUDIT_LOOKUP = "audit.lookup"
    """Somebody who holds a value asked whether the log knows it."""
    AUDIT_QUERY = "audit.query"
    AUDIT_READ = "audit.read"
    CARE_TEAM_CHANGE = "care-team.change"
    """Somebody joined or left the care team of a person."""
    EMERGENCY_START = "emergency.start"
    """Somebody broke the glass: emergency access, with a reason, a case and an end."""
    EMERGENCY_STOP = "emergency.stop"
    EMERGENCY_REVIEW = "emergency.review"
    """An emergency access was judged afterwards, or the register of them was looked at."""
    EFFECT_INTENT = "effect.intent"
    """Something outside the database is about to be done."""
    EFFECT_OUTCOME = "effect.outcome"
    """What became of an intent."""
    HOLD_PLACE = "hold.place"
    """A legal hold was placed, or got further targets."""
    HOLD_RELEASE = "hold.release"
    """The release of a hold was asked for, or given by a second person."""
    HOLD_REVIEW = "hold.review"
    INCIDENT_OPEN = "incident.open"
    """Personal data stood where it should not have, and was masked."""
    JOB_PAUSE = "job.pause"
    """A job was paused, or goes on."""
    JOB_RUN = "job.run"
    KEY_CREATE = "key.create"
    KEY_DESTROY = "key.destroy"
    """A subject's key was destroyed: what it sealed opens nowhere any more."""
    KEY_MIGRATE = "key.migrate"
    """The root was changed: a key file for a transit key, or back."""
    KEY_READ = "key.read"
    """States of keys were looked at (`keys status`)."""
    KEY_REENCRYPT = "key.reencrypt"
    """Rows were sealed anew under a newer key."""
    KEY_REWRAP = "key.rewrap"
    """Keys were wrapped anew under a newer root key."""
    KEY_ROTATE = "key.rotate"
    LOG_CHECKPOINT = "log.checkpoint"
    """The system log records a checkpoint of a tenant's log."""
    LOG_FORENSICS = "log.forensics"
    """A log that was refused was looked into."""
    LOG_KEY = "log.key"
    """The key that signs the logs is rolled over (system log only)."""
    LOG_WITNESS = "log.witness"
    """A witness refused, could not be reached or came back."""
    PAYLOAD_ERASE = "payload.erase"
    """Payloads of entries were dropped with their salts."""
    PIPELINE_RUN = "pipeline.run"
    """A run of a pipeline began, goes on, or ended."""
    PIPELINE_STEP = "pipeline.step"
    """A step of a run ended: of a pipeline, or of what a model asked for."""
    POLICY_LOAD = "policy.load"
    """The policy digest of this entry is in force from here on."""
    POLICY_PIN = "policy.pin"
    """No bundle below a version is used from here on."""
    POLICY_REFUSE = "policy.refuse"
    """A changed policy was not taken: the one in force stays."""
    POLICY_RELOAD = "policy.reload"
    """A running vault was told to take another bundle; `policy.load` says that it did."""
    POLICY_SHADOW = "policy.shadow"
    """A candidate policy would have decided otherwise; or a trial began or ended."""
    PRINCIPAL_CREATE = "principal.create"
    """A credential was made, e.g. an API key."""
    PRINCIPAL_LOGIN = "principal.login"
    PRINCIPAL_REVOKE = "principal.revoke"
    """A credential was taken back: nobody is known by it any more."""
    SNAPSHOT_CREATE = "snapshot.create"
    SNAPSHOT_DELETE = "snapshot.delete"
    SNAPSHOT_RESTORE = "snapshot.restore"
    """Rows were put back from a snapshot; what was erased since was not."""
    SNAPSHOT_VERIFY = "snapshot.verify"
    SUBJECT_CONSENT = "subject.consent"
    """A person consented to a purpose, or took that back."""
    SUBJECT_ERASE = "subject.erase"
    """What is known of a person was erased, or a step of that."""
    SUBJECT_PLAN = "subject.plan"
    """It was looked what an erasure would take."""
    SUBJECT_REPORT = "subject.report"
    """A person was told what is known of them."""
    SUBJECT_RESTRICT = "subject.restrict"
    """A person restricted the use of what is known of them, objected, or took that back."""
    TASK_DEAD = "task.dead"
    """Work that was put off failed too often, or can never be done: a person decides."""
    TASK_DECIDE = "task.decide"
    """Somebody had dead work tried again, or dropped it."""
    TASK_QUEUE = "task.queue"
    """Work was put off: it is done later, under whom it was asked by."""
    VAULT_INIT = "vault.init"
    VAULT_OPEN = "vault.open"
    VAULT_REPAIR = "vault.repair"
    """Something derived was put right by rule: an index, a vector, what hung on a memory that was removed."""
    VAULT_READ = "vault.read"
    """Health or figures were looked at."""


ERASABLE: Final = frozenset(
    {
        EventType.MEMORY_WRITE,
        EventType.MEMORY_READ,
        EventType.MEMORY_SEARCH,
        EventType.MEMORY_REVEAL,
        EventType.MEMORY_UPDATE,
        EventType.MEMORY_ORGANIZE,
        EventType.MEMORY_PROMOTE,
        EventType.KEY_CREATE,
        EventType.EFFECT_INTENT,
    }
)
"""Events whose payload may be dropped: what was said about persons. `audit.erasure` says why no others."""


class Verdict(StrEnum):
    """What the policy decided."""

    ALLOWED = "allowed"
    DENIED = "denied"


class Outcome(StrEnum):
    """What became of it."""

    OK = "ok"
    DENIED = "denied"
    """The policy said no: nothing was done."""
    REFUSED = "refused"
    """Allowed by policy, refused by the privacy rules or a limit."""
    NOT_FOUND = "not-found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """One thing that happened, as the vault tells it; checked when it is encoded.

    Payload keys that the verifier understands: `written`, ids of memories that came to be;
    `memories`, ids of memories that were read, revealed or changed and so must exist.
    """

    event: EventType
    time: datetime
    """Aware, UTC."""
    principal: str
    tenant: str
    action: str
    """Words of letters, e.g. `search`."""
    decision: Verdict
    policy: str
    """Digest of the policy bundle: `sha256:` and 64 hex digits."""
    outcome: Outcome
    resource: str | None = None
    """A vault id, e.g. `mem_k7f2…`, or a plain id, e.g. `audit-log`; None where there is no one thing."""
    purpose: str | None = None
    payload: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)


class EncodedEntry(NamedTuple):
    """An entry in the bytes that are stored."""

    header: str
    """ASCII; the leaf's bytes."""
    salt: bytes
    payload: str
    """Canonical JSON."""
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A header read back."""

    action: str
    commitment: str
    decision: Verdict
    event: EventType
    outcome: Outcome
    policy: str
    principal: str
    purpose: str | None
    resource: str | None
    tenant: str
    time: datetime


# An id may not carry an e-mail address, a phone or an account number: no "@", no space, no run of
# seven digits. A vault id is random, so its digits mean nothing and may run.
_ID: Final = r"(?![a-z0-9._-]*?(?:[0-9][._-]?){7})(?=[a-z0-9._-]{1,64}+\")[a-z0-9]++(?:[._-][a-z0-9]++)*+"
_VAULT_ID: Final = r"[a-z]{2,12}_[a-z0-9]{8,64}"
_WORDS: Final = r"(?=[a-z.-]{1,32}+\")[a-z]++(?:[.-][a-z]++)*+"
_DIGEST: Final = r"sha256:[0-9a-f]{64}"
_FORMS: Final[Mapping[str, str]] = {
    "action": rf'"({_WORDS})"',
    "commitment": r'"([0-9a-f]{64})"',
    "decision": r'"(allowed|denied)"',
    "event": rf'"({"|".join(re.escape(event) for event in EventType)})"',
    "outcome": rf'"({"|".join(Outcome)})"',
    "policy": rf'"({_DIGEST})"',
    "principal": rf'"({_ID})"',
    "purpose": rf'(?:null|"({_WORDS})")',
    "resource": rf'(?:null|"({_VAULT_ID}|{_ID})")',
    "tenant": rf'"({_ID})"',
    "time": r'"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)"',
    "v": "1",
}
HEADER_PATTERN: Final = r"\{" + ",".join(f'"{name}":{form}' for name, form in _FORMS.items()) + r"\}"
"""The whole grammar of a header, for programs in other languages too; ASCII."""
ID_PATTERN: Final = rf'"{_ID}"'
"""The grammar of an id, with the quotes that end it."""
_HEADER: Final = re.compile(HEADER_PATTERN, re.ASCII)
_QUOTED_ID: Final = re.compile(ID_PATTERN, re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PAYLOAD_STATE: Final = sha256(COMMITMENT_DOMAIN)


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of a tenant's or principal's id."""
    return _QUOTED_ID.fullmatch(f'"{text}"') is not None


def commit_payload(salt: bytes, payload: bytes) -> str:
    """Return the hex commitment to a canonical payload; the salt's fixed size keeps it unambiguous."""
    state = _PAYLOAD_STATE.copy()
    state.update(salt)
    state.update(payload)
    return state.hexdigest()


def encode_entry(draft: EntryDraft, salt: bytes) -> EncodedEntry:
    """Return the stored form of a draft.

    Raises:
        EntryInvalidError: a header value is not of its form, the payload is not JSON without
            fractions, is too large or holds a lone surrogate, or the salt is not of 32 bytes.
    """
    if len(salt) != SALT_SIZE:
        raise EntryInvalidError(f"expected a salt of {SALT_SIZE} bytes, got {len(salt)}")
    payload, payload_bytes = _encode_payload(draft.payload)
    header = (
        f'{{"action":"{draft.action}","commitment":"{commit_payload(salt, payload_bytes)}","decision":"{draft.decision}"'
        f',"event":"{draft.event}","outcome":"{draft.outcome}","policy":"{draft.policy}","principal":"{draft.principal}"'
        f',"purpose":{_quoted(draft.purpose)},"resource":{_quoted(draft.resource)},"tenant":"{draft.tenant}"'
        f',"time":"{_timestamp(draft.time)}","v":1}}'
    )
    # One match checks every value: none of the accepted forms holds a quote, so that no value can
    # reach over its field's end.
    if not _HEADER.fullmatch(header):
        raise EntryInvalidError(f"expected header values of accepted forms, got a bad {_bad_field(draft)}")
    return EncodedEntry(header, salt, payload, leaf_hash(header.encode("ascii")))


def _encode_payload(payload: Mapping[str, JsonValue]) -> tuple[str, bytes]:
    if not isinstance(payload, Mapping):
        raise EntryInvalidError("expected a payload object")
    text = canonical(payload)
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise EntryInvalidError("expected payload text without lone surrogates") from error
    if len(encoded) > MAX_PAYLOAD_SIZE:
        raise EntryInvalidError(f"expected a payload of at most {MAX_PAYLOAD_SIZE} bytes, got {len(encoded)}")
    return text, encoded


def _timestamp(time: datetime) -> str:
    if time.tzinfo is not UTC and time.utcoffset() != timedelta(0):
        raise EntryInvalidError("expected a time in UTC")
    return time.isoformat(timespec="microseconds")[:26] + "Z"


def time_in_microseconds(time: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def _quoted(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _bad_field(draft: EntryDraft) -> str:
    for name in (
        "action",
        "decision",
        "event",
        "outcome",
        "policy",
        "principal",
        "purpose",
        "resource",
        "tenant",
    ):
        value: str | None = getattr(draft, name)
        if not re.fullmatch(_FORMS[name], _quoted(value), re.ASCII):
            return name
    return "time"  # pragma: no cover - a UTC datetime always prints in the form


def parse_header(header: str) -> Header:
    """Return the fields of a header that is in the one canonical form.

    Raises:
        HeaderMalformedError: any other text, whatever a lenient JSON parser would make of it.
    """
    match = _HEADER.fullmatch(header) if len(header) <= MAX_HEADER_SIZE else None
    if match is None:
        raise HeaderMalformedError("expected a header in canonical form")
    action, commitment, decision, event, outcome, policy, principal, purpose, resource, tenant, time = (
        match.groups()
    )
    try:
        when = datetime.fromisoformat(time)
    except ValueError as error:
        raise HeaderMalformedError("expected a header with a time that exists") from error
    return Header(
        action=action,
        commitment=commitment,
        decision=Verdict(decision),
        event=EventType(event),
        outcome=Outcome(outcome),
        policy=policy,
        principal=principal,
        purpose=purpose,
        resource=resource,
        tenant=tenant,
        time=when,
    )


def verify_payload(commitment: str, salt: bytes, payload: str) -> None:
    """Check that `payload` is what a header committed to.

    Raises:
        VerificationError: it is not, or the salt has not the one right size.
    """
    if len(salt) != SALT_SIZE:
        raise VerificationError("payload salt", expected=f"{SALT_SIZE} bytes", got=f"{len(salt)}")
    got = commit_payload(salt, payload.encode(errors="surrogatepass"))
    if got != commitment:
        raise VerificationError("payload commitment", expected=commitment, got=got)


SaltSource = Callable[[int], bytes]
"""Returns so many random bytes, e.g. `os.urandom`."""
