"""The deterministic judge: right on every phrase of both splits, and not to be had by what only looks like gold."""

import pytest

from compliance.halumem.generator import Fact
from compliance.halumem.judge import DeterministicJudge, Mark, Verdict
from compliance.halumem.schema import Question, QuestionType
from compliance.halumem.slots import SLOTS, Slot, Split, phrases

JUDGE = DeterministicJudge()
WHO = "Ann Bee"
CASES = [pytest.param(split, slot, id=f"{split}-{slot.name}") for split in Split for slot in SLOTS]


def facts(split: Split, slot: Slot) -> tuple[Fact, Fact]:
    spoken = phrases(split).slots[slot.name]
    day = "March 14" if spoken.dated else ""
    return Fact(slot, spoken.values[0], day), Fact(slot, spoken.values[1], day)


@pytest.mark.parametrize(("split", "slot"), CASES)
def test_every_phrase_says_its_fact_and_no_other_value(split: Split, slot: Slot) -> None:
    fact, other = facts(split, slot)
    for template in phrases(split).slots[slot.name].facts:
        said = fact.said(template)
        assert JUDGE.mark(fact.gold(WHO), [said], WHO) is Mark.FULLY, said
        assert JUDGE.mark(other.gold(WHO), [said], WHO) is Mark.NONE, said


@pytest.mark.parametrize(("split", "slot"), CASES)
def test_hearsay_says_nothing_of_the_user_and_a_supposition_not_all(split: Split, slot: Slot) -> None:
    fact, _ = facts(split, slot)
    spoken = phrases(split).slots[slot.name]
    assert JUDGE.mark(fact.gold(WHO), [fact.said(spoken.third, phrases(split).kin[0])], WHO) is Mark.NONE
    assert JUDGE.mark(fact.gold(WHO), [fact.said(spoken.hypo)], WHO) is Mark.PARTLY
    assert JUDGE.mark(fact.gold(WHO), [fact.said(spoken.claim)], WHO) is Mark.FULLY


@pytest.mark.parametrize(
    ("gold", "text", "mark"),
    [
        ("Ann Bee takes the medication metformin", "I do not take metformin.", Mark.NONE),
        ("Ann Bee takes the medication metformin", "Not ramipril, but I take metformin.", Mark.FULLY),
        ("Ann Bee does not take metformin", "I never take metformin.", Mark.FULLY),
        ("Ann Bee travels to Oslo on March 3", "My trip to Oslo is on the 3rd of March", Mark.FULLY),
        ("Ann Bee travels to Oslo on March 3", "Trip: Oslo, 2027-03-03", Mark.FULLY),
        ("Ann Bee travels to Oslo on March 3", "My trip to Oslo is on March 13", Mark.NONE),
        ("Ann Bee ran 5 km on March 3", "I ran five km on March 3.", Mark.FULLY),
        ("Ann Bee ran 5 km on March 3", "I ran 15 km on March 3.", Mark.NONE),
        ("Ann Bee takes the medication metformin", "metformin", Mark.PARTLY),
        ("Ann Bee takes the medication metformin", "I told my sister that I take metformin.", Mark.FULLY),
        ("Ann Bee takes the medication metformin", "", Mark.NONE),
        ("Ann Bee", "Ann Bee", Mark.NONE),
    ],
)
def test_numbers_dates_negation_and_persons_count(gold: str, text: str, mark: Mark) -> None:
    assert JUDGE.mark(gold, [text], WHO) is mark


def test_a_gold_of_two_sentences_wants_both() -> None:
    gold = "Ann Bee has a home in Oslo. Ann Bee has the hobby chess"
    assert JUDGE.mark(gold, ["I live in Oslo."], WHO) is Mark.NONE
    assert JUDGE.mark(gold, ["I live in Oslo.", "My hobby is chess."], WHO) is Mark.FULLY


def test_a_memory_is_grounded_in_what_was_said_and_in_nothing_else() -> None:
    said = ["I live in Oslo and bought a tent on March 3.", "Nice."]
    assert JUDGE.grounded("bought a tent on March 3", said, WHO) is Mark.FULLY
    assert JUDGE.grounded("bought a tent on March 4", said, WHO) is Mark.NONE
    assert JUDGE.grounded("bought a tent on March 3. lives in Rome", said, WHO) is Mark.NONE
    assert JUDGE.grounded("Maybe bought a tent on March 3", said, WHO) is Mark.PARTLY
    assert JUDGE.grounded("did not buy a tent on March 3", said, WHO) is Mark.NONE


def asked(answer: str) -> Question:
    return Question(question="Where?", answer=answer, difficulty="easy", question_type=QuestionType.BASIC)


@pytest.mark.parametrize(
    ("answer", "reply", "verdict"),
    [
        ("Ann Bee has a home in Oslo", "I live in Oslo.", Verdict.CORRECT),
        ("Ann Bee has a home in Oslo", "I live in Rome.", Verdict.HALLUCINATION),
        ("Ann Bee has a home in Oslo", "I don't know.", Verdict.OMISSION),
        ("Ann Bee has a home in Oslo", " ", Verdict.OMISSION),
        ("This is not known", "I don't know.", Verdict.CORRECT),
        ("This is not known", "In Oslo.", Verdict.HALLUCINATION),
    ],
)
def test_an_answer_is_right_wrong_or_none(answer: str, reply: str, verdict: Verdict) -> None:
    assert JUDGE.answer(asked(answer), reply, WHO) is verdict
