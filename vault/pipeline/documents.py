"""File bytes become a `Document`, or an error that says what kind of file was expected.

Owns decoding (strict UTF-8, a byte order mark allowed), kinds by extension, and the shape of a file
name. It opens no file: bytes come in. Chat files are read by `vault.pipeline.chats`; limits of the
text and its segmentation follow in `vault.pipeline.segment`.

    >>> read_document("notes/plan.md", b"# Plan", InputLimits()).kind
    <SourceKind.MARKDOWN: 'markdown'>
"""

import re
from typing import Final

from vault.errors import DocumentInvalidError, InputTooLargeError, TextInvalidError
from vault.model import Document, SourceKind
from vault.pipeline.json_leaves import read_leaves
from vault.pipeline.limits import InputLimits, check_source

KINDS: Final = {
    "": SourceKind.TEXT,
    "csv": SourceKind.TEXT,
    "log": SourceKind.TEXT,
    "rst": SourceKind.TEXT,
    "text": SourceKind.TEXT,
    "txt": SourceKind.TEXT,
    "markdown": SourceKind.MARKDOWN,
    "md": SourceKind.MARKDOWN,
    "json": SourceKind.JSON,
}
"""Kind of a document by the extension of its file name, in lower case."""

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_document(name: str, payload: bytes, limits: InputLimits) -> Document:
    """Read a file's bytes as the kind of document that its name promises.

    Folders in `name` are dropped: they often name people, and say nothing about the document.

    Raises:
        DocumentInvalidError: an extension that is not read here, a name that is none, or JSON that is
            not JSON or nested too deep.
        InputTooLargeError: more bytes or characters than the limits allow.
        TextEmptyError: no visible character.
        TextInvalidError: not UTF-8, or text that cannot be stored.
    """
    kind = kind_of(name)
    text = decode(payload, limits.document_bytes)
    document = Document(text, kind=kind, name=_base(name))
    check_source(document, limits)
    if kind is SourceKind.JSON:
        for _ in read_leaves(text, limits.json_depth):
            """Reading to the end is the check."""
    return document


def kind_of(name: str) -> SourceKind:
    """Return the kind that the extension of a file name stands for.

    Raises:
        DocumentInvalidError: none that is read here.
    """
    base = _base(name)
    if not base or base in (".", "..") or _CONTROL.search(base):
        raise DocumentInvalidError("expected a file name without control characters")
    extension = base.rpartition(".")[2].lower() if "." in base.lstrip(".") else ""
    if extension not in KINDS:
        raise DocumentInvalidError(
            f"expected a document of one of the kinds {', '.join(sorted(filter(None, KINDS)))}"
        )
    return KINDS[extension]


def decode(payload: bytes, limit: int) -> str:
    """Return the text of a file's bytes.

    Raises:
        InputTooLargeError: more than `limit` bytes.
        TextInvalidError: not UTF-8.
    """
    if len(payload) > limit:
        raise InputTooLargeError(f"expected a file of at most {limit} bytes, got {len(payload)}")
    try:
        return payload.removeprefix(_UTF8_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        # The codec's own error holds the whole file: it must not travel as the cause.
        raise TextInvalidError(f"expected UTF-8 text, got another byte at {error.start}") from None


def _base(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]
