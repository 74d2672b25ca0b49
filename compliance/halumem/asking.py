"""Questions of HaluMem's six types about a generated life, with their evidence.

Owns which questions are asked and what their answers are; takes the life as it stands after a session.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from compliance.halumem.schema import Evidence, Question, QuestionType
from compliance.halumem.slots import SLOTS

if TYPE_CHECKING:
    from compliance.halumem.generator import Fact, Life

UNKNOWN: Final = "This is not known"
"""Answer to what was never said; `judge` knows this and its like."""


def ask(life: "Life", pick: Callable[[Sequence["Fact"]], "Fact"]) -> tuple[Question, ...]:
    """Return a question of each type that the life so far allows."""
    known, who = list(life.known.values()), life.name
    if not known:
        return ()
    asked = [_question(QuestionType.BASIC, "easy", pick(known), who)]
    changed = [life.known[name] for name in life.past]
    if changed:
        asked.append(_question(QuestionType.UPDATE, "medium", pick(changed), who))
        asked.append(_conflict(life, pick(changed)))
    asked.append(_joined(pick(known), pick(known), who))
    asked.append(_advice(pick(known), who))
    unknown = [slot for slot in SLOTS if slot.name not in life.known and "{d}" not in slot.question]
    if unknown:
        text = unknown[0].question.format(who=who)
        asked.append(
            Question(question=text, answer=UNKNOWN, difficulty="medium", question_type=QuestionType.BOUNDARY)
        )
    return tuple(asked)


def _evidence(*facts: "Fact", who: str) -> tuple[Evidence, ...]:
    golds = dict.fromkeys((fact.gold(who), fact.slot.kind) for fact in facts)
    return tuple(Evidence(memory_content=gold, memory_type=kind) for gold, kind in golds)


def _text(fact: "Fact", who: str) -> str:
    return fact.slot.question.format(who=who, d=fact.day)


def _question(kind: QuestionType, difficulty: str, fact: "Fact", who: str) -> Question:
    return Question.model_validate(
        {
            "question": _text(fact, who),
            "answer": fact.gold(who),
            "evidence": _evidence(fact, who=who),
            "difficulty": difficulty,
            "question_type": kind,
        }
    )


def _conflict(life: "Life", fact: "Fact") -> Question:
    old, who = life.past[fact.slot.name], life.name
    return Question(
        question=f"I believe that {old.gold(who)}; is it so? {_text(fact, who)}",
        answer=fact.gold(who),
        evidence=_evidence(fact, who=who),
        difficulty="hard",
        question_type=QuestionType.CONFLICT,
    )


def _joined(one: "Fact", two: "Fact", who: str) -> Question:
    return Question(
        question=f"{_text(one, who)} {_text(two, who)}",
        answer=". ".join(dict.fromkeys((one.gold(who), two.gold(who)))),
        evidence=_evidence(one, two, who=who),
        difficulty="hard",
        question_type=QuestionType.MULTI_HOP,
    )


def _advice(fact: "Fact", who: str) -> Question:
    return Question(
        question=f"What should be kept in mind about the {fact.slot.name} when planning something for {who}?",
        answer=fact.gold(who),
        evidence=_evidence(fact, who=who),
        difficulty="medium",
        question_type=QuestionType.GENERALIZATION,
    )
