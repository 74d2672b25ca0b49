"""What a change of policies changes: who gains and who loses what, over the whole space, and what else moves.

Owns the comparison of two bundles' access rules and cases. It leaves the other rules to `policies.review.notes`,
sentences to `policies.review.boxes` and the form of a report to `policies.review.report`. Pure.

Access is compared point by point in three values, so nothing is missed: `Moved` holds each way in which answers moved,
and together they turn the base into the head exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, Bundle
from policies.model import AccessTier, Action
from policies.review.boxes import Box, cover, lists_of, union
from policies.review.cases import Case, asked_points, parse_cases
from policies.review.notes import Note, Severity, notes
from policies.rule import Rule, parse_rules
from policies.space import Answer, Answers, answers


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

    @property
    def severity(self) -> Severity:
        """How much to look."""
        if self.way in (Way.LOST, Way.FORBIDDEN):
            return Severity.LOW
        names = lists_of(self.box)
        # A rule that forbade and is gone lets through whoever another role allows: nobody sees that in this bundle.
        grave = _GRAVE.intersection(map(Action, names["actions"])) or self.way is Way.RELEASED
        everywhere = AccessTier.PRIVATE in names["resources"] and "institution" in names["relations"]
        return Severity.HIGH if grave or everywhere else Severity.MEDIUM


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
    rules_untested: tuple[str, ...] = ()
    """Rules that the change added or changed, and of which no case of the head needs any."""
    cases_removed: tuple[str, ...] = ()
    cases_changed: tuple[str, ...] = field(default=())
    """Cases of the base that expect something else, or ask for something else, under the same name."""

    @property
    def severity(self) -> Severity:
        """That of the gravest part."""
        least = Severity.LOW if self.files else Severity.NONE
        found = [*(one.severity for one in self.moved), *(one.severity for one in self.notes)]
        tests = Severity.MEDIUM if self.cases_removed or self.cases_changed or self.rules_untested else least
        return max(least, tests, *found)


def diff(base: Bundle, head: Bundle) -> Difference:
    """Compare two bundles.

    Raises:
        PolicyInvalidError: one of them does not load.
    """
    files = tuple(name for name in sorted(base.files) if base.files[name] != head.files[name])
    before, after = _rules(base), _rules(head)
    cases = parse_cases(head.text(ACCESS_TESTS), ACCESS_TESTS)
    old_cases = {case.name: case for case in parse_cases(base.text(ACCESS_TESTS), ACCESS_TESTS)}
    new_cases = {case.name: case for case in cases}
    changed = [name for name in before.keys() & after.keys() if before[name] != after[name]]
    added = sorted(after.keys() - before.keys())
    return Difference(
        base=base.digest,
        head=head.digest,
        files=files,
        moved=tuple(moves(answers(before.values()), answers(after.values()), cases)),
        notes=tuple(notes(base, head)),
        rules_added=tuple(added),
        rules_removed=tuple(sorted(before.keys() - after.keys())),
        rules_changed=tuple(sorted(changed)),
        rules_untested=tuple(sorted(_untested([*added, *changed], list(after.values()), cases))),
        cases_removed=tuple(sorted(old_cases.keys() - new_cases.keys())),
        cases_changed=tuple(
            sorted(
                name
                for name in old_cases.keys() & new_cases.keys()
                if _asks(old_cases[name]) != _asks(new_cases[name])
            )
        ),
    )


def moves(before: Answers, after: Answers, cases: Sequence[Case] = ()) -> Iterator[Moved]:
    """Return all ways in which answers moved, as few boxes as can be found; gains first."""
    asked = asked_points(cases)
    sets = {
        Way.GAINED: (after == Answer.ALLOWED) & (before != Answer.ALLOWED),
        Way.LOST: (after != Answer.ALLOWED) & (before == Answer.ALLOWED),
        Way.FORBIDDEN: (after == Answer.FORBIDDEN) & (before != Answer.FORBIDDEN),
        Way.RELEASED: (after != Answer.FORBIDDEN) & (before == Answer.FORBIDDEN),
    }
    for way, points in sets.items():
        for box in cover(points):
            yield Moved(way, box, untested=not asked[np.ix_(*box)].any())


def applied(before: Answers, moved: Sequence[Moved]) -> Answers:
    """Return the answers after a change, from those before it and its boxes: exactly those of the head."""
    after = before.copy()
    for way, answer in _ANSWER.items():
        after[union(one.box for one in moved if one.way is way)] = answer
    return after


def _rules(bundle: Bundle) -> dict[str, Rule]:
    return {rule.id: rule for rule in parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)}


def _untested(changed: Sequence[str], rules: Sequence[Rule], cases: Sequence[Case]) -> Iterator[str]:
    """Name the rules of a change without which no case of the head would be answered otherwise."""
    asked, said = asked_points(cases), answers(rules)
    for place, rule in enumerate(rules):
        if rule.id in changed:
            without = answers([*rules[:place], *rules[place + 1 :]])
            if not ((without != said) & asked).any():
                yield rule.id


def _asks(case: Case) -> tuple[object, ...]:
    return case.box, case.expect, case.other_tenant
