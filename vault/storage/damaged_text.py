"""Text that is no UTF-8 any more: read as a marked value, so that one bad row ends no statement (law 12).

Threat: a flipped bit 7 in a column of text. The driver then refuses the row while it is fetched, and with it all
other rows of the statement: no vault would open, nobody would find anything, no check would reach its end. Read
here, such a text becomes another text: bytes that are no UTF-8 stand in it as `MARK` and their hexadecimal form.
It equals nothing that was ever written, has no digest that the log knows, and can be printed, ordered and bound
like any other; so all that refuses an altered row refuses it, too. Bound again it does not find its row.

Owns the decoding for connections to SQLite; PostgreSQL lets no such text in. Refusing what is marked where a row
becomes a value is `vault.storage.rows`'.
"""

import codecs
import sqlite3
from typing import Final

MARK: Final = "\U0010ffff"
"""A noncharacter, which Unicode keeps out of all text that is exchanged: no column of the vault ever holds it."""
_ERRORS: Final = "memvault-damaged"


def read_damaged_text(connection: sqlite3.Connection) -> None:
    """Let a connection read text that is no UTF-8 as a marked value, where it would refuse the whole statement."""
    connection.text_factory = _decoded


def is_damaged(text: str) -> bool:
    """Say whether a text was read from bytes that are no UTF-8."""
    return MARK in text


def before_damage(text: str) -> str:
    """Return what stands before the first byte that is no UTF-8."""
    return text.partition(MARK)[0]


def _decoded(stored: bytes) -> str:
    try:
        return stored.decode()  # nearly all of it; naming an error rule makes each cell dearer
    except UnicodeDecodeError:
        return stored.decode(errors=_ERRORS)


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):  # encoding has no damaged text
        raise error
    return MARK + error.object[error.start : error.end].hex(), error.end


codecs.register_error(_ERRORS, _marked)
