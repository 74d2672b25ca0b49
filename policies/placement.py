"""In which memory tier a memory belongs, by recency, use and class: the part `placement` of `retention.yaml`.

Owns choosing a rule, and whether the rules hold together: each name known and used once, no rule that one before it
shadows, and no circle in which one memory would move for ever. It leaves the form of a rule to
`policies.retention_model` and moving to the vault. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, permutations

from policies.duration import Duration
from policies.errors import PolicyInvalidError
from policies.retention_model import RESERVED, PlacementRule, RetentionRules


@dataclass(frozen=True, slots=True)
class PlacedMemory:
    """What placement looks at of a memory."""

    tier: str
    class_id: str
    recorded: datetime
    last_used: datetime | None
    """None: never, as far as the log was read."""


@dataclass(frozen=True, slots=True)
class _Bounded:
    rule: PlacementRule
    used_after: datetime | None
    unused_since: datetime | None
    written_after: datetime | None

    def fits(self, memory: PlacedMemory) -> bool:
        rule = self.rule
        if memory.tier not in rule.tiers or (rule.classes and memory.class_id not in rule.classes):
            return False
        if rule.used_within and (
            memory.last_used is None or (self.used_after and memory.last_used <= self.used_after)
        ):
            return False
        last = memory.recorded if memory.last_used is None else max(memory.recorded, memory.last_used)
        if rule.unused_for and (self.unused_since is None or last > self.unused_since):
            return False
        return not (rule.written_within and self.written_after and memory.recorded <= self.written_after)


class PlacementAt:
    """The rules of placement at one moment, so that one run sees one present.

    Args:
        rules: In their order: the first that fits decides.
        now: The moment, aware.
    """

    def __init__(self, rules: Iterable[PlacementRule], now: datetime) -> None:
        def bound(term: Duration | None) -> datetime | None:
            return None if term is None else term.latest_start(now)

        self._rules = [
            _Bounded(rule, bound(rule.used_within), bound(rule.unused_for), bound(rule.written_within))
            for rule in rules
        ]

    def choose(self, memory: PlacedMemory) -> PlacementRule | None:
        """Return the rule by which a memory moves; None: it stays where it is."""
        return next((one.rule for one in self._rules if one.fits(memory)), None)


def check_placement(rules: RetentionRules) -> None:
    """See that the rules of placement hold together.

    Raises:
        PolicyInvalidError: they do not; the message names the place.
    """
    known = {one.id for one in rules.classes}
    for place, rule in enumerate(rules.placement):
        before = rules.placement[:place]
        if rule.id in RESERVED or any(rule.id == other.id for other in before):
            raise _invalid(place, f"expected each id once and none that is reserved, got {rule.id}")
        for name in rule.classes or ():
            if name not in known:
                raise _invalid(place, f"expected a class of this file, got {name}")
        shadow = next((other.id for other in before if _shadows(other, rule)), None)
        if shadow is not None:
            raise _invalid(place, f"the rule {rule.id} can never decide: {shadow} comes before it")
    for count in (2, 3):
        for some in combinations(rules.placement, count):
            if _circle(some) and _may_all_fit(some):
                names = ", ".join(one.id for one in some)
                raise _invalid(rules.placement.index(some[-1]), f"a memory would move in a circle by {names}")


def _shadows(first: PlacementRule, second: PlacementRule) -> bool:
    """Say whether one rule fits wherever the other does."""
    return (
        set(first.tiers) >= set(second.tiers)
        and (first.classes is None or set(first.classes) >= set(second.classes or ()) != set())
        and _implied(first.used_within, second.used_within, longer=True)
        and _implied(first.written_within, second.written_within, longer=True)
        and _implied(first.unused_for, second.unused_for, longer=False)
    )


def _implied(weak: Duration | None, strong: Duration | None, *, longer: bool) -> bool:
    if weak is None:
        return True
    if strong is None:
        return False
    return weak.covers(strong) if longer else strong.covers(weak)


def _circle(rules: Sequence[PlacementRule]) -> bool:
    """Say whether these rules, in some order, lead from a tier back to it."""
    return any(
        all(one.to in after.tiers for one, after in zip(order, (*order[1:], order[0]), strict=True))
        for order in permutations(rules)
    )


def _may_all_fit(rules: Sequence[PlacementRule]) -> bool:
    """Say whether one memory may fit all of these at one moment, its tier apart."""
    named = [set(rule.classes) for rule in rules if rule.classes]
    if named and not set.intersection(*named):
        return False
    since = [term for rule in rules for term in (rule.used_within, rule.written_within) if term]
    return not any(
        rule.unused_for.covers(term) for rule in rules if rule.unused_for is not None for term in since
    )


def _invalid(place: int, what: str) -> PolicyInvalidError:
    return PolicyInvalidError(f"retention.yaml, placement.{place}: {what}")
