"""People and companies that a word announces: forms of address, labels, legal forms.

Names without such a word are the tagger's part.
"""

import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers.near import near, words

_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿ][\w'-]{0,30}"
_PARTICLE: Final = r"(?:van|von|de|da|di|del|della|der|den|la|le|al|bin|ibn|ter|ten|dos|das|du|y|e)"
_NAME: Final = rf"{_CAPITAL}(?:(?: {_PARTICLE}){{0,2}}(?: [A-Z]\.?)? {_CAPITAL}){{0,2}}"
_HONORIFIC: Final = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Madam|Lady|Lord|Dame|Rev|Reverend|Fr|Father|Sister|Capt|Captain|Lt|Sgt|Col|Gen|Nurse|Judge|Hon|Señor|Señora|Sra?|Herr|Frau|Monsieur|Madame|Mme|Mlle|Signor|Signora|Uncle|Aunt|Auntie|Grandma|Grandpa|Coach|Officer|Detective|Principal|Pastor|Rabbi|Imam)"
_TITLED: Final = re.compile(
    rf"(?<![\w])({_HONORIFIC})(?:\. ?| )({_CAPITAL}(?: (?:[A-Z]\.? )?{_CAPITAL}){{0,2}})"
)
_TITLE_ALONE: Final = re.compile(
    r"(?<![\w])(?:Mr|Mrs|Ms|Mx|Dr|Prof|Mme|Mlle|Sra?)\.(?![\w])|(?<![\w])(?:Mr|Mrs|Ms|Miss|Dr)\.?(?= [^\W\d_])"
)
_TITLE_LOWER: Final = re.compile(r"(?<![\w])(?:mr|mrs|ms|dr|prof)\.(?= ?[^\W\d_])")
_SUFFIX: Final = re.compile(
    r"(?<=[\w.] )(?:MD|M\.D\.|PhD|Ph\.D\.|DDS|DVM|Esq\.?|Jr\.?|Sr\.?|III|RN|CPA|DO|JD|PharmD|MBA|LCSW)(?![\w])"
)
_LABEL: Final = (
    r"(?:(?:first|last|full|given|family|maiden|middle|customer|client|patient|user|account|card ?holder|legal|contact|employee|member|beneficiary|sender|recipient|insured|policy ?holder|doctor|physician|spouse|guardian|mother'?s?|father'?s?|emergency contact)(?:'s)?[ -]?names?"
    r"|name|patient|client|attn|attention|cardholder|physician|provider|guardian|next of kin|beneficiary|signed|signature|surname|dear|from|to|cc|author|contact|manager|attending|referred by|reported by|interviewer|employee)"
)
_LABELLED: Final = re.compile(
    rf"(?:^|(?<=[\n;,|(] )|(?<=[\n;,|(]))[ \t]{{0,4}}(?i:{_LABEL})[ \t]{{0,2}}[:=][ \t]{{0,2}}({_NAME})",
    re.MULTILINE,
)
_INTRODUCED: Final = re.compile(
    rf"\b(?:[Mm]y|[Hh]is|[Hh]er|[Tt]heir|[Oo]ur|[Yy]our|[Tt]he)(?: [\w']{{1,20}}){{0,3}} name(?:'s| is| was)(?: actually| now)? ({_NAME})"
    rf"|\b(?:[Cc]all me|calls? (?:me|him|her)|named|called|nicknamed|goes by|a\.?k\.?a\.?|[Rr]egards,|[Ss]incerely,|[Cc]heers,|[Tt]hanks,|[Ll]ove,|[Bb]est,)\s{{1,3}}({_NAME})"
)
_INTRODUCED_LOWER: Final = re.compile(
    r"\b(?:my|his|her|their) (?:full |first |last |real )?name(?:'s| is) ([^\W\d_][\w'-]{1,30}(?: [^\W\d_][\w'-]{1,30}){0,2})(?=[.,!?;)\n]|$)"
)
_COMMON: Final = frozenset(
    {
        "not",
        "the",
        "a",
        "on",
        "in",
        "spelled",
        "wrong",
        "there",
        "also",
        "very",
        "still",
        "now",
        "on it",
        "listed",
        "missing",
        "correct",
        "incorrect",
        "misspelled",
        "so",
        "too",
        "really",
        "mentioned",
    }
)

_LEGAL: Final = (
    r"(?:Inc|Incorporated|Corp|Corporation|Company|LLC|L\.L\.C|LLP|LP|Ltd|Limited|PLC|plc|GmbH|AG|KG|KGaA|OHG|SE|S\.?A\.?R\.?L|SARL|SAS|S\.A|S\.?p\.?A|S\.?r\.?l|B\.V|BV|N\.V|NV|Oyj?|AB|ASA?|A/S|ApS|Pty|Pvt|Bhd|s\.r\.o|a\.s|Kft|Zrt|d\.o\.o|Sp\. z o\.o|"
    r"& Co|& Sons|and Sons|& Partners|& Associates|Group|Holdings?|Industries|Enterprises|Partners|Associates|Ventures|Solutions|Technologies|Systems|Consulting|Logistics|Pharmaceuticals|Pharma|Insurance|Bank|Bancorp|Trust|Foundation|Institute|University|College|Hospital|Clinic|Airlines?|Airways)"
)
_COMPANY_WORD: Final = r"[^\W\d_a-zß-öø-ÿ][\w&'.-]{0,30}"
_COMPANY: Final = re.compile(rf"(?<![\w])(?:{_COMPANY_WORD},? ){{1,4}}?{_LEGAL}\b\.?(?: {_LEGAL}\b\.?)?")
_FIRM: Final = re.compile(rf"(?<![\w]){_CAPITAL}, {_CAPITAL} (and|&) ({_CAPITAL})(?![\w])")
_FIRM_END: Final = frozenset(
    {"Partners", "Associates", "Sons", "Co", "Company", "Brothers", "Bros", "Daughters"}
)
_FIRM_NEAR: Final = words(
    "firm",
    "law",
    "lawyers?",
    "attorneys?",
    "solicitors?",
    "counsel",
    "accountants?",
    "company",
    "employer",
    "agency",
    "invoice",
    "represented",
    "hired",
    "orchestra",
    "(?:is|am|are|was|works?|worked|working|job|position|employed|calling) (?:from|at|for|by)",
    "llp",
    "llc",
    "ltd",
    "inc",
    "plc",
)
"""What makes `Smith, Jones and Lee` a firm: three words alone may be pears, plums and figs."""
_COMPANY_LOWER: Final = re.compile(
    r"(?<![\w])[^\W\d_][\w'-]{1,30}(?:,? [^\W\d_][\w'-]{1,30})? (?:inc|llc|ltd|plc|gmbh|corp|pty ltd|pvt ltd|llp)\b\.?"
)
_COMPANY_START: Final = frozenset(
    {
        "The",
        "A",
        "An",
        "My",
        "Our",
        "Your",
        "His",
        "Her",
        "This",
        "That",
        "I",
        "In",
        "At",
        "And",
        "But",
        "For",
        "We",
        "It",
        "If",
        "So",
    }
)


def find(text: str) -> Iterator[Finding]:
    """Yield people, titles and companies that a word announces."""
    for match in _TITLED.finditer(text):
        yield Finding(EntityType.PERSON, *match.span(), 0.8)
    for pattern in (_TITLE_ALONE, _TITLE_LOWER, _SUFFIX):
        for match in pattern.finditer(text):
            yield Finding(EntityType.TITLE, *match.span(), 0.7)
    yield from _announced(text)
    yield from _companies(text)


def _announced(text: str) -> Iterator[Finding]:
    """Names after a label or an introduction."""
    for match in _LABELLED.finditer(text):
        if match[1][:1].isupper() and match[1].lower() not in _COMMON:
            yield Finding(EntityType.PERSON, *match.span(1), 0.6)
    if "name" in text or "call" in text or "egards" in text or "incerely" in text or "," in text:
        for match in _INTRODUCED.finditer(text):
            group = 1 if match[1] else 2
            yield Finding(EntityType.PERSON, *match.span(group), 0.7)
        for match in _INTRODUCED_LOWER.finditer(text):
            if match[1].split()[0] not in _COMMON:
                yield Finding(EntityType.PERSON, *match.span(1), 0.6)


def _companies(text: str) -> Iterator[Finding]:
    """Legal forms, and three surnames as firms have them."""
    for match in _COMPANY.finditer(text):
        start = match.start()
        first = match.group().split()[0]
        if first in _COMPANY_START:
            start += len(first) + 1
            if match.group()[len(first) + 1 :].count(" ") == 0:
                continue
        yield Finding(EntityType.ORGANIZATION, start, match.end(), 0.7)
    for match in _FIRM.finditer(text):
        if match[1] == "&" or match[2] in _FIRM_END or near(text, *match.span(), _FIRM_NEAR):
            yield Finding(EntityType.ORGANIZATION, *match.span(), 0.5)
    for match in _COMPANY_LOWER.finditer(text):
        yield Finding(EntityType.ORGANIZATION, *match.span(), 0.6)
