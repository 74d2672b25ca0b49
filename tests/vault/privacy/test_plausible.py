"""What only looks like personal data stays readable: doses, laboratory values, medicines, eponyms, tools.

A clinical note without its doses is of no use; each text here was once masked.
"""

import pytest

from policies.privacy import EntityType as E
from vault.privacy.findings import Finding
from vault.privacy.gate import PrivacyGate
from vault.privacy.plausible import plausible_word, settled
from vault.privacy.recognizers import people
from vault.privacy.runs import whole_runs
from vault.privacy.tokens import SubjectTokens


def found(text: str, part: str, kind: E, score: float = 0.3) -> Finding:
    start = text.index(part)
    return Finding(kind, start, start + len(part), score, certain=False)


def runs(text: str, *parts: tuple[E, str, float]) -> list[tuple[E, str]]:
    findings = [found(text, part, kind, score) for kind, part, score in parts]
    terms = frozenset({"redis", "python"})
    return [(one.kind, text[one.start : one.end]) for one in whole_runs(text, findings, terms)]


@pytest.mark.parametrize(
    "text",
    [
        "Lisinopril for the blood pressure, 20 mg, once in the morning",
        "Metformin, Lisinopril and Warfarin",
        "She takes Metformin, Lisinopril and Warfarin every day.",
        "metformin, lisinopril and warfarin",
        "Her LDL 131 was high",
        "LDL 131, HDL 45, A1c 7.2",
        "BP 120/80",
        "Patient on Metformin 500 mg BID, Lisinopril 10 mg daily. LDL 131 mg/dL, HbA1c 7.4%, BP 138/86.",
        "Her ECG was normal, potassium 4.1, creatinine 88",
        "Take Warfarin 5 mg once daily, INR 2.3 on Monday",
        "Her blood pressure was 140/90 mmHg",
        "Weight 82 kg, height 180 cm",
        "glucose 5.4 mmol",
        "insulin 12 units",
        "Invoice 20391",
        "Invoice 20391 is overdue",
        "She has Parkinson's",
        "My father has Parkinson's disease.",
        "He was diagnosed with Alzheimer's and Crohn's",
        "Down syndrome",
        "Hodgkin lymphoma",
        "Lucky you!",
        "Congratulations on the new job!",
        "It was quite a journey",
        "A heron stood in the pond",
        "the heron flew over",
        "We use Redis, Jenkins and Python with Kubernetes.",
        "Docker, Kubernetes and Terraform",
        "We run Docker, Kubernetes and Terraform.",
        "Apples, Pears and Oranges are cheap",
        "How many? Twenty, maybe.",
        "Seven tablets left.",
        "Eleven.",
        "Twenty-five of them came back",
    ],
)
def test_text_about_nobody_stays_as_it_is(text: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    assert gate.screen(text, tokens).text == text


@pytest.mark.parametrize(
    ("text", "originals"),
    [
        ("Congratulations, Sam", ["Sam"]),
        ("Callum made me laugh", ["Callum"]),
        ("Callum heron", ["Callum"]),
        ("Callum saw a heron", ["Callum"]),
        ("I met John smith yesterday", ["John smith"]),
        ("Maria rossi called", ["Maria rossi"]),
        ("My neighbour is Mr. Parkinson.", ["Mr. Parkinson"]),
        ("We hired Smith, Jones and Partners.", ["Smith, Jones and Partners"]),
        ("She works at Baker, McKenzie & Wong.", ["Baker, McKenzie & Wong"]),
        ("Anna, Bob and Carl came over.", ["Anna", "Bob", "Carl"]),
        ("i told svetlana about it", ["svetlana"]),
    ],
)
def test_a_name_is_masked_and_no_more_than_the_name(
    text: str, originals: list[str], gate: PrivacyGate, tokens: SubjectTokens
) -> None:
    assert [one.original for one in gate.screen(text, tokens).replacements] == originals


def test_one_name_has_one_token_whatever_follows_it(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    texts = ["Callum made me laugh", "Callum heron", "Callum saw a heron"]
    assert len({gate.screen(text, tokens).replacements[0].token for text in texts}) == 1


def test_a_card_code_is_no_phone(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    assert gate.screen("CVV 123", tokens).text == "CVV [CARD_CODE]"


@pytest.mark.parametrize("text", ["I lived there until 2009", "I smoked until 2009."])
def test_a_lone_year_is_a_date(text: str, gate: PrivacyGate, tokens: SubjectTokens) -> None:
    assert [one.entity_type for one in gate.screen(text, tokens).replacements] == [E.DATE]


@pytest.mark.parametrize("unit", ["mg", "ml", "mcg", "kg", "g", "%", "mmHg", "bpm", "mmol", "units", "mg/dL"])
@pytest.mark.parametrize("kind", [E.ADDRESS, E.PHONE, E.DATE, E.POSTCODE])
def test_an_amount_is_no_address_phone_or_date(unit: str, kind: E) -> None:
    assert not plausible_word(f"took 20 {unit} today", found(f"took 20 {unit} today", "20", kind))
    assert not plausible_word(f"took 20{unit} today", found(f"took 20{unit} today", "20", kind))
    assert plausible_word("at 20 Main Street", found("at 20 Main Street", "20", E.ADDRESS))


@pytest.mark.parametrize("value", ["LDL 131", "HDL is 131", "A1c: 131", "TSH of 131", "blood sugar was 131"])
def test_a_number_after_a_laboratory_value_is_no_address(value: str) -> None:
    assert not plausible_word(value, found(value, "131", E.ADDRESS, 0.9))


@pytest.mark.parametrize(
    ("text", "part", "kept"),
    [
        ("call 123 now", "123", False),
        ("call CVV now", "CVV", False),
        ("call 555 1234 now", "555", True),
        ("call 555 1234 now", "1234", True),
        ("call five five five", "five", True),
    ],
)
def test_a_phone_has_five_digits_or_is_read_aloud(text: str, part: str, *, kept: bool) -> None:
    assert bool(settled(text, found(text, part, E.PHONE, 0.9))) is kept


@pytest.mark.parametrize("kind", [E.PERSON, E.ORGANIZATION, E.ADDRESS])
@pytest.mark.parametrize(
    ("text", "part", "score", "becomes"),
    [
        ("see 131 there", "131", 0.9, None),
        ("Invoice 203914 came", "203914", 0.9, None),
        ("code 203914 came", "203914", 0.3, None),
        ("code 203914 came", "203914", 0.9, E.MEMBER_NUMBER),
        ("to 20391 came", "20391", 0.9, E.POSTCODE),
        ("back then, 2009 came", "2009", 0.2, E.DATE),
    ],
)
def test_a_bare_number_is_no_name_and_no_address(
    kind: E, text: str, part: str, score: float, becomes: E | None
) -> None:
    settles = settled(text, found(text, part, kind, score))
    assert (settles.kind if settles else None) is becomes


def test_a_number_beside_a_place_stays_part_of_its_address() -> None:
    text = "Anna Ulica 3 is the house"
    assert runs(text, (E.PERSON, "Anna Ulica", 0.9), (E.ADDRESS, "3", 0.4)) == [
        (E.PERSON, "Anna Ulica"),
        (E.ADDRESS, "3"),
    ]


def test_a_rule_is_believed_where_the_tagger_is_not() -> None:
    text = "a house at 131 there"
    certain = Finding(E.ADDRESS, 11, 14, 0.6)
    assert whole_runs(text, [certain], frozenset()) == [certain]


def test_a_list_with_a_technical_term_is_split() -> None:
    text = "Redis, Lee and Python"
    assert runs(text, (E.ORGANIZATION, text, 0.5)) == [(E.ORGANIZATION, "Lee")]
    assert runs("Lee and Wong", (E.ORGANIZATION, "Lee and Wong", 0.5)) == [(E.ORGANIZATION, "Lee and Wong")]


def test_particles_inside_a_name_stay_and_small_words_at_its_ends_go() -> None:
    text = "so Ann van der Berg made tea"
    pieces = [(E.PERSON, word, 0.19) for word in ("so", "van", "der", "made")]
    assert runs(text, *pieces, (E.PERSON, "Ann", 0.9), (E.PERSON, "Berg", 0.9)) == [
        (E.PERSON, "Ann van der Berg")
    ]


def test_small_words_count_where_a_text_has_no_capitals() -> None:
    assert runs("ann made tea", (E.PERSON, "ann", 0.3)) == [(E.PERSON, "ann")]
    assert runs("So ann made tea", (E.PERSON, "ann", 0.3)) == []
    assert runs("So ann made tea", (E.PERSON, "ann", 0.9)) == [(E.PERSON, "ann")]


@pytest.mark.parametrize(
    ("text", "firm"),
    [
        ("Smith, Jones and Partners", True),
        ("Smith, Jones & Lee", True),
        ("the law firm Smith, Jones and Lee", True),
        ("Docker, Kubernetes and Terraform", False),
        ("Apples, Pears and Oranges", False),
    ],
)
def test_three_names_are_a_firm_only_with_a_word_that_says_so(text: str, *, firm: bool) -> None:
    assert (E.ORGANIZATION in {one.kind for one in people.find(text)}) is firm
