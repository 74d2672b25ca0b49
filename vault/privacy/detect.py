"""Finding personal data: Presidio's analyzer with our recognizers in its registry.

The only module that imports `presidio_analyzer`; import it late, it takes more than a second. It owns
the adapters between Presidio and our recognizers, which know nothing of it. No network, ever: no
predefined recognizer is registered (one of them asks the network for public suffixes), and the NLP
engine is blank: it hands each recognizer the `Reading` of the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

from policies.privacy import EntityType, PrivacyRules
from vault.privacy.findings import Finding
from vault.privacy.reading import Reading
from vault.privacy.recognizers.families import FAMILIES, Family
from vault.privacy.runs import whole_runs
from vault.privacy.tagger import LEARNED, Tagger

DETECTOR_VERSION: Final = "2"
"""Raised with every change of what is found or masked: records carry it, and a test holds the code to it."""
TAGGER_NAME: Final = "tagger"
SPACY_NAME: Final = "spacy"


class _Artifacts(NlpArtifacts):
    """A reading in the place of spaCy's tokens and lemmas."""

    def __init__(self, reading: Reading, language: str) -> None:
        super().__init__([], [], [], [], None, language)  # type: ignore[arg-type]  # no spaCy document stands behind it
        self.reading = reading


class _BlankEngine(NlpEngine):
    """An NLP engine without a model."""

    engine_name = "blank"
    is_available = True

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = list(languages)

    def load(self) -> None:
        """Load nothing."""

    def is_loaded(self) -> bool:
        """Return True: there is nothing to load."""
        return True

    def process_text(self, text: str, language: str) -> _Artifacts:
        """Return the reading of `text`."""
        return _Artifacts(Reading(text), language)

    def process_batch(
        self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **_options: object
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """Yield each text with its reading."""
        del batch_size, n_process
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word: str, language: str) -> bool:
        """Return False: the engine knows no words."""
        del word, language
        return False

    def is_punct(self, word: str, language: str) -> bool:
        """Return False: the engine knows no words."""
        del word, language
        return False

    def get_supported_entities(self) -> list[str]:
        """Return nothing: the recognizers find, not the engine."""
        return []

    def get_supported_languages(self) -> list[str]:
        """Return the configured languages."""
        return self._languages


class _NoEnhancer(ContextAwareEnhancer):
    """Leaves results as they are: our patterns look at the words around them themselves."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0, 0, 0)

    def enhance_using_context(
        self,
        text: str,
        raw_results: list[RecognizerResult],
        nlp_artifacts: NlpArtifacts,
        recognizers: list[EntityRecognizer],
        context: list[str] | None = None,
    ) -> list[RecognizerResult]:
        """Return `raw_results`."""
        del text, nlp_artifacts, recognizers, context
        return raw_results


class _FamilyRecognizer(EntityRecognizer):
    """One family of patterns as a Presidio recognizer."""

    def __init__(self, family: Family, language: str) -> None:
        self._family = family
        super().__init__(
            supported_entities=sorted(family.kinds),
            name=family.name,
            supported_language=language,
            version=DETECTOR_VERSION,
        )

    def load(self) -> None:
        """Load nothing: patterns are compiled when their module is."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Return what the family finds in the reading."""
        del text, entities
        return [_result(finding) for finding in _reading(nlp_artifacts).found_by(self._family)]


class _Opinion(Protocol):
    """What finds names by likelihood."""

    def find(self, reading: Reading) -> list[Finding]:
        """Return likely names."""
        ...


class _OpinionRecognizer(EntityRecognizer):
    """The learned tagger, or spaCy, as a Presidio recognizer."""

    def __init__(self, opinion: _Opinion, name: str, language: str) -> None:
        self._opinion = opinion
        super().__init__(
            supported_entities=sorted(LEARNED),
            name=name,
            supported_language=language,
            version=DETECTOR_VERSION,
        )

    def load(self) -> None:
        """Load nothing: the model came loaded."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts) -> list[RecognizerResult]:
        """Return what it finds in the reading."""
        del text, entities
        return [_result(finding) for finding in self._opinion.find(_reading(nlp_artifacts))]


def _reading(artifacts: NlpArtifacts) -> Reading:
    """Return the reading that the blank engine made."""
    if not isinstance(artifacts, _Artifacts):
        raise TypeError("expected the artifacts of the blank engine")
    return artifacts.reading


def _result(finding: Finding) -> RecognizerResult:
    """Return a finding as Presidio's value."""
    return RecognizerResult(finding.kind.value, finding.start, finding.end, finding.score)


def _statistical(tagger: Tagger) -> EntityRecognizer:
    """Return spaCy's recognizer; its model is loaded only where the rules ask for it."""
    from vault.privacy.statistical import LANGUAGE, StatisticalNames  # noqa: PLC0415 (an installed extra)

    return _OpinionRecognizer(StatisticalNames(tagger), SPACY_NAME, LANGUAGE)


class PresidioDetector:
    """A `Detector`: our recognizers run by Presidio's analyzer.

    Args:
        rules: Give the languages and the technical terms; thresholds and actions are the gate's part.
        tagger: The learned tagger; the shipped one if None.

    Raises:
        TamperedError: a shipped file is not the one that was built.
    """

    def __init__(self, rules: PrivacyRules, tagger: Tagger | None = None) -> None:
        self._language = rules.languages[0]
        self._terms = frozenset(term.casefold() for term in rules.allow_terms)
        languages = list(rules.languages)
        self._tagger = tagger or Tagger()
        recognizers: list[EntityRecognizer] = [
            _FamilyRecognizer(family, language) for language in languages for family in FAMILIES
        ]
        recognizers += [_OpinionRecognizer(self._tagger, TAGGER_NAME, language) for language in languages]
        self._spacy = rules.spacy
        if rules.spacy:
            recognizers.append(_statistical(self._tagger))
        self._analyzer = AnalyzerEngine(
            registry=RecognizerRegistry(recognizers=recognizers, supported_languages=languages),
            nlp_engine=_BlankEngine(languages),
            supported_languages=languages,
            context_aware_enhancer=_NoEnhancer(),
        )

    @property
    def name(self) -> str:
        """Name and version: stamped on records."""
        return (
            f"memvault-gate/{DETECTOR_VERSION} model:{self._tagger.digest}{'+spacy' if self._spacy else ''}"
        )

    def detect(self, text: str) -> list[Finding]:
        """Return findings by place; overlaps allowed."""
        if not text or text.isspace():
            return []
        results = self._analyzer.analyze(text, language=self._language, score_threshold=0.0)
        return whole_runs(text, (_finding(result) for result in results), self._terms)


def _finding(result: RecognizerResult) -> Finding:
    """Return Presidio's value as a finding."""
    source = (result.recognition_metadata or {}).get(RecognizerResult.RECOGNIZER_NAME_KEY)
    return Finding(
        EntityType(result.entity_type),
        result.start,
        result.end,
        float(result.score),
        source not in {TAGGER_NAME, SPACY_NAME},
    )
