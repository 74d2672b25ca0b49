"""Whether retention rules hold together; what they say by themselves is `policies.retention_model`'s.

Owns three questions, each answered exactly:

1. Is every name known, and used once?
2. Can every rule match? One that others before it shadow is a rule that somebody believes in.
3. Does nobody undercut a floor? Whatever memory a rule may be the first to match, its class has to keep it as long
   as each floor that may speak of that memory asks for.

A memory holds personal data of any set of kinds. For one tenant, source, purpose and tier, the rules before one
take every memory that has one of their kinds; so what may reach it are the sets over the kinds that are left, and
since conditions ask for at least one of their kinds, all of those together satisfy whatever any of them does. That
makes 2^31 sets one step. Pure.
"""

from collections.abc import Iterator
from itertools import dropwhile, product
from typing import Final, NamedTuple, TypeVar

from policies.errors import PolicyInvalidError
from policies.model import AccessTier, Purpose
from policies.privacy import EntityType
from policies.retention_model import (
    DEFAULT_RULE,
    RESERVED,
    SOURCES,
    EndAction,
    Floor,
    Place,
    RetentionClass,
    RetentionRules,
    Rule,
)

MAX_CASES: Final = 200_000
"""Combinations of tenant, source, purpose and tier, times rules, that are looked through."""
ELSEWHERE: Final = "a-tenant-that-no-rule-names"
_EVERY_KIND: Final = frozenset(EntityType)
_Name = TypeVar("_Name")


class _Reached(NamedTuple):
    """That memories of a place may come to a rule, with personal data of any of these kinds."""

    class_id: str
    rule: str
    tenant: str
    kinds: frozenset[EntityType]


def check_rules(rules: RetentionRules) -> None:
    """See that the rules hold together.

    Raises:
        PolicyInvalidError: they do not; the message names the place.
    """
    _check_names(rules)
    _check_chains(rules)
    reached = list(dict.fromkeys(_reached(rules)))
    met = {one.rule for one in reached}
    for place, rule in enumerate(rules.rules):
        if rule.id not in met:
            before = ", ".join(other.id for other in rules.rules[:place] if _overlap(other, rule))
            raise _invalid(f"rules.{place}", f"the rule {rule.id} can never match: {before} come before it")
    for one, floor in product(reached, rules.floors):
        _check_floor(rules, one, floor)


def _check_names(rules: RetentionRules) -> None:
    known = {one.id for one in rules.classes}
    for what, parts in (("classes", rules.classes), ("floors", rules.floors), ("rules", rules.rules)):
        ids = [part.id for part in parts]
        for place, one in enumerate(ids):
            if one in ids[:place]:
                raise _invalid(f"{what}.{place}.id", f"expected each id once, got {one} twice")
            if one in RESERVED:
                raise _invalid(f"{what}.{place}.id", f"expected an id that is not reserved, got {one}")
    named = [("default", rules.default)]
    named += [(f"rules.{place}.class", rule.class_id) for place, rule in enumerate(rules.rules)]
    named += [
        (f"floors.{place}.classes", one)
        for place, floor in enumerate(rules.floors)
        for one in floor.classes or ()
    ]
    named += [(f"classes.{place}.next", one.next) for place, one in enumerate(rules.classes) if one.next]
    for where, name in named:
        if name not in known:
            raise _invalid(where, f"expected a class of this file, got {name}")


def _check_chains(rules: RetentionRules) -> None:
    """Refuse classes that follow each other in a circle: memories in it would never end."""
    for place, one in enumerate(rules.classes):
        if len(_chain(rules, one)) > len(rules.classes):
            raise _invalid(f"classes.{place}.next", f"the class {one.id} comes after itself")


def _chain(rules: RetentionRules, first: RetentionClass) -> list[RetentionClass]:
    """Return a class and those that follow it; one more than there are where they go round."""
    chain = [first]
    while chain[-1].next is not None and len(chain) <= len(rules.classes):
        chain += [one for one in rules.classes if one.id == chain[-1].next]
    return chain


def _reached(rules: RetentionRules) -> Iterator[_Reached]:
    """Yield what may come to each rule and to the default."""
    places = _places(rules)
    if len(places) * max(1, len(rules.rules)) > MAX_CASES:
        raise _invalid("rules", f"expected at most {MAX_CASES} combinations of what rules and floors name")
    for place in places:
        left, open_ = _EVERY_KIND, True
        for rule in rules.rules:
            if not rule.when.match_place(place):
                continue
            kinds = rule.when.entities
            if kinds is None or not left.isdisjoint(kinds):
                yield _Reached(rule.class_id, rule.id, place.tenant, left)
            if kinds is None:
                open_ = False
                break
            left -= frozenset(kinds)
        if open_:
            yield _Reached(rules.default, DEFAULT_RULE, place.tenant, left)


def _places(rules: RetentionRules) -> list[Place]:
    """Return one place of each sort that the rules tell apart."""
    conditions = [rule.when for rule in rules.rules]
    tenants = {name for one in conditions for name in one.tenants or ()}
    tenants |= {name for one in rules.floors for name in one.tenants or ()}
    sources = {name for one in conditions for name in one.sources or ()}
    purposes = {name for one in conditions for name in one.purposes or ()}
    tiers = {name for one in conditions for name in one.access or ()}
    return [
        Place(tenant, source, purpose, tier)
        for tenant, source, purpose, tier in product(
            (*sorted(tenants), ELSEWHERE),
            _and_another(sources, SOURCES),
            _and_another(purposes, tuple(Purpose)),
            _and_another(tiers, tuple(AccessTier)),
        )
    ]


def _and_another(named: set[_Name], known: tuple[_Name, ...]) -> list[_Name]:
    """Return the names that are named, and one that is not: the others are no different from it."""
    others = [name for name in known if name not in named]
    return [name for name in known if name in named] + others[:1]


def _overlap(one: Rule, other: Rule) -> bool:
    """Say whether two rules may match the same memory."""
    mine, theirs = one.when, other.when
    pairs = (
        (mine.sources, theirs.sources),
        (mine.purposes, theirs.purposes),
        (mine.access, theirs.access),
        (mine.tenants, theirs.tenants),
    )
    return all(left is None or right is None or bool(set(left) & set(right)) for left, right in pairs)


def _check_floor(rules: RetentionRules, reached: _Reached, floor: Floor) -> None:
    """See that a class that may be given to what a floor speaks of keeps it long enough."""
    chosen = next(one for one in rules.classes if one.id == reached.class_id)
    if not floor.speaks_of_kinds(reached.kinds):
        return
    meant = list(dropwhile(lambda one: not floor.speaks_of(one.id, reached.tenant), _chain(rules, chosen)))
    if not _loses_before(meant, floor):
        return
    whom = "" if reached.tenant == ELSEWHERE else f" for the tenant {reached.tenant}"
    where = "default" if reached.rule == DEFAULT_RULE else f"rules, {reached.rule}"
    raise _invalid(
        where,
        f"the class {chosen.id} ({chosen.term}) undercuts the floor {floor.id} ({floor.at_least}){whom}",
    )


def _loses_before(chain: list[RetentionClass], floor: Floor) -> bool:
    """Say whether something of a memory may be lost, with nobody asked, before a floor lets it.

    Archiving and sealing anew lose nothing. Where classes follow each other, one of them alone must be long
    enough: two terms one after the other are not added up.
    """
    for one in chain:
        if one.term is None or one.term.covers(floor.at_least):
            return False
        if one.then in (EndAction.EXPIRE, EndAction.REDACT):
            return True
    return False


def _invalid(place: str, message: str) -> PolicyInvalidError:
    return PolicyInvalidError(f"retention.yaml, {place}: {message}")
