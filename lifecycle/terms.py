"""When a job runs: every so often, or at times of a calendar in UTC.

    parse_term("15m")            # s, m, h or d
    parse_term("17 3 * * *")     # cron: daily at 03:17 UTC
    parse_term("off")            # None

Owns the written form. What fires next in a calendar is `lifecycle.scheduler`'s.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lifecycle.scheduler import Cron
from vault.errors import InputInvalidError

OFF: Final = "off"
MIN_SECONDS: Final = 10
MAX_SECONDS: Final = 366 * 86_400
_EVERY: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Every:
    """So many seconds after the last run began.

    Raises:
        InputInvalidError: more often than every 10 seconds, or less than once a year.
    """

    seconds: int

    def __post_init__(self) -> None:
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise InputInvalidError(f"expected an interval from {MIN_SECONDS} s to {MAX_SECONDS // 86_400} d")

    def after(self, moment: datetime) -> datetime:
        """Return when it comes next, later than a moment."""
        return moment + timedelta(seconds=self.seconds)

    @property
    def text(self) -> str:
        """The written form, in the largest unit that fits."""
        unit = next(name for name, size in reversed(_UNITS.items()) if self.seconds % size == 0)
        return f"{self.seconds // _UNITS[unit]}{unit}"


Term = Every | Cron


def parse_term(text: str) -> Term | None:
    """Read a term; None is `off`.

    Raises:
        InputInvalidError: it is none.
    """
    written = text.strip()
    if written == OFF:
        return None
    found = _EVERY.fullmatch(written)
    if found is None:
        return Cron(written)
    return Every(int(found[1]) * _UNITS[found[2]])
