"""Each memory knows its retention class, the rule that gave it, and from when its term runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import AccessTier, Purpose
from policies.privacy import EntityType
from policies.retention import parse_retention_rules
from policies.retention_model import SOURCES, Place, RetentionRules
from vault.classification import Written, classify, classify_again, ends, kinds_of, retention_of
from vault.clock import from_microseconds, microseconds
from vault.model import SCREENED_ISSUER, Replacement, Retention, Screened, SourceKind, Span

NOW = microseconds(datetime(2026, 11, 22, 12, tzinfo=UTC))
DAY = 86_400_000_000
RULES = """
version: 1
clock: {longest-gap: P30D}
staleness: {unused: P2Y, again: P1Y}
classes:
  - {id: record, description: some, term: P10Y, from: event, then: ask}
  - {id: note, description: some, term: P90D, from: recorded, then: expire}
  - {id: used, description: some, term: P1Y, from: last-used, then: ask}
  - {id: kept, description: some, term: forever}
floors: []
rules:
  - {id: numbers, class: record, when: {entities: [MEDICAL_RECORD]}}
  - {id: research, class: used, when: {purposes: [research]}}
  - {id: law, class: kept, when: {purposes: [legal], sources: [chat]}}
default: note
"""


@pytest.fixture(scope="module")
def rules() -> RetentionRules:
    return parse_retention_rules(RULES)


def screened(*kinds: EntityType) -> Screened:
    found = tuple(Replacement(kind.value, Span(0, 1), Span(0, 1), "[X]", "x") for kind in kinds)
    return Screened("some text", found, "none/1", SCREENED_ISSUER)


def written(
    purpose: Purpose = Purpose.OPERATIONS, event: datetime | None = None, source: str = "chat"
) -> Written:
    return Written(Place("clinic", source, purpose, AccessTier.PRIVATE), NOW, event)


def test_the_sources_of_the_rules_are_those_of_the_vault() -> None:
    assert set(SOURCES) == {kind.value for kind in SourceKind}


def test_a_memory_gets_class_rule_and_start(rules: RetentionRules) -> None:
    plain = screened(EntityType.PERSON)
    said = datetime(2020, 2, 29, 8, tzinfo=UTC)
    assert classify(rules, written(), plain) == Retention("note", "default", NOW)
    assert classify(rules, written(event=said), plain) == Retention("note", "default", NOW)
    assert classify(rules, written(Purpose.LEGAL), plain) == Retention("kept", "law", NOW)
    assert classify(rules, written(Purpose.LEGAL, source="text"), plain) == Retention("note", "default", NOW)
    number = screened(EntityType.MEDICAL_RECORD)
    day = microseconds(datetime(2020, 3, 1, tzinfo=UTC))
    assert classify(rules, written(event=said), number) == Retention("record", "numbers", day)
    assert classify(rules, written(), number) == Retention("record", "numbers", NOW)


@pytest.mark.parametrize(
    ("event", "start"),
    [
        (datetime(2024, 2, 29, 0, 0, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
        (datetime(2024, 2, 28, 0, 0, 1, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
        (datetime(2023, 2, 28, 9, tzinfo=UTC), datetime(2023, 3, 1, tzinfo=UTC)),
        (datetime(2024, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2025, 1, 1, tzinfo=UTC)),
        (datetime(2024, 5, 1, 9), datetime(2024, 5, 2, tzinfo=UTC)),  # noqa: DTZ001  # naive is UTC
        # 1 May, 09:00 where it was said, is 30 April, 19:00 UTC
        (datetime(2024, 5, 1, 9, tzinfo=timezone(timedelta(hours=14))), datetime(2024, 5, 1, tzinfo=UTC)),
        (datetime(2024, 4, 30, 21, tzinfo=timezone(timedelta(hours=-11))), datetime(2024, 5, 2, tzinfo=UTC)),
        (datetime(1950, 5, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_an_event_is_rounded_up_to_a_whole_day(
    rules: RetentionRules, event: datetime, start: datetime
) -> None:
    assert retention_of(rules, "record", "numbers", NOW, event).start == microseconds(start)


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  # made aware
def test_no_term_runs_from_before_its_event(event: datetime) -> None:
    start = retention_of(parse_retention_rules(RULES), "record", "numbers", NOW, event).start
    assert 0 <= start - microseconds(event) < DAY
    assert start % DAY == 0


def test_a_change_never_shortens_a_term(rules: RetentionRules) -> None:
    number, plain = screened(EntityType.MEDICAL_RECORD), screened()
    before = classify(rules, written(), number)
    assert classify_again(rules, written(), plain, before) == before
    note = classify(rules, written(), plain)
    assert classify_again(rules, written(), number, note).class_id == "record"
    later = replace(written(), recorded=NOW + DAY)
    assert classify_again(rules, later, plain, note) == Retention("note", "default", NOW + DAY)
    kept = classify(rules, written(Purpose.LEGAL), plain)
    assert classify_again(rules, written(), number, kept) == kept


def test_a_change_never_shortens_a_term_that_runs_from_the_last_use(rules: RetentionRules) -> None:
    used = classify(rules, written(Purpose.RESEARCH), screened())
    later = replace(written(), recorded=NOW + 310 * DAY)  # it may have been read the day before
    assert classify_again(rules, later, screened(), used) == used
    assert classify_again(rules, later, screened(EntityType.MEDICAL_RECORD), used).class_id == "record"


def test_a_class_that_is_not_known_any_more_has_no_end(rules: RetentionRules) -> None:
    gone = Retention("gone", "default", NOW)
    assert ends(rules, gone) == datetime.max.replace(tzinfo=UTC)
    assert classify_again(rules, written(), screened(), gone) == gone


def test_a_term_from_the_last_use_begins_there_and_never_before_the_writing(rules: RetentionRules) -> None:
    used = Retention("used", "research", NOW)
    assert ends(rules, used) == ends(rules, used, NOW - DAY) == from_microseconds(NOW).replace(year=2027)
    assert ends(rules, used, NOW + DAY) == from_microseconds(NOW + DAY).replace(year=2027)
    assert ends(rules, Retention("note", "default", NOW), NOW + DAY) == from_microseconds(NOW + 90 * DAY)


def test_the_kinds_of_a_text_are_those_that_the_gate_masked() -> None:
    assert kinds_of(screened(EntityType.IBAN, EntityType.IBAN, EntityType.CARD)) == {
        EntityType.IBAN,
        EntityType.CARD,
    }
