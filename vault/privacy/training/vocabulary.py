"""Word lists of the training text generator, read from `vocabulary.txt`."""

from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType


def read_vocabulary() -> Mapping[str, tuple[str, ...]]:
    """Return the words of each section."""
    sections: dict[str, list[str]] = {}
    for line in (
        resources.files("vault.privacy.training")
        .joinpath("vocabulary.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    ):
        if line.startswith("["):
            sections[line[1:-1]] = []
        elif not line.startswith("#"):
            sections[next(reversed(sections))].extend(word for word in line.split("|") if word)
    return MappingProxyType({name: tuple(words) for name, words in sections.items()})


WORDS = read_vocabulary()
CODAS = ("", "", "", "n", "r", "s", "t", "x", "l", "m", "nt", "st", "ck", "nd")
