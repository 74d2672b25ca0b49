"""The measures of quality as figures with their targets: the privacy gate, and the recall of search.

Owns the targets. What is measured and how is said by `api.bench.gate`, `api.bench.recall` and
`api.bench.search`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from api.bench.gate import (
    Quality,
    load,
    lower_cased,
    quality,
    read_labelled_turns,
    read_locomo_turns,
    read_synth,
    was_read,
)
from api.bench.gate_report import TECHNICAL, TURNS
from api.bench.recall import FindsNothing, Recall, measure_recall, read_dialogues
from api.bench.report import Figure, Target, at_least, at_most, not_judged, not_measured
from api.bench.search import measure_search
from policies.privacy import default_privacy_rules
from vault.privacy.detect import PresidioDetector
from vault.privacy.gate import PrivacyGate
from vault.search.embed import MiniLmEmbedder

LEAK: Final = at_most(0.05)
LEAK_LOWER: Final = at_most(0.12)
PRECISION: Final = at_least(0.87)
HARD_RECALL: Final = at_least(0.99)
F2: Final = at_least(0.90)
CHAT_RUNS: Final = at_most(0.6)
TECHNICAL_RUNS: Final = at_most(0.3)
ALONE_MS: Final = at_most(4)
BATCHED_MS: Final = at_most(3)
RECALL: Final = at_least(0.80)
MASKING_POINTS: Final = at_most(2)
INDEX_MS: Final = {5_882: at_most(2.5), 100_000: at_most(20)}
_CUT: Final = 10
_TEXTS_LESS: Final = "a small sample: the first 200 texts"
_TURNS_LESS: Final = "a small sample: the first 300 turns"
_DIALOGUES_LESS: Final = "a small sample: one dialogue"
_UNREAD: Final = "templates never looked at"
_ALL: Final = "all templates, half of them read"
_STOCK: Final = "stock Presidio leaks 0.37 at 0.84"
_BASELINES: Final = "mem0 and MemOS 0.46, stemmed BM25 0.63 (../shared/bench)"

Step = Callable[[str], None]


def real_gate() -> PrivacyGate:
    """Return the gate as it ships."""
    rules = default_privacy_rules()
    return PrivacyGate(PresidioDetector(rules), rules)


def privacy(synth: Path | None, locomo: Path | None, *, quick: bool = False) -> list[Figure]:
    """Measure the gate: leak, precision, runs and cost.

    The targets stand at the templates that nobody looked at. The same over all of them is printed
    beside it and judged by nothing: half were read while the rules were written.
    """
    gate = real_gate()
    texts = [_reduced(one, _TEXTS_LESS, when=quick) for one in _synth(gate, synth, quick=quick)]
    turns = [_reduced(one, _TURNS_LESS, when=quick) for one in _chat(gate, locomo, quick=quick)]
    return [*texts, *_by_hand(gate), *turns, *_technical(gate)]


def _reduced(figure: Figure, why: str, *, when: bool) -> Figure:
    return not_judged(figure, why) if when else figure


def _synth(gate: PrivacyGate, synth: Path | None, *, quick: bool) -> Iterator[Figure]:
    if synth is None:
        yield not_measured(f"leak rate, {_UNREAD}", "", "../shared/data/pii is not here", LEAK)
        return
    texts = read_synth(synth)[: 200 if quick else None]
    unread = [one for one in texts if not was_read(one.template)]
    yield from _qualities(_UNREAD, quality(gate, unread), with_targets=True)
    lowered = quality(gate, lower_cased(unread)).leak.value
    yield Figure(f"leak rate, {_UNREAD}, lower-cased copy", lowered, "", LEAK_LOWER)
    yield from _qualities(_ALL, quality(gate, texts), with_targets=False)
    yield Figure(f"leak rate, {_ALL}, lower-cased copy", quality(gate, lower_cased(texts)).leak.value, "")


def _by_hand(gate: PrivacyGate) -> Iterator[Figure]:
    if not TURNS.is_file():
        yield not_measured("leak rate, hand-labelled turns", "", "the tests are not beside the program")
        return
    yield from _qualities(
        "hand-labelled turns", quality(gate, read_labelled_turns(TURNS)), with_targets=False
    )


def _qualities(name: str, found: Quality, *, with_targets: bool) -> Iterator[Figure]:
    interval = f"95 % interval {found.leak.low:.3f} to {found.leak.high:.3f}; {found.spans} spans"
    rows: Sequence[tuple[str, float, Target, str]] = (
        ("leak rate", found.leak.value, LEAK, f"{interval}; {_STOCK}" if with_targets else interval),
        ("character precision", found.precision.value, PRECISION, ""),
        ("span F2", found.f2.value, F2, ""),
        ("recall of e-mail, card, IBAN, SSN, phone, IP", found.hard_recall.value, HARD_RECALL, ""),
    )
    for label, value, target, note in rows:
        yield Figure(f"{label}, {name}", value, "", target if with_targets else None, note)


def _chat(gate: PrivacyGate, locomo: Path | None, *, quick: bool) -> Iterator[Figure]:
    if locomo is None:
        yield not_measured("gate on a LoCoMo turn, p50", "ms", "../shared/data/locomo is not here", ALONE_MS)
    else:
        chat = load(gate, read_locomo_turns(locomo)[: 300 if quick else None])
        yield Figure("gate on a LoCoMo turn, p50", chat.p50_ms, "ms", ALONE_MS, "stock Presidio 12 to 14")
        yield Figure("gate on LoCoMo turns in a batch, mean", chat.batch_ms, "ms", BATCHED_MS)
        yield Figure("masked runs a LoCoMo turn", chat.runs_per_text, "", CHAT_RUNS)


def _technical(gate: PrivacyGate) -> Iterator[Figure]:
    for name, file in TECHNICAL.items():
        label = f"masked runs a line, {name}"
        if file.is_file():
            lines = load(gate, file.read_text(encoding="utf-8").splitlines())
            yield Figure(label, lines.runs_per_text, "", TECHNICAL_RUNS)
        else:
            yield not_measured(label, "", "the tests are not beside the program", TECHNICAL_RUNS)


def recall(locomo: Path, *, quick: bool = False, step: Step = lambda _: None) -> list[Figure]:
    """Measure evidence recall with masking on and off."""
    dialogues = read_dialogues(locomo)[: 1 if quick else None]
    gate, rules = real_gate(), default_privacy_rules()
    embedder = MiniLmEmbedder()
    step("masking on")
    on = measure_recall(dialogues, embedder, gate, masked=True, progress=step)
    step("masking off")
    off = measure_recall(dialogues, embedder, PrivacyGate(FindsNothing(), rules), masked=False, progress=step)
    embedder.close()
    cost = 100 * (off.every.recall[_CUT] - on.every.recall[_CUT])
    judged = [
        Figure("evidence R@10, masked, all dialogues", on.every.recall[_CUT], "", RECALL, _BASELINES),
        Figure(
            "cost of masking at R@10", cost, "points", MASKING_POINTS, f"off {off.every.recall[_CUT]:.3f}"
        ),
    ]
    figures = [_reduced(one, _DIALOGUES_LESS, when=quick) for one in judged]
    figures += [
        *_part("evidence R@10, dialogues tuned on", on.tuned_on),
        *_part("evidence R@10, the other dialogues", on.others),
    ]
    for name, part in on.by_category.items():
        figures += _part(f"evidence R@10, {name}", part)
    for arm, part in on.arms.items():
        figures += _part(f"evidence R@10, {arm} arm alone", part)
    return figures


def _part(name: str, part: Recall) -> list[Figure]:
    if not part.questions:
        return [not_measured(name, "", "no question of this kind in this run")]
    return [Figure(name, part.recall[_CUT], "", note=f"{part.questions} questions")]


def index_alone(locomo: Path | None, made_up: Sequence[str], *, quick: bool = False) -> list[Figure]:
    """Measure search without the vault around it: the in-memory index."""
    texts, questions, what = list(made_up), list(made_up[:200]), "made-up texts"
    if locomo is not None:
        texts = read_locomo_turns(locomo)
        questions = [asked.text for one in read_dialogues(locomo) for asked in one.questions][:200]
        what = "LoCoMo turns, widened"
    figures = []
    for size in (5_882,) if quick else (5_882, 100_000):
        found = measure_search(texts, questions, size)
        figures += [
            Figure(f"index alone, {size:,} memories, p50", found.search_p50_ms, "ms", INDEX_MS[size], what),
            Figure(f"index alone, adding to {size:,}", found.add_us, "µs", note="one packed record"),
        ]
    return figures
