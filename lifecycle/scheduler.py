"""APScheduler 3, in this one file: when a cron term fires next, and a thread that asks now and then.

Owns the vendor alone. It decides nothing: what is due is `lifecycle.timetable`'s to say, by the vault's own clock
and from the database, since APScheduler knows the machine's clock only and forgets everything with the process.
Times are UTC throughout, so that no change of summer time runs a job twice or never.
"""

import logging
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from vault.errors import InputInvalidError

_FIELDS: Final = 5
# APScheduler 3 counts weekdays from Monday, cron from Sunday: a number would mean another day to one of them.
_NUMBERED_WEEKDAY: Final = re.compile(r"[0-9]")
_QUIET: Final = logging.getLogger("lifecycle.scheduler.apscheduler")
_QUIET.setLevel(logging.ERROR)  # "maximum number of running instances": that is what they are there for


class Cron:
    """A cron term of five fields, in UTC.

    Args:
        text: Minute, hour, day of month, month, day of week, e.g. `17 3 * * mon-fri`.

    Raises:
        InputInvalidError: it is none, numbers a weekday, or never comes.
    """

    __slots__ = ("_trigger", "text")

    def __init__(self, text: str) -> None:
        fields = text.split()
        if len(fields) != _FIELDS:
            raise InputInvalidError(f"expected a cron term of {_FIELDS} fields, got {len(fields)}")
        if _NUMBERED_WEEKDAY.search(fields[4].partition("/")[0]):
            raise InputInvalidError("expected names of weekdays, such as mon or sat-sun, got numbers")
        try:
            self._trigger = CronTrigger.from_crontab(text, timezone=UTC)
        except (ValueError, TypeError) as error:
            raise InputInvalidError("expected a cron term, got fields that are none") from error
        self.text: Final = " ".join(fields)
        self.after(datetime(2000, 1, 1, tzinfo=UTC))

    def after(self, moment: datetime) -> datetime:
        """Return when it comes next, later than a moment.

        Raises:
            InputInvalidError: it never does.
        """
        found = self._trigger.get_next_fire_time(None, moment.astimezone(UTC) + timedelta(microseconds=1))
        if not isinstance(found, datetime):
            raise InputInvalidError("expected a cron term that comes, got a day that no month has")
        return found.astimezone(UTC)


class Ticker:
    """Calls functions again and again, each in one thread at a time, until it is ended.

    Args:
        threads: How many of them run at one time.
    """

    def __init__(self, threads: int) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            logger=_QUIET,
            executors={"default": ThreadPoolExecutor(threads)},
            # What was missed is called once, however late; one that still runs is not called again.
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )

    def every(self, seconds: float, name: str, call: Callable[[], None]) -> None:
        """Call a function every so many seconds, the first time somewhere within the first of them."""
        first = datetime.now(UTC) + timedelta(seconds=random.uniform(0, min(seconds, 1)))  # noqa: S311  # spreads load
        self._scheduler.add_job(
            call, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, name=name, next_run_time=first
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def end(self) -> None:
        """Call nothing any more; what runs is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
