"""Check digits of cards, accounts and national numbers: pure functions on strings of digits.

Each takes what a pattern matched with separators taken out, and says whether the check digits fit.
The scheme stands in each docstring.
"""

from collections.abc import Sequence
from typing import Final

_VERHOEFF_D: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_P: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
_ITALIAN_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)
_VIN_VALUES: Final = dict(
    zip(
        "ABCDEFGHJKLMNPRSTUVWXYZ0123456789",
        (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        strict=True,
    )
)
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Length of an IBAN by country (ISO 13616 registry)."""


def _weighted(digits: str, weights: Sequence[int]) -> int:
    """Return the sum of digits times weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: str) -> bool:
    """Cards, Canadian SIN, Swedish personnummer, South African id (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)  # noqa: PLR2004 (casting out nines)
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Indian Aadhaar (Verhoeff 1969)."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_D[check][_VERHOEFF_P[place % 8][int(digit)]]
    return check == 0


def iban(value: str) -> bool:
    """ISO 13616: length by country and mod 97."""
    if IBAN_LENGTHS.get(value[:2]) != len(value):
        return False
    return int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1


def nhs(digits: str) -> bool:
    """United Kingdom NHS number: ten digits, weights 10 to 2, mod 11."""
    return (11 - _weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == int(digits[9])


def spanish_dni(value: str) -> bool:
    """DNI and NIE: letter by number mod 23."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def italian_code(value: str) -> bool:
    """Codice fiscale: sixteen characters, the last a check letter."""
    odd = sum(_ITALIAN_ODD[char] for char in value[0:15:2])
    even = sum(int(char) if char.isdigit() else ord(char) - ord("A") for char in value[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == value[15]


def french_nir(value: str) -> bool:
    """Numéro de sécurité sociale: thirteen characters and 97 minus their rest mod 97; Corsica 2A and 2B."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(value[13:])


def german_tax(digits: str) -> bool:
    """Steuer-Identifikationsnummer: eleven digits, ISO 7064 mod 11,10, one digit repeated two or three times."""
    most = max(digits[:10].count(digit) for digit in "0123456789")
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return most in {2, 3} and (11 - product) % 10 == int(digits[10])


def dutch_bsn(digits: str) -> bool:
    """Burgerservicenummer: nine digits, the eleven test."""
    return _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(digits) > 0


def polish_pesel(digits: str) -> bool:
    """PESEL: eleven digits, weights 1 3 7 9, a month in range."""
    return (
        int(digits[2:4]) % 20 in range(1, 13)
        and _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0
    )


def norwegian_number(digits: str) -> bool:
    """Fødselsnummer: eleven digits, two check digits mod 11."""
    first = _weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == 0 and second == 0


def belgian_number(digits: str) -> bool:
    """Rijksregisternummer: eleven digits, 97 minus the rest mod 97; a leading 2 for births from 2000."""
    return int(digits[9:]) in {97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97}


def finnish_code(value: str) -> bool:
    """Henkilötunnus: date, century sign, three digits, check character mod 31."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31] == value[10]


def brazilian_cpf(digits: str) -> bool:
    """CPF: eleven digits, not all alike, two check digits mod 11."""
    first = _weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def chinese_id(value: str) -> bool:
    """Resident identity number: eighteen characters, ISO 7064 mod 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[_weighted(value[:17], weights) % 11] == value[17]


def portuguese_nif(digits: str) -> bool:
    """NIF: nine digits, weights 9 to 2, mod 11."""
    rest = _weighted(digits[:8], range(9, 1, -1)) % 11
    return int(digits[8]) == (0 if rest < 2 else 11 - rest)  # noqa: PLR2004 (the scheme's)


def australian_tfn(digits: str) -> bool:
    """Tax file number: nine digits, weighted sum divisible by 11."""
    return _weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def vin(value: str) -> bool:
    """Vehicle identification number: seventeen characters, check in the ninth (ISO 3779, North America)."""
    if any(char not in _VIN_VALUES for char in value):
        return False
    rest = sum(_VIN_VALUES[char] * weight for char, weight in zip(value, _VIN_WEIGHTS, strict=True)) % 11
    return value[8] == ("X" if rest == 10 else str(rest))  # noqa: PLR2004 (the scheme's)


def routing(digits: str) -> bool:
    """United States bank routing number: nine digits, weights 3 7 1, mod 10."""
    return _weighted(digits, (3, 7, 1) * 3) % 10 == 0 and int(digits) > 0
