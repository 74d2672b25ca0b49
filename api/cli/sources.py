"""Files become sources: which kind a file is, and its bytes read within the limits.

Owns the choice between a chat and a document. It leaves the formats to `vault.pipeline.chats` and
`vault.pipeline.documents`.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        DocumentInvalidError: it cannot be read, or is no regular file.
        InputTooLargeError: it is larger than the limits allow.
    """
    with _regular(path) as file:
        return read_stream(file, limits)


def check_file(path: Path, limits: InputLimits) -> None:
    """See that a file can be read and is not too large, without reading it.

    Raises:
        DocumentInvalidError: it cannot be read.
        InputTooLargeError: it is larger than the limits allow.
    """
    with _regular(path) as file:
        _expect_size(os.fstat(file.fileno()).st_size, limits)


@contextmanager
def _regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, which never waits for anybody; the very file that was opened is checked."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DocumentInvalidError("expected a regular file; what comes by a pipe is read as -")
            yield file
    except OSError as error:
        raise DocumentInvalidError(f"a file cannot be read: {error.strerror}") from None


def read_stream(file: BinaryIO, limits: InputLimits) -> bytes:
    """Return a stream's bytes.

    Raises:
        InputTooLargeError: there are more than the limits allow.
    """
    content = file.read(limits.document_bytes + 1)
    _expect_size(len(content), limits)
    return content


def _expect_size(size: int, limits: InputLimits) -> None:
    if size > limits.document_bytes:
        raise InputTooLargeError(f"expected a file of at most {limits.document_bytes} bytes")


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
