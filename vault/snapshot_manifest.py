"""What a snapshot says of itself, and the signature that makes it this vault's.

Owns the manifest's form, its text and the note over its digest. It leaves files to `vault.snapshot_files`, and what
is written into one to `vault.snapshots`. Pure: no file is read here.

The signed text is no checkpoint, whose second line is a number, and names the digest of the manifest:

    memos-vault snapshot v1
    snp_01kt…
    9f2c…

Threat: a snapshot lies where others may write. Nothing of it is believed before the note was verified with a key
that was got from elsewhere, and after that only what the manifest's digest covers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import MalformedError, VerificationError
from audit.note import parse_note, sign_note, verify_note
from audit.signing import SignerKey, VerifierKey
from vault.errors import IdentifierInvalidError, SnapshotForeignError, StoreVersionError, TamperedError
from vault.ids import IdKind, check_vault_id

SNAPSHOT_FORMAT: Final = 1
CHUNK_BYTES: Final = 1 << 20
"""Bytes of the copy that one leaf of its tree covers; the last one may be shorter."""
MAX_MANIFEST_BYTES: Final = 16 << 20
_TITLE: Final = "memos-vault snapshot v1"
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORD: Final = re.compile(r"[a-z0-9._:/-]{1,160}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogHead:
    """How far a log was."""

    tenant: str
    size: int
    root: str
    """Of its tree, in hex."""
    checkpoint: str
    """The latest signed checkpoint, as a note; empty where there was none yet."""


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """What of a tenant must not come back, or must stay, by number."""

    tenant: str
    tombstones: int
    tombstones_digest: str
    """SHA-256 of all of them, in their order, in hex."""
    holds: int
    """In force."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself."""

    snapshot_id: str
    deployment: str
    """Name of the log's key: which vault this is."""
    time: int
    """When it was made: microseconds since 1970 UTC."""
    schema: str
    """Revision of the copy's tables."""
    policy: str
    """Digest of the bundle in force."""
    file_bytes: int
    file_root: str
    """Root of the tree over the copy's chunks (RFC 6962, section 2.1), in hex."""
    keys: Mapping[str, int]
    """Number of sealing keys by state. Their names, versions and fingerprints stand in a file of their own."""
    keys_digest: str
    """SHA-256 of that file, in hex."""
    logs: Sequence[LogHead]
    ledger: Sequence[LedgerHead]

    def log(self, tenant: str) -> LogHead | None:
        """Return how far a tenant's log was; None where there was no such tenant."""
        return next((one for one in self.logs if one.tenant == tenant), None)

    def encode(self) -> bytes:
        """Return the canonical text whose `parse_manifest` is this."""
        return canonical(
            {
                "format": SNAPSHOT_FORMAT,
                "snapshot": self.snapshot_id,
                "deployment": self.deployment,
                "time": self.time,
                "schema": self.schema,
                "policy": self.policy,
                "file": {"bytes": self.file_bytes, "chunk": CHUNK_BYTES, "root": self.file_root},
                "keys": {"digest": self.keys_digest, "states": dict(self.keys)},
                "logs": [[one.tenant, one.size, one.root, one.checkpoint] for one in self.logs],
                "ledger": [
                    [one.tenant, one.tombstones, one.tombstones_digest, one.holds] for one in self.ledger
                ],
            }
        ).encode()


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest of a canonical text.

    Raises:
        StoreVersionError: it is of a newer format.
        TamperedError: it is not of the form of one.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        _refuse()
    try:
        fields = _mapping(parse_canonical(text.decode()))
    except (MalformedError, UnicodeDecodeError, TypeError):
        _refuse()
    version = fields.get("format")
    if isinstance(version, int) and version > SNAPSHOT_FORMAT:
        raise StoreVersionError(f"the snapshot has format {version}, newer than {SNAPSHOT_FORMAT}")
    try:
        manifest = _manifest(fields)
        if manifest.encode() != text:
            _refuse()
    except (KeyError, ValueError, TypeError, IdentifierInvalidError):
        _refuse()
    return manifest


def sign_manifest(snapshot_id: str, manifest: bytes, signers: Iterable[SignerKey]) -> bytes:
    """Return the note that makes a manifest this vault's."""
    return sign_note(_signed_text(snapshot_id, manifest), signers)


def verify_manifest(note: bytes, manifest: bytes, keys: Sequence[VerifierKey]) -> Manifest:
    """Return a manifest that a trusted key signed.

    Args:
        note: As it lies beside the manifest.
        manifest: Its text.
        keys: Of the vault's log, got from elsewhere than the snapshot.

    Raises:
        SnapshotForeignError: another vault's key signed it.
        StoreVersionError: it is of a newer format.
        TamperedError: the note is none, or the signature is not of this manifest.
    """
    known = {(key.name, key.key_id) for key in keys}
    try:
        signers = {(one.name, one.key_id) for one in parse_note(note).signatures}
        if not signers & known:
            names = ", ".join(sorted({name for name, _ in signers}))
            raise SnapshotForeignError(f"expected a snapshot of this vault, got one signed by {names}")
        text = verify_note(note, keys).text
    except MalformedError:
        raise TamperedError("snapshot signature: expected a signed note, got none") from None
    except VerificationError as error:
        raise TamperedError(f"snapshot signature: {error}") from None
    lines = text.split("\n")
    if lines[0] != _TITLE and lines[0].startswith(_TITLE.rstrip("1")):
        raise StoreVersionError("the snapshot is signed in a newer form")
    if len(lines) < len((_TITLE, "id", "digest")) or text != _signed_text(lines[1], manifest):
        raise TamperedError("snapshot manifest: expected the one that was signed, got another")
    parsed = parse_manifest(manifest)
    if parsed.snapshot_id != lines[1]:
        raise TamperedError("snapshot manifest: expected the id that was signed, got another")
    return parsed


def _signed_text(snapshot_id: str, manifest: bytes) -> str:
    return f"{_TITLE}\n{snapshot_id}\n{sha256(manifest).hexdigest()}\n"


def _manifest(fields: Mapping[str, JsonValue]) -> Manifest:
    file, keys = _mapping(fields["file"]), _mapping(fields["keys"])
    if file["chunk"] != CHUNK_BYTES:
        raise ValueError
    return Manifest(
        snapshot_id=check_vault_id(IdKind.SNAPSHOT, fields["snapshot"]),
        deployment=_word(fields["deployment"]),
        time=_number(fields["time"]),
        schema=_word(fields["schema"]),
        policy=_word(fields["policy"]),
        file_bytes=_number(file["bytes"]),
        file_root=_hex(file["root"]),
        keys={_word(state): _number(count) for state, count in _mapping(keys["states"]).items()},
        keys_digest=_hex(keys["digest"]),
        logs=tuple(
            LogHead(_word(tenant), _number(size), _hex(root), _text(note))
            for tenant, size, root, note in _rows(fields["logs"])
        ),
        ledger=tuple(
            LedgerHead(_word(tenant), _number(count), _hex(digest), _number(holds))
            for tenant, count, digest, holds in _rows(fields["ledger"])
        ),
    )


def _refuse() -> NoReturn:
    raise TamperedError("snapshot manifest: expected the text of one, got another")


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value


def _rows(value: JsonValue) -> Iterable[Sequence[JsonValue]]:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise TypeError
    return value


def _number(value: JsonValue) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _word(value: JsonValue) -> str:
    if not _WORD.fullmatch(_text(value)):
        raise ValueError
    return _text(value)


def _hex(value: JsonValue) -> str:
    if not _HEX.fullmatch(_text(value)):
        raise ValueError
    return _text(value)
