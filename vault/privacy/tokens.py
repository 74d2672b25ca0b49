"""Tokens that stand for values: `[PERSON-k7f2qa]`, the same within a subject, different across subjects.

Owns the form of a token, the normalisation of values and the keyed hash. It leaves deciding what
becomes a token to `vault.privacy.gate`, and the key to the keyring.

A token is a name for a value, not the value: nothing can be read out of it, and it comes back only
through the `Replacement` of the memory in which it stands. A token that a user typed in is just text.
"""

import base64
import hmac
import re
import unicodedata
from typing import Final

from policies.privacy import EntityType

MIN_KEY_BYTES: Final = 16
TOKEN_CHARACTERS: Final = 6
_KINDS: Final = "|".join(sorted(EntityType, key=len, reverse=True))
_MOST_DIGITS: Final = 3
# A token holds one to three digits: neither "[PERSON-johnny]" nor "[CARD-424242]" can pass a value off as one.
TOKEN: Final = re.compile(
    rf"\[(?:{_KINDS})(?:-(?=[a-z]{{0,5}}[2-7])(?!(?:[a-z]{{0,2}}[2-7]){{4}})[a-z2-7]{{6}})?\]"
)
"""A token, or the mark of a redaction: `[SECRET]`."""

_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")
_NUMBERED: Final = frozenset(
    {
        EntityType.CARD,
        EntityType.IBAN,
        EntityType.BANK_ACCOUNT,
        EntityType.SSN,
        EntityType.NATIONAL_ID,
        EntityType.PASSPORT,
        EntityType.DRIVER_LICENSE,
        EntityType.VEHICLE,
        EntityType.MEDICAL_RECORD,
        EntityType.MEMBER_NUMBER,
        EntityType.PHONE,
        EntityType.DEVICE,
        EntityType.POSTCODE,
    }
)
"""Kinds in which spaces and punctuation carry nothing."""
_EXACT: Final = frozenset({EntityType.SECRET, EntityType.WALLET})
"""Kinds in which case carries meaning."""
_HONORIFIC: Final = re.compile(
    r"^(?:(?:mr|mrs|ms|miss|mx|dr|prof|professor|sir|madam|rev|fr|sr|sra|herr|frau)\.?\s+)+(?=\S)"
)
_BROKEN: Final = re.compile(r"=? (?:> ?)*")
"""What is left of a line break inside an address: see `recognizers.contact`."""
_NOT_WORD: Final = re.compile(r"[\W_]+")


def redaction_mark(kind: EntityType) -> str:
    """Return what stands where a value was taken out for good."""
    return f"[{kind}]"


def normalise(kind: EntityType, value: str) -> str:
    """Return the form under which equal values meet.

    Case and Unicode compatibility forms fold; numbers lose all but letters and digits; names lose
    titles, e-mail addresses lose line breaks; runs of white space become one space.
    """
    folded = unicodedata.normalize("NFKC", value)
    folded = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    if kind not in _EXACT:
        folded = unicodedata.normalize("NFKC", folded.casefold())
    if kind in _NUMBERED:
        return _NOT_WORD.sub("", folded) or folded
    folded = " ".join(folded.split())
    if kind is EntityType.EMAIL:
        folded = _BROKEN.sub("", folded)
    if kind is EntityType.PERSON:
        folded = _HONORIFIC.sub("", folded)
    return folded


class SubjectTokens:
    """Makes the tokens of one subject.

    Args:
        key: The subject's token key, at least 16 bytes; wiping it is the caller's part.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"expected a token key of at least {MIN_KEY_BYTES} bytes, got {len(key)}")
        self._key = bytes(key)

    def __repr__(self) -> str:
        return "SubjectTokens()"

    def token(self, kind: EntityType, value: str) -> str:
        """Return the token of `value`: kind, and six base32 characters of HMAC-SHA256, one to three of them digits."""
        message = f"{kind}|{normalise(kind, value)}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, message, "sha256")
        letters = base64.b32encode(digest).decode("ascii").lower().rstrip("=")
        windows = (letters[at : at + TOKEN_CHARACTERS] for at in range(len(letters) - TOKEN_CHARACTERS + 1))
        chosen = next(
            (window for window in windows if 1 <= sum(map(str.isdigit, window)) <= _MOST_DIGITS),
            "2" + digest.hex().translate(_LETTERS)[: TOKEN_CHARACTERS - 1],
        )
        return f"[{kind}-{chosen}]"
