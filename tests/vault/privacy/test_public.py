"""What may become public: every kind counts, and neither originals nor tokens go along."""

import pytest

from policies.model import AccessTier
from vault.errors import ScreeningRefusedError
from vault.model import Screened
from vault.privacy.gate import PrivacyGate
from vault.privacy.public import open_to
from vault.privacy.tokens import TOKEN, SubjectTokens

PUBLIC = AccessTier.PUBLIC


def screened(gate: PrivacyGate, tokens: SubjectTokens, text: str) -> Screened:
    return gate.screen(text, tokens)


@pytest.mark.parametrize(
    "text", ["it began on 7 May 2023", "it began on 7 May\u200b 2023", "see you on March 3rd, 2024"]
)
def test_a_date_that_the_rules_let_stand_keeps_a_text_from_the_public(
    gate: PrivacyGate, tokens: SubjectTokens, text: str
) -> None:
    made = screened(gate, tokens, text)
    assert open_to(AccessTier.INSTITUTIONAL, gate, made) is made
    with pytest.raises(ScreeningRefusedError, match="CALENDAR") as refused:
        open_to(PUBLIC, gate, made)
    assert text not in str(refused.value)


def test_what_was_masked_is_a_mark_in_public_with_nothing_behind_it(
    gate: PrivacyGate, tokens: SubjectTokens
) -> None:
    made = screened(gate, tokens, "Maria Keller, call 212-555-0147, her knee is well")
    assert made.replacements
    opened = open_to(PUBLIC, gate, made)
    assert opened.text == "[PERSON], call [PHONE], her knee is well"
    assert all(one.original is None for one in opened.replacements)
    assert all("-" not in token.group() for token in TOKEN.finditer(opened.text))


@pytest.mark.parametrize("text", ["", "ask the desk about the hours", "[PERSON] [SECRET]", "…"])
def test_what_holds_nothing_of_anybody_is_taken_as_it_is(
    gate: PrivacyGate, tokens: SubjectTokens, text: str
) -> None:
    assert open_to(PUBLIC, gate, screened(gate, tokens, text)).text == text


def test_a_token_that_somebody_typed_in_is_no_way_to_hide_a_value(
    gate: PrivacyGate, tokens: SubjectTokens
) -> None:
    made = screened(gate, tokens, "[PERSON-k7f2qa] wrote on 7 May 2023")
    with pytest.raises(ScreeningRefusedError):
        open_to(PUBLIC, gate, made)
