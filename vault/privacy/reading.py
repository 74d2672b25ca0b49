"""One reading of one text: its words and what each family of patterns finds, each computed once.

Presidio hands the reading to every recognizer as the NLP artifacts of a blank engine, so that the
tagger can see the rules' hits without running them again. A reading lives for one call in one thread.
"""

from vault.privacy.findings import Finding
from vault.privacy.recognizers.families import FAMILIES, Family
from vault.privacy.words import Word, split_words


class Reading:
    """The text, its words, and the patterns' findings, made when first asked for."""

    __slots__ = ("_found", "_words", "learned", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._words: list[Word] | None = None
        self._found: dict[str, list[Finding]] = {}
        self.learned: list[Finding] | None = None
        """What the tagger found, once it was asked."""

    @property
    def words(self) -> list[Word]:
        """The words in order."""
        if self._words is None:
            self._words = split_words(self.text)
        return self._words

    def found_by(self, family: Family) -> list[Finding]:
        """Return what one family finds."""
        found = self._found.get(family.name)
        if found is None:
            found = self._found[family.name] = list(family.find(self.text))
        return found

    def found_by_rules(self) -> list[Finding]:
        """Return what all families find, by place."""
        return sorted(
            (finding for family in FAMILIES for finding in self.found_by(family)),
            key=lambda one: (one.start, -one.end),
        )
