"""The form of subjects' names and vault ids: what the caller calls a person, and what the vault does.

Owns the normal form, so that one person does not become two by case, width or an invisible letter,
which an erasure would then miss; and the keyed hash that makes the id. Pure; the key is passed in.
"""

import base64
import hmac
import re
import unicodedata
from typing import Final

from vault.errors import IdentifierInvalidError

MAX_NAME: Final = 256
_ID_DIGITS: Final = 26
_ID: Final = re.compile(rf"sub_[a-z2-7]{{{_ID_DIGITS}}}", re.ASCII)


def normal_name(name: str) -> str:
    """Return the form under which equal names meet.

    Compatibility forms and case fold (Unicode 3.13, D146, in effect), invisible format characters go,
    runs of white space become one space.

    Raises:
        IdentifierInvalidError: nothing is left, it is too long, or it is not text.
    """
    if len(name) > MAX_NAME:
        raise IdentifierInvalidError(f"expected a subject name of at most {MAX_NAME} characters")
    if name.isascii() and name.isprintable() and (plain := " ".join(name.lower().split())):
        return plain  # what follows would come to the same
    visible = "".join(char for char in name if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    normal = " ".join(folded.split())
    if not normal or any(unicodedata.category(char) in {"Cc", "Cs"} for char in normal):
        raise IdentifierInvalidError("expected a subject name of visible Unicode text")
    return normal


def subject_id(key: bytes, name: str) -> str:
    """Return the vault id of a subject: `sub_` and 130 bits of HMAC-SHA256 in base32.

    Args:
        key: The tenant's key for this.
        name: The caller's own name of the subject.

    Raises:
        IdentifierInvalidError: the name is not acceptable.
    """
    digest = hmac.digest(key, normal_name(name).encode(), "sha256")
    return "sub_" + base64.b32encode(digest).decode("ascii").lower()[:_ID_DIGITS]


def check_subject_id(value: str) -> str:
    """Return `value` if it has the form of a subject's vault id.

    Raises:
        IdentifierInvalidError: it has not.
    """
    if not _ID.fullmatch(value):
        raise IdentifierInvalidError(f"expected a subject id of the form sub_ and {_ID_DIGITS} base32 digits")
    return value
