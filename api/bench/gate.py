"""Measures of the privacy gate: what stays readable, what is masked for nothing, and what it costs.

Functions from labelled texts to figures; `memvault bench` prints them. Definitions:

- *leak*: share of labelled spans of which any letter or digit stays readable, all kinds counted.
- *precision*: share of masked characters (white space apart) that lie in a labelled span.
- *run precision*, for F2: share of masked runs of which at least half the characters lie in labelled spans.
- *recall*, for F2: share of labelled spans of the claimed kinds that do not leak.
- Intervals: 95 %, bootstrap over templates (texts of one template are not independent).
"""

import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vault.model import Span
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens

BOOTSTRAP: Final = 1000
SEED: Final = 20_261_122
HARD_KINDS: Final = frozenset(
    {"EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "PHONE_NUMBER", "IP_ADDRESS"}
)
_TOKENS: Final = SubjectTokens(b"benchmark token key, no secret..")


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled range of a text."""

    kind: str
    span: Span


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text, where its personal data stands, and the template it came from."""

    text: str
    labels: tuple[Label, ...]
    template: str
    optional: tuple[Span, ...] = ()
    """Masked or not, neither counts."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class KindFigure:
    """One labelled kind."""

    kind: str
    spans: int
    leaked: int
    leak: Interval


@dataclass(frozen=True, slots=True)
class Quality:
    """What the gate does to a set of labelled texts."""

    texts: int
    templates: int
    spans: int
    leak: Interval
    precision: Interval
    f2: Interval
    hard_recall: Interval
    """Recall of e-mail, card, IBAN, SSN, phone and IP address together."""
    kinds: tuple[KindFigure, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """How often the gate masks texts that hold little, and what a text costs."""

    texts: int
    runs: int
    runs_per_text: float
    p50_ms: float
    p95_ms: float
    batch_ms: float
    """Mean milliseconds a text when all are given to `screen_many`."""


@dataclass(slots=True)
class _Tally:
    """Counts over the texts of one template."""

    spans: int = 0
    leaked: int = 0
    claimed: int = 0
    claimed_leaked: int = 0
    hard: int = 0
    hard_leaked: int = 0
    masked: int = 0
    right: int = 0
    runs: int = 0
    right_runs: int = 0

    def add(self, other: "_Tally") -> None:
        """Add another tally."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def leak(self) -> float:
        """Share of spans that leak."""
        return self.leaked / max(self.spans, 1)

    @property
    def precision(self) -> float:
        """Share of masked characters that are labelled."""
        return self.right / max(self.masked, 1)

    @property
    def f2(self) -> float:
        """F-measure that weighs recall four times."""
        precision = self.right_runs / max(self.runs, 1)
        recall = 1 - self.claimed_leaked / max(self.claimed, 1)
        return 5 * precision * recall / max(4 * precision + recall, 1e-9)

    @property
    def hard_recall(self) -> float:
        """Recall of the kinds that must not be missed."""
        return 1 - self.hard_leaked / max(self.hard, 1)


def read_synth(path: Path) -> list[LabelledText]:
    """Return the texts of a presidio-research file."""
    return [
        LabelledText(
            item["full_text"],
            tuple(
                Label(span["entity_type"], Span(span["start_position"], span["end_position"]))
                for span in item["spans"]
            ),
            str(item["template_id"]),
        )
        for item in json.loads(path.read_text(encoding="utf-8"))
    ]


def read_labelled_turns(path: Path) -> list[LabelledText]:
    """Return the hand-labelled turns of this project; each is a template of its own."""
    return [
        LabelledText(
            item["text"],
            tuple(Label(span["type"], Span(span["start"], span["end"])) for span in item["spans"]),
            f"turn-{number}",
            tuple(Span(span["start"], span["end"]) for span in item["optional"]),
        )
        for number, item in enumerate(json.loads(path.read_text(encoding="utf-8")))
    ]


def was_read(template: str) -> bool:
    """Tell whether a template belongs to the half that was looked at while the rules were written."""
    return hashlib.sha256(f"template-{template}".encode()).digest()[0] % 2 == 0


def lower_cased(texts: Sequence[LabelledText]) -> list[LabelledText]:
    """Return a copy in lower case, without texts whose length that changes."""
    return [replace(one, text=one.text.lower()) for one in texts if len(one.text.lower()) == len(one.text)]


def _tally(
    gate: PrivacyGate, one: LabelledText, claimed: Callable[[str], bool], kinds: dict[str, list[int]]
) -> _Tally:
    """Count one text."""
    tally = _Tally()
    masked = bytearray(len(one.text))
    gold = bytearray(len(one.text))
    for label in one.labels:
        gold[label.span.start : label.span.end] = b"\x01" * (label.span.end - label.span.start)
    free = {at for span in one.optional for at in range(span.start, span.end)}
    for replacement in gate.screen(one.text, _TOKENS).replacements:
        source = replacement.source
        masked[source.start : source.end] = b"\x01" * (source.end - source.start)
        inked = [
            at for at in range(source.start, source.end) if not one.text[at].isspace() and at not in free
        ]
        right = sum(gold[at] for at in inked)
        if not inked:
            continue
        tally.masked += len(inked)
        tally.right += right
        tally.runs += 1
        tally.right_runs += 2 * right >= len(inked)
    for label in one.labels:
        leaked = any(
            not masked[at] and one.text[at].isalnum() for at in range(label.span.start, label.span.end)
        )
        tally.spans += 1
        tally.leaked += leaked
        if claimed(label.kind):
            tally.claimed += 1
            tally.claimed_leaked += leaked
        if label.kind in HARD_KINDS:
            tally.hard += 1
            tally.hard_leaked += leaked
        kinds[label.kind][0] += 1
        kinds[label.kind][1] += leaked
    return tally


def quality(
    gate: PrivacyGate, texts: Sequence[LabelledText], claimed: Callable[[str], bool] = lambda _: True
) -> Quality:
    """Measure the gate on labelled texts."""
    by_template: dict[str, _Tally] = defaultdict(_Tally)
    by_kind: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for one in texts:
        by_template[one.template].add(_tally(gate, one, claimed, by_kind[one.template]))
    samples = _samples(by_template)
    whole = _sum(list(by_template.values()))
    totals: Counter[str] = Counter()
    leaked: Counter[str] = Counter()
    for found in by_kind.values():
        for kind, (spans, lost) in found.items():
            totals[kind] += spans
            leaked[kind] += lost
    return Quality(
        texts=len(texts),
        templates=len(by_template),
        spans=whole.spans,
        leak=_interval(whole.leak, [one.leak for one in samples]),
        precision=_interval(whole.precision, [one.precision for one in samples]),
        f2=_interval(whole.f2, [one.f2 for one in samples]),
        hard_recall=_interval(whole.hard_recall, [one.hard_recall for one in samples]),
        kinds=tuple(
            KindFigure(kind, count, leaked[kind], _kind_interval(kind, by_kind))
            for kind, count in totals.most_common()
        ),
    )


def _sum(tallies: Sequence[_Tally]) -> _Tally:
    """Return all tallies added."""
    whole = _Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def _samples(by_template: Mapping[str, _Tally]) -> list[_Tally]:
    """Return bootstrap samples over templates."""
    draw = random.Random(SEED)  # noqa: S311 (statistics, not secrets)
    tallies = list(by_template.values())
    return [_sum(draw.choices(tallies, k=len(tallies))) for _ in range(BOOTSTRAP)] if tallies else []


def _interval(value: float, samples: Sequence[float]) -> Interval:
    """Return a value with the 2.5th and 97.5th percentile of its samples."""
    ordered = sorted(samples) or [value]
    return Interval(
        value, ordered[int(0.025 * len(ordered))], ordered[min(int(0.975 * len(ordered)), len(ordered) - 1)]
    )


def _kind_interval(kind: str, by_kind: Mapping[str, Mapping[str, list[int]]]) -> Interval:
    """Return the leak of one kind with its interval over the templates that have it."""
    counts = [tuple(found[kind]) for found in by_kind.values() if kind in found]
    draw = random.Random(SEED)  # noqa: S311 (statistics, not secrets)
    samples = []
    for _ in range(BOOTSTRAP):
        drawn = draw.choices(counts, k=len(counts))
        samples.append(sum(lost for _, lost in drawn) / sum(spans for spans, _ in drawn))
    return _interval(sum(lost for _, lost in counts) / sum(spans for spans, _ in counts), samples)


def load(gate: PrivacyGate, texts: Sequence[str]) -> Load:
    """Measure how often and how fast the gate masks; on one thread."""
    for text in texts[:20]:
        gate.screen(text, _TOKENS)
    times: list[float] = []
    runs = 0
    for text in texts:
        start = time.perf_counter()
        screened = gate.screen(text, _TOKENS)
        times.append((time.perf_counter() - start) * 1e3)
        runs += len(screened.replacements)
    start = time.perf_counter()
    gate.screen_many(texts, _TOKENS)
    batch = (time.perf_counter() - start) * 1e3
    times.sort()
    count = max(len(texts), 1)
    return Load(len(texts), runs, runs / count, times[count // 2], times[int(count * 0.95)], batch / count)


def read_locomo_turns(path: Path) -> list[str]:
    """Return the texts of all turns of a LoCoMo file, without speakers."""
    turns: list[str] = []
    for item in json.loads(path.read_text(encoding="utf-8")):
        for name, session in item["conversation"].items():
            if name.startswith("session_") and isinstance(session, list):
                turns.extend(turn["text"] for turn in session)
    return turns
