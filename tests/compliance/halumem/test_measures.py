"""Scores: formulas on counts worked out by hand, and baselines that come out as they must."""

from collections.abc import Sequence

import pytest

from compliance.halumem import tally as measures
from compliance.halumem.generator import Size, generate
from compliance.halumem.judge import DeterministicJudge
from compliance.halumem.schema import MemoryPoint, MemorySource, MemoryType, Session, User, Utterance
from compliance.halumem.scoring import Scorer
from compliance.halumem.slots import Split
from compliance.halumem.systems import StoreEverything, StoreGold, StoreNothing, StoreUserTurns, read_out
from compliance.halumem.tally import MEASURES, Tally

WHO = "Ann Bee"


class Scripted:
    """Makes and finds what it is told."""

    label = "scripted"

    def __init__(self, made: Sequence[str], found: Sequence[str]) -> None:
        self.made, self.found = made, found

    def begin(self, user: User) -> None:
        """Do nothing."""

    def ingest(self, session: Session) -> Sequence[str]:  # noqa: ARG002  # the protocol's
        return self.made

    def recall(self, query: str, k: int) -> Sequence[str]:  # noqa: ARG002  # the protocol's
        return self.found


def point(
    text: str, source: MemorySource = MemorySource.PRIMARY, old: str = "", importance: float = 1.0
) -> MemoryPoint:
    return MemoryPoint(
        memory_content=text,
        memory_type=MemoryType.PERSONA,
        memory_source=source,
        is_update="True" if old else "False",
        original_memories=(old,) if old else (),
        importance=importance,
    )


def user(*points: MemoryPoint, padding: bool = False) -> User:
    said = ["I live in Oslo. My hobby is chess.", "You take metformin."]
    turns = tuple(
        Utterance(role=role, content=text, timestamp="now")  # type: ignore[arg-type]  # zip widens the literal
        for role, text in zip(("user", "assistant"), said, strict=True)
    )
    session = Session(dialogue=turns, memory_points=points, is_generated_qa_session=padding)
    return User(uuid="u", persona_info=f"Name: {WHO}; Gender: x", sessions=(session,))


def score(system: Scripted, *points: MemoryPoint) -> Tally:
    return Scorer(system, DeterministicJudge()).score(user(*points))


HOME, HOBBY = point("Ann Bee has a home in Oslo"), point("Ann Bee has the hobby chess", importance=0.5)
FALSE = point("Ann Bee takes the medication metformin", MemorySource.INTERFERENCE)
MOVED = point("Ann Bee has a home in Oslo", old="Ann Bee has a home in Rome")


def test_extraction_by_hand() -> None:
    got = score(Scripted(["I live in Oslo.", "You take metformin.", "Nice weather."], []), HOME, HOBBY, FALSE)
    assert measures.recall(got) == measures.full_recall(got) == 1 / 2
    assert measures.weighted_recall(got) == 1 / 1.5
    assert measures.resistance(got) == 0
    assert measures.target_precision(got) == 1
    assert measures.accuracy(got) == 1 / 3
    assert measures.clean_precision(got) == 1 / 3
    assert measures.f1(got) == pytest.approx(2 / 3)
    assert measures.recall_and_resistance(got) == 0


def test_the_published_f1_is_that_of_the_published_table() -> None:
    got = Tally(
        published_points=10_000, published_recalled=7_407, target_memories=10_000, target_accuracy=8_625
    )
    assert measures.f1(got) == pytest.approx(0.7970, abs=5e-5)


def test_an_update_for_which_nothing_is_retrieved_is_an_omission_in_the_corrected_measure_alone() -> None:
    got = score(Scripted(["I live in Oslo."], []), MOVED)
    assert measures.update_correct(got) is None
    assert measures.recall(got) == 1
    assert measures.all_update_omission(got) == 1
    assert measures.all_update_correct(got) == 0


@pytest.mark.parametrize(
    ("found", "correct", "hallucinated", "stale"),
    [
        (["I live in Oslo."], 1, 0, 0),
        (["I live in Rome.", "I live in Oslo."], 1, 0, 1),
        (["You take metformin."], 0, 1, 0),
        (["I live in Rome."], 0, 0, 0),
    ],
)
def test_an_update_is_correct_stale_hallucinated_or_omitted(
    found: list[str], correct: int, hallucinated: int, stale: int
) -> None:
    got = score(Scripted([], found), MOVED, FALSE)
    assert (got.updates_correct, got.updates_hallucinated, got.updates_stale) == (
        correct,
        hallucinated,
        stale,
    )
    assert measures.recall(got) is None
    assert measures.full_recall(got) == 0
    omitted = measures.update_omission(got)
    assert omitted == measures.all_update_omission(got) == 1 - correct - hallucinated
    assert measures.replaced(got) == correct - stale


def test_padding_sessions_are_ingested_and_not_scored() -> None:
    system = Scripted(["x"], [])
    assert Scorer(system, DeterministicJudge()).score(user(HOME, padding=True)) == Tally()


def test_a_share_of_nothing_is_none() -> None:
    assert {measure(Tally()) for _, group in MEASURES for measure in group} == {None}


def test_resistance_never_stands_without_a_recall_and_every_measure_says_its_formula() -> None:
    for _, group in MEASURES:
        names = [measure.__name__ for measure in group]
        assert "resistance" not in names or {"recall", "full_recall"} & set(names)
        assert all(
            " / " in (measure.__doc__ or "") or "Harmonic" in (measure.__doc__ or "") for measure in group
        )


def test_baselines_come_out_as_they_must() -> None:
    def run(system: StoreNothing | StoreEverything) -> Tally:
        scorer = Scorer(system, DeterministicJudge())
        return Tally.total(scorer.score(one) for one in generate(9, Split.REPORT, Size(2, 15)))

    nothing, everything, turns, gold = (
        run(one()) for one in (StoreNothing, StoreEverything, StoreUserTurns, StoreGold)
    )
    assert (measures.full_recall(nothing), measures.resistance(nothing)) == (0, 1)
    assert measures.recall_and_resistance(nothing) == 0
    assert measures.all_update_omission(nothing) == 1
    assert measures.full_recall(everything) == 1
    assert (measures.resistance(everything) or 0) < (measures.resistance(turns) or 0) < 0.9
    assert measures.full_recall(gold) == measures.resistance(gold) == measures.accuracy(gold) == 1
    assert (measures.right_evidence(gold) or 0) > (measures.right_evidence(everything) or 0)


def test_the_reader_says_only_what_evidence_says() -> None:
    assert read_out("Where do I live?", ["My hobby is chess.", "I live in Oslo."]) == "I live in Oslo."
    assert read_out("Where do I live?", ["Nice weather."]) == "This is not known"
    assert read_out("No question.", ["I live in Oslo."]) == "This is not known"
