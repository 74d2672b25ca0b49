"""Stand-ins that need no model: a detector of regexes, an embedder of hashes, a clock that stands still.

Owns fakes for the slow or unsteady parts of a vault, all deterministic and safe between threads. Policy,
keys, storage and log have no fake here: tests use the real ones.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.privacy import EntityType
from vault.clock import Clock, Entropy, system_entropy
from vault.opening import VaultOptions
from vault.pipeline.limits import InputLimits
from vault.privacy.findings import Finding
from vault.storage.group_commit import Probe, no_probe

START: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIMENSIONS: Final = 32
PATTERNS: Final[Mapping[EntityType, str]] = MappingProxyType(
    {
        EntityType.EMAIL: r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        EntityType.PHONE: r"\+?\d[\d() -]{7,}\d",
        EntityType.SSN: r"\b\d{3}-\d{2}-\d{4}\b",
        EntityType.PERSON: r"\b(?:Maria|Keller|Anna|Schmidt|John|Doe|Ines|Ortega|Zyx\w+)\b(?: (?:Keller|Schmidt|Doe|Ortega))?",
        EntityType.SECRET: r"\bsk-[A-Za-z0-9]{8,}\b",
        EntityType.MEDICAL_RECORD: r"\bMRN[ :-]?\d{4,}\b",
    }
)
_WORD: Final = re.compile(r"\w+")


class KeywordDetector:
    """Finds what its regexes find, each with score 1.

    Args:
        patterns: Regex by kind; None takes `PATTERNS`: e-mails, phones, social security numbers, a few
            people's names, `sk-…` secrets and `MRN …`.
    """

    def __init__(self, patterns: Mapping[EntityType, str] | None = None) -> None:
        chosen = PATTERNS if patterns is None else patterns
        self._patterns = {kind: re.compile(pattern) for kind, pattern in chosen.items()}

    @property
    def name(self) -> str:
        """Name and version."""
        return "keywords/1"

    def detect(self, text: str) -> Sequence[Finding]:
        """Return every match, overlaps included."""
        return [
            Finding(kind, match.start(), match.end(), 1.0)
            for kind, pattern in self._patterns.items()
            for match in pattern.finditer(text)
        ]


class HashEmbedder:
    """Sums a vector for each word, derived from the word's hash: texts that share words are near."""

    @property
    def name(self) -> str:
        """Model and version."""
        return "hash-embedder/1"

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return DIMENSIONS

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text, in order, each of length one."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            for word in _WORD.findall(text.casefold()) or [""]:
                digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
                vectors[row] += np.frombuffer(digest, np.uint8)[:DIMENSIONS].astype(np.float32) - 127.5
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class FrozenClock:
    """Tells the same time until it is told to go on.

    Args:
        now: The time it tells, aware.
        step: How far it goes on by itself each time it was asked.
    """

    def __init__(self, now: datetime = START, step: timedelta = timedelta(0)) -> None:
        self.now = now
        self._step = step

    def __call__(self) -> datetime:
        told = self.now
        self.now = told + self._step
        return told

    def advance(self, by: timedelta = timedelta(seconds=1)) -> datetime:
        """Go on, and tell the new time."""
        self.now += by
        return self.now


def fake_options(
    *,
    patterns: Mapping[EntityType, str] | None = None,
    clock: Clock | None = None,
    entropy: Entropy = system_entropy,
    probe: Probe = no_probe,
    limits: InputLimits | None = None,
) -> VaultOptions:
    """Return options for a vault that opens in milliseconds: real policy, keys, store and log; no model."""
    detector = KeywordDetector(patterns)
    return VaultOptions(
        limits=limits or InputLimits(),
        detector=lambda _rules: detector,
        embedder=HashEmbedder(),
        clock=clock or FrozenClock(),
        entropy=entropy,
        probe=probe,
    )
