"""Words, stems and long numbers."""

from hypothesis import given
from hypothesis import strategies as st

from vault.search.words import LONGEST_WORD, STOP_WORDS, numbers, stems, words


def test_inflected_forms_share_a_stem_and_stop_words_go() -> None:
    assert stems("She was running to the parks") == ["run", "park"]
    assert stems("Caroline's children don't run") == ["carolin", "children", "don", "run"]


def test_accents_case_and_compatibility_forms_do_not_matter() -> None:
    assert words("ZÜRICH Café ﬁne") == words("zurich CAFE\u0301 fine") == ["zurich", "cafe", "fine"]


def test_other_languages_pass_unstemmed() -> None:
    assert stems("größer здравствуйте") == ["grosser", "здравствуите"]


def test_scripts_without_spaces_become_pairs() -> None:
    assert words("東京都") == ["東京", "京都"]
    assert set(words("東京")) <= set(words("東京都"))
    assert words("東") == ["東"]


def test_a_long_number_is_found_in_any_grouping() -> None:
    spellings = ["+1 (555) 123-4567", "1 555 123 4567", "1.555.123.4567"]
    assert [numbers(spelling) for spelling in spellings] == [["15551234567"]] * 3
    assert "15551234567" in stems("call +1 (555) 123-4567 today")
    assert numbers("15551234567") == []  # stands as a word already
    assert numbers("room 12, floor 3") == []


@given(st.text())
def test_any_text_has_words_that_are_bounded_and_stable(text: str) -> None:
    found = words(text)
    assert all(word and len(word) <= LONGEST_WORD for word in found)
    # Left out before stemming: the stem of another word, such as "ats", may read like one of them.
    assert len(stems(text)) == sum(word not in STOP_WORDS for word in found) + len(numbers(text))
    assert stems(text) == stems(text)
