"""Readable cases that travel with the rules: what they are meant to say, and whether they say it.

Owns the form of `rules/tests.yaml` and asking rules every request of a case. Pure.

    - case: a clinician reads and reveals across owners to treat
      given: {roles: [clinician], resource: [private, institutional, public], relation: any}
      when: {action: [search, read, reveal], purpose: treatment}
      expect: allow
      because: who treats has to know whom

A value is one name, a list of names, or `any`; `assurance` and `emergency` are `any` where they are left out, and
`tenant` is the principal's own unless it says `other`. A case asks for each combination. Its roles are held together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from policies.errors import PolicyInvalidError
from policies.model import RESOURCES, Action, Assurance, Emergency, Purpose, Role
from policies.review.boxes import Box, points_of, witness
from policies.rule import RELATIONS, Effect, Question, Rule
from policies.space import DIMENSIONS, Answer, Answers, Points, answers, without_each
from policies.strict_yaml import read_yaml

MAX_CHARACTERS: Final = 1_000_000
MAX_CASES: Final = 2_000
LEAST_REASON: Final = 10
"""Characters: a reason that says less says nothing to a reviewer."""
_ANY: Final = "any"
_PARTS: Final = frozenset({"case", "given", "when", "expect", "because"})
_GIVEN: Final = frozenset({"roles", "resource", "relation"})
_MORE_GIVEN: Final = frozenset({"assurance", "emergency", "tenant"})
_WHEN: Final = frozenset({"action", "purpose"})
_Name = TypeVar("_Name", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Case:
    """One case."""

    name: str
    box: Box
    """What it asks for; the first list is of roles that one principal holds together."""
    expect: Effect
    because: str
    other_tenant: bool = False
    line: int = field(default=0, compare=False)

    @property
    def points(self) -> Points:
        """The points that it asks about, for each of its roles."""
        return points_of(self.box)

    def allowed(self, said: Answers) -> NDArray[np.bool_]:
        """Return which of its combinations a principal of its roles together is allowed, under what rules say."""
        asked = said[np.ix_(*self.box)]
        allowed: NDArray[np.bool_] = (asked == Answer.ALLOWED).any(axis=0)
        allowed &= ~(asked == Answer.FORBIDDEN).any(axis=0)
        return allowed

    def failing(self, said: Answers) -> Question | None:
        """Return the first request that is answered otherwise than expected; None if the case holds.

        Args:
            said: What the rules say at every point.
        """
        if self.other_tenant:
            return None if self.expect is Effect.DENY else witness(self.box)
        asked, allowed = said[np.ix_(*self.box)], self.allowed(said)
        wrong = ~allowed if self.expect is Effect.ALLOW else allowed
        if not wrong.any():
            return None
        first_wrong = int(wrong.argmax())
        place = [int(at) for at in np.unravel_index(first_wrong, wrong.shape)]
        # Of several roles the one that is allowed, where that is what is wrong.
        role = int((asked.reshape(len(self.box[0]), -1)[:, first_wrong] == Answer.ALLOWED).argmax())
        first: Box = (
            (self.box[0][role],),
            *((places[at],) for places, at in zip(self.box[1:], place, strict=True)),
        )
        return witness(first)


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that does not hold."""

    case: Case
    request: Question
    """One request of it that is answered otherwise."""


def parse_cases(text: str, file: str) -> tuple[Case, ...]:
    """Read cases; `file` stands in messages.

    Raises:
        PolicyInvalidError: with file and line: it is no list of cases, one has other parts or unknown names, gives no
            reason, or two have one name.
    """
    document = read_yaml(text, file, max_characters=MAX_CHARACTERS)
    if not isinstance(document, list) or not document:
        raise PolicyInvalidError("expected a list of cases, got none", file=file)
    if len(document) > MAX_CASES:
        raise PolicyInvalidError(f"expected at most {MAX_CASES} cases", file=file)
    lines = _lines(text)
    cases: dict[str, Case] = {}
    for line, value in zip(lines, document, strict=True):
        try:
            case = _case(value, line)
        except _CaseError as error:
            raise PolicyInvalidError(str(error), file=file, line=line) from None
        if case.name in cases:
            raise PolicyInvalidError("expected each case's name once", file=file, line=line)
        cases[case.name] = case
    return tuple(cases.values())


def failures(cases: Iterable[Case], said: Answers) -> list[Failure]:
    """Return the cases that do not hold under what rules say."""
    return [Failure(case, wrong) for case in cases if (wrong := case.failing(said)) is not None]


def covered_rules(cases: Iterable[Case], rules: Sequence[Rule]) -> frozenset[str]:
    """Return the ids of rules that some case needs: without them one of its requests would be answered otherwise."""
    own = [case for case in cases if not case.other_tenant]
    said = answers(rules)
    verdicts = [case.allowed(said) for case in own]
    needed = set()
    for rule, without in without_each(rules):
        changed = without != said
        # Of a case's roles together: a rule that denies one of them what none allows changes nothing that is asked.
        if any(
            changed[np.ix_(*case.box)].any() and (case.allowed(without) != verdict).any()
            for case, verdict in zip(own, verdicts, strict=True)
        ):
            needed.add(rule.id)
    return frozenset(needed)


def asked_points(cases: Iterable[Case]) -> Points:
    """Return all points that cases of one's own institution ask about."""
    asked = np.zeros([len(names) for names in DIMENSIONS], dtype=np.bool_)
    for case in cases:
        if not case.other_tenant:
            asked[np.ix_(*case.box)] = True
    return asked


class _CaseError(Exception):
    """Says what is wrong with a case."""


def _lines(text: str) -> list[int]:
    """Return the lines on which the items of the document begin."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return [item.start_mark.line + 1 for item in items]


def _case(value: object, line: int) -> Case:
    parts = _mapping(value, "a case", _PARTS)
    given = _mapping(parts["given"], "given", _GIVEN, _MORE_GIVEN)
    when = _mapping(parts["when"], "when", _WHEN)
    name, because = parts["case"], parts["because"]
    if not isinstance(name, str) or not name.strip():
        raise _CaseError("expected case: what it says")
    if not isinstance(because, str) or len(because) < LEAST_REASON:
        raise _CaseError(f"expected because: a reason of {LEAST_REASON} characters at least")
    if parts["expect"] not in ("allow", "deny"):
        raise _CaseError("expected expect: allow or deny")
    if given.get("tenant", "same") not in ("same", "other"):
        raise _CaseError("expected tenant: same or other")
    box: Box = (
        _places("roles", given["roles"], tuple(Role), any_allowed=False),
        _places("resource", given["resource"], RESOURCES),
        _places("relation", given["relation"], RELATIONS),
        _places("assurance", given.get("assurance", _ANY), tuple(Assurance)),
        _places("emergency", given.get("emergency", _ANY), tuple(Emergency)),
        _places("action", when["action"], tuple(Action)),
        _places("purpose", when["purpose"], tuple(Purpose)),
    )
    other = given.get("tenant", "same") == "other"
    return Case(name, box, Effect(str(parts["expect"])), because, other, line)


def _mapping(
    value: object, kind: str, needed: frozenset[str], more: frozenset[str] = frozenset()
) -> Mapping[str, object]:
    if not isinstance(value, dict) or not needed <= value.keys() <= needed | more:
        raise _CaseError(f"expected {kind} with {', '.join(sorted(needed))}")
    return value


def _places(kind: str, value: object, names: Sequence[_Name], *, any_allowed: bool = True) -> tuple[int, ...]:
    if value == _ANY and any_allowed:
        return tuple(range(len(names)))
    listed = value if isinstance(value, list) else [value]
    known = {name.value: place for place, name in enumerate(names)}
    named = [name for name in listed if isinstance(name, str) and name in known]
    if not listed or len(named) != len(listed):
        raise _CaseError(f"expected {kind}: some of {', '.join(known)}")
    if len(set(named)) != len(named):
        raise _CaseError(f"expected each {kind} once")
    return tuple(sorted(known[name] for name in named))
