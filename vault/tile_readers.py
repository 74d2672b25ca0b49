"""Who reads a log's tiles, so that a reader is one entry of the log in an hour and not one for each tile.

Owns the memory of it, for as long as a vault is open. It leaves deciding and writing to `vault.log_tiles`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from vault.clock import monotonic
from vault.grant import Grant

SESSION_SECONDS: Final = 3_600.0
MAX_READERS: Final = 4_096
"""Readers that are remembered; one that was forgotten gets another entry, never none."""


class TileReaders:
    """Readers that have their entry for this hour. One for each open vault.

    Args:
        seconds: A clock that never runs back.
    """

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._until: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def is_entered(self, grant: Grant) -> bool:
        """Tell whether a reader has its entry."""
        with self._lock:
            until = self._until.get(_reader(grant))
        return until is not None and self._seconds() < until

    def enter(self, grant: Grant) -> None:
        """Remember that a reader has its entry, now that it is durable."""
        with self._lock:
            self._until[_reader(grant)] = self._seconds() + SESSION_SECONDS
            self._until.move_to_end(_reader(grant))
            while len(self._until) > MAX_READERS:
                self._until.popitem(last=False)


def _reader(grant: Grant) -> tuple[str, str, str]:
    return grant.tenant, grant.principal.id, grant.purpose.value
