"""Stand-ins that take the gate's and the embedder's cost out of a measure, and texts of any number.

Owns what is invented for the benchmark: chat turns of made-up words that are as often repeated as words
are (Zipf), and vectors that depend on the text alone. No figure of quality is measured on these.
"""

import random
import warnings
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from api.bench.recall import FindsNothing
from policies.model import Principal, Purpose, Role
from policies.privacy import PrivacyRules, default_privacy_rules
from vault.memos import MemOS
from vault.model import SCREENED_ISSUER, Chat, Screened, SpeakerRole, Turn
from vault.opening import LocalRootWarning, Vault, VaultOptions
from vault.privacy.findings import Detector
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens

TENANT: Final = "bench"
SUBJECT: Final = "the person that it is about"
OWNER: Final = Principal("bench-agent", TENANT, frozenset({Role.OWNER_AGENT}))
VOCABULARY: Final = 20_000
SEED: Final = 20_261_122
_BEGIN: Final = datetime(2023, 4, 1, 9, tzinfo=UTC)
_SYLLABLES: Final = tuple(a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "en", "ar", "il"))


class UnitVectors:
    """An embedder that costs next to nothing: a vector drawn from the text's checksum."""

    name = "made-up/1"
    dimensions = 384

    def __init__(self) -> None:
        drawn = np.random.default_rng(SEED).standard_normal((4096, self.dimensions), np.float32)
        self._vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text; the sum of two drawn rows, so that few texts share one."""
        sums = [crc32(text.encode("utf-8", "replace")) for text in texts]
        both = self._vectors[[one & 4095 for one in sums]] + self._vectors[[one >> 12 & 4095 for one in sums]]
        return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True), np.float32)


def finds_nothing(rules: PrivacyRules) -> Detector:
    """Return a detector that finds nothing and costs nothing."""
    del rules
    return FindsNothing()


class OpenGate(PrivacyGate):
    """A gate that lets everything through at no cost: the issue counts the vault's own cost without it."""

    def screen(self, text: str, tokens: SubjectTokens) -> Screened:
        """Return the text as it is."""
        del tokens
        return Screened(text, (), self.stamp, SCREENED_ISSUER)

    def screen_many(self, texts: Sequence[str], tokens: SubjectTokens) -> list[Screened]:
        """Return the texts as they are."""
        return [self.screen(text, tokens) for text in texts]

    def knowing(self, names: Iterable[str]) -> "OpenGate":
        """Know nobody."""
        del names
        return self


def bare_options(*, embedding_threads: int = 0) -> VaultOptions:
    """Return options of a vault in which neither gate nor embedder costs anything."""
    return VaultOptions(detector=finds_nothing, embedder=UnitVectors(), embedding_threads=embedding_threads)


def new_vault(folder: Path, options: VaultOptions) -> Vault:
    """Make a vault for measuring; that its root key lies beside it is no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        vault = Vault.create(folder, tenant=TENANT, options=options)
    if options.detector is finds_nothing:
        rules = default_privacy_rules()
        vault.parts = replace(vault.parts, gate=OpenGate(finds_nothing(rules), rules))
    return vault


def owner_of(vault: Vault) -> MemOS:
    """Return the facade that the benchmark calls through."""
    return MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT)


class Texts:
    """Draws chat turns, the same ones for the same seed."""

    def __init__(self, seed: int = SEED) -> None:
        self._draw = random.Random(seed)  # noqa: S311  # texts to measure with, no secrets
        self._words = [_word(number) for number in range(VOCABULARY)]
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))

    def sentence(self, least: int = 8, most: int = 24) -> str:
        """Return a sentence of that many words."""
        drawn = self._draw.random
        last = self._weights[-1]
        count = self._draw.randint(least, most)
        chosen = [self._words[bisect(self._weights, drawn() * last)] for _ in range(count)]
        return " ".join(chosen).capitalize() + "."

    def chat(self, turns: int = 1) -> Chat:
        """Return a session of that many turns, the person and the assistant in turn."""
        roles = ((SpeakerRole.USER, "user"), (SpeakerRole.ASSISTANT, "assistant"))
        said = tuple(
            Turn(speaker, self.sentence(), role)
            for role, speaker in (roles[place % 2] for place in range(turns))
        )
        return Chat(said, started=_BEGIN + timedelta(minutes=self._draw.randrange(1_000_000)))

    def chats(self, count: int, turns: int = 1) -> list[Chat]:
        """Return so many sessions."""
        return [self.chat(turns) for _ in range(count)]

    def questions(self, count: int) -> list[str]:
        """Return so many questions of 4 to 8 words."""
        return [self.sentence(4, 8)[:-1] + "?" for _ in range(count)]


def blocks(items: Sequence[Chat], size: int) -> Iterator[Sequence[Chat]]:
    """Cut into blocks, so that what is compared can take turns and see the same noise."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _word(number: int) -> str:
    """Return the word of a rank: short where it is common, as words are."""
    parts = []
    number += len(_SYLLABLES)
    while number:
        number, digit = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[digit])
    return "".join(parts)
