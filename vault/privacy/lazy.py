"""A detector that is made when it is first needed.

Loading Presidio takes over a second, which verifying a log or showing a memory need not pay.
"""

import threading
from collections.abc import Callable, Sequence

from vault.privacy.findings import Detector, Finding


class LazyDetector:
    """Stands for a detector until somebody asks it something; safe between threads.

    Args:
        make: Makes the detector; called once. What it raises is raised to whoever asked first, and to the next.
    """

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make = make
        self._made: Detector | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name and version of the detector."""
        return self._detector().name

    def detect(self, text: str) -> Sequence[Finding]:
        """Return the detector's findings."""
        return self._detector().detect(text)

    def _detector(self) -> Detector:
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made
