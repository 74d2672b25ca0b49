"""Measure of retrieval: how much of a question's evidence stands among the first results.

Functions from a LoCoMo file (Maharana et al. 2024) to figures; `memvault bench` prints them. One
conversation is one owner's scope, one turn one memory, as in the peers' harness. Definitions:

- *recall at k*: share of a question's evidence turns among its first k results, the mean over questions.
- *hit at k*: share of questions with any evidence turn among their first k results.
- Questions without evidence in the conversation are left out; all categories count.

The text of a turn passes the gate, its annotations and the hashing as in a write, the question as in a
read; sealing and storage, which change no result, are left out. Weights of the fusion were found on
`TUNED_ON`; what is measured on other conversations is reported apart.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Final, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from policies.model import AccessTier
from vault.model import Screened
from vault.pipeline.annotate import annotate
from vault.privacy.findings import Finding
from vault.privacy.gate import PrivacyGate
from vault.privacy.names import screen_name
from vault.privacy.tokens import SubjectTokens
from vault.search.embed import Embedder
from vault.search.index import Entry, Found, Query, Scope, TenantIndex
from vault.search.lexical import TermHasher, embedding_text, prepare_query
from vault.search.record import pack

TUNED_ON: Final = frozenset({"conv-26", "conv-43", "conv-47"})
CUTS: Final = (5, 10, 20)
CATEGORIES: Final = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_SCOPE: Final = Scope(AccessTier.PRIVATE, "bench")
_HASHER: Final = TermHasher(b"benchmark index key, no secret..")
_TOKENS: Final = SubjectTokens(b"benchmark token key, no secret..")
_EVIDENCE: Final = re.compile(r"D(\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """One utterance, with the data set's id."""

    id: str
    session: str
    position: int
    speaker: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EvidenceQuestion:
    """A question and the turns that answer it."""

    text: str
    evidence: frozenset[str]
    category: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation over many sessions."""

    name: str
    turns: tuple[DialogueTurn, ...]
    questions: tuple[EvidenceQuestion, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall over some questions; values are shares."""

    questions: int
    recall: Mapping[int, float]
    """By cut."""
    hit: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class RecallReport:
    """Recall of one way to search."""

    masked: bool
    every: Recall
    tuned_on: Recall
    others: Recall
    by_category: Mapping[str, Recall]
    by_dialogue: Mapping[str, Recall]
    arms: Mapping[str, Recall]
    """What the words or the vectors of single turns find alone."""


class _RawTurn(TypedDict):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str


class _RawQuestion(TypedDict):
    question: str
    evidence: list[str]
    category: int


class _RawItem(TypedDict):
    sample_id: str
    conversation: dict[str, object]
    qa: list[_RawQuestion]


@dataclass(frozen=True, slots=True)
class _Answered:
    """One question with its rankings: `fused`, and each arm alone."""

    dialogue: str
    question: EvidenceQuestion
    rankings: Mapping[str, Sequence[str]]


class FindsNothing:
    """A detector for the comparison with masking off."""

    name = "none"

    def detect(self, text: str) -> Sequence[Finding]:
        """Return no finding."""
        del text
        return ()


def read_dialogues(path: Path) -> list[Dialogue]:
    """Return the conversations of a LoCoMo file."""
    items = cast("list[_RawItem]", json.loads(path.read_text(encoding="utf-8")))
    return [_dialogue(item) for item in items]


def measure_recall(
    dialogues: Sequence[Dialogue],
    embedder: Embedder,
    gate: PrivacyGate,
    *,
    masked: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> RecallReport:
    """Search every question in its conversation and count the evidence found.

    Args:
        dialogues: what `read_dialogues` read.
        embedder: makes the vectors.
        gate: screens turns, speakers and questions; with `FindsNothing`, masking is off.
        masked: noted in the report, and whether speakers' names are screened.
        progress: told the name of each conversation when it is done.
    """
    answered: list[_Answered] = []
    for dialogue in dialogues:
        answered.extend(_answers(dialogue, embedder, gate, masked=masked))
        progress(dialogue.name)
    by_category: dict[str, list[_Answered]] = defaultdict(list)
    by_dialogue: dict[str, list[_Answered]] = defaultdict(list)
    for one in answered:
        by_category[CATEGORIES.get(one.question.category, str(one.question.category))].append(one)
        by_dialogue[one.dialogue].append(one)
    return RecallReport(
        masked=masked,
        every=_recall(answered),
        tuned_on=_recall([one for one in answered if one.dialogue in TUNED_ON]),
        others=_recall([one for one in answered if one.dialogue not in TUNED_ON]),
        by_category={name: _recall(some) for name, some in sorted(by_category.items())},
        by_dialogue={name: _recall(some) for name, some in sorted(by_dialogue.items())},
        arms={arm: _recall(answered, arm) for arm in ("lexical", "dense")},
    )


def _answers(
    dialogue: Dialogue, embedder: Embedder, gate: PrivacyGate, *, masked: bool
) -> Iterator[_Answered]:
    index = _indexed(dialogue, embedder, gate, masked=masked)
    prepared = [prepare_query(_HASHER, gate.screen(asked.text, _TOKENS)) for asked in dialogue.questions]
    vectors = embedder.embed([query.embedding_text for query in prepared])
    for asked, query, vector in zip(dialogue.questions, prepared, vectors, strict=True):
        fused = _ids(index.search(Query(query, vector), frozenset({_SCOPE}), max(CUTS)))
        everything = index.search(Query(query, vector), frozenset({_SCOPE}), min(1_000, len(index)))
        yield _Answered(
            dialogue.name,
            asked,
            {"fused": fused} | {arm: _by_arm(everything, arm) for arm in ("lexical", "dense")},
        )


def _indexed(dialogue: Dialogue, embedder: Embedder, gate: PrivacyGate, *, masked: bool) -> TenantIndex:
    """Index a conversation as the write path would."""
    index = TenantIndex(embedder.dimensions)
    for session in dict.fromkeys(turn.session for turn in dialogue.turns):
        turns = [turn for turn in dialogue.turns if turn.session == session]
        knowing = gate.knowing([turn.speaker for turn in turns]) if masked else gate
        screened = [knowing.screen(turn.text, _TOKENS) for turn in turns]
        speakers = {
            name: screen_name(knowing, name, _TOKENS) if masked else gate.screen(name, _TOKENS)
            for name in {turn.speaker for turn in turns}
        }
        vectors = embedder.embed([embedding_text(text) for text in screened])
        for turn, text, vector in zip(turns, screened, vectors, strict=True):
            index.add_many([_entry(turn, text, speakers[turn.speaker], vector)])
    return index


def _entry(turn: DialogueTurn, text: Screened, speaker: Screened, vector: NDArray[np.float32]) -> Entry:
    times = annotate(text.text, turn.at).times
    record = pack(_HASHER.record(text, speaker=speaker, at=turn.at, times=times))
    return Entry(_SCOPE, turn.id, turn.session, turn.position, record, vector)


def _by_arm(found: Sequence[Found], arm: str) -> list[str]:
    return _ids(sorted(found, key=lambda hit: -hit.why[arm])[: max(CUTS)])


def _ids(found: Sequence[Found]) -> list[str]:
    return [hit.memory_id for hit in found]


def _recall(answered: Sequence[_Answered], ranking: str = "fused") -> Recall:
    shares = {
        cut: [
            len(one.question.evidence.intersection(one.rankings[ranking][:cut])) / len(one.question.evidence)
            for one in answered
        ]
        for cut in CUTS
    }
    if not answered:
        return Recall(0, {}, {})
    return Recall(
        questions=len(answered),
        recall={cut: fmean(values) for cut, values in shares.items()},
        hit={cut: fmean(value > 0 for value in values) for cut, values in shares.items()},
    )


def _dialogue(item: _RawItem) -> Dialogue:
    sessions = sorted(
        (name for name in item["conversation"] if re.fullmatch(r"session_\d+", name)),
        key=lambda name: int(name.removeprefix("session_")),
    )
    turns = tuple(turn for session in sessions for turn in _turns(item["conversation"], session))
    known = {turn.id for turn in turns}
    questions = ((asked, _evidence(asked, known)) for asked in item["qa"])
    return Dialogue(
        name=item["sample_id"],
        turns=turns,
        questions=tuple(
            EvidenceQuestion(asked["question"], evidence, asked["category"])
            for asked, evidence in questions
            if evidence
        ),
    )


def _turns(conversation: Mapping[str, object], session: str) -> Iterator[DialogueTurn]:
    at = datetime.strptime(str(conversation[f"{session}_date_time"]), "%I:%M %p on %d %B, %Y").replace(
        tzinfo=UTC
    )
    for position, turn in enumerate(cast("list[_RawTurn]", conversation[session])):
        caption = turn.get("blip_caption")
        text = f"{turn['text']} [photo: {caption}]" if caption else turn["text"]
        yield DialogueTurn(turn["dia_id"], session, position, turn["speaker"], text, at)


def _evidence(asked: _RawQuestion, known: set[str]) -> frozenset[str]:
    found = _EVIDENCE.findall(" ".join(asked["evidence"]))
    return frozenset(f"D{int(session)}:{int(turn)}" for session, turn in found) & known
