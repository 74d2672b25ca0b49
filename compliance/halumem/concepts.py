"""Words that name the same thing, for the deterministic judge and the reader.

Owns a table and nothing else. It was written with both splits' phrases in view, as the judge has to understand
what is said in either; the systems under test never see it.
"""

from types import MappingProxyType
from typing import Final

_WORDS: Final = {
    "medication": "take takes taking doctor prescribed swallow medicine pills tablets medication pharmacist",
    "allergy": "allergic allergy allergies allergically",
    "weight": "weigh weighs weighing weighed weight kilos kg kilograms scale scales",
    "employer": "work works working employer employed employs hired salary firm contract company",
    "job": "work works job title role living profession professionally position badge post",
    "home": "live lives lived home moved rent address settled reside flat",
    "partner": "partner married spouse knot couple",
    "pet": "pet dog cat puppy",
    "favourite": "favourite best beats cherish taste",
    "food": "food dish eat meal menu",
    "hobby": "hobby free weekends pastime unwind spare leisure",
    "travel": "travel travelling travelled travels trip fly leave departure depart holiday journey",
    "appointment": "appointment see sees booked expects consultation examine",
    "run": "ran run running jogged km kilometres",
    "purchase": "bought buy purchased purchase got paid ordered receipt acquired",
    "visit": "visit visited visiting see toured outing",
}
CONCEPTS: Final = MappingProxyType(
    {
        word: frozenset(name for name, words in _WORDS.items() if word in words.split())
        for words in _WORDS.values()
        for word in words.split()
    }
)
"""What a word may stand for."""
KIN: Final = frozenset(
    [
        "sister",
        "brother",
        "mother",
        "father",
        "aunt",
        "uncle",
        "cousin",
        "son",
        "daughter",
        "neighbour",
        "colleague",
        "roommate",
        "friend",
        "boss",
    ]
)
STOP: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "to",
        "of",
        "with",
        "on",
        "in",
        "at",
        "by",
        "is",
        "are",
        "was",
        "be",
        "has",
        "have",
        "had",
        "and",
        "or",
        "for",
        "from",
        "as",
        "it",
        "its",
        "his",
        "her",
        "their",
        "my",
        "our",
        "your",
        "i",
        "i'm",
        "me",
        "we",
        "you",
        "he",
        "she",
        "they",
        "that",
        "this",
        "what",
        "which",
        "who",
        "how",
        "did",
        "does",
        "do",
        "when",
        "where",
        "named",
        "called",
        "much",
    ]
)
