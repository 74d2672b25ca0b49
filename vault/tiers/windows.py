"""Windows: which memories each caller's context block held, in order; ids and versions alone, no content.

Owns keeping them, bounded in number, and what they spared. It leaves the order to `vault.tiers.context`.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.model import Purpose
from vault.tiers.context import ContextBlock, Placed

WindowName = tuple[str, str, Purpose, str]
"""Tenant, principal, purpose, and the caller's name of the conversation."""


@dataclass(frozen=True, slots=True)
class ContextUse:
    """What windows spared a provider's prompt cache since the vault was opened, in tokens."""

    windows: int
    tokens: int = 0
    reused: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of tokens that stood at the same place in the block before, 0 to 1."""
        return self.reused / self.tokens if self.tokens else 0.0


@dataclass(slots=True)
class ContextWindows:
    """What each caller's windows hold; the one unused for longest goes first. May be shared by threads."""

    limit: int = 4_096
    _held: OrderedDict[WindowName, tuple[int, tuple[Placed, ...]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _spared: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Tokens of all blocks, and those that stood there before, by tenant."""

    def of(self, name: WindowName) -> tuple[int, tuple[Placed, ...]]:
        """Return how many questions a window saw, and what it holds."""
        with self._lock:
            return self._held.get(name, (0, ()))

    def put(self, name: WindowName, turn: int, placed: Sequence[Placed], made: ContextBlock) -> None:
        """Note what a window holds now."""
        with self._lock:
            self._held[name] = turn, tuple(placed)
            self._held.move_to_end(name)
            while len(self._held) > self.limit:
                self._held.popitem(last=False)
            tokens, reused = self._spared.get(name[0], (0, 0))
            self._spared[name[0]] = tokens + made.tokens, reused + made.reused

    def use(self, tenant: str | None = None) -> ContextUse:
        """Return what the windows spared, in numbers: of all tenants, or of one."""
        with self._lock:
            windows = sum(tenant in (None, name[0]) for name in self._held)
            spared = [pair for name, pair in self._spared.items() if tenant in (None, name)]
            return ContextUse(windows, sum(pair[0] for pair in spared), sum(pair[1] for pair in spared))
