"""Patience with a server that may be away: how often it is asked again, and when it is not asked at all.

Owns the waiting and the circuit breaker; pure but for the clock, the sleep and the randomness that are
passed in. It leaves to the caller what a failure is, and how one attempt is bounded in time.

Threat: a server that hangs. Each caller would wait its whole time and hold a thread; after a few failures
in a row nobody asks any more for a while, then one alone tries.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from vault.clock import Entropy
from vault.errors import InputInvalidError, RootSealedError, RootUnreachableError, RootUnusableError

_Result = TypeVar("_Result")
_FRACTION: Final = 2**32


@dataclass(frozen=True, slots=True)
class PatienceLimits:
    """Bounds of the waiting."""

    seconds: float = 5.0
    """Longest time of one call, all its attempts and pauses included."""
    attempts: int = 3
    """Attempts of one call."""
    pause_seconds: float = 0.05
    """Longest pause after the first attempt; doubled after each."""
    failures: int = 5
    """Failures in a row after which nobody asks for a while."""
    rest_seconds: float = 5.0
    """How long that is."""

    def __post_init__(self) -> None:
        if min(self.seconds, self.attempts, self.pause_seconds, self.failures, self.rest_seconds) <= 0:
            raise InputInvalidError("expected positive limits of patience")


class Breaker:
    """Says whether to ask at all. Shared by threads.

    Closed, everybody asks; open, nobody; after a rest one caller may try, and what comes of it decides.
    """

    def __init__(self, limits: PatienceLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._failures = 0
        self._rests_until = 0.0
        self._last: RootUnusableError = RootUnreachableError("the transit server was never asked")
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether the server is left alone now."""
        with self._lock:
            return self._is_resting()

    def admit(self) -> None:
        """See that the server may be asked.

        Raises:
            RootUnusableError: of the kind of the last failure; the server was not asked.
        """
        with self._lock:
            if self._failures < self._limits.failures:
                return
            left = self._rests_until - self._monotonic()
            if left > 0:
                raise type(self._last)(f"{self._last}; it is not asked again for {left:.1f} s")
            # This caller is the probe. Should it never report, another may try after the next rest.
            self._rests_until = self._monotonic() + self._limits.rest_seconds

    def succeeded(self) -> None:
        """Take note of an answer."""
        with self._lock:
            self._failures = 0

    def failed(self, error: RootUnusableError) -> None:
        """Take note of a failure."""
        with self._lock:
            self._failures += 1
            self._last = error
            if self._failures >= self._limits.failures:
                self._rests_until = self._monotonic() + self._limits.rest_seconds

    def _is_resting(self) -> bool:
        return self._failures >= self._limits.failures and self._monotonic() < self._rests_until


class Patience:
    """Carries a call through short failures.

    Args:
        limits: Bounds.
        monotonic: Seconds from a clock that never goes back.
        sleep: Waits that many seconds.
        entropy: For the pauses, so that many callers do not come back all at once.
    """

    def __init__(
        self,
        limits: PatienceLimits,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        entropy: Entropy,
    ) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._sleep = sleep
        self._entropy = entropy
        self.breaker: Final = Breaker(limits, monotonic)

    def call(self, attempt: Callable[[float], _Result], *, once: bool = False) -> _Result:
        """Return what an attempt returns; ask again while it is unreachable and time is left.

        Args:
            attempt: Takes the seconds that are left for it.
            once: What is asked for must not happen twice.

        Raises:
            RootUnusableError: or one of its kinds: from the last attempt, or from the breaker.
        """
        end = self._monotonic() + self._limits.seconds
        nth = 0
        while True:
            self.breaker.admit()
            try:
                result = attempt(end - self._monotonic())
            except RootUnreachableError as error:
                self.breaker.failed(error)
                pause, nth = self._pause(nth), nth + 1
                if once or nth == self._limits.attempts or self._monotonic() + pause >= end:
                    raise
                self._sleep(pause)
            except RootUnusableError as error:
                self._answered(error)
                raise
            else:
                self.breaker.succeeded()
                return result

    def _answered(self, error: RootUnusableError) -> None:
        """Count an answer: a sealed server is as good as none, any other error shows that it is there."""
        if isinstance(error, RootSealedError):
            self.breaker.failed(error)
        else:
            self.breaker.succeeded()

    def _pause(self, nth: int) -> float:
        """Return a pause between nothing and its longest ("full jitter")."""
        longest: float = self._limits.pause_seconds * 2**nth
        return longest * int.from_bytes(self._entropy(4)) / _FRACTION
