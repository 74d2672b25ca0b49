"""Names that are known from elsewhere: speakers of the same conversation, the subject that it is about.

A detector must guess whether "Will" is a person. Whoever extracts a conversation knows who speaks in
it, so those names are found wherever they stand, also as "Will's" or as the first name alone.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Detector, Finding

PARTS: Final = frozenset(
    """
    user assistant agent system bot ai model tool human client customer patient caller member guest
    adviser advisor clerk teller banker broker clinician doctor physician nurse therapist pharmacist
    receptionist operator support moderator interviewer interviewee speaker narrator unknown me you
    dr mr mrs ms miss prof professor self the and von van der den del la le
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
"""Words that say what part somebody plays, or that stand beside many names: they name nobody."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SHORTEST: Final = 2
_SHORTEST_LOWER_CASE: Final = 5
"""In a text without capitals, a shorter name is too often a word."""
_MOST: Final = 256


class KnownNames:
    """Adds known names to what another detector finds.

    Args:
        detector: Finds everything else.
        names: Names of persons, in any case, with or without titles; more than 256 words are cut.
    """

    def __init__(self, detector: Detector, names: Iterable[str]) -> None:
        self._detector = detector
        found = dict.fromkeys(word for name in names for word in name_words(name))
        words = sorted(list(found)[:_MOST], key=lambda word: (-len(word), word))
        self._pattern = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
            if words
            else None
        )

    @property
    def name(self) -> str:
        """The other detector's: known names come and go, and are no version of it."""
        return self._detector.name

    def detect(self, text: str) -> Sequence[Finding]:
        """Return the other detector's findings and the known names in `text`."""
        findings = list(self._detector.detect(text))
        if self._pattern is not None:
            cased = any(map(str.isupper, text))
            findings += [
                Finding(EntityType.PERSON, match.start(), match.end(), 1.0)
                for match in self._pattern.finditer(text)
                if match.group()[0].isupper() or (not cased and len(match.group()) >= _SHORTEST_LOWER_CASE)
            ]
        return findings


def name_words(name: str) -> list[str]:
    """Return the words of a name that can name somebody by themselves."""
    return [word for word in _WORD.findall(name) if len(word) >= _SHORTEST and word.casefold() not in PARTS]
