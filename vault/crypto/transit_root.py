"""The root key in a transit engine of HashiCorp Vault or OpenBao: it wraps and unwraps there, and never leaves.

Owns the format of a wrapped key and what a server's refusal means. Pure but for the `TransitClient` that is
passed in: it leaves HTTP, logging in and waiting to `vault.crypto.transit_hvac`, and the file that names the
root to `vault.crypto.transit_file`. A wrapped key (docs/adr/0017-transit-root.md):

    name of the root 16 · format 1 · length 2 · transit ciphertext · nonce 24 · commitment 32 · key · tag 16

The transit engine encrypts a fresh 32-byte wrapping key, and that alone. Key and context are sealed under the
wrapping key here: transit's own `rewrap` takes no associated data, so the binding to a row cannot live there.
A rewrap puts another ciphertext into the same place and touches nothing else.

The root proves which key it is by 32 bytes that were encrypted when it was made. Threats: an engine that makes
a new key under the old name after a deletion, where its policy allows that; an answer of garbage. What was
wrapped is had back from the server, together with the proof, before anybody relies on it; what was rewrapped, too.
"""

import hashlib
import hmac
import re
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeVar

from vault.clock import Entropy
from vault.crypto.aead import CommittingAead
from vault.crypto.derive import KEY_BYTES
from vault.crypto.encoding import frame
from vault.crypto.root import InContext, RootHealth, RootKind
from vault.crypto.wrapping_stock import Wrapping, WrappingStock
from vault.crypto.xaes import NONCE_BYTES
from vault.errors import (
    KeyWrongError,
    RootAnswerError,
    RootUnusableError,
    RootVersionError,
    TamperedError,
    VaultError,
)

MAX_BATCH: Final = 128
"""Items of one call: OpenBao refuses 512 for the number of strings."""
MAX_CIPHERTEXT: Final = 512
FORMAT: Final = 1

_Item = TypeVar("_Item")
_HEAD: Final = struct.Struct(">16sBH")
_NAME_BYTES: Final = 16
_CIPHERTEXT: Final = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}", re.ASCII)
_DOMAIN: Final = b"memos-vault/transit-root/1"
_HEALTH_SECONDS: Final = 1.0


class Refusal(StrEnum):
    """Why a server gave no result for one item of a batch."""

    CHANGED = "changed"
    """It is not what this key encrypted."""
    RETIRED = "retired"
    """Its version is below the key's min_decryption_version."""


class KeyVersions(NamedTuple):
    """The versions of a transit key."""

    latest: int
    min_decryption: int


class TransitClient(Protocol):
    """A logged-in client of one transit key. Results stand in the order of what was given; batches are bounded.

    Each method raises RootUnusableError, or one of its kinds, where the server gives no results at all.
    """

    def encrypt_many(self, plaintexts: Sequence[bytes]) -> list[str]:
        """Encrypt under the newest version."""
        ...

    def decrypt_many(self, ciphertexts: Sequence[str]) -> list[bytes | Refusal]:
        """Decrypt, whatever version each is of."""
        ...

    def rewrap_many(self, ciphertexts: Sequence[str]) -> list[str | Refusal]:
        """Encrypt anew under the newest version, without showing what is encrypted."""
        ...

    def rotate(self) -> None:
        """Make a new version of the key."""
        ...

    def key_status(self) -> KeyVersions:
        """Return the key's versions; needs a permission that wrapping does not."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return what will be a fault if nobody looks after it: a token that expires."""
        ...


@dataclass(frozen=True, slots=True)
class RootName:
    """Which transit key is a vault's root, and how it shows that it is."""

    mount: str
    key: str
    fingerprint: str
    proof: str
    """Transit ciphertext of the identity that the fingerprint was made from."""


def version_of(ciphertext: str) -> int:
    """Return the version of the transit key that a ciphertext names; not authenticated.

    Raises:
        RootAnswerError: it is no transit ciphertext.
    """
    found = _CIPHERTEXT.fullmatch(ciphertext) if len(ciphertext) <= MAX_CIPHERTEXT else None
    if found is None:
        raise RootAnswerError("expected a transit ciphertext")
    return int(found[1])


def name_root(client: TransitClient, mount: str, key: str, entropy: Entropy) -> RootName:
    """Make a transit key the root of a new vault, and see that it opens what it encrypts.

    Raises:
        RootUnusableError: or one of its kinds: it cannot be used.
    """
    identity = entropy(KEY_BYTES)
    (proof,) = client.encrypt_many([identity])
    version_of(proof)
    name = RootName(mount, key, _fingerprint(mount, key, identity), proof)
    TransitRoot(client, name, entropy).check()
    return name


class TransitRoot:
    """A root key on a server. Shared by threads.

    Args:
        client: Logs in, calls, waits.
        name: Which key it is.
        entropy: For wrapping keys and nonces.
        monotonic: For how long the answer about its health stands, and what was encrypted ahead waits; None asks
            each time and keeps nothing ready.
    """

    def __init__(
        self,
        client: TransitClient,
        name: RootName,
        entropy: Entropy,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.kind: Final = RootKind.TRANSIT
        self.name: Final = name
        self.fingerprint: Final = name.fingerprint
        self._client = client
        self._entropy = entropy
        self._prefix = bytes.fromhex(name.fingerprint)
        self._proof = name.proof
        self._monotonic = monotonic
        self._asked: tuple[float, RootHealth] | None = None
        self._one_asks = threading.Lock()
        self._stock = WrappingStock(self._encrypted, self._expect, MAX_BATCH - 1, entropy, monotonic)

    def __repr__(self) -> str:
        return f"TransitRoot({self.name.mount}/{self.name.key}, {self.fingerprint})"

    def check(self) -> None:
        """See that the server's key is the one that this root was made with.

        Raises:
            KeyWrongError: another key stands under its name.
            RootUnusableError: or one of its kinds: it cannot be used now.
        """
        self._check_proof(self._client.decrypt_many([self._proof])[0])

    def wrap(self, context: bytes, key: bytes) -> bytes:
        """Protect one key; see `wrap_many`."""
        return self.wrap_many([InContext(context, key)])[0]

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Give one key back.

        Raises:
            KeyWrongError: it was wrapped under another root, or another key stands under this one's name.
            TamperedError: it, or its context, is not what was wrapped.
            RootUnusableError: or one of its kinds: it cannot be had now.
        """
        (key,) = self.unwrap_many([InContext(context, wrapped)])
        if isinstance(key, VaultError):
            raise key
        return key

    def wrap_many(self, keys: Sequence[InContext]) -> list[bytes]:
        """Protect keys, and see that the server gives each of them back.

        Raises:
            KeyWrongError: another key stands under this one's name.
            RootUnusableError: or one of its kinds: none was protected.
        """
        return [wrapped for batch in _batches(keys, MAX_BATCH - 1) for wrapped in self._wrap(batch)]

    def unwrap_many(self, wrapped: Sequence[InContext]) -> list[bytes | VaultError]:
        """Give keys back, each or the error that `unwrap` would raise.

        Raises:
            KeyWrongError: another key stands under this one's name.
            RootUnusableError: or one of its kinds: none of them can be had now.
        """
        return [key for batch in _batches(wrapped, MAX_BATCH) for key in self._unwrap(batch)]

    def rewrap_many(self, wrapped: Sequence[bytes]) -> list[bytes | VaultError]:
        """Return wrapped keys anew under the newest version of the transit key; no subject's key is opened.

        Threat: a server that answers with another ciphertext of the right form. It would take the place of the
        only one there is, so each is seen to hold the wrapping key that the old one held.

        Raises:
            RootAnswerError: the server does not give back what it encrypted anew.
            RootUnusableError: or one of its kinds: none was.
        """
        return [box for batch in _batches(wrapped, MAX_BATCH) for box in self._rewrap(batch)]

    def rewrapped_name(self) -> RootName:
        """Return this root's name with its proof under the newest version; the fingerprint stays.

        Raises:
            KeyWrongError: another key stands under its name.
            RootUnusableError: or one of its kinds.
        """
        self.check()
        (proof,) = self._client.rewrap_many([self._proof])
        if isinstance(proof, Refusal):
            raise self._proof_fault(proof)
        version_of(proof)
        self._check_proof(self._client.decrypt_many([proof])[0])
        self._proof = proof
        return RootName(self.name.mount, self.name.key, self.fingerprint, proof)

    def version(self, wrapped: bytes) -> int:
        """Return the version of the transit key that a wrapped key names; not authenticated.

        Raises:
            KeyWrongError: it was wrapped under another root.
            TamperedError: it is not of this form.
        """
        return version_of(self._parsed(wrapped)[0])

    def latest_version(self) -> int:
        """Return the newest version of the transit key; from here on nothing is wrapped under an older one.

        Raises:
            RootUnusableError: or one of its kinds: it was not told.
        """
        latest = self._client.key_status().latest
        self._stock.drop()
        return latest

    def rotate(self) -> None:
        """Make a new version of the transit key; what is wrapped stays as it is.

        Raises:
            RootUnusableError: or one of its kinds: nobody knows whether it was made.
        """
        try:
            self._client.rotate()
        finally:
            self._stock.drop()

    def close(self) -> None:
        """Wipe what was kept ready."""
        self._stock.close()

    def health(self) -> RootHealth:
        """Say whether it can be used now; asked at most once a second, whoever asks.

        Threat: readiness is asked by anybody, and each asking would be a call to the server.
        """
        with self._one_asks:
            now = None if self._monotonic is None else self._monotonic()
            if now is not None and self._asked is not None and now - self._asked[0] < _HEALTH_SECONDS:
                return self._asked[1]
            found = self._health()
            self._asked = None if now is None else (now, found)
            return found

    def _health(self) -> RootHealth:
        try:
            self.check()
        except (RootUnusableError, KeyWrongError) as error:
            return RootHealth(error, self._client.notes())
        return RootHealth(None, self._client.notes())

    def _wrap(self, keys: Sequence[InContext]) -> Iterator[bytes]:
        for (context, key), (secret, ciphertext) in zip(keys, self._stock.take(len(keys)), strict=True):
            head = _HEAD.pack(self._prefix, FORMAT, len(ciphertext)) + ciphertext.encode()
            yield head + CommittingAead(secret).encrypt(self._entropy(NONCE_BYTES), key, context)

    def _expect(self, wrappings: Sequence[Wrapping]) -> None:
        ciphertexts = [one.ciphertext for one in wrappings]
        proof, *had_back = self._client.decrypt_many([self._proof, *ciphertexts])
        self._check_proof(proof)
        if had_back != [one.secret for one in wrappings]:
            raise RootAnswerError("the transit server does not give back what it encrypted")

    def _encrypted(self, secrets: Sequence[bytes]) -> list[str]:
        ciphertexts = self._client.encrypt_many(secrets)
        for ciphertext in ciphertexts:
            version_of(ciphertext)
        return ciphertexts

    def _unwrap(self, wrapped: Sequence[InContext]) -> Iterator[bytes | VaultError]:
        parsed = [_outcome(self._parsed, box) for _, box in wrapped]
        whole = [one[0] for one in parsed if not isinstance(one, VaultError)]
        opened = iter(self._client.decrypt_many(whole) if whole else [])
        proven = False
        for (context, _), one in zip(wrapped, parsed, strict=True):
            if isinstance(one, VaultError):
                yield one
                continue
            secret = next(opened)
            if secret is Refusal.CHANGED and not proven:
                self.check()  # another key, or another ciphertext?
                proven = True
            yield _opened(secret, one[1], context)

    def _rewrap(self, wrapped: Sequence[bytes]) -> Iterator[bytes | VaultError]:
        parsed = [_outcome(self._parsed, box) for box in wrapped]
        whole = [one[0] for one in parsed if not isinstance(one, VaultError)]
        renewed = iter(self._renewed(whole) if whole else [])
        for one in parsed:
            if isinstance(one, VaultError):
                yield one
                continue
            ciphertext = next(renewed)
            if isinstance(ciphertext, Refusal):
                yield _refused(ciphertext)
                continue
            yield _HEAD.pack(self._prefix, FORMAT, len(ciphertext)) + ciphertext.encode() + one[1]

    def _renewed(self, ciphertexts: Sequence[str]) -> list[str | Refusal]:
        """Return ciphertexts under the newest version, each of what the old one is of."""
        before = self._client.decrypt_many(ciphertexts)
        renewed = self._client.rewrap_many(ciphertexts)
        fresh = [one for one in renewed if not isinstance(one, Refusal)]
        for one in fresh:
            version_of(one)
        after = iter(self._client.decrypt_many(fresh) if fresh else [])
        for old, new in zip(before, renewed, strict=True):
            if not isinstance(new, Refusal) and (isinstance(old, Refusal) or next(after) != old):
                raise RootAnswerError("the transit server does not give back what it encrypted anew")
        return renewed

    def _parsed(self, wrapped: bytes) -> tuple[str, bytes]:
        """Return the transit ciphertext and the box behind it."""
        if not wrapped:
            raise TamperedError("a wrapped key is empty")
        if not wrapped.startswith(self._prefix):
            raise KeyWrongError("a key was wrapped under another root key than this one")
        if len(wrapped) < _HEAD.size:
            raise TamperedError("a wrapped key is cut before its head ends")
        _, form, length = _HEAD.unpack_from(wrapped)
        end = _HEAD.size + length
        if form != FORMAT or len(wrapped) < end:
            raise TamperedError("a wrapped key has no head of this format")
        ciphertext = wrapped[_HEAD.size : end].decode("ascii", "replace")
        if length > MAX_CIPHERTEXT or _CIPHERTEXT.fullmatch(ciphertext) is None:
            raise TamperedError("a wrapped key holds no transit ciphertext")
        return ciphertext, wrapped[end:]

    def _check_proof(self, identity: bytes | Refusal) -> None:
        if isinstance(identity, Refusal):
            raise self._proof_fault(identity)
        found = _fingerprint(self.name.mount, self.name.key, identity)
        if not hmac.compare_digest(found, self.fingerprint):
            raise KeyWrongError(f"the proof of root {self.fingerprint} is that of root {found}")

    def _proof_fault(self, refusal: Refusal) -> VaultError:
        if refusal is Refusal.RETIRED:
            return _refused(refusal)
        return KeyWrongError(
            f"the transit key {self.name.key} is not the one that root {self.fingerprint} was made with"
        )


def _opened(secret: bytes | Refusal, box: bytes, context: bytes) -> bytes | VaultError:
    if isinstance(secret, Refusal):
        return _refused(secret)
    if len(secret) != KEY_BYTES:
        return TamperedError("a wrapped key holds no wrapping key")
    return _outcome(lambda sealed: CommittingAead(secret).decrypt(sealed, context), box)


def _refused(refusal: Refusal) -> VaultError:
    if refusal is Refusal.RETIRED:
        return RootVersionError(
            "a key is wrapped under a version below the transit key's min_decryption_version"
        )
    return TamperedError("a wrapped key is not what the transit key encrypted")


def _outcome(make: Callable[[bytes], _Item], given: bytes) -> _Item | VaultError:
    try:
        return make(given)
    except (KeyWrongError, TamperedError) as error:
        return error


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _fingerprint(mount: str, key: str, identity: bytes) -> str:
    """Return the name of a root: of its place, and of what its server alone can tell; over all versions the same."""
    return hashlib.sha256(frame(_DOMAIN, mount.encode(), key.encode(), identity)).digest()[:_NAME_BYTES].hex()
