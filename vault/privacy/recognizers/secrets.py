"""Passwords and keys: by known prefix, by the word before them, by their entropy."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers.near import near, words

_PREFIXED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{16,200}|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,99}|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}"
    r"|glpat-[A-Za-z0-9_-]{16,64}|(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}|xox[abeoprs]-[A-Za-z0-9-]{10,255}|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,255}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,2000}(?:\.[A-Za-z0-9_-]{0,2000})?|npm_[A-Za-z0-9]{30,64}|pypi-[A-Za-z0-9_-]{30,255}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"
    r"|hv[sb]\.[A-Za-z0-9_-]{20,255}|dop_v1_[a-f0-9]{40,64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|sq0(?:atp|csp)-[A-Za-z0-9_-]{20,60}|key-[a-f0-9]{32}|hf_[A-Za-z0-9]{30,40}|r8_[A-Za-z0-9]{30,40}"
    r"|lin_api_[A-Za-z0-9]{30,50}|dckr_pat_[A-Za-z0-9_-]{20,40}|AGE-SECRET-KEY-1[A-Z0-9]{50,60}|rubygems_[a-f0-9]{48}|PMAK-[a-f0-9-]{50,70}|EAACEdEose0cBA[A-Za-z0-9]{10,255}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"
    r")(?![A-Za-z0-9])"
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,.-]{0,20000}?(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_BASIC_AUTH: Final = re.compile(r"://[^\s/:@]{0,100}:([^\s/@]{1,200})@")
_BEARER: Final = re.compile(r"\b(?:bearer|basic|token)\s+([A-Za-z0-9_.~+/=-]{16,2000})", re.IGNORECASE)
_WORD: Final = (
    r"(?:pass ?words?|passwd|pwd|passcodes?|pass ?phrases?|passwort|contraseña|mot de passe|secret(?: ?key)?|api[ _-]?keys?|access[ _-]?(?:key|token|code)|auth[ _-]?(?:key|token|code)|private[ _-]?key|client[ _-]?secret|"
    r"(?:two[- ]factor|2fa|otp|verification|recovery|backup|unlock|door|gate|alarm|security)[ _-]?(?:code|key)s?|otp|wi-?fi(?: key| code)?|credentials?|token)"
)
_ASSIGNED: Final = re.compile(
    rf"(?<![^\W_]){_WORD}[\"']?\s{{0,3}}(?::|=>?|:=)\s{{0,3}}[\"'`]?([^\s\"'`,;<>]{{4,200}})", re.IGNORECASE
)
_ASSIGNED_NAME: Final = re.compile(
    r"\b[A-Z][A-Z0-9_]{0,40}(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PWD)[A-Z0-9_]{0,20}\s{0,2}[=:]\s{0,2}[\"']?([^\s\"',;]{4,200})"
)
_SAID: Final = re.compile(
    rf"(?<![^\W_]){_WORD}(?:\s(?:for|to|of|on)(?:\s[\w'-]{{1,20}}){{1,4}}?)?\s(?:is|was|are|to be|to|as)(?:\s(?:now|still|just|set to))?\s{{1,2}}[\"'`]?([^\s\"'`,;<>]{{4,200}})",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(
    rf"(?<![^\W_]){_WORD}\s{{1,2}}(?:is\s)?[\"'`]([^\s\"'`]{{3,200}})[\"'`]", re.IGNORECASE
)
_HIDDEN: Final = re.compile(
    r"^(?:[*•x.]{3,}|\$?\{.*|\$\(.*|<.*|%.*%?|os\.|env|none|null|true|false|process\.|config|self\.|str\b|string|bytes|optional|required|args\.|get_|getenv|\[).*",
    re.IGNORECASE,
)
_LONG: Final = re.compile(r"(?<![\w/+.=-])[A-Za-z0-9_+/=-]{24,512}(?![\w/])")
_HEX: Final = re.compile(r"[0-9a-fA-F-]+")
_KEY_WORD: Final = words(
    "keys?",
    "tokens?",
    "secrets?",
    "passwords?",
    "credentials?",
    "api",
    "bearer",
    "auth(?:orization)?",
    "signature",
)
_MIN_BITS: Final = 4.0
_MIN_HEX: Final = 32
"""128 bits."""
_MOST_SLASHES: Final = 2
"""More make a path."""
_ALPHABETS: Final = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]")))
_STRENGTH: Final = re.compile(r"[0-9]|[^\w\s.]")


def find(text: str) -> Iterator[Finding]:
    """Yield findings that look like secrets."""
    for pattern in (_PREFIXED, _PRIVATE_KEY):
        for match in pattern.finditer(text):
            yield Finding(EntityType.SECRET, *match.span(), 1.0)
    for pattern in (_BASIC_AUTH, _BEARER):
        for match in pattern.finditer(text):
            if _STRENGTH.search(match[1]) or pattern is _BASIC_AUTH:
                yield Finding(EntityType.SECRET, *match.span(1), 0.95)
    yield from _named(text)
    yield from _random(text)


def _named(text: str) -> Iterator[Finding]:
    """A word that announces a secret, and what it announces."""
    for pattern in (_ASSIGNED, _ASSIGNED_NAME, _QUOTED):
        for match in pattern.finditer(text):
            if not _HIDDEN.match(match[1]):
                yield _trimmed(match, 0.9)
    for match in _SAID.finditer(text):
        value = match[1].rstrip(".,!?;:)")
        if (_STRENGTH.search(value) or _mixed_case(value)) and not _HIDDEN.match(value):
            yield _trimmed(match, 0.8)


def _mixed_case(value: str) -> bool:
    """Tell whether capitals stand inside the word: `correctHorse`, not `Horse`."""
    return value[1:] != value[1:].lower() and value != value.upper()


def _trimmed(match: re.Match[str], score: float) -> Finding:
    """Return a finding over the announced value, less the sentence's full stop."""
    value = match[1].rstrip(".,;:)")
    return Finding(EntityType.SECRET, match.start(1), match.start(1) + max(len(value), 1), score)


def _random(text: str) -> Iterator[Finding]:
    """Long runs of high entropy in mixed alphabets; hexadecimal digests only with a key's word near."""
    for match in _LONG.finditer(text):
        value = match.group()
        named = near(text, *match.span(), _KEY_WORD, before=32, after=0)
        if _HEX.fullmatch(value):
            if named and len(value) >= _MIN_HEX and "-" not in value:
                yield Finding(EntityType.SECRET, *match.span(), 0.7)
        elif _looks_random(value, named=named):
            yield Finding(EntityType.SECRET, *match.span(), 0.8 if named else 0.5)


def _looks_random(value: str, *, named: bool) -> bool:
    """Tell whether alphabets and entropy are those of a key; with its word near, a little less will do."""
    alphabets = sum(bool(alphabet.search(value)) for alphabet in _ALPHABETS)
    enough = len(_ALPHABETS) - named
    return (
        alphabets >= enough and bits(value) >= _MIN_BITS - 0.5 * named and value.count("/") <= _MOST_SLASHES
    )


def bits(value: str) -> float:
    """Return the Shannon entropy of the characters of `value`, in bits a character."""
    counts = Counter(value)
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
