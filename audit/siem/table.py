"""CSV (RFC 4180) that a spreadsheet shows and does not execute.

Owns the columns and the neutralising of formulas. A cell that a spreadsheet could take for a formula
begins with an apostrophe: after white space and invisible characters comes one of `= + - @`, their
full-width forms, or the cell begins with a tab, a carriage return or a line feed. A cell that begins with
an apostrophe of its own gets another, so that `plain_cell` gives back exactly what was there.
"""

import csv
import io
import unicodedata
from collections.abc import Sequence
from typing import Final

from audit.siem.item import LogItem

COLUMNS: Final = (
    "origin",
    "tree_size",
    "index",
    "leaf_hash",
    "time",
    "event",
    "principal",
    "tenant",
    "action",
    "decision",
    "outcome",
    "purpose",
    "resource",
    "policy",
    "payload",
    "withheld",
    "erased_by",
    "leaf",
)
_STARTERS: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b|%")
_CONTROLS: Final = frozenset("\t\r\n")
_MARK: Final = "'"


def csv_head() -> str:
    """Return the line of column names."""
    return _line(COLUMNS)


def csv_line(item: LogItem) -> str:
    """Return an entry as one line."""
    header = item.header
    cells = (
        item.origin,
        str(item.tree_size),
        str(item.index),
        item.leaf_hash.hex(),
        item.time,
        header.event.value,
        header.principal,
        header.tenant,
        header.action,
        header.decision.value,
        header.outcome.value,
        header.purpose or "",
        header.resource or "",
        header.policy,
        item.payload_text() or "",
        str(item.withheld),
        "" if item.erased_by is None else str(item.erased_by),
        item.leaf,
    )
    return _line([neutral_cell(cell) for cell in cells])


def neutral_cell(text: str) -> str:
    """Return a cell's text with an apostrophe before it where a spreadsheet could take it for a formula."""
    return _MARK + text if text.startswith(_MARK) or _could_run(text) else text


def plain_cell(text: str) -> str:
    """Return what `neutral_cell` was given."""
    return text[1:] if text.startswith(_MARK) else text


def _could_run(text: str) -> bool:
    if text[:1] in _CONTROLS:
        return True
    first = next(
        (char for char in text if not char.isspace() and unicodedata.category(char) not in _UNSEEN), ""
    )
    return first in _STARTERS


_UNSEEN: Final = frozenset({"Cf", "Cc"})


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
