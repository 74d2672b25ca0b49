"""A thread that does something small every few seconds until it is told to end."""

import threading
from collections.abc import Callable


class Sweeper:
    """Wipes keys whose lease has run out although nobody asks for a key any more."""

    def __init__(self, sweep: Callable[[], None], seconds: float) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep-keys", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait until it has."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._sweep()
