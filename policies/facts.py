"""What a decision was asked, as one short word of the log, so that it can be asked again under other rules.

    clinician.owner-agent:mfa:none:read:memories:1ff:clinician-treats.agent-reads-public

Owns the form: roles; assurance; emergency; action; over what (`memories` for every tier and relation, else pairs of
resource/relation); which of these were allowed, as a number in base 16 whose lowest bit is the first of them; and, where
it is known, the rules that decided: those that allowed it, or of a denial those that denied (`default-deny`: none
allows it). All of it is words of the policy's own vocabulary, so none of it says anything about a person beyond what the
entry does. Pure.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from policies.model import RESOURCES, AccessTier, Action, Assurance, Emergency, Relation, Resource, Role
from policies.rule import RELATIONS

Place = tuple[Resource, Relation]
MEMORIES: Final[tuple[Place, ...]] = tuple((tier, relation) for tier in AccessTier for relation in RELATIONS)
"""Every kind of memory that a principal may stand to within its institution, in the order of the bits."""
MAX_WORD: Final = 160
"""Characters of a word that names rules: longer ones leave no vault (`audit.payload_keys`). Others are counted: `3-more`."""
_MORE: Final = len(":999-more.")
_FEW_DIGITS: Final = 6
"""Digits of a rule's id that is named: with more, what leaves the vault could be a number of somebody's, and is kept back."""
_FIELDS: Final = 6
_MEMORIES: Final = "memories"
_RESOURCES: Final = {one.value: one for one in RESOURCES}


class Facts(NamedTuple):
    """What was asked, and what of it was allowed."""

    roles: frozenset[Role]
    assurance: Assurance
    emergency: Emergency
    action: Action
    over: tuple[Place, ...]
    allowed: frozenset[Place]
    rules: tuple[str, ...] = ()
    """Ids of the rules that decided; empty where that is not known."""


@lru_cache(maxsize=4096)
def write_facts(facts: Facts) -> str:
    """Return facts as they stand in the log."""
    named = _MEMORIES
    if facts.over != MEMORIES:
        named = ".".join(f"{one.value}/{how.value}" for one, how in facts.over)
    bits = sum(1 << place for place, one in enumerate(facts.over) if one in facts.allowed)
    roles = ".".join(sorted(facts.roles))
    asked = f"{roles}:{facts.assurance.value}:{facts.emergency.value}:{facts.action.value}:{named}:{bits:x}"
    return f"{asked}:{'.'.join(_few(facts.rules, MAX_WORD - len(asked) - _MORE))}" if facts.rules else asked


def without_rules(asked: str) -> str:
    """Return the part of a fact's word that does not say which rules decided."""
    return ":".join(asked.split(":", _FIELDS)[:_FIELDS])


@lru_cache(maxsize=4096)
def read_facts(text: str) -> Facts:
    """Invert `write_facts`.

    Raises:
        ValueError: it is not of the form, or names what this version does not know.
    """
    roles, assurance, emergency, action, named, bits, *rules = text.split(":", _FIELDS)
    over = MEMORIES if named == _MEMORIES else tuple(_places(named.split(".")))
    number = int(bits, 16)
    if not over or not 0 <= number < 1 << len(over):
        raise ValueError("expected as many bits as there are kinds of things")
    allowed = frozenset(one for place, one in enumerate(over) if number >> place & 1)
    return Facts(
        frozenset(Role(name) for name in roles.split(".")),
        Assurance(assurance),
        Emergency(emergency),
        Action(action),
        over,
        allowed,
        tuple(name for one in rules for name in one.split(".")),
    )


def _few(rules: Iterable[str], left: int) -> Iterable[str]:
    """Yield the rules that find room, and how many more there are."""
    more = 0
    for rule in rules:
        if len(rule) <= left and sum(map(str.isdigit, rule)) <= _FEW_DIGITS:
            left -= len(rule) + 1
            yield rule
        else:
            more += 1
    if more:
        yield f"{more}-more"


def _places(names: Iterable[str]) -> Iterable[Place]:
    for name in names:
        resource, _, relation = name.partition("/")
        if resource not in _RESOURCES:
            raise ValueError("expected a known resource")
        yield _RESOURCES[resource], Relation(relation)
