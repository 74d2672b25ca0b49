"""What the gate promises of any detector: bounds, spans, tokens, refusal, stability."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.privacy import DEFAULT_FILE, EntityType, PrivacyRules, parse_privacy_rules
from vault.errors import InputTooLargeError, ScreeningRefusedError, TextInvalidError
from vault.model import Screened
from vault.privacy.detect import PresidioDetector
from vault.privacy.findings import Finding
from vault.privacy.gate import PrivacyGate, resolve
from vault.privacy.tokens import SubjectTokens

TEXT = DEFAULT_FILE.read_text(encoding="utf-8")
TOKENS = SubjectTokens(b"one subject's token key, made up")


@dataclass(frozen=True)
class WordDetector:
    """Finds given words, as a stand-in for a real detector."""

    words: tuple[tuple[str, EntityType], ...]
    name: str = "words/1"

    def detect(self, text: str) -> Sequence[Finding]:
        found: list[Finding] = []
        for word, kind in self.words:
            at = text.find(word)
            while at >= 0:
                found.append(Finding(kind, at, at + len(word), 0.9))
                at = text.find(word, at + 1)
        return found


def changed(old: str, new: str) -> PrivacyRules:
    assert old in TEXT
    return parse_privacy_rules(TEXT.replace(old, new, 1))


def spans_fit(source: str, screened: Screened) -> None:
    """Fail unless the replacements tell exactly how the masked text came from the source."""
    for left, right in pairwise(screened.replacements):
        assert left.source.end <= right.source.start
        assert left.masked.end <= right.masked.start
    rebuilt = screened.text
    for one in reversed(screened.replacements):
        assert screened.text[one.masked.start : one.masked.end] == one.token
        assert one.original in {None, source[one.source.start : one.source.end]}
        rebuilt = (
            rebuilt[: one.masked.start]
            + source[one.source.start : one.source.end]
            + rebuilt[one.masked.end :]
        )
    assert rebuilt == source


def test_a_value_becomes_a_token_and_comes_back_by_its_replacement(rules: PrivacyRules) -> None:
    gate = PrivacyGate(WordDetector((("Ann", EntityType.PERSON),)), rules)
    screened = gate.screen("Ann met Ann.", TOKENS)
    token = TOKENS.token(EntityType.PERSON, "Ann")
    assert screened.text == f"{token} met {token}."
    assert [one.original for one in screened.replacements] == ["Ann", "Ann"]
    spans_fit("Ann met Ann.", screened)


def test_a_redacted_value_is_gone(rules: PrivacyRules) -> None:
    gate = PrivacyGate(WordDetector((("hunter2", EntityType.SECRET),)), rules)
    screened = gate.screen("my word is hunter2", TOKENS)
    assert screened.text == "my word is [SECRET]"
    assert screened.replacements[0].original is None
    assert "hunter2" not in repr(screened)


def test_an_original_is_not_shown_by_repr(rules: PrivacyRules) -> None:
    gate = PrivacyGate(WordDetector((("Ann", EntityType.PERSON),)), rules)
    assert "Ann" not in repr(gate.screen("Ann!", TOKENS))


def test_an_allowed_kind_stays_and_a_weak_finding_too() -> None:
    rules = changed(
        "PERSON:         {action: tokenize, threshold: 0.15}",
        "PERSON:         {action: tokenize, threshold: 0.95}",
    )
    gate = PrivacyGate(WordDetector((("Ann", EntityType.PERSON), ("Friday", EntityType.CALENDAR))), rules)
    assert gate.screen("Ann on Friday", TOKENS).text == "Ann on Friday"


def test_a_refused_kind_ends_the_write_and_the_message_names_the_kind_alone() -> None:
    rules = changed("CARD:           {action: tokenize", "CARD:           {action: refuse")
    gate = PrivacyGate(WordDetector((("4111", EntityType.CARD),)), rules)
    with pytest.raises(ScreeningRefusedError, match="CARD") as caught:
        gate.screen_many(["fine", "card 4111"], TOKENS)
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x\udfffy"])
def test_text_that_is_no_text_is_refused(text: str, rules: PrivacyRules) -> None:
    gate = PrivacyGate(WordDetector(()), rules)
    with pytest.raises(TextInvalidError):
        gate.screen(text, TOKENS)
    with pytest.raises(TextInvalidError):
        gate.screen_many(["fine", text], TOKENS)


def test_text_beyond_the_limit_is_refused_and_text_at_it_is_not(rules: PrivacyRules) -> None:
    gate = PrivacyGate(WordDetector(()), rules)
    assert len(gate.screen("a" * rules.max_characters, TOKENS).text) == rules.max_characters
    with pytest.raises(InputTooLargeError, match=str(rules.max_characters)):
        gate.screen("a" * (rules.max_characters + 1), TOKENS)


def test_overlapping_findings_become_one_of_the_strongest_kind(rules: PrivacyRules) -> None:
    found = [
        Finding(EntityType.PERSON, 0, 8, 0.9),
        Finding(EntityType.SECRET, 6, 10, 0.5),
        Finding(EntityType.CARD, 20, 24, 0.9, certain=False),
    ]
    assert [(one.kind, one.start, one.end) for one in resolve(found, rules)] == [
        (EntityType.SECRET, 0, 10),
        (EntityType.CARD, 20, 24),
    ]


def test_a_rule_gives_the_kind_where_the_tagger_differs(rules: PrivacyRules) -> None:
    found = [Finding(EntityType.PERSON, 0, 12, 0.9, certain=False), Finding(EntityType.EMAIL, 2, 10, 0.6)]
    assert resolve(found, rules) == [Finding(EntityType.EMAIL, 0, 12, 0.6)]


def test_tokens_that_stand_in_the_text_are_left_alone(rules: PrivacyRules) -> None:
    token = TOKENS.token(EntityType.PERSON, "Ann")
    gate = PrivacyGate(
        WordDetector(((f"{token} Lee", EntityType.PERSON), ("SECRET", EntityType.ORGANIZATION))), rules
    )
    screened = gate.screen(f"{token} Lee and [SECRET]", TOKENS)
    lee = TOKENS.token(EntityType.PERSON, "Lee")
    assert screened.text == f"{token} {lee} and [SECRET]"
    assert [one.original for one in screened.replacements] == ["Lee"]


def test_a_forged_token_reveals_nothing_for_it_has_no_replacement(gate: PrivacyGate) -> None:
    known = gate.screen("My name is Ann Lee.", TOKENS)
    forged = gate.screen(f"Tell me who {known.replacements[0].token} is", TOKENS)
    assert forged.replacements == ()


def test_later_rounds_report_spans_of_the_source(rules: PrivacyRules) -> None:
    """A finding that only the masked text shows still points into the source."""

    @dataclass(frozen=True)
    class Second:
        name: str = "second/1"

        def detect(self, text: str) -> Sequence[Finding]:
            kind = EntityType.PERSON if "[" in text else EntityType.CARD
            word = "Lee" if "[" in text else "4111"
            return (
                [Finding(kind, text.index(word), text.index(word) + len(word), 0.9)] if word in text else []
            )

    source = "4111 by Lee, 4111"
    screened = PrivacyGate(Second(), rules).screen(source, TOKENS)
    assert "Lee" not in screened.text
    spans_fit(source, screened)


def test_the_stamp_names_detector_and_rules(
    gate: PrivacyGate, detector: PresidioDetector, rules: PrivacyRules
) -> None:
    stamp = gate.screen("hello", TOKENS).detector
    assert stamp == gate.stamp
    assert detector.name in stamp
    assert rules.digest.removeprefix("sha256:")[:16] in stamp


PIECES = st.sampled_from(
    [
        "Ann Lee",
        "ann.lee@mail.org",
        "123-45-6789",
        "4111 1111 1111 1111",
        "+44 20 7946 0958",
        "12 Main Street",
        "password: hunter2!",
        "GB82 WEST 1234 5698 7654 32",
        "10.1.2.3",
        "Dr. Smith\n    ",
        "I live in Lisbon",
        "my name is",
        "call",
        "and",
        "\u200b",
        ",",
        "the weather",
        "[PERSON-a2b3c4]",
        "born 3/4/1980",
        "é",
        "ＡＢ",
        "&amp;",
        "🙂",
        "John's",
        "5 apples",
        "on Friday",
        "\n",
    ],
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PIECES, max_size=12).map(" ".join)
    | st.lists(PIECES, max_size=6).map("".join)
    | st.text(max_size=80).filter(lambda text: "\x00" not in text)
)
def test_screening_any_text_fits_its_spans_and_is_stable(text: str) -> None:
    gate = PrivacyGate(_detector(), _rules())
    screened = gate.screen(text, TOKENS)
    spans_fit(text, screened)
    again = gate.screen(screened.text, TOKENS)
    assert again.text == screened.text
    assert again.replacements == ()
    assert gate.screen_many([text, text], TOKENS) == [screened, screened]


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["123-45-6789", "ann.lee@mail.org", "4111 1111 1111 1111", "GB82WEST12345698765432"]),
    st.text(alphabet="abc de,.\n", max_size=30),
    st.text(alphabet="xyz ,.\n", max_size=30),
)
def test_masked_text_never_holds_a_tokenized_value(value: str, before: str, after: str) -> None:
    screened = PrivacyGate(_detector(), _rules()).screen(f"{before} {value} {after}", TOKENS)
    assert value not in screened.text
    assert all(
        one.original is None or len(one.original) < 4 or one.original not in screened.text
        for one in screened.replacements
    )


_built: list[PresidioDetector] = []


def _rules() -> PrivacyRules:
    return parse_privacy_rules(TEXT)


def _detector() -> PresidioDetector:
    """The shipped detector, built once: Hypothesis does not mix with function fixtures."""
    if not _built:
        _built.append(PresidioDetector(_rules()))
    return _built[0]
