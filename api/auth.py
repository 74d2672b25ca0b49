"""Who calls over HTTP: API keys, their verifiers, and the memory of those that were verified.

Owns the form of a key and every check of one. It leaves rows and entries to `vault.credentials`, and
what a principal may do to the policies. A key is shown once, when it is made, and kept nowhere:

    mv_01kt9m3e7c4q8v2n5x6y0zabcd_kq3v…      "mv" · digits of the credential's id · 32 random bytes

What is stored is an Argon2id verifier of the whole key in PHC form (RFC 9106; 19 MiB, 2 passes, 1 lane:
OWASP's first choice). A secret of 256 random bits needs no slow hash against guessing; the slow hash is
there for whoever copies the table and hopes for a weak generator. It costs about 50 ms, so a verified key
is remembered for a short time, by its SHA-256, in a bounded map. Its row is read again at each use, so that
a credential that was removed or changed is refused at once.

Wrong keys are entries of the log where the credential exists, and cost their sender a wait after a few. They
are counted by address and credential: whoever shares an address with a guesser may still come in.
A credential whose row was tampered with is refused like a wrong key, and its use is an entry, too. An unknown credential is checked against a decoy, so that it costs about as much time as a wrong secret; that
one of the two is logged remains measurable, and tells no more than that a credential of 80 random bits exists.
"""

import base64
import hashlib
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from api.errors import AttemptsExceededError, NotAuthenticatedError
from policies.model import Principal
from vault.clock import Entropy
from vault.credentials import Credential, Credentials
from vault.errors import TamperedError
from vault.ids import IdKind

SCHEME: Final = "Bearer"
_KEY: Final = re.compile(r"mv_([0-9a-hjkmnp-tv-z]{26})_([a-z2-7]{52})", re.ASCII)
_SECRET_BYTES: Final = 32
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_MINUTE: Final = 60.0
_MAX_SENDERS: Final = 10_000
_UNKNOWN: Final = ""
_MAX_VERIFICATIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one verification costs."""

    memory_kib: int = 19 * 1024
    iterations: int = 2
    lanes: int = 1


def issue_key(
    credentials: Credentials,
    principal: Principal,
    entropy: Entropy,
    *,
    by: str | None = None,
    cost: Argon2Cost | None = None,
) -> str:
    """Make an API key for a principal, durably, and return it: it can never be shown again.

    Args:
        credentials: Where its verifier goes.
        principal: Whom it stands for.
        entropy: Source of the secret and the salt.
        by: Principal id of who makes it; the vault itself if None.
        cost: Of one verification.

    Raises:
        NotFoundError: the vault does not know the principal's tenant.
    """
    credential_id = credentials.reserve_id()
    secret = base64.b32encode(entropy(_SECRET_BYTES)).decode("ascii").rstrip("=").lower()
    key = f"mv_{credential_id.removeprefix(f'{IdKind.CREDENTIAL}_')}_{secret}"
    verifier = _verifier(key, entropy(_SALT_BYTES), cost or Argon2Cost())
    credential = Credential(credential_id, principal, verifier)
    if by is None:
        credentials.add(credential)
    else:
        credentials.add(credential, by=by)
    return key


def _verifier(key: str, salt: bytes, cost: Argon2Cost) -> bytes:
    argon = Argon2id(
        salt=salt,
        length=_HASH_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    return argon.derive_phc_encoded(key.encode()).encode()


class Authenticator:
    """Says which principal a key stands for; shared by threads.

    Args:
        credentials: Of the vault.
        entropy: For the decoy that unknown credentials are checked against.
        monotonic: Seconds from a clock that never goes back.
        remembered_seconds: How long a verified key is not verified again.
        remembered_keys: How many are remembered.
        failures: Wrong keys for one credential from one address in a minute before it has to wait; those of
            unknown credentials are counted together.
        cost: Of the decoy; the same as that of real verifiers.
    """

    def __init__(
        self,
        credentials: Credentials,
        entropy: Entropy,
        monotonic: Callable[[], float],
        *,
        remembered_seconds: float = 60.0,
        remembered_keys: int = 1_024,
        failures: int = 10,
        cost: Argon2Cost | None = None,
    ) -> None:
        self._credentials = credentials
        self._seconds = remembered_seconds
        self._keys = remembered_keys
        self._monotonic = monotonic
        self._attempts = Attempts(failures, monotonic)
        self._verified: OrderedDict[bytes, tuple[float, Credential]] = OrderedDict()
        self._lock = threading.Lock()
        # Threat: a flood of wrong keys must not take all cores and memory from those with right ones.
        self._verifying = threading.BoundedSemaphore(_MAX_VERIFICATIONS)
        self._decoy = _verifier(entropy(_SECRET_BYTES).hex(), entropy(_SALT_BYTES), cost or Argon2Cost())

    def remembered(self, header: str | None) -> Principal | None:
        """Return the principal of a key that was verified a short while ago, if its credential still stands.

        It costs one read by the database, no slow hash.
        """
        found = _KEY.fullmatch(_presented(header))
        if found is None:
            return None
        digest = _digest(found.group())
        with self._lock:
            known = self._verified.get(digest)
            if known is None:
                return None
            if known[0] <= self._monotonic():
                del self._verified[digest]
                return None
        if self._credentials.stands(known[1]):
            return known[1].principal
        with self._lock:
            self._verified.pop(digest, None)
        return None

    def authenticate(self, header: str | None, address: str) -> Principal:
        """Return the principal whose key an `Authorization` header shows.

        Args:
            header: Its value; None where there is none.
            address: Where the request came from, for counting wrong keys.

        Raises:
            NotAuthenticatedError: no key, or not a valid one; where the credential exists, an entry says so.
            AttemptsExceededError: too many wrong keys for this credential came from this address.
        """
        found = _KEY.fullmatch(_presented(header))
        if found is None:
            raise NotAuthenticatedError("expected an API key as a bearer token")
        key, credential = found.group(), self._find(f"{IdKind.CREDENTIAL}_{found.group(1)}", address)
        sender = (address, _UNKNOWN if credential is None else credential.id)
        self._attempts.check(sender)
        accepted = self._verify(key, self._decoy if credential is None else credential.verifier)
        if credential is None or not accepted:
            self._attempts.note(sender)
            if credential is not None:
                self._credentials.note_login(credential, accepted=False)
            raise NotAuthenticatedError("the API key is not valid")
        self._credentials.note_login(credential, accepted=True)
        self._remember(_digest(key), credential)
        return credential.principal

    def _find(self, credential_id: str, address: str) -> Credential | None:
        """Find a credential; one whose row was tampered with is refused before any secret is checked."""
        try:
            return self._credentials.find(credential_id)
        except TamperedError:
            self._attempts.check((address, credential_id))
            self._attempts.note((address, credential_id))
            self._credentials.note_forged(credential_id)
            raise NotAuthenticatedError("the API key is not valid") from None

    def _verify(self, key: str, verifier: bytes) -> bool:
        with self._verifying:
            try:
                Argon2id.verify_phc_encoded(key.encode(), verifier.decode("ascii"))
            except InvalidKey:
                return False
        return True

    def _remember(self, digest: bytes, credential: Credential) -> None:
        if not self._seconds:
            return
        with self._lock:
            self._verified[digest] = (self._monotonic() + self._seconds, credential)
            self._verified.move_to_end(digest)
            while len(self._verified) > self._keys:
                self._verified.popitem(last=False)


class Attempts:
    """Counts wrong keys by sender within the last minute; bounded, shared by threads.

    A sender is an address and the credential that it showed.

    Args:
        limit: How many are borne.
        monotonic: Seconds from a clock that never goes back.
    """

    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, sender: tuple[str, str]) -> None:
        """Do nothing while the sender may try.

        Raises:
            AttemptsExceededError: it has to wait.
        """
        now = self._monotonic()
        with self._lock:
            times = self._failed.get(sender)
            while times and times[0] <= now - _MINUTE:
                times.popleft()
            if times is not None and not times:
                del self._failed[sender]
            if times and len(times) >= self._limit:
                wait = max(1, round(times[0] + _MINUTE - now))
                raise AttemptsExceededError("too many wrong API keys: wait", retry_after=wait)

    def note(self, sender: tuple[str, str]) -> None:
        """Count one more."""
        with self._lock:
            times = self._failed.setdefault(sender, deque(maxlen=self._limit))
            times.append(self._monotonic())
            self._failed.move_to_end(sender)
            while len(self._failed) > _MAX_SENDERS:
                self._failed.popitem(last=False)


def _presented(header: str | None) -> str:
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == SCHEME.lower() else ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
