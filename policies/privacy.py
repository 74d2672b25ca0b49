"""What becomes of each kind of personal data: the rules in `privacy.yaml`, parsed strictly.

Owns the kinds (`EntityType`), the actions (`PrivacyAction`) and the value `PrivacyRules`. It leaves
finding personal data to `vault.privacy`. Pure: text in, rules out; the only file read is the one
that ships beside this module.

Every kind has its line in the file: a kind that is not named would be a kind that nobody decided
on, so a missing line is refused like an unknown one.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from policies.emergencies import MAX_MINUTES
from policies.errors import PolicyInvalidError
from policies.model import Purpose, Role
from policies.strict_yaml import PlainLoader

MAX_POLICY_CHARACTERS: Final = 200_000
DEFAULT_FILE: Final = Path(__file__).with_name("privacy.yaml")


class PrivacyAction(StrEnum):
    """What becomes of a finding."""

    ALLOW = "allow"
    """It stays readable."""
    TOKENIZE = "tokenize"
    """A token stands for it; the original is sealed apart and comes back under reveal."""
    REDACT = "redact"
    """It is gone for good."""
    REFUSE = "refuse"
    """The write fails."""


class EntityType(StrEnum):
    """The kinds of personal data that the gate tells apart."""

    PERSON = "PERSON"
    TITLE = "TITLE"
    """Form of address or job title standing with or for a person."""
    ORGANIZATION = "ORGANIZATION"
    LOCATION = "LOCATION"
    """City, region or country."""
    ADDRESS = "ADDRESS"
    """Street, unit, box: below the city."""
    POSTCODE = "POSTCODE"
    NATIONALITY = "NATIONALITY"
    AGE = "AGE"
    DATE_OF_BIRTH = "DATE_OF_BIRTH"
    DATE = "DATE"
    """A machine-written date or timestamp: 6/24/1991, 2007-01-17 23:08:55."""
    CALENDAR = "CALENDAR"
    """A date as people say it: 7 May 2023, last Friday, in 2019."""
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    URL = "URL"
    IP_ADDRESS = "IP_ADDRESS"
    DEVICE = "DEVICE"
    """Hardware address, IMEI, serial number."""
    USERNAME = "USERNAME"
    CARD = "CARD"
    CARD_CODE = "CARD_CODE"
    """CVV or PIN."""
    IBAN = "IBAN"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    """Account, routing and sort numbers, BIC."""
    SSN = "SSN"
    """United States social security number."""
    NATIONAL_ID = "NATIONAL_ID"
    PASSPORT = "PASSPORT"
    DRIVER_LICENSE = "DRIVER_LICENSE"
    VEHICLE = "VEHICLE"
    """Number plate or VIN."""
    MEDICAL_RECORD = "MEDICAL_RECORD"
    MEMBER_NUMBER = "MEMBER_NUMBER"
    """Customer, policy, claim, employee or member number."""
    WALLET = "WALLET"
    """Cryptocurrency address."""
    SECRET = "SECRET"  # noqa: S105 (the name of a kind)
    """Password, API key, private key."""


class EntityRule(BaseModel):
    """What one kind gets, and how sure the detector must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    action: PrivacyAction
    threshold: float = Field(ge=0.0, le=1.0)
    """Findings with a lower score are left alone."""

    @field_validator("action", mode="before")
    @classmethod
    def _known_action(cls, value: object) -> PrivacyAction:
        """Take the action's name; strict mode would want the member itself."""
        if not isinstance(value, str) or value not in set(PrivacyAction):
            raise ValueError(f"expected one of {', '.join(PrivacyAction)}")
        return PrivacyAction(value)


Term = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]


class PrivacyRules(BaseModel):
    """The parsed `privacy.yaml`: immutable, complete over `EntityType`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Annotated[int, Field(ge=1, le=1)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=16)]
    """Languages whose recognizers run; the first is the default."""
    max_characters: Annotated[int, Field(ge=1, le=10_000_000)]
    """Longest string the gate screens, in code points; longer input is refused."""
    spacy: bool
    """Whether spaCy's small English model adds its findings (an installed extra)."""
    allow_terms: Annotated[tuple[Term, ...], Field(max_length=5_000)]
    """Technical terms that are never personal data, compared without case."""
    entities: Mapping[EntityType, EntityRule]
    consent: Annotated[tuple[Purpose, ...], Field(max_length=16)] = ()
    """Purposes for which only memories are used whose every subject consented; see `vault.consents`."""
    emergency_minutes: Mapping[Role, int] = Field(default_factory=lambda: MappingProxyType({}))
    """For how long at most whoever has a role may declare an emergency; empty: nobody is bounded below the ceiling."""

    @field_validator("consent", mode="before")
    @classmethod
    def _known_purposes(cls, value: object) -> tuple[Purpose, ...]:
        """Take purposes by their names, each once."""
        if not isinstance(value, list | tuple) or len(set(map(str, value))) != len(value):
            raise ValueError("expected a list of purposes, each once")
        if not {str(name) for name in value} <= set(Purpose):
            raise ValueError(f"expected known purposes: some of {', '.join(Purpose)}")
        return tuple(Purpose(name) for name in value)

    @field_validator("emergency_minutes", mode="before")
    @classmethod
    def _known_roles(cls, value: object) -> Mapping[Role, int]:
        """Take roles by their names, and minutes within the ceiling."""
        if not isinstance(value, Mapping) or not {str(name) for name in value} <= set(Role):
            raise ValueError(f"expected minutes by role: some of {', '.join(Role)}")
        if not all(type(one) is int and 1 <= one <= MAX_MINUTES for one in value.values()):
            raise ValueError(f"expected 1 to {MAX_MINUTES} minutes of each role")
        return MappingProxyType({Role(name): minutes for name, minutes in value.items()})

    @field_validator("languages", "allow_terms", mode="before")
    @classmethod
    def _sequence(cls, value: object) -> object:
        """Take YAML's list where the value is an immutable tuple."""
        return tuple(value) if isinstance(value, list) else value

    @field_validator("entities", mode="before")
    @classmethod
    def _known_kinds(cls, value: object) -> object:
        """Turn names into kinds; an unknown name raises."""
        if not isinstance(value, Mapping):
            raise ValueError("expected a mapping of kinds")  # noqa: TRY004 (pydantic collects ValueError)
        if not set(value) <= set(EntityType):
            raise ValueError("expected known kinds only")
        return {EntityType(name): rule for name, rule in value.items()}

    @field_validator("entities", mode="after")
    @classmethod
    def _complete(cls, value: Mapping[EntityType, EntityRule]) -> Mapping[EntityType, EntityRule]:
        """Refuse rules that leave a kind undecided."""
        missing = sorted(kind for kind in EntityType if kind not in value)
        if missing:
            raise ValueError(f"expected a rule for every kind, missing {', '.join(missing)}")
        return MappingProxyType(dict(value))

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits over the canonical JSON of what decides how a text is screened."""
        entities = {kind.value: [rule.action.value, rule.threshold] for kind, rule in self.entities.items()}
        plain = self.model_dump(exclude={"entities", "consent", "emergency_minutes"}, mode="json") | {
            "entities": entities
        }
        return "sha256:" + hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def rule(self, kind: EntityType) -> EntityRule:
        """Return what `kind` gets."""
        return self.entities[kind]


class _UniqueKeyLoader(PlainLoader):
    """A safe loader that refuses a key written twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 (PyYAML's signature)
        keys = [key.value for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise PolicyInvalidError("privacy rules: expected each key once in a mapping")
        return super().construct_mapping(node, deep=deep)


def parse_privacy_rules(text: str) -> PrivacyRules:
    """Parse the text of a `privacy.yaml`.

    Raises:
        PolicyInvalidError: not YAML, too long, a key unknown, repeated or missing, or a value out of range.
    """
    if len(text) > MAX_POLICY_CHARACTERS:
        raise PolicyInvalidError(f"privacy rules: expected at most {MAX_POLICY_CHARACTERS} characters")
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader that is stricter)
        return PrivacyRules.model_validate(document)
    except yaml.YAMLError as error:
        raise PolicyInvalidError("privacy rules: expected YAML") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise PolicyInvalidError(f"privacy rules: {place}: {first['msg']}") from error
    except RecursionError as error:
        raise PolicyInvalidError("privacy rules: expected shallow YAML") from error


def default_privacy_rules() -> PrivacyRules:
    """Return the rules that ship with the vault."""
    return parse_privacy_rules(DEFAULT_FILE.read_text(encoding="utf-8"))
