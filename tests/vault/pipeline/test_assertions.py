"""What is only supposed, and what is taken back in the same breath."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.model import Chat, SourceKind, SpeakerRole, TrustState, Turn
from vault.pipeline import assertions
from vault.pipeline.assertions import asserts, parts_of, supposed
from vault.pipeline.guard import trust_of
from vault.pipeline.limits import InputLimits
from vault.pipeline.segment import episode_text, segment

LIMITS = InputLimits()


@pytest.mark.parametrize(
    "text",
    [
        "What if I took ramipril one day?",
        "Maybe I should see the dentist on May 3.",
        "Perhaps we'll get a dog.",
        "I wonder how it would be to live in Turin.",
        "If I lived in Lund, I'd walk more.",
        "Well, I'd love to work there.",
        "I wish I had run 8 km.",
        "Let's say my partner was called Ilse.",
        "I\u2019m thinking of moving to Graz.",
        "Do I weigh 61 kilos?",
    ],
)
def test_who_only_supposes_or_asks_asserts_nothing(text: str) -> None:
    assert not asserts(text)


@pytest.mark.parametrize(
    "text",
    [
        "I live in Graz.",
        "Maybe I'll move. I live in Graz.",
        "I take 5 mg. Should I take more?",
        "I'd say I weigh 61 kilos.",
        "My doctor thinks it would heal on its own.",
        "I couldn't sleep because of the left knee.",
        "",
    ],
)
def test_one_statement_that_says_so_is_enough(text: str) -> None:
    assert asserts(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("I weigh 61 kilos. Sorry, I misspoke. I weigh 68 kilos.", ["I weigh 61 kilos."]),
        ("Hello there. I live in Graz. Wait, scratch that. I live in Lund.", ["I live in Graz."]),
        ("It hurts on the left. No, sorry, I mean on the right.", ["It hurts on the left."]),
        ("I took it on Monday. Correction: on Tuesday.", ["I took it on Monday."]),
        ("I feel fine. I mean, mostly.", []),
        ("Scratch that. I live in Lund.", []),
        ("I was told it is benign. That is good.", []),
    ],
)
def test_what_is_taken_back_at_once_stands_apart(text: str, wrong: list[str]) -> None:
    parts = parts_of(text)
    assert [text[one.span.start : one.span.end] for one in parts if one.taken_back] == wrong


def test_a_slip_becomes_a_disputed_memory_and_the_rest_a_verified_one() -> None:
    slip = Turn("Ann", "I weigh 61 kilos. Sorry, I misspoke. I weigh 68 kilos.", ref="D1")
    chat = Chat((Turn("Bot", "Hello.", SpeakerRole.ASSISTANT), slip, Turn("Ann", "Thanks.")))
    passages = segment(chat, LIMITS)
    assert [passage.position for passage in passages] == [0, 1, 2, 3]
    assert [one.ref for one in passages] == [None, "D1", "D1", None]
    raw = episode_text(chat)
    assert [raw[one.source.start : one.source.end] for one in passages] == [one.text for one in passages]
    trusts = [trust_of(one, SourceKind.CHAT, one.text) for one in passages]
    assert trusts == [
        TrustState.CANDIDATE,
        TrustState.DISPUTED,
        TrustState.VERIFIED,
        TrustState.VERIFIED,
    ]


def test_a_document_of_record_is_verified_even_where_it_supposes() -> None:
    (passage,) = segment(Chat((Turn("Ann", "Maybe it is benign."),)), LIMITS)
    assert trust_of(passage, SourceKind.TEXT, passage.text) is TrustState.VERIFIED
    assert trust_of(passage, SourceKind.CHAT, passage.text) is TrustState.CANDIDATE


_SPOKEN = st.lists(
    st.sampled_from(
        ["I weigh 61 kilos.", "Sorry, I misspoke.", "Wait,", "no,", "scratch that.", "\n", "Hm?", "…", "é 漢"]
    ),
    max_size=12,
).map(" ".join)


@given(_SPOKEN)
def test_parts_lose_nothing_but_white_space(text: str) -> None:
    end = 0
    for part in parts_of(text):
        assert not text[end : part.span.start].strip()
        assert part.span.start >= end
        end = part.span.end
    assert not text[end:].strip()
    assert sum(one.taken_back for one in parts_of(text)) <= len(parts_of(text)) // 2


@given(
    _SPOKEN,
    st.sampled_from(["Maybe ", "what IF ", "I\u2019d ", "Let\u2019s say ", "Wir ", "Had I ", "Who knows "]),
)
def test_what_is_spared_the_patterns_is_what_they_would_not_find(text: str, lead: str) -> None:
    statement = lead + text
    with pytest.MonkeyPatch.context() as patched:
        hinted = supposed(statement), parts_of(statement)
        patched.setattr(assertions, "_HINTS_OF_SUPPOSING", ("",))
        patched.setattr(assertions, "_HINTS_OF_TAKING_BACK", ("",))
        assert hinted == (supposed(statement), parts_of(statement))


@pytest.mark.parametrize(
    "unit", ["oh, ", "sorry, no, wait ", "i mean ", "if i ", "\u2014 ", "no. ", "scratch that. "]
)
def test_time_is_linear_in_hostile_text(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    began = process_time()
    asserts(text)
    parts_of(text)
    assert process_time() - began < 2.0
