"""Numbers that name a person: SSN, national ids with check digits, medical records, licences, members."""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers import checksums
from vault.privacy.recognizers.near import near, words

_DIGIT: Final = re.compile(r"[0-9]")
_SSN: Final = re.compile(
    r"(?<![\w-])(?!000|666)[0-9]{3}([- ._·/\s])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![\w]|-[0-9])"
)
_SSN_BARE: Final = re.compile(r"(?<![\w.-])[0-9]{9}(?![\w]|[.-][0-9])")
_SSN_TAIL: Final = re.compile(
    r"\b(?:ssn|social security number|social security|social)\s(?:ending|ends)\s(?:in|with)\s([0-9]{4})\b",
    re.IGNORECASE,
)
_SSN_WORD: Final = words("ssn", "ssns", "social security", "social", "soc sec", "itin", "tax id", "taxpayer")
_NUMBER_WORD: Final = (
    r"(?:\s?(?:no|number|num|nr|id|code|#|is|card))*\.?\s{0,3}(?:is|was|:|=|#|-)?\s{0,3}(?:#\s?)?"
)
_VALUE: Final = r"((?=[A-Z-]{0,6}[0-9])[A-Z0-9](?:[ /-]?[A-Z0-9]){3,20})(?![^\W_])"
_PLAIN_VALUE: Final = r"((?=[A-Z/-]{0,6}[0-9])[A-Z0-9](?:[/-]?[A-Z0-9]){2,20})(?![^\W_])"


class _National(NamedTuple):
    """A national number: where it may stand, how it is checked, which words speak for it."""

    pattern: re.Pattern[str]
    check: Callable[[str], bool]
    word: re.Pattern[str]
    distinct: bool
    """Its form and check alone are proof enough; the others need their word near."""


def _national(pattern: str, check: Callable[[str], bool], *named: str, distinct: bool = False) -> _National:
    return _National(
        re.compile(rf"(?<![\w-]){pattern}(?![\w]|-[0-9])", re.IGNORECASE), check, words(*named), distinct
    )


def _always(value: str) -> bool:
    """Schemes whose form is their only check."""
    return bool(value)


_GENERAL: Final = (
    r"national (?:id|identity|insurance|number)",
    r"identity (?:card|number|no)",
    r"id (?:card|number|no)",
    "personal (?:id|number|code)",
    "tax (?:id|number|code|file)",
)
NATIONAL: Final = (
    _national(r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", checksums.nhs, "nhs", "health service"),
    _national(
        r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        _always,
        "nino",
        "ni",
        distinct=True,
    ),
    _national(
        r"(?:[XYZ]-?)?[0-9]{7,8}-?[A-HJ-NP-TV-Z]", checksums.spanish_dni, "dni", "nie", "nif", distinct=True
    ),
    _national(
        r"[A-Z]{6}[0-9]{2}[A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z]",
        checksums.italian_code,
        "codice",
        distinct=True,
    ),
    _national(
        r"[12] ?[0-9]{2} ?[01][0-9] ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        checksums.french_nir,
        "nir",
        "insee",
        distinct=True,
    ),
    _national(
        r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
        checksums.german_tax,
        "steuer",
        "steuernummer",
        "idnr",
        "steuer-id",
        *_GENERAL,
    ),
    _national(
        r"[0-9]{4}[ .]?[0-9]{2}[ .]?[0-9]{3}",
        checksums.dutch_bsn,
        "bsn",
        "burgerservicenummer",
        "sofi",
        *_GENERAL,
    ),
    _national(r"[0-9]{11}", checksums.polish_pesel, "pesel", *_GENERAL),
    _national(
        r"[0-3][0-9][01][0-9]{3} ?[0-9]{5}",
        checksums.norwegian_number,
        "fødselsnummer",
        "fodselsnummer",
        "personnummer",
        *_GENERAL,
    ),
    _national(
        r"(?:19|20)?[0-9]{2}[01][0-9][0-3][0-9][-+][0-9]{4}",
        lambda value: checksums.luhn(value[-10:]),
        "personnummer",
        distinct=True,
    ),
    _national(r"[0-3][0-9][01][0-9]{3}-[0-9]{4}", _always, "cpr", "cpr-nummer", "kennitala", *_GENERAL),
    _national(
        r"[0-9]{2}[.][0-9]{2}[.][0-9]{2}-[0-9]{3}[.][0-9]{2}",
        checksums.belgian_number,
        "rijksregister",
        distinct=True,
    ),
    _national(
        r"[0-3][0-9][01][0-9]{3}[-+A-FYXWVU][0-9]{3}[0-9A-FHJ-NPR-Y]",
        checksums.finnish_code,
        "hetu",
        distinct=True,
    ),
    _national(
        r"[2-9][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}", checksums.verhoeff, "aadhaar", "aadhar", "uidai", "uid"
    ),
    _national(r"[A-Z]{3}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z]", _always, "pan", "permanent account", distinct=True),
    _national(r"[0-9]{3}[.][0-9]{3}[.][0-9]{3}-[0-9]{2}", checksums.brazilian_cpf, "cpf", distinct=True),
    _national(r"[0-9]{11}", checksums.brazilian_cpf, "cpf"),
    _national(r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{3}", checksums.luhn, "sin", "social insurance"),
    _national(r"[0-9]{3} ?[0-9]{3} ?[0-9]{3}", checksums.australian_tfn, "tfn", "tax file"),
    _national(r"[A-Z][AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", _always, "curp", distinct=True),
    _national(
        r"[0-9]{2}[01][0-9][0-3][0-9][0-9]{4}[01][89][0-9]", checksums.luhn, "south african", distinct=True
    ),
    _national(
        r"[1-9][0-9]{5}(?:19|20)[0-9]{2}[01][0-9][0-3][0-9][0-9]{3}[0-9X]",
        checksums.chinese_id,
        "resident",
        distinct=True,
    ),
    _national(r"[0-9]{2}[01][0-9][0-3][0-9]-[1-8][0-9]{6}", _always, "rrn", distinct=True),
    _national(r"[1-35689][0-9]{2} ?[0-9]{3} ?[0-9]{3}", checksums.portuguese_nif, "nif", "contribuinte"),
)
_STRIP: Final = re.compile(r"[ ./]|(?<=[0-9A-Z])-(?=[0-9A-Z])", re.IGNORECASE)

NAMED: Final = tuple(
    (kind, re.compile(rf"(?<![^\W_])(?:{named}){_NUMBER_WORD}{value}", re.IGNORECASE))
    for kind, named, value in (
        (
            EntityType.MEDICAL_RECORD,
            r"mrn|medical record|patient (?:id|no|number|record)|chart (?:no|number|#)|hospital (?:no|number|id)|health record|encounter|accession|specimen",
            _PLAIN_VALUE,
        ),
        (EntityType.PASSPORT, r"passport", _PLAIN_VALUE),
        (EntityType.DRIVER_LICENSE, r"driv(?:er'?s?|ing) licen[cs]e|licen[cs]e (?:no|number|#)|\bdl", _VALUE),
        (
            EntityType.VEHICLE,
            r"licen[cs]e plates?|number plates?|(?:vehicle |car )?registration|plate (?:no|number|is)|\bvin",
            _VALUE,
        ),
        (
            EntityType.MEMBER_NUMBER,
            r"(?:(?:customer|client|member(?:ship)?|policy|claim|insurance|employee|staff|student|subscriber|group|contract|case|loyalty|frequent flyer|medicare|medicaid|beneficiary|prescription|rx|badge|confirmation|booking|reservation|loan|mortgage|tax|npi|dea)(?: (?:id|no|number|num|ref|reference|card|account|#)|#|:))",
            _PLAIN_VALUE,
        ),
        (EntityType.DEVICE, r"imei|serial (?:no|number|#)|s/n|device id|udid", _PLAIN_VALUE),
        (
            EntityType.NATIONAL_ID,
            r"national (?:id|identity|insurance)|identity card|tax (?:id|file|payer)|citizen(?:ship)? (?:id|number)|voter id",
            _PLAIN_VALUE,
        ),
    )
)
_MRN_BARE: Final = re.compile(r"(?<![\w-])MRN[-#:]?[0-9]{4,12}(?![\w])", re.IGNORECASE)
_VIN: Final = re.compile(r"(?<![\w-])[A-HJ-NPR-Z0-9]{17}(?![\w-])")


def find(text: str) -> Iterator[Finding]:
    """Yield findings about numbers that name a person. Text without a digit costs one search."""
    if not _DIGIT.search(text):
        return
    yield from _social_security(text)
    yield from _nationals(text)
    for kind, pattern in NAMED:
        for match in pattern.finditer(text):
            yield Finding(kind, *match.span(1), 0.9)
    for match in _MRN_BARE.finditer(text):
        yield Finding(EntityType.MEDICAL_RECORD, *match.span(), 0.9)
    for match in _VIN.finditer(text):
        if checksums.vin(match.group()) and not match.group().isdigit():
            yield Finding(EntityType.VEHICLE, *match.span(), 0.9)


def _social_security(text: str) -> Iterator[Finding]:
    """Dashed anywhere (areas of ITINs too); bare nine digits with a word near."""
    for match in _SSN.finditer(text):
        if match[1] == "-" or near(text, *match.span(), _SSN_WORD):
            yield Finding(EntityType.SSN, *match.span(), 1.0)
    for match in _SSN_BARE.finditer(text):
        if near(text, *match.span(), _SSN_WORD):
            yield Finding(EntityType.SSN, *match.span(), 0.9)
    for match in _SSN_TAIL.finditer(text):
        yield Finding(EntityType.SSN, *match.span(1), 0.8)


def _nationals(text: str) -> Iterator[Finding]:
    """Form, check digits, and a word near unless the form is unmistakable."""
    for scheme in NATIONAL:
        for match in scheme.pattern.finditer(text):
            plain = (
                _STRIP.sub("", match.group().upper())
                if scheme.check is not checksums.finnish_code
                else match.group().upper()
            )
            if (scheme.distinct or near(text, *match.span(), scheme.word)) and scheme.check(plain):
                yield Finding(EntityType.NATIONAL_ID, *match.span(), 0.95)
