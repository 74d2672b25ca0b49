"""What a detector says: spans of text with a kind and a score, and the protocol it says them by.

Owns the values between detection and masking. It knows no vendor, so tests and the facade can pass
a detector of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from policies.privacy import EntityType


@dataclass(frozen=True, slots=True)
class Finding:
    """Half-open range `[start, end)` of code points that looks like personal data.

    A `certain` finding comes from a rule (a checksum, a prefix, a keyword); the others are the learned
    tagger's opinion. Where both claim a text, the certain one gives the kind.
    """

    kind: EntityType
    start: int
    end: int
    score: float
    certain: bool = True


class Detector(Protocol):
    """Finds personal data; deterministic, and safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Name and version, and the model's digest where there is one: stamped on records."""
        ...

    def detect(self, text: str) -> Sequence[Finding]:
        """Return findings in `text`, in any order, overlaps allowed."""
        ...
