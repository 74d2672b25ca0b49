"""What a transit server's answers mean: results, refusals of single items, and errors of ours.

Owns the map from statuses and words of OpenBao and HashiCorp Vault to our kinds. Pure. None of a server's
text goes into a message: it may quote what was sent.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from vault.crypto.transit_http import Answer
from vault.crypto.transit_root import Refusal
from vault.errors import (
    RootAnswerError,
    RootDeniedError,
    RootKeyGoneError,
    RootSealedError,
    RootUnreachableError,
    RootUnusableError,
    RootVersionError,
)

_Item = TypeVar("_Item")
_RETIRED: Final = "disallowed by policy (too old)"
_GONE: Final = ("encryption key not found", "no handler for route")
_BAD_REQUEST: Final = 400
_AWAY: Final = frozenset({412, 429, 472, 473, 500, 501, 502, 504})
"""Statuses of a server that may answer better soon: overloaded, a standby, in the midst of an election."""


def judged(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON of an answer that has results.

    Raises:
        RootUnusableError: of the kind that any other answer means.
    """
    try:
        told = json.loads(answer.body) if answer.body else {}
    except (ValueError, RecursionError):
        told = None
    if answer.status in {200, 204} and isinstance(told, dict):
        return told
    refused = told.get("data") if isinstance(told, dict) and answer.status == _BAD_REQUEST else None
    if isinstance(told, dict) and isinstance(refused, dict) and "batch_results" in refused:
        return told  # an item was refused, not the request
    lines = told.get("errors") if isinstance(told, dict) else None
    text = "\n".join(str(line) for line in lines) if isinstance(lines, list) else ""
    raise _fault(answer.status, text)


def _fault(status: int, text: str) -> RootUnusableError:
    if status == 503 and ("sealed" in text or "not initialized" in text):  # noqa: PLR2004  # of HTTP
        return RootSealedError("the transit server is sealed")
    if status in _AWAY or status == 503:  # noqa: PLR2004  # of HTTP
        return RootUnreachableError(f"the transit server cannot answer now: status {status}")
    if status in {401, 403}:
        return RootDeniedError("the transit server refuses: no permission, or no valid token")
    if status == 404 or any(known in text for known in _GONE):  # noqa: PLR2004  # of HTTP
        return RootKeyGoneError("the transit server has no such key, or no engine there")
    if _RETIRED in text:
        return RootVersionError("below the transit key's min_decryption_version")
    return RootAnswerError(f"the transit server answers as none does: status {status}")


def result_of(told: Mapping[str, Any], read: Callable[[Mapping[str, Any]], _Item]) -> _Item | Refusal:
    """Return one item of a batch, or why there is none.

    Raises:
        RootAnswerError: it is neither.
    """
    error = told.get("error")
    if not error:
        return read(told)
    return Refusal.RETIRED if _RETIRED in str(error) else Refusal.CHANGED


def text_of(told: Mapping[str, Any], name: str) -> str:
    """Return a text of an item.

    Raises:
        RootAnswerError: it has none.
    """
    found = told.get(name)
    if told.get("error") or not isinstance(found, str) or not found:
        raise RootAnswerError(f"the transit server gave no {name}")
    return found


def plaintext_of(told: Mapping[str, Any]) -> bytes:
    """Return what an item was decrypted to.

    Raises:
        RootAnswerError: it was not.
    """
    try:
        return base64.b64decode(text_of(told, "plaintext"), validate=True)
    except (binascii.Error, ValueError):
        raise RootAnswerError("the transit server gave a plaintext that is not of base64") from None
