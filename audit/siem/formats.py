"""The formats by name, and what goes before the first entry.

Owns the choice. Formatters are pure: an entry in, bytes out.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Final

from audit.siem.cloud_events import cloud_event_line
from audit.siem.item import LogItem
from audit.siem.ocsf import ocsf_line
from audit.siem.syslog import syslog_frame, syslog_message
from audit.siem.table import csv_head, csv_line

Formatter = Callable[[LogItem], bytes]


class Format(StrEnum):
    """What a stream is written in."""

    OCSF = "ocsf"
    CLOUDEVENTS = "cloudevents"
    SYSLOG = "syslog"
    CSV = "csv"


MEDIA_TYPES: Final[Mapping[Format, str]] = {
    Format.OCSF: "application/x-ndjson",
    Format.CLOUDEVENTS: "application/x-ndjson",
    Format.SYSLOG: "text/plain; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
}


def formatter_of(chosen: Format, *, framed: bool = False, host: str = "-") -> Formatter:
    """Return what writes an entry in a format.

    Args:
        chosen: The format.
        framed: For syslog: octet counting (RFC 5425), as TLS receivers take it; otherwise one line an entry.
        host: For syslog: name of the machine that sends.
    """
    if chosen is Format.SYSLOG:
        return partial(syslog_frame, host=host) if framed else partial(_syslog_line, host=host)
    return partial(_encoded, _LINES[chosen])


def head_of(chosen: Format) -> bytes:
    """Return what goes before the first entry of a new file: column names, or nothing."""
    return csv_head().encode() if chosen is Format.CSV else b""


def _encoded(line: Callable[[LogItem], str], item: LogItem) -> bytes:
    return line(item).encode()


def _syslog_line(item: LogItem, host: str) -> bytes:
    return syslog_message(item, host) + b"\n"


_LINES: Final[Mapping[Format, Callable[[LogItem], str]]] = {
    Format.OCSF: ocsf_line,
    Format.CLOUDEVENTS: cloud_event_line,
    Format.CSV: csv_line,
}
