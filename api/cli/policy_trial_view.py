"""Answers of `memvault policy simulate`, as JSON values and as lines for people."""

from collections.abc import Iterator
from typing import Final, Self

from pydantic import BaseModel

from api.cli.output import counted
from api.cli.policy_view import ReplayView
from policies.review.trial import Disagreement, Trial

_MOST_NAMED: Final = 5
"""Principals that a line names; `--json` has up to a hundred of each kind of request."""


class DisagreementView(BaseModel):
    """Requests that a candidate decides otherwise."""

    way: str
    sentence: str
    where: dict[str, list[str]]
    witness: str
    count: int
    first: int
    last: int
    principals: dict[str, int]
    more_principals: int

    @classmethod
    def of(cls, one: Disagreement) -> Self:
        """Show one."""
        return cls(
            way=one.way.value,
            sentence=one.sentence,
            where=one.where,
            witness=one.witness,
            count=one.count,
            first=one.first,
            last=one.last,
            principals=dict(one.principals.most_common()),
            more_principals=one.more_principals,
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"{self.count:>8} {self.way}: {self.sentence}"
        yield f"         e.g. {self.witness}"
        named = [f"{name} {count}" for name, count in list(self.principals.items())[:_MOST_NAMED]]
        left = sum(list(self.principals.values())[_MOST_NAMED:]) + self.more_principals
        others = [f"others {left}"] if left else []
        yield f"         entries {self.first} to {self.last}; {', '.join([*named, *others])}"


class SimulationView(BaseModel):
    """What the log so far says of a candidate."""

    disagreements: list[DisagreementView]
    replay: ReplayView

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        for one in self.disagreements:
            yield from one.lines()
        yield from self.replay.summary()


class TrialView(BaseModel):
    """What a vault wrote of one candidate on trial."""

    candidate: str
    began: int
    ended: int
    differing: int
    untold: int
    unreadable: int
    disagreements: list[DisagreementView]

    @classmethod
    def of(cls, one: Trial) -> Self:
        """Show one."""
        return cls(
            candidate=one.candidate,
            began=one.began,
            ended=one.ended,
            differing=one.differing,
            untold=one.untold,
            unreadable=one.unreadable,
            disagreements=[DisagreementView.of(found) for found in one.disagreements()],
        )

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"candidate {self.candidate}: began {counted(self.began, 'time', 'times')}, ended {self.ended}"
        for one in self.disagreements:
            yield from one.lines()
        yield f"{counted(self.differing, 'decision', 'decisions')} otherwise"
        if self.untold:
            yield f"{self.untold} more of too many kinds to be told"
        if self.unreadable:
            yield f"{counted(self.unreadable, 'entry names', 'entries name')} what this version does not know"


class TrialsView(BaseModel):
    """What a vault wrote of all candidates on trial."""

    trials: list[TrialView]
    erased: int
    """Entries of trials whose payload was erased: nobody knows of which candidate they were."""
