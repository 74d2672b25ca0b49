"""privacy.yaml is parsed strictly: every kind decided, nothing unknown, nothing twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.emergencies import MAX_MINUTES, longest
from policies.errors import PolicyInvalidError
from policies.model import Role
from policies.privacy import (
    DEFAULT_FILE,
    MAX_POLICY_CHARACTERS,
    EntityType,
    PrivacyAction,
    default_privacy_rules,
    parse_privacy_rules,
)

TEXT = DEFAULT_FILE.read_text(encoding="utf-8")


def test_the_shipped_rules_decide_every_kind() -> None:
    rules = default_privacy_rules()
    assert set(rules.entities) == set(EntityType)
    assert rules.rule(EntityType.SECRET).action is PrivacyAction.REDACT
    assert rules.rule(EntityType.CALENDAR).action is PrivacyAction.ALLOW
    assert rules.languages == ("en",)


def test_parsing_twice_gives_the_same_digest_and_any_change_another() -> None:
    first, again = parse_privacy_rules(TEXT), parse_privacy_rules(TEXT + "\n# a comment\n")
    changed = parse_privacy_rules(TEXT.replace("spacy: false", "spacy: true"))
    assert first.digest == again.digest
    assert first.digest.startswith("sha256:")
    assert len({first.digest, changed.digest}) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("version: 1", "version: '1'"),
        ("version: 1", "version: 1\nversion: 1"),
        ("version: 1", "version: 1\nextra: 1"),
        ("languages: [en]", "languages: []"),
        ("languages: [en]", "languages: [english]"),
        ("languages: [en]", "languages: en"),
        ("max_characters: 200000", "max_characters: 0"),
        ("max_characters: 200000", "max_characters: 99999999"),
        ("spacy: false", "spacy: 'no'"),
        ("  PERSON:  ", "  PERSONS: "),
        ("  PERSON:  ", "  PERSON: {action: allow, threshold: 0.1}\n  PERSON:"),
        ("SECRET:         {action: redact,", "SECRET:         {action: hide,"),
        ("SECRET:         {action: redact,", "SECRET:         {action: 1,"),
        ("SECRET:         {action: redact,", "SECRET:         {action: redact, note: x,"),
        ("  - Airflow", "  - ''"),
        ("  - Airflow", "  - 7"),
    ],
)
def test_a_rule_file_with_a_mistake_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules(TEXT.replace(old, new, 1))


def test_kinds_that_are_a_list_and_no_mapping_are_refused() -> None:
    head = TEXT.partition("\nentities:")[0]
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules(f"{head}\nentities: [PERSON, PHONE]\n")


def test_a_kind_without_a_line_is_refused_by_name() -> None:
    lines = [line for line in TEXT.splitlines() if not line.strip().startswith("PASSPORT:")]
    with pytest.raises(PolicyInvalidError, match="PASSPORT"):
        parse_privacy_rules("\n".join(lines))


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "high", "null"])
def test_a_threshold_outside_zero_to_one_is_refused(threshold: str) -> None:
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules(TEXT.replace("threshold: 0.15", f"threshold: {threshold}", 1))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "- a", "{", "a: &a [*a]", "!!python/object:os.system x", "\x00"]
)
def test_what_is_no_mapping_of_rules_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules(text)


def test_a_file_beyond_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(PolicyInvalidError, match=str(MAX_POLICY_CHARACTERS)):
        parse_privacy_rules("[" * (MAX_POLICY_CHARACTERS + 1))


def test_deeply_nested_yaml_is_refused_not_crashed_on() -> None:
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules("[" * 50_000)


@given(st.text(max_size=300))
def test_no_text_parses_to_anything_but_rules_or_an_error(text: str) -> None:
    with pytest.raises(PolicyInvalidError):
        parse_privacy_rules(text)


def test_messages_never_repeat_what_stood_in_the_file() -> None:
    with pytest.raises(PolicyInvalidError) as caught:
        parse_privacy_rules(TEXT.replace("action: redact", "action: canary-7f3a", 1))
    assert "canary-7f3a" not in str(caught.value)


def test_the_rules_cannot_be_changed_once_parsed() -> None:
    rules = default_privacy_rules()
    with pytest.raises(TypeError):
        rules.entities[EntityType.PERSON] = rules.rule(EntityType.CALENDAR)  # type: ignore[index]
    assert rules.rule(EntityType.PERSON).action is PrivacyAction.TOKENIZE


def test_the_default_file_stands_beside_its_module() -> None:
    assert Path(DEFAULT_FILE).name == "privacy.yaml"


@pytest.mark.parametrize("consent", ["research", "[research, research]", "[fun]", "{research: 1}"])
def test_purposes_that_need_consent_are_known_ones_each_once(consent: str) -> None:
    text = DEFAULT_FILE.read_text("utf-8").replace("spacy: false", f"spacy: false\nconsent: {consent}", 1)
    with pytest.raises(PolicyInvalidError, match="consent"):
        parse_privacy_rules(text)


def test_purposes_that_need_consent_are_read() -> None:
    text = DEFAULT_FILE.read_text("utf-8").replace(
        "spacy: false", "spacy: false\nconsent: [research, legal]", 1
    )
    assert [purpose.value for purpose in parse_privacy_rules(text).consent] == ["research", "legal"]


def test_minutes_of_emergencies_are_no_part_of_how_a_text_is_screened() -> None:
    text = DEFAULT_FILE.read_text("utf-8")
    bounded = parse_privacy_rules(text + "\nemergency_minutes: {clinician: 60}\n")
    assert bounded.digest == parse_privacy_rules(text).digest
    assert longest(bounded.emergency_minutes, {Role.CLINICIAN, Role.AUDITOR}) == 60
    assert longest(bounded.emergency_minutes, {Role.AUDITOR}) == 0
    assert longest({}, {Role.AUDITOR}) == MAX_MINUTES
