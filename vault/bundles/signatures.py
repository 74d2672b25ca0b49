"""Signatures over policy bundles: C2SP signed notes by Ed25519 keys, as the log has them, beside the bundle.

Owns the text that is signed, the file `bundle.sig` and whether a signature counts. It leaves keys and notes to `audit`
and the digest to `policies.bundle`. A key of policies is none of the log's: its notes begin with a line of their own,
so that nothing that one of both signed is anything under the other.

    memos-vault policy bundle v1
    hipaa
    3
    sha256:45fb51d5…

    — ward-1/policies wQ0u…
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from audit.errors import KeyMalformedError, NoteMalformedError, VerificationError
from audit.note import MAX_NOTE_SIZE, parse_note, sign_note, verify_note
from audit.signing import SignerKey, VerifierKey
from policies.bundle import Bundle, read_plain
from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY

SIGNATURE: Final = "bundle.sig"
TITLE: Final = "memos-vault policy bundle v1"
MAX_KEYS: Final = 64
_MAX_KEYS_FILE: Final = 64 * 1024
_LINES: Final = ("the form", "the name", "the version", "the digest")


def signed_text(bundle: Bundle) -> str:
    """Return what is signed of a bundle.

    Raises:
        PolicyInvalidError: it has no version.
    """
    identity = bundle.identity
    if identity is None:
        raise PolicyInvalidError(
            "expected name and version: what has none cannot be signed",
            file=IDENTITY,
            line=1,
            column=1,
            code="version-missing",
        )
    return f"{TITLE}\n{identity.name}\n{identity.version}\n{bundle.digest}\n"


def sign_bundle(bundle: Bundle, key: SignerKey) -> bytes:
    """Return the note that lies beside a bundle.

    Raises:
        PolicyInvalidError: it has no version.
    """
    return sign_note(signed_text(bundle), [key])


def verify_bundle(bundle: Bundle, note: bytes | None, keys: Iterable[VerifierKey]) -> tuple[str, ...]:
    """Return the names of the keys that signed exactly this bundle.

    Args:
        bundle: Which.
        note: What lies beside it; None where nothing does.
        keys: Those that count.

    Raises:
        PolicyInvalidError: with file, line and column: unsigned, signed by no key that counts, a wrong signature, or one
            of another bundle.
    """
    text = signed_text(bundle)
    if note is None:
        raise _refused("expected a signature: the bundle is not signed", "signature-missing")
    try:
        signed = parse_note(note).text
    except NoteMalformedError as error:
        raise _refused(str(error), "signature-malformed") from None
    wanted, found = text.splitlines(), signed.splitlines()
    for number, (line, what) in enumerate(zip(wanted, _LINES, strict=True), start=1):
        if found[number - 1 : number] != [line]:
            raise _refused(f"it signs another bundle: {what} differs", "signature-other", number)
    after = len(wanted) + 1
    if len(found) != len(wanted):
        raise _refused("expected nothing else to be signed", "signature-malformed", after)
    try:
        return tuple(one.name for one in verify_note(note, keys).signatures)
    except VerificationError as error:
        known = any(_signs(one, note) for one in keys)
        code = "signature-wrong" if known else "signature-unknown"
        raise _refused(str(error), code, after + 1) from None


def read_signature(folder: Path) -> bytes | None:
    """Return what lies beside a bundle; None where nothing does.

    Raises:
        PolicyInvalidError: it cannot be read.
    """
    return read_plain(folder / SIGNATURE, MAX_NOTE_SIZE + 1)


def read_keys(path: Path) -> tuple[VerifierKey, ...]:
    """Return the keys whose signatures count: one on each line; lines that begin with `#` are remarks.

    Raises:
        PolicyInvalidError: with line and column: it is missing, empty, too long, or a line is no key or one twice.
    """
    content = read_plain(path, _MAX_KEYS_FILE + 1)
    if content is None or len(content) > _MAX_KEYS_FILE:
        reason = f"expected a file of verifier keys of at most {_MAX_KEYS_FILE} bytes"
        raise PolicyInvalidError(reason, file=path.name, code="keys-invalid")
    keys: list[VerifierKey] = []
    for number, line in enumerate(content.decode(errors="replace").split("\n"), start=1):
        if line and not line.startswith("#"):
            try:
                key = VerifierKey.parse(line)
            except KeyMalformedError as error:
                raise _no_keys(path, str(error), number) from None
            if key in keys or len(keys) == MAX_KEYS:
                raise _no_keys(path, f"expected each key once, and at most {MAX_KEYS}", number)
            keys.append(key)
    if not keys:
        raise _no_keys(path, "expected at least one verifier key", 1)
    return tuple(keys)


def _signs(key: VerifierKey, note: bytes) -> bool:
    return any((one.name, one.key_id) == (key.name, key.key_id) for one in parse_note(note).signatures)


def _refused(reason: str, code: str, line: int = 1) -> PolicyInvalidError:
    return PolicyInvalidError(reason, file=SIGNATURE, line=line, column=1, code=code)


def _no_keys(path: Path, reason: str, line: int) -> PolicyInvalidError:
    return PolicyInvalidError(reason, file=path.name, line=line, column=1, code="keys-invalid")
