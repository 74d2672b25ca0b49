"""What the rules of retention are made of: classes, floors, conditions; each checked by itself.

Owns the vocabulary of `retention.yaml` and the form of its parts. It leaves reading the file and choosing a class
to `policies.retention`, and whether the parts hold together to `policies.retention_check`. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.duration import Duration
from policies.errors import RequestInvalidError
from policies.model import AccessTier, Purpose, check_id
from policies.privacy import EntityType

DEFAULT_RULE: Final = "default"
"""Id of the rule under which what no rule matches gets the default class."""
FOREVER: Final = "forever"
MAX_CLASSES: Final = 100
MAX_RULES: Final = 200
MAX_CHOSEN: Final = 4_096
"""Choices that are kept at most: places of many tenants, kinds of personal data together."""
SOURCES: Final = ("chat", "text", "markdown", "json")
"""Kinds of sources; `vault.model.SourceKind` repeats them."""

TIERS: Final = ("reference", "activation", "plaintext")
"""Memory tiers; `vault.model.MemoryTier` repeats them."""

RESERVED: Final = frozenset({DEFAULT_RULE, "none", "unclassified"})


class StartPoint(StrEnum):
    """From when a term runs."""

    RECORDED = "recorded"
    """From when the version was written."""
    LAST_USED = "last-used"
    """From when it was last found, read or revealed; from its writing where it never was."""
    EVENT = "event"
    """From when it was said or written in the world, rounded up to a whole day; else from its writing."""


class EndAction(StrEnum):
    """What becomes of a memory at the end of its term."""

    EXPIRE = "expire"
    """It is removed for good."""
    REDACT = "redact"
    """Personal data in it is gone for good; what is left is of the next class."""
    RE_ENCRYPT = "re-encrypt"
    """It is sealed anew under a newer key, and its term begins again."""
    ARCHIVE = "archive"
    """It goes to reference memory, and is of the next class."""
    ASK = "ask"
    """Somebody is asked, and decides."""


def _id(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("expected an id as text")  # noqa: TRY004  # pydantic collects ValueError
    try:
        return check_id("retention", value)
    except RequestInvalidError as error:
        raise ValueError(str(error)) from None


def _tuple(value: object) -> object:
    """Take YAML's list where the value is an immutable tuple; a list of nothing would match nothing."""
    if not isinstance(value, list) or not value or len(value) > len({str(item) for item in value}):
        raise ValueError("expected a list of at least one name, each once")
    return tuple(value)


def _list(value: object) -> object:
    """Take YAML's list, which may be empty."""
    return tuple(value) if isinstance(value, list) else value


def _term(value: object) -> Duration | None:
    """Take a duration, or None for ever."""
    if value == FOREVER:
        return None
    if not isinstance(value, str):
        raise ValueError("expected a duration such as P7Y, P18M, P2W or P90D, or forever")  # noqa: TRY004  # as above
    return Duration.parse(value)


def _duration(value: object) -> Duration | None:
    found = _term(value)
    if found is None:
        raise ValueError("expected a duration, not forever")
    return found


def _word(kind: type[StrEnum]) -> BeforeValidator:
    def known(value: object) -> object:
        if not isinstance(value, str) or value not in set(kind):
            raise ValueError(f"expected one of {', '.join(kind)}")
        return kind(value)

    return BeforeValidator(known)


Id = Annotated[str, BeforeValidator(_id)]
_Text = Annotated[str, Field(min_length=1, max_length=400)]
_Kinds = Annotated[tuple[Annotated[EntityType, _word(EntityType)], ...], BeforeValidator(_tuple)]
_Ids = Annotated[tuple[Id, ...], BeforeValidator(_tuple)]


def _source(value: object) -> object:
    if value not in SOURCES:
        raise ValueError(f"expected one of {', '.join(SOURCES)}")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class _Narrowing(_Part):
    """A part that speaks of everything but for what its lists leave out.

    Threat: a list whose names were taken out is null in YAML, and would speak of everything.
    """

    @model_validator(mode="after")
    def _no_empty_list(self) -> Self:
        for name in sorted(self.model_fields_set):
            if getattr(self, name) is None:
                raise ValueError(f"expected names under {name}, or no {name} at all")
        return self


class RetentionClass(_Part):
    """How long, from when, and what then."""

    id: Id
    description: _Text
    term: Annotated[Duration | None, BeforeValidator(_term)]
    """None: for ever."""
    start: Annotated[StartPoint, _word(StartPoint), Field(alias="from")] = StartPoint.RECORDED
    then: Annotated[EndAction, _word(EndAction)] | None = None
    next: Id | None = None
    """Class of what is left after `redact` and `archive`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.term is None and self.model_fields_set & {"start", "then", "next"}:
            raise ValueError("expected neither from, then nor next where the term is forever")
        if self.term is not None and self.then is None:
            raise ValueError(f"expected then: one of {', '.join(EndAction)}")
        goes_on = self.then in (EndAction.REDACT, EndAction.ARCHIVE)
        if goes_on is not (self.next is not None):
            raise ValueError("expected next, the class of what is left, with redact and archive alone")
        if self.then in (EndAction.REDACT, EndAction.RE_ENCRYPT) and self.start is StartPoint.LAST_USED:
            raise ValueError(f"expected {self.then} from recorded or event")
        return self


class Floor(_Narrowing):
    """How long what it speaks of is kept at least, from its writing on; what is left out speaks of all."""

    id: Id
    at_least: Annotated[Duration, BeforeValidator(_duration), Field(alias="at-least")]
    classes: _Ids | None = None
    entities: _Kinds | None = None
    tenants: _Ids | None = None

    def speaks_of(self, class_id: str, tenant: str) -> bool:
        """Say whether memories of this class and tenant may be meant."""
        return (self.classes is None or class_id in self.classes) and (
            self.tenants is None or tenant in self.tenants
        )

    def speaks_of_kinds(self, kinds: frozenset[EntityType]) -> bool:
        """Say whether a memory with personal data of these kinds is meant."""
        return self.entities is None or not kinds.isdisjoint(self.entities)


class Conditions(_Narrowing):
    """What a rule matches: one of the names of each list that is given."""

    entities: _Kinds | None = None
    sources: (
        Annotated[tuple[Annotated[str, BeforeValidator(_source)], ...], BeforeValidator(_tuple)] | None
    ) = None
    purposes: Annotated[tuple[Annotated[Purpose, _word(Purpose)], ...], BeforeValidator(_tuple)] | None = None
    access: (
        Annotated[tuple[Annotated[AccessTier, _word(AccessTier)], ...], BeforeValidator(_tuple)] | None
    ) = None
    tenants: _Ids | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expected a condition at least: what nothing matches gets the default class")
        return self

    def match_place(self, place: "Place") -> bool:
        """Say whether all but the kinds of personal data matches."""
        return all(
            wanted is None or value in wanted
            for wanted, value in (
                (self.sources, place.source),
                (self.purposes, place.purpose),
                (self.access, place.access_tier),
                (self.tenants, place.tenant),
            )
        )


class Rule(_Part):
    """Which memories get a class."""

    id: Id
    class_id: Annotated[Id, Field(alias="class")]
    when: Conditions


class UnusedAction(StrEnum):
    """What becomes of a memory that nobody uses."""

    REVIEW = "review"
    """Somebody is asked, and decides."""
    COMPRESS = "compress"
    """It goes to reference memory, compressed; nothing of it is lost."""


class ClockRules(_Part):
    """When the clock is not believed."""

    longest_gap: Annotated[Duration, BeforeValidator(_duration), Field(alias="longest-gap")]
    """Longest time between two runs of expiry; more, and a person has to confirm the clock."""


class StalenessRules(_Part):
    """When memories come up for review."""

    unused: Annotated[Duration | None, BeforeValidator(_term)]
    """How long nobody found or read it; `forever` asks about none."""
    then: Annotated[UnusedAction, _word(UnusedAction)] = UnusedAction.REVIEW
    """What becomes of those."""
    again: Annotated[Duration, BeforeValidator(_duration)]
    """How long one that somebody kept is left alone."""


def _tier(value: object) -> object:
    if value not in TIERS:
        raise ValueError(f"expected one of {', '.join(TIERS)}")
    return value


_Tier = Annotated[str, BeforeValidator(_tier)]
_Within = Annotated[Duration | None, BeforeValidator(_duration)]


class PlacementRule(_Narrowing):
    """When a memory moves from one memory tier to another; all that is said has to be so."""

    id: Id
    tiers: Annotated[tuple[_Tier, ...], BeforeValidator(_tuple), Field(alias="from")]
    to: _Tier
    classes: _Ids | None = None
    used_within: _Within = Field(default=None, alias="used-within")
    """It was found, read or revealed since so long ago."""
    unused_for: _Within = Field(default=None, alias="unused-for")
    """It was neither written, found, read nor revealed for so long."""
    written_within: _Within = Field(default=None, alias="written-within")
    """It was written since so long ago."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.to in self.tiers:
            raise ValueError("expected to: another memory tier than those under from")
        if not self.model_fields_set & {"classes", "used_within", "unused_for", "written_within"}:
            raise ValueError("expected used-within, unused-for, written-within or classes")
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """Where a memory is written, without what it holds."""

    tenant: str
    source: str
    purpose: Purpose
    access_tier: AccessTier


class RetentionRules(_Part):
    """The parsed `retention.yaml`: immutable; `policies.retention` makes it and sees that it holds together."""

    version: Annotated[int, Field(ge=1, le=1)]
    clock: ClockRules
    staleness: StalenessRules
    classes: Annotated[
        tuple[RetentionClass, ...], BeforeValidator(_list), Field(min_length=1, max_length=MAX_CLASSES)
    ]
    floors: Annotated[tuple[Floor, ...], Field(max_length=MAX_RULES), BeforeValidator(_list)]
    rules: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES), BeforeValidator(_list)]
    default: Id
    placement: Annotated[tuple[PlacementRule, ...], Field(max_length=MAX_RULES), BeforeValidator(_list)] = ()

    @cached_property
    def _chosen(self) -> dict[tuple[Place, frozenset[EntityType]], tuple[str, str]]:
        return {}  # not a private attribute: pydantic looks each of those up, and every write asks

    @cached_property
    def _by_id(self) -> dict[str, RetentionClass]:
        """Classes by their ids; of two with one id the first, until they are refused."""
        return {one.id: one for one in reversed(self.classes)}

    def of_class(self, class_id: str) -> RetentionClass | None:
        """Return the class of this id, if there is one: memories may be of one that was dropped since."""
        return self._by_id.get(class_id)

    def choose(self, place: Place, kinds: frozenset[EntityType]) -> tuple[str, str]:
        """Return the class of a memory with personal data of these kinds, and the rule that chose it.

        Kept: every write asks, and there are few different questions.
        """
        asked = (place, kinds)
        found = self._chosen.get(asked)
        if found is None:
            if len(self._chosen) >= MAX_CHOSEN:
                self._chosen.clear()
            found = self._chosen[asked] = self._choose(place, kinds)
        return found

    def _choose(self, place: Place, kinds: frozenset[EntityType]) -> tuple[str, str]:
        for rule in self.rules:
            wanted = rule.when.entities
            if (wanted is None or not kinds.isdisjoint(wanted)) and rule.when.match_place(place):
                return rule.class_id, rule.id
        return self.default, DEFAULT_RULE
