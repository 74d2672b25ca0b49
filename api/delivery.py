"""From a stream of the log to a receiver, with the cursor behind it.

Owns the order that makes a delivery at-least-once: a batch is handed over, the receiver has taken it, and
only then the cursor moves. Killed anywhere between, the next run sends the batch again; items carry their
leaf index, so that a receiver drops what it has had.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, Final, Protocol

from api.errors import DeliveryFailedError, NotReadyError
from audit.siem.formats import Formatter
from audit.siem.item import LogItem
from vault.log_stream import Anchored
from vault.stream_cursor import CursorFile


class Source(Protocol):
    """What items come from: an open vault, or one that is served."""

    @property
    def reached(self) -> Anchored | None:
        """The place behind the last entry that was looked at; None before the first."""
        ...

    def batches(self) -> Iterator[list[LogItem]]:
        """Yield batches until there is nothing more to give; an empty one where nothing fits a query."""
        ...


Sink = Callable[[bytes], None]
"""Returns when the receiver has taken the bytes; raises `DeliveryFailedError` where nobody knows."""

LONGEST_PAUSE: Final = 60.0


class Delivery:
    """One stream on its way to one receiver.

    Args:
        stream: What is delivered.
        write: Writes an item.
        sink: The receiver.
        cursor: Moves behind what was taken; None keeps no place.
    """

    def __init__(
        self, stream: Source, write: Formatter, sink: Sink, cursor: CursorFile | None = None
    ) -> None:
        self._stream = stream
        self._write = write
        self._sink = sink
        self._cursor = cursor
        self.delivered = 0
        """Items that were taken."""

    def run(self) -> int:
        """Deliver until the stream's end and return how many items were taken.

        Raises:
            DeliveryFailedError: the receiver did not take a batch; the cursor stands before it.
        """
        for items in self._stream.batches():
            self._hand_over(items)
        return self.delivered

    def follow(
        self,
        seconds: float,
        note: Callable[[str], None],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Deliver for ever: wait where there is nothing new, send again what a receiver did not take.

        Args:
            seconds: Between two looks at the log.
            note: Is told of a receiver or a server that fails, once until it works again.
            sleep: Waits.
        """
        answers = True
        while True:
            try:
                for items in self._stream.batches():
                    self._insist(items, seconds, note, sleep)
                answers = True
            except NotReadyError as error:
                if answers:
                    note(str(error))
                answers = False
            sleep(seconds)

    def _insist(
        self,
        items: Sequence[LogItem],
        seconds: float,
        note: Callable[[str], None],
        sleep: Callable[[float], object],
    ) -> None:
        pause = seconds
        while True:
            try:
                self._hand_over(items)
            except DeliveryFailedError as error:
                if pause == seconds:
                    note(str(error))
                sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    def _hand_over(self, items: Sequence[LogItem]) -> None:
        if items:
            self._sink(b"".join(map(self._write, items)))
        reached = self._stream.reached
        if self._cursor is not None and reached is not None:
            # Behind what was looked at, whether it fitted or not: a query that fits nothing is not asked anew.
            self._cursor.write(reached)
        self.delivered += len(items)


def file_sink(file: BinaryIO) -> Sink:
    """Return a sink that writes to a file or pipe.

    A regular file has taken a batch when it is on the disk; a pipe, when it is in the pipe: whoever reads
    there says nothing.
    """

    def take(batch: bytes) -> None:
        try:
            file.write(batch)
            file.flush()
            if _is_regular(file):
                os.fsync(file.fileno())
        except OSError as error:
            raise DeliveryFailedError(f"the output did not take the batch: {error.strerror}") from None

    return take


def give_up(file: BinaryIO) -> None:
    """Let nothing that is left in a broken pipe's buffer be written, and fail, when the process ends."""
    with suppress(OSError, ValueError):  # no file of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)


def _is_regular(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False  # a file of the interpreter's own, in memory
