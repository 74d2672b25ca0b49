"""Ends that no change of the clock puts off: kept as seconds of this process, which only go forward.

Owns the measure. It leaves what ends to whoever asks, and ends across restarts to the rows and the log.
"""

import threading
from collections.abc import Callable

from vault.clock import monotonic


class Deadlines:
    """Deadlines by id; the earliest that was ever heard of for an id stands. May be shared by threads."""

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def passed(self, name: str, left: float) -> bool:
        """Say whether a deadline has passed, of which the clock says that so many seconds are left."""
        now = self._seconds()
        with self._lock:
            end = self._ends[name] = min(self._ends.get(name, now + left), now + left)
        return now >= end
