"""Statements tile the text, times become absolute, keyphrases never cut a token."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import TimeInvalidError
from vault.pipeline.annotate import annotate
from vault.pipeline.chats import read_chats
from vault.pipeline.keyphrases import MAX_PHRASES, keyphrases
from vault.pipeline.limits import InputLimits
from vault.pipeline.sentences import split_statements
from vault.pipeline.times import find_times
from vault.pipeline.tokens import TOKEN

WEDNESDAY = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)

_PIECES = st.sampled_from(
    [
        "Dr. ",
        "i",
        " e.g. ",
        "...",
        "? ",
        "! ",
        ".\n",
        "\n\n",
        "- ",
        "1. ",
        "[PERSON-k7f2qa]",
        "[US_SSN]",
        "😊",
        " ",
        "http://a.example/b.c?d ",
        "”",
        "。",
        "no.",
        "yesterday ",
        "3 June ",
        "last ",
        "in ",
        "two weeks ",
        "before ",
        "May ",
        "2026-03-01",
        "3/4/26",
        "0000",
        "9999-12-31",
        "ago",
        "99999999 days ago ",
    ]
)
_CHATTY = st.lists(st.one_of(_PIECES, st.text(max_size=6)), max_size=30).map("".join)


@given(_CHATTY)
def test_statements_tile_everything_but_white_space_and_never_cut_a_token(text: str) -> None:
    statements = split_statements(text)
    end = 0
    for statement in statements:
        assert not text[end : statement.span.start].strip()
        assert text[statement.span.start : statement.span.end].strip()
        end = statement.span.end
    assert not text[end:].strip()
    for token in TOKEN.finditer(text):
        assert any(
            statement.span.start <= token.start() and token.end() <= statement.span.end
            for statement in statements
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Li called. Is 5.5 mg right?", ["Dr. Li called.", "Is 5.5 mg right?"]),
        ("It was 3 p.m. Then we left at 4 p.m. sharp.", ["It was 3 p.m.", "Then we left at 4 p.m. sharp."]),
        ("i went home. then i slept", ["i went home.", "then i slept"]),
        ("so... i waited. Hm... Then he came", ["so... i waited.", "Hm...", "Then he came"]),
        ("See https://example.com/a.b?c=d. Thanks", ["See https://example.com/a.b?c=d.", "Thanks"]),
        ("Great! 😊 See you", ["Great!", "😊 See you"]),
        ("Great! 😊", ["Great! 😊"]),
        ("He met J. Smith, e.g. at work.", ["He met J. Smith, e.g. at work."]),
        ("Milk\nbread\neggs", ["Milk", "bread", "eggs"]),
        ("1. Take it with food.\n2. Drink water.", ["1. Take it with food.", "2. Drink water."]),
        ('"Really?" she said. (Yes.) Fine.', ['"Really?"', "she said.", "(Yes.)", "Fine."]),
        ("Ask [PERSON-k7f2qa]. Then call.", ["Ask [PERSON-k7f2qa].", "Then call."]),
        ("no. 5 is mine. no. i said no.", ["no. 5 is mine.", "no.", "i said no."]),
        ("你好。我很好！", ["你好。", "我很好！"]),
        ("no end in sight", ["no end in sight"]),
        (
            "This line was wrapped by an old mail program that cuts at seventy\ncolumns. A new one.",
            ["This line was wrapped by an old mail program that cuts at seventy\ncolumns.", "A new one."],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_statements_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert [
        text[statement.span.start : statement.span.end] for statement in split_statements(text)
    ] == expected


@pytest.mark.parametrize(
    "text",
    [
        "Is it?",
        "Really?!",
        "what time is it",
        "ok so when can i come",
        "did you get my mail 😊",
        "¿Qué?",
        "هل أنت بخير؟",
        "(sure?)",
    ],
)
def test_questions_are_told_with_or_without_their_mark(text: str) -> None:
    assert [statement.question for statement in split_statements(text)] == [True]


@pytest.mark.parametrize(
    "text",
    ["It is.", "whatever", "What a day!", "When I was young, we walked.", "I wonder", "he asked me", "howdy"],
)
def test_what_asks_nothing_is_no_question(text: str) -> None:
    assert [statement.question for statement in split_statements(text)] == [False]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("today", "2026-03-18", "2026-03-19"),
        ("this morning", "2026-03-18", "2026-03-19"),
        ("yesterday", "2026-03-17", "2026-03-18"),
        ("last night", "2026-03-17", "2026-03-18"),
        ("tomorrow afternoon", "2026-03-19", "2026-03-20"),
        ("the day before yesterday", "2026-03-16", "2026-03-17"),
        ("the day after tomorrow", "2026-03-20", "2026-03-21"),
        ("three days ago", "2026-03-15", "2026-03-16"),
        ("10 days from now", "2026-03-28", "2026-03-29"),
        ("a few days ago", "2026-03-13", "2026-03-17"),
        ("two weeks ago", "2026-03-01", "2026-03-08"),
        ("a fortnight ago", "2026-03-01", "2026-03-08"),
        ("in three weeks", "2026-04-05", "2026-04-12"),
        ("a couple of months ago", "2026-01-01", "2026-02-01"),
        ("in 6 months' time", "2026-09-01", "2026-10-01"),
        ("ten years ago", "2016-01-01", "2017-01-01"),
        ("the last 3 weeks", "2026-02-25", "2026-03-19"),
        ("the past week", "2026-03-11", "2026-03-19"),
        ("last week", "2026-03-09", "2026-03-16"),
        ("this month", "2026-03-01", "2026-04-01"),
        ("next month", "2026-04-01", "2026-05-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("this weekend", "2026-03-21", "2026-03-23"),
        ("last weekend", "2026-03-14", "2026-03-16"),
        ("we met over the weekend", "2026-03-14", "2026-03-16"),
        ("I will rest over the weekend", "2026-03-21", "2026-03-23"),
        ("last Friday", "2026-03-13", "2026-03-14"),
        ("this friday", "2026-03-20", "2026-03-21"),
        ("next Friday", "2026-03-27", "2026-03-28"),
        ("it happened on Monday", "2026-03-16", "2026-03-17"),
        ("see you on Monday", "2026-03-23", "2026-03-24"),
        ("on Wed", "2026-03-25", "2026-03-26"),
        ("a week from Friday", "2026-03-27", "2026-03-28"),
        ("the Friday before 3 June", "2026-05-29", "2026-05-30"),
        ("the week before 3 June", "2026-05-27", "2026-06-03"),
        ("the week of June 3rd", "2026-06-01", "2026-06-08"),
        ("the month after 3 June 2025", "2025-07-01", "2025-08-01"),
        ("a fortnight after 3 June", "2026-06-14", "2026-06-21"),
        ("a fortnight from Friday", "2026-04-03", "2026-04-04"),
        ("he was told: starting Monday", "2026-03-23", "2026-03-24"),
        ("Tuesday, April 7", "2026-04-07", "2026-04-08"),
        ("Sunday the 5th of April", "2026-04-05", "2026-04-06"),
        ("the next two months", "2026-03-18", "2026-05-17"),
        ("the weekend after 3 June 2026", "2026-06-06", "2026-06-08"),
        ("the weekend before 3 June 2026", "2026-05-30", "2026-06-01"),
        ("two days before May 8", "2026-05-06", "2026-05-07"),
        ("in May", "2026-05-01", "2026-06-01"),
        ("I was there in May", "2025-05-01", "2025-06-01"),
        ("last May", "2025-05-01", "2025-06-01"),
        ("next march", "2027-03-01", "2027-04-01"),
        ("it started on the 15th", "2026-03-15", "2026-03-16"),
        ("due on the 2nd", "2026-04-02", "2026-04-03"),
        ("May 8", "2026-05-08", "2026-05-09"),
        ("my surgery was on December 3", "2025-12-03", "2025-12-04"),
    ],
)
def test_relative_times_become_absolute_from_the_date_of_the_turn(text: str, start: str, end: str) -> None:
    (mention,) = find_times(text, WEDNESDAY)
    assert (mention.start.date().isoformat(), mention.end.date().isoformat()) == (start, end)
    assert find_times(text, None) == () or "2025" in text or "2026" in text


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-02-03", "2026-02-03T00:00", "2026-02-04T00:00"),
        ("2026/2/3", "2026-02-03T00:00", "2026-02-04T00:00"),
        ("2026-02-03T10:15Z", "2026-02-03T10:15", "2026-02-03T10:16"),
        ("2026-02-03 10:15:30+02:00", "2026-02-03T10:15", "2026-02-03T10:16"),
        ("3/4/2026", "2026-03-04T00:00", "2026-03-05T00:00"),
        ("13/4/26", "2026-04-13T00:00", "2026-04-14T00:00"),
        ("3.4.2026", "2026-04-03T00:00", "2026-04-04T00:00"),
        ("May 8th, 2023", "2023-05-08T00:00", "2023-05-09T00:00"),
        ("8 may 2023", "2023-05-08T00:00", "2023-05-09T00:00"),
        ("the 8th of May, 2023", "2023-05-08T00:00", "2023-05-09T00:00"),
        ("8-May-2023", "2023-05-08T00:00", "2023-05-09T00:00"),
        ("Sept. 2021", "2021-09-01T00:00", "2021-10-01T00:00"),
        ("back in 2019", "2019-01-01T00:00", "2020-01-01T00:00"),
    ],
)
def test_written_dates_need_no_date_of_the_turn(text: str, start: str, end: str) -> None:
    (mention,) = find_times(text, None)
    assert (mention.start.isoformat()[:16], mention.end.isoformat()[:16]) == (start, end)


def test_the_weekend_without_a_tense_is_the_last_one_early_in_the_week_and_the_coming_one_later() -> None:
    monday = WEDNESDAY - timedelta(days=2)
    assert [find_times("anything fun at the weekend?", at)[0].start.day for at in (monday, WEDNESDAY)] == [
        14,
        21,
    ]


def test_the_order_of_day_and_month_is_the_caller_s_choice() -> None:
    (mention,) = find_times("3/4/2026", None, day_first=True)
    assert mention.start == datetime(2026, 4, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "this may hurt",
        "may 5 of us come",
        "every Monday",
        "on Mondays",
        "march on",
        "0000-01-01",
        "2026-13-01",
        "Dec 31, 9999",
        "99999 days ago",
        "9000 years ago",
        "the day 1.2.3.4",
        "5/6",
        "[MAY-abcdef] 5",
        "120/80/70",
        "12-34-5678",
        "Friday's",
        "the sun sat",
    ],
)
def test_what_names_no_time_that_exists_is_passed_over(text: str) -> None:
    assert find_times(text, WEDNESDAY) == ()


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("two days before 0001-01-01", "0001-01-01"),
        ("two weeks of 2026-03-01", "2026-03-01"),
        ("Friday of 2026-03-01", "2026-03-01"),
        ("the week from 2026-03-01", "2026-03-01"),
        ("Friday, 2026-03-20", "2026-03-20"),
    ],
)
def test_what_hangs_on_a_date_without_sense_leaves_the_date(text: str, start: str) -> None:
    assert find_times(text, None)[0].start.date().isoformat() == start


@pytest.mark.parametrize(
    "text", ["2026-02-30T10:00", "9999-12-31T23:59Z", "2026-02-03T25:00", "February 29, 2023"]
)
def test_a_written_moment_that_does_not_exist_has_no_clock(text: str) -> None:
    assert all(mention.end - mention.start > timedelta(minutes=1) for mention in find_times(text, None))


def test_a_date_whose_instant_in_the_zone_of_the_turn_falls_off_the_calendar_is_passed_over() -> None:
    assert find_times("0001-01-01", WEDNESDAY.astimezone(timezone(timedelta(hours=5)))) == ()


def test_days_without_a_year_are_found_at_both_ends_of_the_calendar() -> None:
    for year in (1, 9999):
        mentions = find_times(
            "on February 29 and on the 31st and on March 3", datetime(year, 3, 18, tzinfo=UTC)
        )
        assert all(1 <= mention.start.year <= 9999 for mention in mentions)
        assert mentions


def test_mentions_take_the_zone_of_the_turn_and_universal_time_where_it_has_none() -> None:
    east = timezone(timedelta(hours=9))
    assert find_times("today", WEDNESDAY.astimezone(east))[0].start == datetime(2026, 3, 18, tzinfo=east)
    assert find_times("today", WEDNESDAY.replace(tzinfo=None))[0].start == datetime(2026, 3, 18, tzinfo=UTC)


def test_a_turn_s_date_off_the_calendar_is_the_caller_s_error() -> None:
    with pytest.raises(TimeInvalidError):
        annotate("today", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))))


@given(
    text=_CHATTY, at=st.none() | st.datetimes(timezones=st.sampled_from([None, UTC])), day_first=st.booleans()
)
def test_any_text_at_any_date_gives_ordered_disjoint_mentions_outside_tokens(
    text: str, at: datetime | None, *, day_first: bool
) -> None:
    mentions = find_times(text, at, day_first=day_first)
    tokens = [range(*token.span()) for token in TOKEN.finditer(text)]
    end = 0
    for mention in mentions:
        assert end <= mention.span.start < mention.span.end <= len(text)
        assert mention.start < mention.end
        assert not any(
            place in token for token in tokens for place in range(mention.span.start, mention.span.end)
        )
        end = mention.span.end


def test_keyphrases_are_runs_of_telling_words_the_most_telling_first() -> None:
    assert keyphrases("The sleep clinic moved my sleep study to April.") == (
        "sleep clinic moved",
        "sleep study",
        "april",
    )


def test_a_token_is_one_word_of_a_phrase_and_no_phrase_alone() -> None:
    text = "My [ORGANIZATION-k7f2qa] insurance card and [PERSON-abcdef], and [US_SSN]."
    assert keyphrases(text) == ("[ORGANIZATION-k7f2qa] insurance card",)


@given(_CHATTY)
def test_keyphrases_are_few_bounded_and_hold_tokens_whole_or_not_at_all(text: str) -> None:
    phrases = keyphrases(text)
    assert len(phrases) == len(set(phrases)) <= MAX_PHRASES
    whole = set(TOKEN.findall(text))
    for phrase in phrases:
        assert len(phrase.split(" ")) <= 4
        assert set(TOKEN.findall(phrase)) <= whole
        assert "[" not in TOKEN.sub("", phrase)


def test_annotations_of_a_turn_hold_statements_keyphrases_and_times_together() -> None:
    annotations = annotate("The biopsy was last Friday. Any results?", WEDNESDAY)
    assert [statement.question for statement in annotations.statements] == [False, True]
    assert annotations.keyphrases == ("biopsy", "friday", "results")
    assert [mention.start.date().isoformat() for mention in annotations.times] == ["2026-03-13"]


def test_long_adversarial_text_is_annotated_in_linear_time() -> None:
    for unit in (
        "in the last ",
        "a ",
        "1.",
        "[[[",
        "the week before ",
        "12/",
        "...",
        "a\n",
        "\n\n",
        "\"')",
        " not",
    ):
        started = process_time()
        annotate(unit * (16_384 // len(unit)) + "a", WEDNESDAY)
        assert process_time() - started < 2, f"too slow on a repetition of {len(unit)} characters"


def test_a_turn_of_real_chat_is_annotated_well_within_its_budget(shared: Path) -> None:
    chats = read_chats((shared / "data" / "locomo" / "locomo_dev.json").read_bytes(), InputLimits())
    turns = [turn.text for chat in chats for turn in chat.turns][:600]
    started = process_time()
    for text in turns:
        annotate(text, WEDNESDAY)
    assert (process_time() - started) / len(turns) < 0.003, (
        "ten times the budget: the machine may be busy, the code may not"
    )
