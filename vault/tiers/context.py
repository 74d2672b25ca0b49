"""The context block: memories as a model is shown them, in an order that changes as little as can be. Pure.

Owns the order, the budget and the form. Choosing and opening memories is `vault.context_path`'s affair.

A provider's prompt cache hits where a prompt begins with the same bytes as the one before. So what stands in a
window stays where it is while it is within the budget, what is new comes behind it, and when the budget is full so
much goes at once that the next few questions push nothing out: the beginning moves seldom, not a little each time.

Stored text is data, never instructions: it stands inside marks that it cannot close, each with whose word it is and
how far it may be relied on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import takewhile
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from vault.clock import microseconds
from vault.model import Memory

CountTokens = Callable[[str], int]
_BYTES_A_TOKEN: Final = 3
_AFTER_CLEARING: Final = 0.5
"""Share of the budget that is left filled when it ran over: what goes stood first, so all behind it moves."""
_HEAD: Final = "<memories>\n"
_FOOT: Final = "</memories>\n"


def estimated_tokens(text: str) -> int:
    """Return more tokens than a byte-pair tokenizer makes of ordinary text: one for each three bytes.

    English takes about four bytes a token (Sennrich et al. 2016 and what providers publish); where the exact number
    matters, pass the model's own tokenizer.
    """
    return -(-len(text.encode()) // _BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True)
class Placed:
    """A memory in a window: which version, and when it was last asked for. No content."""

    memory_id: str
    version: int
    turn: int
    """Number of the question that last found it."""


@dataclass(frozen=True, slots=True)
class ContextBlock:
    """Memories for a model, within a budget."""

    text: str = field(repr=False)
    """What is to stand in the prompt, before what changes with each question."""
    memory_ids: tuple[str, ...]
    """What stands in it, in order."""
    tokens: int
    """Of the whole text, as counted."""
    reused: int
    """Tokens at its beginning that the block before had at the same place: what a prompt cache spares."""
    left_out: int
    """Memories that were found and did not fit."""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex: two prompts that begin alike can be told without their text."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Rendered:
    """One memory as it stands in a block."""

    memory: Memory = field(repr=False)
    text: str = field(repr=False)
    tokens: int


def rendered(memory: Memory, count: CountTokens) -> Rendered:
    """Return a memory in its marks."""
    told = memory.provenance
    marks = {
        "id": memory.id,
        "trust": memory.trust.value,
        "from": told.role.value,
        "speaker": told.speaker,
        "looks-like": " ".join(memory.labels),
        "at": "" if told.at is None else told.at.isoformat(timespec="minutes"),
    }
    named = "".join(f" {name}={_quoted(value)}" for name, value in marks.items() if value)
    text = f"<memory{named}>{escape(memory.text)}</memory>\n"
    return Rendered(memory, text, count(text))


def arranged(
    before: Sequence[Placed], found: Sequence[str], items: Mapping[str, Rendered], budget: int, turn: int
) -> list[Placed]:
    """Return what a window holds after a question, in order.

    Args:
        before: What it held.
        found: Ids that fit the question, best first; each is in `items`.
        items: What may be shown now; what stood in the window and is not here, or in another version, goes.
        budget: Tokens for all of them together.
        turn: Number of this question.
    """
    asked = set(found)
    stay = [
        Placed(one.memory_id, one.version, turn if one.memory_id in asked else one.turn)
        for one in before
        if one.memory_id in items and items[one.memory_id].memory.version == one.version
    ]
    there = {one.memory_id for one in stay}
    fresh = _fitting([one for one in found if one not in there], items, budget)
    new = [Placed(one, items[one].memory.version, turn) for one in sorted(fresh, key=_age(items))]
    if _size(items, stay) + _size(items, new) <= budget:
        return [*stay, *new]
    return _cleared(stay, new, [*found], items, budget, turn)


def block(
    placed: Sequence[Placed],
    items: Mapping[str, Rendered],
    before: Sequence[Placed],
    *,
    left_out: int,
    count: CountTokens,
) -> ContextBlock:
    """Return the text of a window."""
    same = sum(
        1
        for _ in takewhile(
            lambda pair: (pair[0].memory_id, pair[0].version) == (pair[1].memory_id, pair[1].version),
            zip(placed, before, strict=False),
        )
    )
    shown = [items[one.memory_id] for one in placed]
    text = _HEAD + "".join(one.text for one in shown) + _FOOT
    head = count(_HEAD)
    return ContextBlock(
        text,
        tuple(one.memory_id for one in placed),
        head + sum(one.tokens for one in shown) + count(_FOOT),
        head + sum(one.tokens for one in shown[:same]) if before else 0,
        left_out,
    )


def frame_tokens(count: CountTokens) -> int:
    """Return what the marks around all memories take of a budget."""
    return count(_HEAD) + count(_FOOT)


def _cleared(  # noqa: PLR0917  # as `arranged`
    stay: Sequence[Placed],
    new: Sequence[Placed],
    found: Sequence[str],
    items: Mapping[str, Rendered],
    budget: int,
    turn: int,
) -> list[Placed]:
    """Make room: what the question found stays as far as it fits, then what was asked for latest."""
    kept = set(_fitting(found, items, budget))
    room = int(budget * _AFTER_CLEARING) - sum(items[one].tokens for one in kept)
    for one in sorted(stay, key=lambda placed: (-placed.turn, _age(items)(placed.memory_id))):
        if one.turn != turn and items[one.memory_id].tokens <= room:
            kept.add(one.memory_id)
            room -= items[one.memory_id].tokens
    return [one for one in (*stay, *new) if one.memory_id in kept]


def _fitting(found: Iterable[str], items: Mapping[str, Rendered], budget: int) -> list[str]:
    """Return as many, best first, as the budget holds; one that is too large does not stop the next."""
    fitting: list[str] = []
    for one in found:
        if items[one].tokens <= budget:
            fitting.append(one)
            budget -= items[one].tokens
    return fitting


def _size(items: Mapping[str, Rendered], placed: Iterable[Placed]) -> int:
    return sum(items[one.memory_id].tokens for one in placed)


def _age(items: Mapping[str, Rendered]) -> Callable[[str], tuple[int, str]]:
    return lambda memory_id: (microseconds(items[memory_id].memory.recorded), memory_id)


def _quoted(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
