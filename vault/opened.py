"""What a row is when it is open: for an answer, or as it was when the gate let it through.

Owns the values. It leaves opening, and its checks, to `vault.sealing`. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vault.content import MaskedField, MemoryAttributes
from vault.errors import TamperedError
from vault.model import SCREENED_ISSUER, Replacement, Screened


@dataclass(frozen=True, slots=True)
class OpenedMemory:
    """A memory's content as one principal may see it."""

    text: str = field(repr=False)
    speaker: str = field(repr=False)
    ref: str = field(repr=False)
    attributes: MemoryAttributes
    revealed: bool


@dataclass(frozen=True, slots=True)
class ScreenedAgain:
    """A row's content as it was when the gate let it through, for work inside the vault alone."""

    attributes: MemoryAttributes
    text: Screened
    speaker: Screened
    ref: Screened | None


def screened_from(masked: MaskedField, originals: Sequence[str | None], detector: str) -> Screened:
    """Put a masked field and its originals together again; the source spans are gone and not needed."""
    if len(originals) != len(masked.marks):
        raise TamperedError("originals do not fit the marks of this field")
    replacements = tuple(
        Replacement(
            mark.entity_type, mark.span, mark.span, masked.text[mark.span.start : mark.span.end], original
        )
        for mark, original in zip(masked.marks, originals, strict=True)
    )
    return Screened(masked.text, replacements, detector, SCREENED_ISSUER)
