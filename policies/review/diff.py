"""What a change of policies changes: who gains and who loses what, over the whole space, and what else moves.

Owns the comparison of two bundles' access rules and cases. It leaves the other rules to `policies.review.notes`,
sentences to `policies.review.boxes` and the form of a report to `policies.review.report`. Pure.

Access is compared point by point in three values, so nothing is missed: `Moved` holds each way in which answers moved,
and together they turn the base into the head exactly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, Bundle
from policies.model import AccessTier, Action
from policies.review.boxes import Box, cover, lists_of, union, witness
from policies.review.cases import Case, asked_points, covered_rules, failures, parse_cases
from policies.review.notes import Note, Severity, notes
from policies.rule import Question, Rule, parse_rules
from policies.space import Answer, Answers, answers

_RELATION, _ACTION = 2, 5
"""Dimensions of a box."""


class Way(StrEnum):
    """How answers moved."""

    GAINED = "gained"
    """Allowed now."""
    LOST = "lost"
    """Allowed before, and not now."""
    FORBIDDEN = "forbidden"
    """Denied by a rule now, whatever else the principal is; some of it may be lost, too."""
    RELEASED = "released"
    """Denied by a rule before, and by none now; some of it may be gained, too."""


_ANSWER: dict[Way, Answer] = {
    Way.LOST: Answer.NONE,
    Way.RELEASED: Answer.NONE,
    Way.FORBIDDEN: Answer.FORBIDDEN,
    Way.GAINED: Answer.ALLOWED,
}
"""What the points of a way are answered, in the order in which they are applied."""
_OWED = frozenset(
    {
        Action.ERASE,
        Action.HOLD,
        Action.DISCLOSE,
        Action.RESTRICT,
        Action.AUDIT,
        Action.EXPORT,
        Action.REVIEW,
        Action.BREAK_GLASS,
    }
)
"""What persons, auditors and emergencies need somebody for: taking it from the last who may is no small loss."""
_GRAVE = frozenset(
    {
        Action.REVEAL,
        Action.EXPORT,
        Action.ERASE,
        Action.HOLD,
        Action.DISCLOSE,
        Action.RESTRICT,
        Action.ADMINISTER,
        Action.AUDIT,
        Action.BREAK_GLASS,
        Action.REVIEW,
        Action.PROMOTE,
    }
)


@dataclass(frozen=True, slots=True)
class Moved:
    """Points whose answer moved one way, as a box."""

    way: Way
    box: Box
    untested: bool
    """Whether the head's cases ask about none of them."""
    orphaned: bool = False
    """Lost, and of some of it no role is left that may."""

    @property
    def severity(self) -> Severity:
        """How much to look."""
        if self.way is Way.LOST and _OWED.intersection(self._actions):
            return Severity.HIGH if self.orphaned else Severity.MEDIUM
        if self.way in (Way.LOST, Way.FORBIDDEN):
            return Severity.LOW
        return Severity.HIGH if self.reasons else Severity.MEDIUM

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why to look at it first, in a few words each."""
        names, actions = lists_of(self.box), set(self._actions)
        private = AccessTier.PRIVATE in names["resources"] and "institution" in names["relations"]
        gained = self.way in (Way.GAINED, Way.RELEASED)
        found = {
            # A rule that forbade and is gone lets through whoever another role allows: nobody sees that in this bundle.
            "a rule that denied is gone": self.way is Way.RELEASED,
            "originals": gained and Action.REVEAL in actions,
            "private memory of others": gained and private,
            "more than reading and writing": gained and bool(actions & (_GRAVE - {Action.REVEAL})),
            "no role is left that may": self.orphaned,
        }
        return tuple(reason for reason, true in found.items() if true)

    @property
    def witness(self) -> Question:
        """The request of it that weighs most: originals first, and another's memory before one's own."""
        graves = [place for place in self.box[_ACTION] if tuple(Action)[place] in _GRAVE]
        nearest_last = self.box[_RELATION][-1:]
        action = (graves or self.box[_ACTION])[:1]
        return witness(
            (
                *self.box[:_RELATION],
                nearest_last,
                *self.box[_RELATION + 1 : _ACTION],
                tuple(action),
                *self.box[_ACTION + 1 :],
            )
        )

    @property
    def _actions(self) -> list[Action]:
        return [tuple(Action)[place] for place in self.box[_ACTION]]


@dataclass(frozen=True, slots=True)
class Difference:
    """All that a change changes."""

    base: str
    head: str
    """Digests of the bundles."""
    files: tuple[str, ...]
    """Names of the files whose bytes differ."""
    moved: tuple[Moved, ...] = ()
    notes: tuple[Note, ...] = ()
    rules_added: tuple[str, ...] = ()
    rules_removed: tuple[str, ...] = ()
    rules_changed: tuple[str, ...] = ()
    edits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was put into and taken from the lists of each rule that changed, e.g. `purposes +research`."""
    rules_untested: tuple[str, ...] = ()
    """Rules that the change added or changed, and of which no case of the head needs any."""
    cases_removed: tuple[str, ...] = ()
    cases_changed: tuple[str, ...] = field(default=())
    """Cases of the base that expect something else, or ask for something else, under the same name."""
    cases_failing: tuple[str, ...] = ()
    """Cases of the head that its own rules do not meet: no vault loads it."""
    cases_failing_before: tuple[str, ...] = ()
    """Those of them that the base failed, too: the change did not make them fail."""

    @property
    def cases_failing_now(self) -> tuple[str, ...]:
        """Cases that the change makes fail."""
        return tuple(name for name in self.cases_failing if name not in self.cases_failing_before)

    @property
    def severity(self) -> Severity:
        """That of the gravest part."""
        least = Severity.LOW if self.files else Severity.NONE
        found = [*(one.severity for one in self.moved), *(one.severity for one in self.notes)]
        cases = (self.cases_removed, self.cases_changed, self.cases_failing_now, self.rules_untested)
        tests = Severity.MEDIUM if any(cases) else least
        return max(least, tests, *found)


def diff(base: Bundle, head: Bundle) -> Difference:
    """Compare two bundles.

    Raises:
        PolicyInvalidError: one of them does not load.
    """
    names = sorted(base.files.keys() | head.files.keys())
    files = tuple(name for name in names if base.files.get(name) != head.files.get(name))
    before, after = _rules(base), _rules(head)
    said = answers(after.values())
    cases = parse_cases(head.text(ACCESS_TESTS), ACCESS_TESTS)
    old_cases = {case.name: case for case in parse_cases(base.text(ACCESS_TESTS), ACCESS_TESTS)}
    said_before = answers(before.values())
    failing = tuple(failure.case.name for failure in failures(cases, said))
    failed = {failure.case.name for failure in failures(old_cases.values(), said_before)}
    new_cases = {case.name: case for case in cases}
    changed = [name for name in before.keys() & after.keys() if before[name] != after[name]]
    added = sorted(after.keys() - before.keys())
    return Difference(
        base=base.digest,
        head=head.digest,
        files=files,
        moved=tuple(moves(said_before, said, cases)),
        notes=tuple(notes(base, head)),
        rules_added=tuple(added),
        rules_removed=tuple(sorted(before.keys() - after.keys())),
        rules_changed=tuple(sorted(changed)),
        edits={name: tuple(_edits(before[name], after[name])) for name in sorted(changed)},
        rules_untested=tuple(sorted({*added, *changed} - covered_rules(cases, list(after.values())))),
        cases_removed=tuple(sorted(old_cases.keys() - new_cases.keys())),
        cases_changed=tuple(
            sorted(
                name
                for name in old_cases.keys() & new_cases.keys()
                if _asks(old_cases[name]) != _asks(new_cases[name])
            )
        ),
        cases_failing=failing,
        cases_failing_before=tuple(name for name in failing if name in failed),
    )


def moves(before: Answers, after: Answers, cases: Sequence[Case] = ()) -> Iterator[Moved]:
    """Return all ways in which answers moved, as few boxes as can be found; gains first."""
    asked, allowed = asked_points(cases), (after == Answer.ALLOWED).any(axis=0)
    sets = {
        Way.GAINED: (after == Answer.ALLOWED) & (before != Answer.ALLOWED),
        Way.LOST: (after != Answer.ALLOWED) & (before == Answer.ALLOWED),
        Way.FORBIDDEN: (after == Answer.FORBIDDEN) & (before != Answer.FORBIDDEN),
        Way.RELEASED: (after != Answer.FORBIDDEN) & (before == Answer.FORBIDDEN),
    }
    for way, points in sets.items():
        for box in cover(points):
            untested = not asked[np.ix_(*box)].any()
            yield Moved(way, box, untested, orphaned=way is Way.LOST and not allowed[np.ix_(*box[1:])].all())


def applied(before: Answers, moved: Sequence[Moved]) -> Answers:
    """Return the answers after a change, from those before it and its boxes: exactly those of the head."""
    after = before.copy()
    for way, answer in _ANSWER.items():
        after[union(one.box for one in moved if one.way is way)] = answer
    return after


def _rules(bundle: Bundle) -> dict[str, Rule]:
    return {rule.id: rule for rule in parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)}


def _edits(was: Rule, now: Rule) -> Iterator[str]:
    """Say what was put into the lists of a rule, and taken from them."""
    for kind in ("roles", "resources", "relations", "assurances", "emergencies", "actions", "purposes"):
        old, new = set(getattr(was, kind)), set(getattr(now, kind))
        if old != new:
            yield " ".join(
                (
                    kind,
                    *(f"+{name}" for name in sorted(new - old)),
                    *(f"-{name}" for name in sorted(old - new)),
                )
            )
    if was.effect is not now.effect:
        yield f"effect {now.effect}, was {was.effect}"


def _asks(case: Case) -> tuple[object, ...]:
    return case.box, case.expect, case.other_tenant
