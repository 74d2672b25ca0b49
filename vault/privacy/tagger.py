"""The learned tagger: a small conditional random field over words, in the kinds that rules cannot prove.

The only module that imports `pycrfsuite`. It owns the model's file format, its pinned digest, and one
CRFsuite tagger for each thread (they are not thread safe). What it was trained on is in
`vault.privacy.training`.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pycrfsuite

from policies.privacy import EntityType
from vault.privacy.features import is_code, lexicon_flags, text_features
from vault.privacy.findings import Finding
from vault.privacy.lexicon import LEXICON_SHA256, load_lexicon, read_asset
from vault.privacy.reading import Reading
from vault.privacy.words import Word

MODEL_FILE: Final = "tagger.crfsuite"
MODEL_SHA256: Final = "ea1ae0d49dba6dfab4594be67fec4d566d01cca05b732853bc57244f860e5cb8"
OUTSIDE: Final = "O"
RULED: Final = "RULED"
"""What a rule proves anyway (an e-mail, a card): learned as context, never reported."""
LEARNED: Final = frozenset(
    {
        EntityType.PERSON,
        EntityType.TITLE,
        EntityType.ORGANIZATION,
        EntityType.LOCATION,
        EntityType.ADDRESS,
        EntityType.POSTCODE,
        EntityType.NATIONALITY,
        EntityType.AGE,
        EntityType.DATE,
        EntityType.CALENDAR,
        EntityType.PHONE,
        EntityType.MEMBER_NUMBER,
        EntityType.USERNAME,
    }
)
_CAPITALISED: Final = frozenset(
    {EntityType.PERSON, EntityType.ORGANIZATION, EntityType.LOCATION, EntityType.NATIONALITY}
)
MAX_WORDS: Final = 400
"""Longest sequence tagged at once; longer texts are cut at a line or sentence end where there is one."""
FLOOR: Final = 0.05
"""Lowest probability of being personal data that is reported: thresholds are the rules' part."""


class Tagger:
    """Tags the words of a reading; one instance serves all threads.

    Args:
        model: A trained model; the shipped one if None.

    Raises:
        TamperedError: a shipped file is not the one that was built.
    """

    def __init__(self, model: bytes | None = None) -> None:
        self._model = read_asset(MODEL_FILE, MODEL_SHA256) if model is None else model
        self._lexicon = load_lexicon()
        self._flags = lexicon_flags(self._lexicon)
        self._threads = threading.local()

    @property
    def digest(self) -> str:
        """First 16 hex digits of a SHA-256 over the model and the word list's digest: both decide what is found."""
        return hashlib.sha256(self._model + bytes.fromhex(LEXICON_SHA256)).hexdigest()[:16]

    def _crf(self) -> "pycrfsuite.Tagger":
        """Return this thread's CRFsuite tagger."""
        crf = getattr(self._threads, "crf", None)
        if crf is None:
            crf = pycrfsuite.Tagger()
            crf.open_inmemory(self._model)
            self._threads.crf = crf
            self._threads.labels = [label for label in sorted(crf.labels()) if label not in {OUTSIDE, RULED}]
        return crf

    def find(self, reading: Reading) -> list[Finding]:
        """Return runs of words that are likely personal data, scored by the least likely word's probability."""
        if reading.learned is None:
            reading.learned = self._find(reading)
        return reading.learned

    def _find(self, reading: Reading) -> list[Finding]:
        """Tag each stretch of words."""
        words = reading.words
        if not words:
            return []
        rows = text_features(words, reading.text, reading.found_by_rules(), self._flags, self._lexicon)
        findings: list[Finding] = []
        for start, end in _stretches(words):
            findings.extend(self._tag(words[start:end], rows[start:end]))
        if is_code(reading.text):
            return [_halved(finding) for finding in findings]
        if reading.text.islower():
            return findings
        return [self._doubted(finding, reading.text) for finding in findings]

    def _doubted(self, finding: Finding, text: str) -> Finding:
        """Return a finding with half its score where a small dictionary word stands for a name among capitals."""
        word = text[finding.start : finding.end]
        if finding.kind not in _CAPITALISED or not word.islower() or word not in self._lexicon:
            return finding
        return _halved(finding)

    def _tag(self, words: Sequence[Word], rows: Sequence[list[str]]) -> Iterable[Finding]:
        """Yield a finding for each word that is likelier than the floor to be personal data, neighbours joined."""
        crf = self._crf()
        labels = crf.tag(rows)
        kinds: list[tuple[str, float]] = []
        for place, label in enumerate(labels):
            outside = crf.marginal(OUTSIDE, place) + crf.marginal(RULED, place)
            inside = 1.0 - outside
            if inside < FLOOR or label == RULED:
                kinds.append((OUTSIDE, 0.0))
            elif label == OUTSIDE:
                kinds.append((_likeliest(crf, self._threads.labels, place), inside))
            else:
                kinds.append((label, inside))
        return _joined(words, kinds)


def _halved(finding: Finding) -> Finding:
    """Return a finding with half its score."""
    return Finding(finding.kind, finding.start, finding.end, finding.score / 2, certain=False)


def _likeliest(crf: "pycrfsuite.Tagger", labels: Sequence[str], place: int) -> str:
    """Return the label other than outside that is likeliest at a word."""
    return max(labels, key=lambda label: float(crf.marginal(label, place)))


def _joined(words: Sequence[Word], kinds: Sequence[tuple[str, float]]) -> list[Finding]:
    """Return one finding for each word with a kind."""
    return [
        Finding(EntityType(kind), word.start, word.end, score, certain=False)
        for word, (kind, score) in zip(words, kinds, strict=True)
        if kind != OUTSIDE and any(map(str.isalnum, word.text))
    ]


def _stretches(words: Sequence[Word]) -> list[tuple[int, int]]:
    """Return ranges of at most `MAX_WORDS` words, cut after a sentence's end where one is near."""
    ranges: list[tuple[int, int]] = []
    start = 0
    while len(words) - start > MAX_WORDS:
        end = start + MAX_WORDS
        while end > start + MAX_WORDS // 2 and words[end - 1].text not in {".", "!", "?"}:
            end -= 1
        end = end if words[end - 1].text in {".", "!", "?"} else start + MAX_WORDS
        ranges.append((start, end))
        start = end
    ranges.append((start, len(words)))
    return ranges


def train(
    rows: Sequence[Sequence[list[str]]],
    labels: Sequence[Sequence[str]],
    path: Path,
    *,
    l1: float,
    l2: float,
    minimum: int,
    rounds: int,
) -> None:
    """Train a model by L-BFGS and write it; the same input gives the same file on the same machine.

    Args:
        rows: Features of each word of each text.
        labels: The label of each word of each text.
        path: Where the model goes.
        l1: Coefficient of L1 regularisation.
        l2: Coefficient of L2 regularisation.
        minimum: Features seen less often are dropped.
        rounds: Most iterations.
    """
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params(
        {
            "c1": l1,
            "c2": l2,
            "feature.minfreq": minimum,
            "max_iterations": rounds,
            "feature.possible_transitions": True,
        }
    )
    for row, label in zip(rows, labels, strict=True):
        trainer.append(row, label)
    trainer.train(str(path))
