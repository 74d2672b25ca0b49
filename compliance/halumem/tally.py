"""Counts of one user's run, and the measures over their sum: published formulas and corrected ones.

Formulas are those of `eval/evaluation.py` of github.com/MemTensor/HaluMem and of the paper, arXiv:2511.03506.
Owns arithmetic only. A share of nothing is None, never 0 or 1.
"""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, strict=True)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tally(BaseModel):
    """Sums that add up over users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: Count = 0
    points: Count = 0
    """To be remembered, updates included."""
    recalled: Count = 0
    published_points: Count = 0
    """Without updates for which anything at all was retrieved: as HaluMem counts."""
    published_recalled: Count = 0
    published_weight: Amount = 0.0
    published_weighted: Amount = 0.0
    false_points: Count = 0
    resisted: Count = 0
    memories: Count = 0
    accuracy: Amount = 0.0
    target_memories: Count = 0
    target_accuracy: Amount = 0.0
    clean_targets: Count = 0
    """Memories that say what is to be remembered and nothing that is not."""
    updates: Count = 0
    updates_retrieved: Count = 0
    updates_correct: Count = 0
    updates_hallucinated: Count = 0
    updates_stale: Count = 0
    """Correct by the published rule, with the replaced memory found beside the new one."""
    questions: Count = 0
    answers_correct: Count = 0
    answers_hallucinated: Count = 0
    answers_omitted: Count = 0
    evidenced: Count = 0
    """Questions that rest on evidence."""
    evidence_found: Count = 0
    """Those for which all of it was retrieved."""

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> Self:
        """Return the sum."""
        fields = dict.fromkeys(cls.model_fields, 0)
        for one in tallies:
            for name in fields:
                fields[name] += getattr(one, name)
        return cls(**fields)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def recall(t: Tally) -> float | None:
    """R = points marked 2 / points, published; updates for which something was retrieved are left out."""
    return _share(t.published_recalled, t.published_points)


def weighted_recall(t: Tally) -> float | None:
    """Weighted R = Σ importance · mark/2 / Σ importance, published; over the same points as R."""
    return _share(t.published_weighted, t.published_weight)


def target_precision(t: Tally) -> float | None:
    """Target P = Σ mark/2 / memories, published; over the extracted memories that gold includes."""
    return _share(t.target_accuracy, t.target_memories)


def accuracy(t: Tally) -> float | None:
    """Acc. = Σ mark/2 / memories, published; over all extracted memories."""
    return _share(t.accuracy, t.memories)


def resistance(t: Tally) -> float | None:
    """FMR = interference points marked 0 / interference points, published; storing nothing has 1."""
    return _share(t.resisted, t.false_points)


def f1(t: Tally) -> float | None:
    """F1 = 2 · R · Target P / (R + Target P), published."""
    return _harmonic(recall(t), target_precision(t))


def _harmonic(one: float | None, two: float | None) -> float | None:
    if one is None or two is None:
        return None
    return 2 * one * two / (one + two) if one + two else 0.0


def full_recall(t: Tally) -> float | None:
    """Corrected R = points marked 2 / all points that are to be remembered, updates included (ours)."""
    return _share(t.recalled, t.points)


def recall_and_resistance(t: Tally) -> float | None:
    """Harmonic mean of corrected R and FMR (ours): storing nothing has 0, not 1."""
    return _harmonic(full_recall(t), resistance(t))


def clean_precision(t: Tally) -> float | None:
    """Memories with a point to be remembered and no interference / all memories (ours): small talk counts against."""
    return _share(t.clean_targets, t.memories)


def update_correct(t: Tally) -> float | None:
    """C = correct / updates for which something was retrieved, published: those with none vanish."""
    return _share(t.updates_correct, t.updates_retrieved)


def update_hallucination(t: Tally) -> float | None:
    """H = hallucinated / updates for which something was retrieved, published."""
    return _share(t.updates_hallucinated, t.updates_retrieved)


def update_omission(t: Tally) -> float | None:
    """O = neither correct nor hallucinated / updates for which something was retrieved, published."""
    return _share(t.updates_retrieved - t.updates_correct - t.updates_hallucinated, t.updates_retrieved)


def all_update_correct(t: Tally) -> float | None:
    """Corrected C = correct / all updates (ours)."""
    return _share(t.updates_correct, t.updates)


def all_update_hallucination(t: Tally) -> float | None:
    """Corrected H = hallucinated / all updates (ours)."""
    return _share(t.updates_hallucinated, t.updates)


def all_update_omission(t: Tally) -> float | None:
    """Corrected O = neither / all updates (ours): one with an empty retrieval is an omission."""
    return _share(t.updates - t.updates_correct - t.updates_hallucinated, t.updates)


def replaced(t: Tally) -> float | None:
    """Correct updates without the replaced memory beside them / all updates (ours)."""
    return _share(t.updates_correct - t.updates_stale, t.updates)


def answer_correct(t: Tally) -> float | None:
    """C = correct answers / questions, published."""
    return _share(t.answers_correct, t.questions)


def answer_hallucination(t: Tally) -> float | None:
    """H = wrong answers / questions, published."""
    return _share(t.answers_hallucinated, t.questions)


def answer_omission(t: Tally) -> float | None:
    """O = answers that say nothing / questions, published."""
    return _share(t.answers_omitted, t.questions)


def right_evidence(t: Tally) -> float | None:
    """Questions with all their evidence retrieved / questions with evidence (ours)."""
    return _share(t.evidence_found, t.evidenced)


MEASURES = (
    ("extraction", (recall, weighted_recall, target_precision, accuracy, resistance, f1)),
    ("extraction, corrected", (full_recall, resistance, recall_and_resistance, clean_precision)),
    ("updating", (update_correct, update_hallucination, update_omission)),
    ("updating, corrected", (all_update_correct, all_update_hallucination, all_update_omission, replaced)),
    ("question answering", (answer_correct, answer_hallucination, answer_omission, right_evidence)),
)
"""All measures, in the order of reports; wherever `resistance` stands, a recall stands beside it."""
