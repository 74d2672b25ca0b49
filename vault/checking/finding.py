"""What a consistency check finds: typed, with a severity, ids only.

Owns the values. What is looked at is the other files' of this folder, what is done about it theirs, too, where a
rule allows.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vault.storage.group_commit import Change

MAX_FINDINGS: Final = 1_000
"""Findings that are kept; more are counted."""
_SHOWABLE: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Something is not what was written: somebody has to look."""
    WARNING = "warning"
    """Something is missing that can be made anew, or comes to a bound."""
    NOTICE = "notice"
    """As it is meant to be, and worth knowing."""


class Check(StrEnum):
    """What was looked at."""

    ROW = "rows against seals"
    WORD = "rows against what the log says of each"
    LOG = "all rows against the whole log"
    EPISODE = "episodes"
    NAME = "names of subjects"
    SUBJECT = "whom memories are about"
    EDGE = "edges and what hangs on memories"
    VECTOR = "dense vectors"
    INDEX = "search index against rows"
    RETENTION = "retention classes"
    KEY = "keys"
    TOMBSTONE = "removed memories stay away"
    INTENT = "effects outside the database"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    check: Check
    severity: Severity
    where: str
    """A vault id, or a word; never what somebody else wrote."""
    expected: str
    got: str
    repaired: bool = False
    """Whether it was put right; an entry says so."""


@dataclass(slots=True)
class Findings:
    """What one run of a check came to."""

    found: list[Finding] = field(default_factory=list)
    more: int = 0
    """Findings beyond those kept."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows that were looked at, findings by severity, and repairs."""
    complete: bool = False
    """Whether everything was looked at; otherwise go on from `cursor`."""
    cursor: str = ""

    @property
    def errors(self) -> int:
        """How many of the findings are errors, kept or not."""
        return self.counts[f"{Severity.ERROR}s"]

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        self.counts[f"{finding.severity}s"] += 1
        if finding.repaired:
            self.counts["repaired"] += 1
        if len(self.found) < MAX_FINDINGS:
            self.found.append(finding)
        else:
            self.more += 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a check may go."""

    batch: int
    """Rows that are read at one time."""
    may_go_on: Callable[[], bool]
    fence: Change | None
    repair: bool
    """Whether what a rule allows is put right; else it is only told of."""

    def fenced(self, *changes: Change) -> list[Change]:
        """Return changes behind the fence, if there is one."""
        return [*changes] if self.fence is None else [self.fence, *changes]


def shown(value: object) -> str:
    """Return a value for a finding: findings go to terminals, and a column may hold anything."""
    text = str(value)
    return text if _SHOWABLE.fullmatch(text) else "something unnamed"
