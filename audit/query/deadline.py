"""How long one question may take of the machine.

Owns the moment at which work on a question stops. SQLite asks for it every few thousand steps and counting
before each block, so that no query, however it is put together, holds a processor for longer.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Final

from sqlalchemy import Connection

_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""


class QuestionTooDearError(Exception):
    """A question was not answered within its time."""


class Deadline:
    """A moment after which a question is given up.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._ending = monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return monotonic() >= self._ending

    def check(self) -> None:
        """Go on.

        Raises:
            QuestionTooDearError: it is too late.
        """
        if self.passed:
            raise QuestionTooDearError("the question took too long")


ENDLESS: Final = Deadline(inf)


@contextmanager
def interrupting(connection: Connection, deadline: Deadline) -> Iterator[None]:
    """Have SQLite stop what it does once a deadline has passed."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # narrows
    driver.set_progress_handler(lambda: deadline.passed, _STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, _STEPS)
