"""The memory itself: MemOS pipeline, privacy gate, crypto, storage, search.

    from vault import MemOS

The name is loaded when it is asked for, so that a module of this room costs no more than it uses.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vault.memos import MemOS

__all__ = ["MemOS"]


def __getattr__(name: str) -> object:
    """Load the one public name on first use (PEP 562)."""
    if name == "MemOS":
        from vault.memos import MemOS  # noqa: PLC0415  # that is the point

        return MemOS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
