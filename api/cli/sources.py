"""Files become sources: which kind a file is, and its bytes read within the limits.

Owns the choice between a chat and a document. It leaves the formats to `vault.pipeline.chats` and
`vault.pipeline.documents`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from vault.errors import DocumentInvalidError, InputTooLargeError
from vault.model import Source
from vault.pipeline.chats import read_chats
from vault.pipeline.documents import read_document
from vault.pipeline.limits import InputLimits

_SESSION: Final = re.compile(r"session_[0-9]{1,6}")


class FileKind(StrEnum):
    """What a file is to be read as."""

    AUTO = "auto"
    """By its extension; JSON that has the shape of a chat file is one."""
    CHAT = "chat"
    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


_NAMES: Final = {FileKind.TEXT: "input.txt", FileKind.MARKDOWN: "input.md", FileKind.JSON: "input.json"}


def read_bytes(path: Path, limits: InputLimits) -> bytes:
    """Return a file's bytes, one more than the limit at most.

    Raises:
        DocumentInvalidError: it cannot be read.
        InputTooLargeError: it is larger than the limits allow.
    """
    try:
        with path.open("rb") as file:
            return read_stream(file, limits)
    except OSError as error:
        raise DocumentInvalidError(f"a file cannot be read: {error.strerror}") from None


def read_stream(file: BinaryIO, limits: InputLimits) -> bytes:
    """Return a stream's bytes.

    Raises:
        InputTooLargeError: there are more than the limits allow.
    """
    content = file.read(limits.document_bytes + 1)
    if len(content) > limits.document_bytes:
        raise InputTooLargeError(f"expected a file of at most {limits.document_bytes} bytes")
    return content


def read_sources(name: str, content: bytes, kind: FileKind, limits: InputLimits) -> tuple[Source, ...]:
    """Return the chats of a chat file, or the one document that another file is.

    Args:
        name: File name; empty where there is none, as on standard input.
        content: The file's bytes.
        kind: What to read it as.
        limits: Bounds.

    Raises:
        InputInvalidError: or one of its kinds: it is not what it should be.
    """
    if kind is FileKind.CHAT or (kind is FileKind.AUTO and _is_chat(name, content)):
        return read_chats(content, limits)
    if kind is FileKind.AUTO:
        return (read_document(name or _NAMES[FileKind.TEXT], content, limits),)
    stem = Path(name).stem if name else "input"
    suffix = Path(_NAMES[kind]).suffix
    return (read_document(f"{stem}{suffix}", content, limits),)


def _is_chat(name: str, content: bytes) -> bool:
    """Say whether JSON has the shape of a chat file; what is no JSON is left for its reader to refuse."""
    if name and not name.lower().endswith(".json"):
        return False
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return False
    samples = parsed if isinstance(parsed, Sequence) and not isinstance(parsed, str) else [parsed]
    return bool(samples) and all(isinstance(sample, Mapping) and _has_sessions(sample) for sample in samples)


def _has_sessions(sample: Mapping[str, object]) -> bool:
    inner = sample.get("conversation", sample)
    return isinstance(inner, Mapping) and any(key == "sessions" or _SESSION.fullmatch(key) for key in inner)
