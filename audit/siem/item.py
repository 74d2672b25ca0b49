"""One entry on its way out: what every format carries, and what none does.

Owns the value that all formatters take. Each item names its log's origin, its leaf index, the tree size
at which it was read and its leaf hash, and carries the header as it stands in the tree: the SHA-256 of a
zero byte and the header is the leaf hash (RFC 6962, section 2.1), which an inclusion proof ties to a
signed checkpoint. So each line can be held against the log by whoever received it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue, canonical
from audit.event import Header, Outcome

PRODUCT: Final = "memos-vault"


@dataclass(frozen=True, slots=True)
class LogItem:
    """An entry, and where it stands."""

    origin: str
    """Origin of the log, e.g. `memos-vault/ward-1/clinic-a`."""
    tree_size: int
    """Size of the tree at which it was read."""
    index: int
    leaf_hash: bytes
    header: Header
    leaf: str
    """The header's canonical text: the leaf's bytes."""
    fields: Mapping[str, JsonValue] | None
    """What of the payload may leave (`audit.payload_keys`); None where the payload was erased."""
    withheld: int = 0
    """Payload fields that may not leave."""
    erased_by: int | None = None
    """Leaf index of the entry that erased the payload."""
    version: str = "0"
    """Version of this program."""

    @property
    def uid(self) -> str:
        """A name that no other entry has."""
        return f"{self.origin}#{self.index}"

    @property
    def succeeded(self) -> bool:
        """Whether it came to what was asked for."""
        return self.header.outcome is Outcome.OK

    @property
    def time(self) -> str:
        """The time as the leaf has it, in RFC 3339."""
        return self.header.time.isoformat(timespec="microseconds")[:26] + "Z"

    def payload_text(self) -> str | None:
        """Return the outgoing fields as canonical JSON; None where the payload was erased."""
        return None if self.fields is None else canonical(self.fields)
