"""Cards, IBANs, bank accounts, wallets: numbers with check digits, and numbers with a word beside them."""

import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers import checksums
from vault.privacy.recognizers.near import near, words

_CARD: Final = re.compile(r"(?<![\w.+-])[0-9](?:[ .\-]{0,2}[0-9]){11,18}(?![\w]|[.-][0-9])")
_CARD_LOOSE: Final = re.compile(
    r"(?<![^\W_])(?<![.+-])[0-9](?:[\s._·\u2022*/\\|\-]{0,3}[0-9]){12,23}(?![^\W_]|[.-][0-9])"
)
"""Separators as in no card that a person writes down, but as one who copies or hides it does."""
_GROUPS: Final = re.compile(r"[0-9]+")
_PLAIN_GROUPS: Final = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (16,), (15,)})
_CARD_DIGITS: Final = range(13, 20)
_CARD_WORD: Final = words(
    r"(?:credit|debit|bank|payment|gift|amex|visa|master)?[ -]?cards?",
    "visa",
    "mastercard",
    "master card",
    "amex",
    "american express",
    "maestro",
    "discover",
    "diners",
    "jcb",
    "cc",
    "pan",
)
_MASKED_CARD: Final = re.compile(r"(?<![\w])(?:[*xX•]{4}[ -]?){1,3}[0-9]{4}(?![\w])")
_CARD_ENDING: Final = re.compile(
    r"\bcard\s(?:number\s)?(?:ending|ends)\s(?:in|with)\s([0-9]{4})\b", re.IGNORECASE
)
_CVV: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|cvn|cid|security code|card code|pin(?: code| number)?)\s{0,3}(?:is|was|:|=|#|to|-)?\s{0,3}([0-9]{3,8})\b",
    re.IGNORECASE,
)
_IBAN: Final = re.compile(r"(?<![^\W_])[A-Z]{2}[0-9]{2}(?:[\s_·-]?[A-Z0-9]){11,30}(?![^\W_])", re.IGNORECASE)
_IBAN_START: Final = re.compile(r"(?<![^\W_])[A-Z]{2}[0-9]{2}[\s_·-]?[A-Z0-9]{1,4}", re.IGNORECASE)
_IBAN_WORD: Final = words("iban", "ibans", "bank account", "transfer", "account")
_ACCOUNT: Final = re.compile(
    r"\b(?:(?:bank |checking |savings |current |client )?(?:account|acct|a/c)|routing|aba|transit|konto|kontonummer)"
    r"(?:\s(?:no|number|num|nr|id|#))?\.?\s{0,3}(?:is|was|:|=|#|-|ending in)?\s{0,3}(?:#\s?)?"
    r"((?:[A-Z]{0,4}-?[0-9](?:[ -]?[0-9]){3,19}))(?![\w])",
    re.IGNORECASE,
)
_SORT_CODE: Final = re.compile(
    r"\bsort[ -]?code\s{0,3}(?:is|:|=|-)?\s{0,3}([0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2})\b", re.IGNORECASE
)
_BIC: Final = re.compile(
    r"\b(?:swift|bic)(?:[/ -](?:bic|swift|code))?\s{0,3}(?:code\s)?(?:is|:|=)?\s{0,3}([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b",
    re.IGNORECASE,
)
_WALLET: Final = re.compile(
    r"(?<![\w])(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{25,62}|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?![\w])"
)

_SEPARATORS: Final = re.compile(r"[ .\-]")
_MIN_MIXED: Final = 3


def find(text: str) -> Iterator[Finding]:
    """Yield findings about money. Text without a digit costs one search."""
    if not any(char.isdigit() for char in text):
        yield from _named(text, ((_BIC, EntityType.BANK_ACCOUNT),))
        return
    yield from _cards(text)
    yield from _ibans(text)
    yield from _named(
        text,
        (
            (_CVV, EntityType.CARD_CODE),
            (_ACCOUNT, EntityType.BANK_ACCOUNT),
            (_SORT_CODE, EntityType.BANK_ACCOUNT),
            (_BIC, EntityType.BANK_ACCOUNT),
            (_CARD_ENDING, EntityType.CARD),
        ),
    )
    for match in _WALLET.finditer(text):
        if sum(
            bool(re.search(kind, match.group())) for kind in ("[0-9]", "[a-z]", "[A-Z]")
        ) >= _MIN_MIXED - match.group().startswith(("0x", "bc1")):
            yield Finding(EntityType.WALLET, *match.span(), 0.9)


def _named(text: str, patterns: tuple[tuple[re.Pattern[str], EntityType], ...]) -> Iterator[Finding]:
    """Yield the first group of each match: the pattern holds the word that names it."""
    for pattern, kind in patterns:
        for match in pattern.finditer(text):
            yield Finding(kind, *match.span(1), 0.9)


def _cards(text: str) -> Iterator[Finding]:
    """Twelve to nineteen digits in any grouping that pass Luhn, or with a card's word near; starred numbers."""
    for match in _CARD.finditer(text):
        digits = _SEPARATORS.sub("", match.group())
        named = near(text, *match.span(), _CARD_WORD)
        if named or (checksums.luhn(digits) and len(set(digits)) > 1):
            yield Finding(EntityType.CARD, *match.span(), 1.0 if named else 0.8)
    for match in _CARD_LOOSE.finditer(text):
        yield from _cards_by_groups(text, match)
    for match in _MASKED_CARD.finditer(text):
        yield Finding(EntityType.CARD, *match.span(), 0.7)


def _cards_by_groups(text: str, match: re.Match[str]) -> Iterator[Finding]:
    """Groups of digits beside each other that are grouped as on a card, or have its word near, and pass Luhn."""
    groups = list(_GROUPS.finditer(match.group()))
    named = near(text, *match.span(), _CARD_WORD)
    for first in range(len(groups)):
        digits = ""
        for last in range(first, len(groups)):
            digits += groups[last].group()
            if len(digits) >= _CARD_DIGITS.stop:
                break
            sizes = tuple(len(group.group()) for group in groups[first : last + 1])
            if (
                len(digits) in _CARD_DIGITS
                and (named or sizes in _PLAIN_GROUPS)
                and checksums.luhn(digits)
                and len(set(digits)) > 1
            ):
                start, end = match.start() + groups[first].start(), match.start() + groups[last].end()
                yield Finding(EntityType.CARD, start, end, 1.0 if named else 0.8)


def _ibans(text: str) -> Iterator[Finding]:
    """A country's letters, its length, and mod 97; without the check, only with a word near."""
    for start in _IBAN_START.finditer(text):
        match = _IBAN.match(text, start.start())
        if not match:
            continue
        plain = re.sub(r"[\s_·-]", "", match.group()).upper()
        length = checksums.IBAN_LENGTHS.get(plain[:2])
        if length is None or len(plain) < length:
            continue
        end = _nth_character(match, length)
        if checksums.iban(plain[:length]):
            yield Finding(EntityType.IBAN, match.start(), end, 1.0)
        elif near(text, match.start(), end, _IBAN_WORD):
            yield Finding(EntityType.IBAN, match.start(), end, 0.7)


def _nth_character(match: re.Match[str], count: int) -> int:
    """Return where the match's `count`-th letter or digit ends."""
    seen = 0
    for place, char in enumerate(match.group()):
        seen += char.isalnum()
        if seen == count:
            return match.start() + place + 1
    return match.end()
