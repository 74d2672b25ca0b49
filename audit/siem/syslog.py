r"""Syslog messages as in RFC 5424, framed by octet counting as in RFC 5425, section 4.3.

Owns the form of a message and its bounds. It leaves the TLS connection to the edge.

    531 <110>1 2026-11-22T18:51:27.000001Z ward-1 memvault - memory.write [memvault@32473 index="17" …] {"action":…}

The message is the entry's header, as it stands in the tree. Facility 13 (log audit); severity 6 for what
went well, 5 for what was refused or not found, 4 for what was denied or failed. 32473 is the enterprise
number that RFC 5612 keeps for documentation: this program has none of its own.

A message has at most 8,192 octets, which RFC 5425 asks receivers to take: where the payload's fields do
not fit, they are left out and counted as withheld. No control character is ever sent: a receiver that
splits lines, or a terminal that shows them, sees one line an entry.
"""

import re
from collections.abc import Mapping
from typing import Final

from audit.event import Outcome
from audit.siem.item import LogItem

MAX_MESSAGE: Final = 8_192
_FACILITY: Final = 13
_SEVERITY: Final[Mapping[Outcome, int]] = {
    Outcome.OK: 6,
    Outcome.REFUSED: 5,
    Outcome.NOT_FOUND: 5,
    Outcome.DENIED: 4,
    Outcome.FAILED: 4,
}
_SD_ID: Final = "memvault@32473"
_MUST_ESCAPE: Final = re.compile(r'["\\\]]')
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HOST: Final = re.compile(r"[!-~]{1,255}")
_NIL: Final = "-"


def syslog_message(item: LogItem, host: str = _NIL) -> bytes:
    """Return an entry as one message, not framed.

    Args:
        item: The entry.
        host: Name of the machine that sends; `-` where it has none that may be sent.
    """
    message = _message(item, host, item.payload_text(), item.withheld)
    if len(message) <= MAX_MESSAGE:
        return message
    return _message(item, host, None, item.withheld + len(item.fields or {}))


def syslog_frame(item: LogItem, host: str = _NIL) -> bytes:
    """Return an entry as one frame: its length in octets, a space, the message."""
    message = syslog_message(item, host)
    return b"%d %b" % (len(message), message)


def _message(item: LogItem, host: str, payload: str | None, withheld: int) -> bytes:
    header = item.header
    parameters: dict[str, object] = {
        "origin": item.origin,
        "index": item.index,
        "treeSize": item.tree_size,
        "leafHash": item.leaf_hash.hex(),
        "withheld": withheld,
    }
    if payload is not None:
        parameters["payload"] = payload
    if item.erased_by is not None:
        parameters["erasedBy"] = item.erased_by
    named = " ".join(f'{name}="{escaped(str(value))}"' for name, value in parameters.items())
    priority = _FACILITY * 8 + _SEVERITY[header.outcome]
    sender = host if _HOST.fullmatch(host) else _NIL
    line = f"<{priority}>1 {item.time} {sender} memvault - {header.event} [{_SD_ID} {named}] {item.leaf}"
    return _UNPRINTABLE.sub("\ufffd", line).encode()


def escaped(value: str) -> str:
    r"""Return a parameter's value as RFC 5424, section 6.3.3 has it: `"`, `\` and `]` behind a backslash."""
    return _MUST_ESCAPE.sub(r"\\\g<0>", _UNPRINTABLE.sub("\ufffd", value))
