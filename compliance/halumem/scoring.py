"""Runs one user through one system and counts: extraction, updating, question answering.

Owns the order of the tasks, which is that of HaluMem's `eval/eval_memos.py`: after each session the memories
that it made, then a retrieval by each update's own text, then the session's questions.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from compliance.halumem.judge import Judge, Mark, Verdict
from compliance.halumem.schema import MemoryPoint, Session, User
from compliance.halumem.systems import MemorySystem, read_out
from compliance.halumem.tally import Tally

UPDATE_K: Final = 10
ANSWER_K: Final = 20
"""Both as HaluMem's evaluation of MemOS."""
MAX_MEMORIES: Final = 10_000
"""Of one session that are judged."""


class Scorer:
    """Counts what one user's run comes to.

    Args:
        system: To be measured.
        judge: Who decides.
    """

    def __init__(self, system: MemorySystem, judge: Judge) -> None:
        self._system = system
        self._judge = judge
        self._sum: Counter[str] = Counter()
        self._weights = [0.0, 0.0, 0.0, 0.0]
        self._false: list[str] = []

    def score(self, user: User) -> Tally:
        """Run all sessions of a user, and return the counts."""
        self._sum, self._weights, self._false = Counter(), [0.0] * 4, []
        self._system.begin(user)
        for session in user.sessions:
            made = [text for text in self._system.ingest(session)[:MAX_MEMORIES] if text.strip()]
            if session.is_generated_qa_session:
                continue
            self._sum["sessions"] += 1
            self._false += [point.memory_content for point in session.memory_points if point.interferes]
            for point in session.memory_points:
                self._point(point, made, user.name)
            self._memories(session, made, user.name)
            self._questions(session, user.name)
        weight, weighted, accurate, target = self._weights
        return Tally(
            published_weight=weight,
            published_weighted=weighted,
            accuracy=accurate,
            target_accuracy=target,
            **self._sum,
        )

    def _point(self, point: MemoryPoint, made: Sequence[str], who: str) -> None:
        mark = self._judge.mark(point.memory_content, made, who)
        if point.interferes:
            self._sum.update(false_points=1, resisted=int(mark is Mark.NONE))
            return
        self._sum.update(points=1, recalled=int(mark is Mark.FULLY))
        if point.updates and self._update(point, who):
            return
        self._sum.update(published_points=1, published_recalled=int(mark is Mark.FULLY))
        self._weights[0] += point.importance
        self._weights[1] += point.importance * mark / 2

    def _update(self, point: MemoryPoint, who: str) -> bool:
        """Count an update; return whether anything was retrieved for it."""
        found = self._system.recall(point.memory_content, UPDATE_K)[:UPDATE_K]
        correct = self._judge.mark(point.memory_content, found, who) is Mark.FULLY
        stale = correct and any(
            self._judge.mark(old, found, who) is Mark.FULLY for old in point.original_memories
        )
        # In place of the new: the best placed memory that was found says what must not be remembered.
        wrong = not correct and any(
            self._judge.mark(false, found[:1], who) is Mark.FULLY for false in self._false
        )
        self._sum.update(
            updates=1,
            updates_retrieved=int(bool(found)),
            updates_correct=int(correct),
            updates_stale=int(stale),
            updates_hallucinated=int(wrong),
        )
        return bool(found)

    def _memories(self, session: Session, made: Sequence[str], who: str) -> None:
        said = [turn.content for turn in session.dialogue]
        true = [point.memory_content for point in session.memory_points if not point.interferes]
        false = [point.memory_content for point in session.memory_points if point.interferes]
        for memory in made:
            tainted = max((self._judge.mark(gold, [memory], who) for gold in false), default=Mark.NONE)
            mark = min(self._judge.grounded(memory, said, who), Mark(Mark.FULLY - tainted))
            included = any(self._judge.mark(gold, [memory], who) is Mark.FULLY for gold in true)
            self._sum.update(
                memories=1,
                target_memories=int(included),
                clean_targets=int(included and tainted is Mark.NONE),
            )
            self._weights[2] += mark / 2
            self._weights[3] += mark / 2 if included else 0.0

    def _questions(self, session: Session, who: str) -> None:
        for question in session.questions:
            found = self._system.recall(question.question, ANSWER_K)[:ANSWER_K]
            verdict = self._judge.answer(question, read_out(question.question, found), who)
            wanted = [one.memory_content for one in question.evidence]
            there = bool(wanted) and all(self._judge.mark(gold, found, who) is Mark.FULLY for gold in wanted)
            self._sum.update(
                questions=1,
                answers_correct=int(verdict is Verdict.CORRECT),
                answers_hallucinated=int(verdict is Verdict.HALLUCINATION),
                answers_omitted=int(verdict is Verdict.OMISSION),
                evidenced=int(bool(wanted)),
                evidence_found=int(there),
            )
