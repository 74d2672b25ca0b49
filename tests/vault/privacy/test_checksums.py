"""Check digits: known numbers pass, and any single changed digit is caught."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.privacy.recognizers import checksums

# Published specimens and test numbers; nobody's.
SPECIMENS: list[tuple[Callable[[str], bool], str]] = [
    (checksums.luhn, "4111111111111111"),
    (checksums.luhn, "378282246310005"),
    (checksums.verhoeff, "234123412346"),
    (checksums.iban, "GB82WEST12345698765432"),
    (checksums.iban, "DE89370400440532013000"),
    (checksums.nhs, "9434765919"),
    (checksums.spanish_dni, "12345678Z"),
    (checksums.spanish_dni, "X1234567L"),
    (checksums.italian_code, "RSSMRA85T10A562S"),
    (checksums.french_nir, "255081416802538"),
    (checksums.german_tax, "86095742719"),
    (checksums.dutch_bsn, "111222333"),
    (checksums.polish_pesel, "44051401359"),
    (checksums.belgian_number, "85073003328"),
    (checksums.finnish_code, "131052-308T"),
    (checksums.brazilian_cpf, "11144477735"),
    (checksums.chinese_id, "11010519491231002X"),
    (checksums.portuguese_nif, "123456789"),
    (checksums.australian_tfn, "123456782"),
    (checksums.vin, "1M8GDM9AXKP042788"),
    (checksums.routing, "021000021"),
    (checksums.norwegian_number, "01010750160"),
]


@pytest.mark.parametrize(
    ("check", "number"), SPECIMENS, ids=[check.__name__ + number for check, number in SPECIMENS]
)
def test_a_specimen_passes(check: Callable[[str], bool], number: str) -> None:
    assert check(number)


@pytest.mark.parametrize(
    ("check", "number"), SPECIMENS, ids=[check.__name__ + number for check, number in SPECIMENS]
)
def test_most_single_changed_digits_are_caught(check: Callable[[str], bool], number: str) -> None:
    wrong = [
        number[:at] + digit + number[at + 1 :]
        for at, char in enumerate(number)
        if char in string.digits
        for digit in string.digits
        if digit != char
    ]
    assert sum(check(one) for one in wrong) <= len(wrong) // 12


@given(st.text(string.digits, min_size=11, max_size=18))
def test_luhn_and_verhoeff_take_exactly_one_check_digit(digits: str) -> None:
    for check in (checksums.luhn, checksums.verhoeff):
        assert sum(check(digits + last) for last in string.digits) == 1


def test_an_iban_of_the_wrong_length_or_country_fails() -> None:
    assert not checksums.iban("GB82WEST1234569876543")
    assert not checksums.iban("ZZ82WEST12345698765432")
