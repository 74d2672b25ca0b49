"""From a question to a context block: what fits it, beside what the window held, read anew and within a budget.

Owns the call. It leaves reading, and the entry of what was read, to `vault.read_path`, the order to
`vault.tiers.context`, and what windows hold to `vault.tiers.windows`. Nothing stays in a window that the
caller may not read now: each question reads all of it again, under its own grant.
"""

from dataclasses import dataclass
from typing import Final

from policies.model import Principal
from vault.errors import InputInvalidError
from vault.model import Receipt, TrustState
from vault.read_path import MAX_HITS, Question, ReadPath
from vault.tiers.context import (
    ContextBlock,
    CountTokens,
    arranged,
    block,
    estimated_tokens,
    frame_tokens,
    rendered,
)
from vault.tiers.windows import ContextWindows, WindowName

MAX_TOKENS: Final = 1_000_000
_MAX_WINDOW: Final = MAX_HITS
"""Memories that stay in a window at most beside those that are found."""
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class ContextQuestion:
    """What one call of context asks for."""

    question: Question
    tokens: int
    """Budget of the block."""
    window: str = ""
    """Name of the conversation; each keeps an order of its own."""
    count: CountTokens = estimated_tokens


@dataclass(frozen=True, slots=True)
class Context:
    """A context block, and the entry that says what was read for it."""

    block: ContextBlock
    masked_query: str
    receipt: Receipt


class ContextPath:
    """Carries a question to a context block."""

    def __init__(self, read: ReadPath, windows: ContextWindows) -> None:
        self._read = read
        self._windows = windows

    def compose(self, principal: Principal, asked: ContextQuestion) -> Context:
        """Return the memories for a prompt, masked.

        Raises:
            InputInvalidError: the budget or the window's name is out of range.
            VaultError: as `ReadPath.retrieve`.
        """
        count, name = asked.count, _named(principal, asked)
        budget = asked.tokens - frame_tokens(count)
        turn, before = self._windows.of(name)
        held = [one.memory_id for one in before[-_MAX_WINDOW:]]
        answer, memories = self._read.together(principal, asked.question, held)
        # What was revoked is found no more; what a window holds was found before that.
        items = {
            memory_id: rendered(memory, count)
            for memory_id, memory in memories.items()
            if memory.trust is not TrustState.REVOKED
        }
        found = [hit.memory.id for hit in answer.hits]
        placed = arranged(before, found, items, budget, turn + 1)
        left_out = len(set(found).difference(one.memory_id for one in placed))
        made = block(placed, items, before, left_out=left_out, count=count)
        self._windows.put(name, turn + 1, placed, made)
        return Context(made, answer.masked_query, answer.receipt)


def _named(principal: Principal, asked: ContextQuestion) -> WindowName:
    if type(asked.tokens) is not int or not frame_tokens(asked.count) < asked.tokens <= MAX_TOKENS:
        raise InputInvalidError(
            f"expected a budget of {frame_tokens(asked.count) + 1} to {MAX_TOKENS} tokens"
        )
    if type(asked.window) is not str or len(asked.window) > _MAX_NAME:
        raise InputInvalidError(f"expected a window's name of at most {_MAX_NAME} characters")
    return principal.tenant, principal.id, asked.question.purpose, asked.window
