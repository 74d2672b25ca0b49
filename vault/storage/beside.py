"""What goes into a transaction beside a call's own rows: the mark of a run's step that it was done.

Threat: a process that dies between what a step did and the note that it did it would do it again. So the note is
written where the deed is, in the transaction of the write unit; whoever runs steps sets `BESIDE` around the call.

Owns the hook alone. What is written there is `vault.engineered.marks`'.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from vault.storage.group_commit import WriteSet

Beside = Callable[[WriteSet], None]
"""Adds changes to a write set that is complete; run once for each commit, in the thread that commits."""

BESIDE: Final[ContextVar[Beside | None]] = ContextVar("beside", default=None)
