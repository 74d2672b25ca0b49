r"""Proof files as in C2SP tlog-proof: one entry's inclusion in a checkpointed tree, checked alone.

Owns the file's form, its strict reading, and the check of what it proves. It leaves trees to
`audit.merkle`, checkpoints to `audit.checkpoint`, and who is trusted to `audit.trust`.

    c2sp.org/tlog-proof@v1
    extra eyJoZWFkZXIi…          our own: canonical JSON of header, payload and salt; left out where none
    index 7
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=     one hash a line, from the leaf's sibling up

    memos-vault/ward-1/clinic-a
    12
    …                                                the checkpoint's note, verbatim, cosignatures too

The extra data is not authenticated by the file's form: it is used only after its hash led to the root.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.checkpoint import Checkpoint
from audit.errors import BundleMalformedError, HeaderMalformedError, MalformedError, VerificationError
from audit.event import Header, parse_header, verify_payload
from audit.merkle import HASH_SIZE, MAX_TREE_SIZE, leaf_hash, verify_inclusion
from audit.note import MAX_NOTE_SIZE, parse_base64
from audit.trust import Trust

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"
MAX_HASHES: Final = 63
"""No path is longer in a tree of at most 2^63 - 1 entries."""
MAX_EXTRA_SIZE: Final = 4 << 20
MAX_PROOF_SIZE: Final = MAX_EXTRA_SIZE * 4 // 3 + MAX_NOTE_SIZE + 8192

_EXTRA: Final = "extra "
_INDEX: Final = "index "
_MAX_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof as it is carried: nothing in it is trusted."""

    index: int
    path: tuple[bytes, ...]
    """Hashes from the leaf's sibling up."""
    checkpoint: bytes
    """A signed note."""
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Return the bytes whose `parse_proof` is this."""
        lines = [FIRST_LINE]
        if self.extra is not None:
            lines.append(_EXTRA + b64encode(self.extra).decode())
        lines += [f"{_INDEX}{self.index}", *(b64encode(node).decode() for node in self.path), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint


def parse_proof(content: bytes) -> TlogProof:
    """Return the proof in a file, in the one form that is written.

    Raises:
        BundleMalformedError: too large, another first line, an index that is not a canonical decimal
            of 63 bits, more than 63 hashes, a hash that is not base64 of 32 bytes, empty or
            non-canonical extra data, or no checkpoint behind an empty line.
    """
    if len(content) > MAX_PROOF_SIZE:
        raise BundleMalformedError(f"expected a proof of at most {MAX_PROOF_SIZE} bytes, got {len(content)}")
    head, separator, checkpoint = content.partition(b"\n\n")
    if not separator or not checkpoint:
        raise BundleMalformedError("expected a checkpoint behind an empty line")
    try:
        first, *lines = head.decode("ascii").split("\n", MAX_HASHES + 3)
    except UnicodeDecodeError as error:
        raise BundleMalformedError("expected a proof in ASCII") from error
    if first != FIRST_LINE:
        raise BundleMalformedError(f"expected the first line {FIRST_LINE}")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = _parse_extra(lines.pop(0).removeprefix(_EXTRA))
    if not lines or not lines[0].startswith(_INDEX):
        raise BundleMalformedError("expected a line with the index")
    index = _parse_index(lines.pop(0).removeprefix(_INDEX))
    if len(lines) > MAX_HASHES:
        raise BundleMalformedError(f"expected at most {MAX_HASHES} hashes")
    return TlogProof(index, tuple(map(_parse_hash, lines)), checkpoint, extra)


def _parse_extra(text: str) -> bytes:
    value = parse_base64(text)
    if not value or len(value) > MAX_EXTRA_SIZE:
        raise BundleMalformedError(f"expected extra data of 1 to {MAX_EXTRA_SIZE} bytes in base64")
    return value


def _parse_index(text: str) -> int:
    decimal = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not decimal or str(int(text)) != text or int(text) >= MAX_TREE_SIZE:
        raise BundleMalformedError("expected an index in decimal without leading zeros, of 63 bits")
    return int(text)


def _parse_hash(text: str) -> bytes:
    value = parse_base64(text)
    if value is None or len(value) != HASH_SIZE:
        raise BundleMalformedError(f"expected hashes of {HASH_SIZE} bytes in base64")
    return value


@dataclass(frozen=True, slots=True)
class CarriedEntry:
    """An entry beside its proof: the leaf's bytes and, unless erased or withheld, what it committed to."""

    header: bytes
    salt: bytes | None = None
    payload: str | None = None

    def encode(self) -> bytes:
        """Return canonical JSON, for the extra data of a proof.

        Raises:
            HeaderMalformedError: the header is no ASCII, which no header is.
        """
        try:
            value: dict[str, JsonValue] = {"header": self.header.decode("ascii")}
        except UnicodeDecodeError as error:
            raise HeaderMalformedError("expected a header in ASCII") from error
        if self.salt is not None and self.payload is not None:
            value |= {"payload": self.payload, "salt": b64encode(self.salt).decode()}
        return canonical(value).encode()


def parse_carried(extra: bytes) -> CarriedEntry:
    """Return the entry in a proof's extra data.

    Raises:
        BundleMalformedError: it is not the canonical JSON that `CarriedEntry.encode` writes.
    """
    try:
        value = parse_canonical(extra.decode())
    except (UnicodeDecodeError, MalformedError) as error:
        raise BundleMalformedError("expected extra data of canonical JSON") from error
    if not isinstance(value, Mapping) or value.keys() not in ({"header"}, {"header", "payload", "salt"}):
        raise BundleMalformedError("expected extra data of a header, or of header, payload and salt")
    header, payload, salt = value["header"], value.get("payload"), value.get("salt")
    salted = parse_base64(salt) if isinstance(salt, str) else None
    if (
        not isinstance(header, str)
        or not isinstance(payload, str | None)
        or (payload is None) != (salted is None)
    ):
        raise BundleMalformedError("expected extra data of texts, and a salt in base64")
    return CarriedEntry(header.encode(errors="surrogatepass"), salted, payload)


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """What a proof showed."""

    index: int
    header: Header
    payload: JsonValue
    """None where the proof does not carry it."""
    checkpoint: Checkpoint
    witnesses: tuple[str, ...]
    """Names of the trusted witnesses that cosigned the checkpoint."""


def verify_proof(proof: TlogProof, trust: Trust, entry: CarriedEntry | None = None) -> ProvenEntry:
    """Check a proof alone: signature, cosignatures, the path from the leaf, the payload's commitment.

    Args:
        proof: The proof.
        trust: Keys that were got from elsewhere than the proof.
        entry: The entry; None takes the one in the proof's extra data.

    Raises:
        BundleMalformedError: there is no entry: neither given nor in the extra data.
        MalformedError: the checkpoint or the header is not in its form.
        VerificationError: a check failed.
    """
    if entry is None:
        if proof.extra is None:
            raise BundleMalformedError("expected the entry, in the proof's extra data or beside it")
        entry = parse_carried(proof.extra)
    opened = trust.open_note(proof.checkpoint)
    witnesses = trust.cosigners(opened)
    trust.require_witnesses(witnesses)
    checkpoint = opened.checkpoint
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry.header), proof.path, checkpoint.root)
    header = parse_header(entry.header.decode(errors="replace"))
    if header.tenant != opened.tenant:
        raise VerificationError("entry of this log's tenant", expected=opened.tenant, got=header.tenant)
    payload: JsonValue = None
    if entry.salt is not None and entry.payload is not None:
        verify_payload(header.commitment, entry.salt, entry.payload)
        payload = parse_canonical(entry.payload)
    return ProvenEntry(proof.index, header, payload, checkpoint, witnesses)
