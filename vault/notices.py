"""Notices to a tenant's officers: what they are told as soon as somebody breaks the glass.

Owns the form of a notice, the protocol by which it leaves, and one way out that needs no server: a file in a folder
that somebody else watches. It leaves when to send, and sending again, to `vault.emergencies`. A notice says ids, fixed
words and times: nothing that is in a memory.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Notice:
    """What the officers of a tenant are told."""

    tenant: str
    emergency: str
    principal: str
    reason: str
    case: str
    purpose: str
    started: str
    """ISO 8601, UTC; so is `until`."""
    until: str


class Notifier(Protocol):
    """A way in which notices reach officers: mail, a pager, a ticket."""

    def notify(self, notice: Notice) -> None:
        """Deliver a notice; return when somebody else has it for sure. The same one may come twice.

        Raises:
            OSError: it could not be delivered: it is tried again later.
        """
        ...


class FolderNotifier:
    """Leaves each notice as a file `<emergency>.json` in a folder, whole or not at all.

    Args:
        folder: Has to be there: one that is made by itself is watched by nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def notify(self, notice: Notice) -> None:
        """Write the file, durably; one that is there already is replaced by the same."""
        text = json.dumps({"v": 1, **asdict(notice)}, sort_keys=True, indent=1) + "\n"
        made = self._folder / f".{notice.emergency}.part"
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._folder / f"{notice.emergency}.json")
