"""The memory itself: MemOS pipeline, privacy gate, crypto, storage, search."""

from vault.memos import MemOS

__all__ = ["MemOS"]
