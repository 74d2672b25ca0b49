r"""Erasure certificates: what was erased of a person, and the log's word for it. Their form alone.

Owns the values of a certificate and the one form in which they are written and read. It leaves erasing to the
vault, and what a certificate proves to `audit.certificate_check`. Pure.

    {"certificate":{…},"format":"memos-vault/erasure-certificate/v1","paths":{…},"proof":"c2sp.org/tlog-proof@v1\n…"}

`certificate` is what is certified. Its SHA-256 stands in the payload of an entry of the log, the last one of
the erasure; `proof` is the C2SP tlog-proof of that entry, up to a checkpoint that the log signed and witnesses
may have cosigned. So the log's signature is the certificate's, and no count in it can be changed by whoever
holds the file. `paths` has header and inclusion path of each other entry that the certificate names, under the
same checkpoint. Later copies of one certificate differ in proof and paths alone.

It holds vault ids, numbers, keyed hashes and fixed words; no name, no content.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeVar

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import CertificateMalformedError, EntryInvalidError, MalformedError
from audit.proof import MAX_HASHES, TlogProof, parse_proof

FORMAT: Final = "memos-vault/erasure-certificate/v1"
FIRST_BYTES: Final = b'{"certificate":{'
"""Every certificate begins so: keys are sorted."""
MAX_CERTIFICATE_SIZE: Final = 8 << 20
MAX_STEPS: Final = 10_000
"""Entries, and versions of a key."""
MAX_LINES: Final = 100
"""Kinds, reasons and tests that one certificate may name."""

_WORD: Final = re.compile(r"[a-z0-9]+(?:[ ._-][a-z0-9]+)*", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_POLICY: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16,64}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{6})?Z", re.ASCII)
_SENTENCE: Final = re.compile(r"[ -~]{1,400}", re.ASCII)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_MAX_TEXT: Final = 400

_Item = TypeVar("_Item")


class Ran(StrEnum):
    """What became of a test that tries to get something back."""

    PASSED = "passed"
    """It got nothing."""
    FAILED = "failed"
    """It got something: an honest vault certifies nothing then."""
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Remaining:
    """What stays, and why."""

    what: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotReached:
    """What the erasure could not look into, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class DestroyedKey:
    """A key that was destroyed."""

    version: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of the erasure."""

    index: int
    event: str


@dataclass(frozen=True, slots=True)
class NegativeTest:
    """Something that was tried after the erasure, and had to fail."""

    name: str
    result: Ran
    count: int
    """How many things it was tried with."""
    note: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is certified."""

    tenant: str
    erasure: str
    """Vault id of the erasure."""
    subject: str
    """Vault id of the person: a keyed hash of the name."""
    matched: Mapping[str, int]
    """How many of each kind belonged to the person, and were erased."""
    others: int
    """Other persons whom joint memories, shredded with these, were about."""
    remaining: tuple[Remaining, ...]
    not_reached: tuple[NotReached, ...]
    keys: tuple[DestroyedKey, ...]
    steps: tuple[Step, ...]
    """Entries of the log that tell of the erasure, oldest first, but for the last, which names this."""
    backup_horizon_days: int | None
    """How long backups of the keys are kept; None: nobody said."""
    tests: tuple[NegativeTest, ...]
    begun: str
    unreadable: str
    """When the last key was destroyed."""
    ended: str
    policy: str
    """Digest of the policy bundle in force."""

    def value(self) -> dict[str, JsonValue]:
        """Return it as JSON."""
        return {
            "backup_horizon_days": self.backup_horizon_days,
            "begun": self.begun,
            "ended": self.ended,
            "erasure": self.erasure,
            "keys": [{"fingerprint": one.fingerprint, "version": one.version} for one in self.keys],
            "matched": dict(self.matched),
            "not_reached": [{"reason": one.reason, "what": one.what} for one in self.not_reached],
            "others": self.others,
            "policy": self.policy,
            "remaining": [
                {"count": one.count, "reason": one.reason, "what": one.what} for one in self.remaining
            ],
            "selector": {"id": self.subject, "kind": "subject"},
            "steps": [{"event": one.event, "index": one.index} for one in self.steps],
            "tenant": self.tenant,
            "tests": [
                {"count": one.count, "name": one.name, "note": one.note, "result": one.result.value}
                for one in self.tests
            ],
            "unreadable": self.unreadable,
        }

    def encode(self) -> str:
        """Return the canonical text that the log commits to.

        Raises:
            CertificateMalformedError: it would not read back: an honest vault makes no such one.
        """
        try:
            text = canonical(self.value())
        except EntryInvalidError as error:
            raise CertificateMalformedError(str(error)) from error
        if parse_certificate(text) != self:
            raise CertificateMalformedError("expected a certificate that reads back")
        return text

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text, in hex."""
        return digest_of(self.encode())


def digest_of(text: str) -> str:
    """Return the digest by which the log names a certificate's canonical text."""
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ShownStep:
    """Header of an entry, and the way from its leaf to the root."""

    header: str
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CarriedCertificate:
    """A certificate with its proofs, as it is handed on: nothing in it is trusted."""

    text: str
    """Canonical text of what is certified."""
    certificate: Certificate
    proof: TlogProof
    shown: Mapping[int, ShownStep]

    def encode(self) -> bytes:
        """Return the bytes whose `parse_carried_certificate` is this."""
        paths: JsonValue = {
            str(index): {"header": one.header, "path": [node.hex() for node in one.path]}
            for index, one in self.shown.items()
        }
        whole: JsonValue = {
            "certificate": self.certificate.value(),
            "format": FORMAT,
            "paths": paths,
            "proof": self.proof.encode().decode(),
        }
        return canonical(whole).encode() + b"\n"


def parse_carried_certificate(content: bytes) -> CarriedCertificate:
    """Return the certificate in a file, in the one form that is written.

    Raises:
        CertificateMalformedError: too large, not canonical JSON, of another format, or a field that is not of
            its form.
        BundleMalformedError: its proof is none.
    """
    if len(content) > MAX_CERTIFICATE_SIZE:
        raise CertificateMalformedError(
            f"expected a certificate of at most {MAX_CERTIFICATE_SIZE} bytes, got {len(content)}"
        )
    try:
        whole = parse_canonical(content.decode().removesuffix("\n"))
    except (UnicodeDecodeError, MalformedError) as error:
        raise CertificateMalformedError("expected a certificate of canonical JSON") from error
    body, written, paths, proof = _fields(whole, "certificate", "format", "paths", "proof")
    if written != FORMAT:
        raise CertificateMalformedError(f"expected the format {FORMAT}")
    if not isinstance(paths, Mapping) or len(paths) > MAX_STEPS or not isinstance(proof, str):
        raise CertificateMalformedError("expected paths by leaf index, and a proof")
    text = canonical(body)
    shown = {int(_text(index, _INDEX)): _shown(one) for index, one in paths.items()}
    return CarriedCertificate(text, parse_certificate(text), parse_proof(proof.encode()), shown)


def parse_certificate(text: str) -> Certificate:
    """Return the certificate of a canonical text.

    Raises:
        CertificateMalformedError: a field is not of its form, is missing, or is one too many.
    """
    try:
        value = parse_canonical(text)
    except MalformedError as error:
        raise CertificateMalformedError("expected a certificate of canonical JSON") from error
    names = (
        "backup_horizon_days", "begun", "ended", "erasure", "keys", "matched", "not_reached", "others", "policy",
        "remaining", "selector", "steps", "tenant", "tests", "unreadable",
    )  # fmt: skip
    found = dict(zip(names, _fields(value, *names), strict=True))
    subject, kind = _fields(found["selector"], "id", "kind")
    if kind != "subject":
        raise CertificateMalformedError("expected a selector of a subject")
    horizon, matched = found["backup_horizon_days"], found["matched"]
    if not isinstance(matched, Mapping) or len(matched) > MAX_LINES:
        raise CertificateMalformedError("expected counts by kind")
    return Certificate(
        tenant=_text(found["tenant"], _ID),
        erasure=_text(found["erasure"], _ID),
        subject=_text(subject, _ID),
        matched={_text(name, _WORD): _count(count) for name, count in matched.items()},
        others=_count(found["others"]),
        remaining=_items(found["remaining"], _remaining),
        not_reached=_items(found["not_reached"], _not_reached),
        keys=_items(found["keys"], _key, MAX_STEPS),
        steps=_items(found["steps"], _step, MAX_STEPS),
        backup_horizon_days=None if horizon is None else _count(horizon),
        tests=_items(found["tests"], _test),
        begun=_text(found["begun"], _TIME),
        unreadable=_text(found["unreadable"], _TIME),
        ended=_text(found["ended"], _TIME),
        policy=_text(found["policy"], _POLICY),
    )


def _remaining(value: JsonValue) -> Remaining:
    count, reason, what = _fields(value, "count", "reason", "what")
    return Remaining(_text(what, _WORD), _count(count), _text(reason, _SENTENCE))


def _not_reached(value: JsonValue) -> NotReached:
    reason, what = _fields(value, "reason", "what")
    return NotReached(_text(what, _WORD), _text(reason, _SENTENCE))


def _key(value: JsonValue) -> DestroyedKey:
    fingerprint, version = _fields(value, "fingerprint", "version")
    return DestroyedKey(_count(version), _text(fingerprint, _FINGERPRINT))


def _step(value: JsonValue) -> Step:
    event, index = _fields(value, "event", "index")
    return Step(_count(index), _text(event, _WORD))


def _test(value: JsonValue) -> NegativeTest:
    count, name, note, result = _fields(value, "count", "name", "note", "result")
    if result not in set(Ran):
        raise CertificateMalformedError("expected a test that passed, failed or was not run")
    return NegativeTest(_text(name, _WORD), Ran(str(result)), _count(count), _text(note, _SENTENCE))


def _shown(value: JsonValue) -> ShownStep:
    header, path = _fields(value, "header", "path")
    if not isinstance(header, str) or not isinstance(path, list) or len(path) > MAX_HASHES:
        raise CertificateMalformedError(f"expected a header and at most {MAX_HASHES} hashes")
    return ShownStep(header, tuple(bytes.fromhex(_text(node, _HASH)) for node in path))


def _fields(value: JsonValue, *names: str) -> list[JsonValue]:
    if not isinstance(value, Mapping) or value.keys() != set(names):
        raise CertificateMalformedError(f"expected the fields {', '.join(names)}")
    return [value[name] for name in names]


def _items(value: JsonValue, read: Callable[[JsonValue], _Item], most: int = MAX_LINES) -> tuple[_Item, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > most:
        raise CertificateMalformedError(f"expected a list of at most {most}")
    return tuple(map(read, value))


def _count(value: JsonValue) -> int:
    if type(value) is not int or value < 0:
        raise CertificateMalformedError("expected a number that counts")
    return value


def _text(value: JsonValue, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not form.fullmatch(value):
        raise CertificateMalformedError("expected ids, numbers, hashes, times and plain words")
    return value
