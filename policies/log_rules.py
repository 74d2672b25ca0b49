"""When a receipt is final: the rules in `log.yaml`, parsed strictly.

Owns the witnesses that count, how many of them it takes, and whether the anchor is needed. It leaves the
cosignatures themselves to `audit.cosignature`, which this room does not know, and where witnesses are
reached to the settings. Pure: text in, rules out.

A key is checked whole: a mistyped one would be a witness that never signs, found out when it is needed.
"""

import binascii
from base64 import b64decode, b64encode
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policies.errors import PolicyInvalidError
from policies.strict_yaml import PlainLoader

MAX_POLICY_CHARACTERS: Final = 100_000
MAX_WITNESSES: Final = 32
MAX_NAME: Final = 255
_KEY_TYPE: Final = 4
_KEY_BYTES: Final = 33


class AnchorRule(StrEnum):
    """Whether a checkpoint must stand in the anchor before a receipt under it is final."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class StartRule(StrEnum):
    """What a vault does when it opens and too few witnesses answer."""

    SERVE = "serve"
    REFUSE = "refuse"


class LogRules(BaseModel):
    """The parsed `log.yaml`: immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Annotated[int, Field(ge=1, le=1)]
    witnesses: Annotated[tuple[str, ...], Field(max_length=MAX_WITNESSES)]
    """C2SP verifier keys of type 0x04."""
    required: Annotated[int, Field(ge=0, le=MAX_WITNESSES)]
    """Cosignatures by different witnesses that a final receipt's checkpoint has."""
    anchor: AnchorRule
    unanswered_at_start: StartRule

    @field_validator("witnesses", mode="before")
    @classmethod
    def _sequence(cls, value: object) -> object:
        """Take YAML's list where the value is an immutable tuple."""
        return tuple(value) if isinstance(value, list) else value

    @field_validator("witnesses")
    @classmethod
    def _whole_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no key, and two keys that are one witness."""
        keys = [_split(key) for key in value]
        for named, things in (("name", [name for name, _ in keys]), ("key", [public for _, public in keys])):
            if len(set(things)) != len(things):
                raise ValueError(f"expected each witness's {named} once")
        return value

    @field_validator("anchor", mode="before")
    @classmethod
    def _known_anchor(cls, value: object) -> AnchorRule:
        """Take the rule's name; strict mode would want the member itself."""
        if not isinstance(value, str) or value not in set(AnchorRule):
            raise ValueError(f"expected one of {', '.join(AnchorRule)}")
        return AnchorRule(value)

    @field_validator("unanswered_at_start", mode="before")
    @classmethod
    def _known_start(cls, value: object) -> StartRule:
        """Take the rule's name; strict mode would want the member itself."""
        if not isinstance(value, str) or value not in set(StartRule):
            raise ValueError(f"expected one of {', '.join(StartRule)}")
        return StartRule(value)

    @model_validator(mode="after")
    def _reachable(self) -> "LogRules":
        """Refuse a number that no receipt could ever reach."""
        if self.required > len(self.witnesses):
            raise ValueError(f"expected required of at most {len(self.witnesses)}, the number of witnesses")
        return self


def witness_name(key: str) -> str:
    """Return the name in a witness's key."""
    return key.partition("+")[0]


def _split(key: str) -> tuple[str, bytes]:
    """Return name and public key of a witness's verifier key; raise where it is none."""
    name, first, rest = key.partition("+")
    key_id, second, encoded = rest.partition("+")
    if not (first and second and name.isprintable() and " " not in name and 1 <= len(name) <= MAX_NAME):
        raise ValueError("expected witnesses as name, id and base64, joined by plus signs")
    try:
        value = b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("expected a witness's key in base64") from None
    if len(value) != _KEY_BYTES or value[0] != _KEY_TYPE or b64encode(value).decode() != encoded:
        raise ValueError("expected a witness's key of type 0x04 and 32 bytes")
    if sha256(name.encode() + b"\n" + value).digest()[:4].hex() != key_id:
        raise ValueError("expected the key id that belongs to a witness's name and key")
    return name, value


def parse_log_rules(text: str) -> LogRules:
    """Parse the text of a `log.yaml`.

    Raises:
        PolicyInvalidError: it is no YAML, a key stands there twice, or it is not exactly these rules.
    """
    if len(text) > MAX_POLICY_CHARACTERS:
        raise PolicyInvalidError(f"log.yaml: expected at most {MAX_POLICY_CHARACTERS} characters")
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        names = [key.value for key, _ in document.value] if isinstance(document, yaml.MappingNode) else []
        if len(set(names)) != len(names):
            raise PolicyInvalidError("log.yaml: expected each key once: the second would silently win")
        return LogRules.model_validate(yaml.load(text, Loader=PlainLoader))  # noqa: S506  # a SafeLoader, stricter
    except (yaml.YAMLError, RecursionError):
        raise PolicyInvalidError("log.yaml is no YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PolicyInvalidError(f"log.yaml, {place}: {first['msg']}") from None
