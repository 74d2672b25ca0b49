"""How long memories are kept and what becomes of them then: the rules in `retention.yaml`, parsed strictly.

Owns reading the file and questions that go over all its parts. It leaves the form of the parts to
`policies.retention_model`, whether they hold together to `policies.retention_check`, calendars to
`policies.duration`, what a memory holds to the vault, and removing to `vault.expiry`. Pure.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from policies.errors import PolicyInvalidError
from policies.placement import check_placement
from policies.privacy import EntityType
from policies.retention_check import check_rules
from policies.retention_model import Floor, RetentionRules
from policies.strict_yaml import read_yaml

MAX_POLICY_CHARACTERS: Final = 200_000
DEFAULT_FILE: Final = Path(__file__).with_name("retention.yaml")


def parse_retention_rules(text: str) -> RetentionRules:
    """Parse the text of a `retention.yaml`.

    Raises:
        PolicyInvalidError: it is no YAML, a key stands there twice, it is not exactly these rules, or they do not
            hold together.
    """
    document = read_yaml(text, "retention.yaml", max_characters=MAX_POLICY_CHARACTERS)
    try:
        rules = RetentionRules.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PolicyInvalidError(f"retention.yaml, {place}: {first['msg']}") from None
    check_rules(rules)
    check_placement(rules)
    return rules


def default_retention_rules() -> RetentionRules:
    """Return the rules that ship with the vault."""
    return parse_retention_rules(DEFAULT_FILE.read_text(encoding="utf-8"))


def floors_over(rules: RetentionRules, class_id: str, tenant: str) -> tuple[Floor, ...]:
    """Return the floors that may speak of memories of a class and tenant, whatever those hold."""
    return tuple(floor for floor in rules.floors if floor.speaks_of(class_id, tenant))


def kept_until(floors: Iterable[Floor], kinds: frozenset[EntityType], recorded: datetime) -> datetime | None:
    """Return until when floors keep a memory that was written at a time and holds these kinds; None: no floor does."""
    ends = [floor.at_least.after(recorded) for floor in floors if floor.speaks_of_kinds(kinds)]
    return max(ends, default=None)
