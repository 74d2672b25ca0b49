"""What each family finds, and what it leaves alone."""

import pytest

from policies.privacy import EntityType as E
from vault.privacy.findings import Finding
from vault.privacy.recognizers.families import FAMILIES


def found(text: str) -> set[tuple[E, str]]:
    findings: list[Finding] = [one for family in FAMILIES for one in family.find(text)]
    return {(one.kind, text[one.start : one.end]) for one in findings}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("pay with 4111 1111 1111 1111 today", E.CARD, "4111 1111 1111 1111"),
        ("amex 3782-822463-10005", E.CARD, "3782-822463-10005"),
        ("my card 675984103432 is lost", E.CARD, "675984103432"),
        ("card ending in 4242", E.CARD, "4242"),
        ("CVV 123", E.CARD_CODE, "123"),
        ("my pin is 4821", E.CARD_CODE, "4821"),
        ("to GB82 WEST 1234 5698 7654 32 now", E.IBAN, "GB82 WEST 1234 5698 7654 32"),
        ("iban de89370400440532013000", E.IBAN, "de89370400440532013000"),
        ("account number 12345678", E.BANK_ACCOUNT, "12345678"),
        ("routing number: 021000021", E.BANK_ACCOUNT, "021000021"),
        ("sort code 20-00-00", E.BANK_ACCOUNT, "20-00-00"),
        ("BIC: DEUTDEFF500", E.BANK_ACCOUNT, "DEUTDEFF500"),
        (
            "send to 0x52908400098527886E0F7030069857D2E4169EE7",
            E.WALLET,
            "0x52908400098527886E0F7030069857D2E4169EE7",
        ),
        ("SSN 123-45-6789", E.SSN, "123-45-6789"),
        ("853-37-1694", E.SSN, "853-37-1694"),
        ("my social security number is 123456789", E.SSN, "123456789"),
        ("ssn ending in 6789", E.SSN, "6789"),
        ("NHS number 943 476 5919", E.NATIONAL_ID, "943 476 5919"),
        ("AB 12 34 56 C", E.NATIONAL_ID, "AB 12 34 56 C"),
        ("DNI 12345678Z", E.NATIONAL_ID, "12345678Z"),
        ("codice fiscale RSSMRA85T10A562S", E.NATIONAL_ID, "RSSMRA85T10A562S"),
        ("PESEL 44051401359", E.NATIONAL_ID, "44051401359"),
        ("hetu 131052-308T", E.NATIONAL_ID, "131052-308T"),
        ("CPF 111.444.777-35", E.NATIONAL_ID, "111.444.777-35"),
        ("Aadhaar 2341 2341 2346", E.NATIONAL_ID, "2341 2341 2346"),
        ("MRN: 00123456", E.MEDICAL_RECORD, "00123456"),
        ("medical record number A-448812", E.MEDICAL_RECORD, "A-448812"),
        ("patient ID 7781234", E.MEDICAL_RECORD, "7781234"),
        ("passport no. X1234567", E.PASSPORT, "X1234567"),
        ("my driver's license number is D123-4567", E.DRIVER_LICENSE, "D123-4567"),
        ("policy number PL-99812", E.MEMBER_NUMBER, "PL-99812"),
        ("member ID: 8837162", E.MEMBER_NUMBER, "8837162"),
        ("VIN 1M8GDM9AXKP042788", E.VEHICLE, "1M8GDM9AXKP042788"),
        ("IMEI 490154203237518", E.DEVICE, "490154203237518"),
        ("write to ann.lee+x@mail.example.org.", E.EMAIL, "ann.lee+x@mail.example.org"),
        ("ann (at) mail (dot) org", E.EMAIL, "ann (at) mail (dot) org"),
        ("to ann.lee@\nmail.org today", E.EMAIL, "ann.lee@\nmail.org"),
        ("to ann.lee\n@mail.org today", E.EMAIL, "ann.lee\n@mail.org"),
        ("to ann.lee@ma\r\nil.org today", E.EMAIL, "ann.lee@ma\r\nil.org"),
        ("to ann.lee@mail.\norg today", E.EMAIL, "ann.lee@mail.\norg"),
        ("to ann.lee@mail\n.org today", E.EMAIL, "ann.lee@mail\n.org"),
        ("ann.lee@ma=\r\nil.org", E.EMAIL, "ann.lee@ma=\r\nil.org"),
        ("> ann.lee@\n> mail.org", E.EMAIL, "ann.lee@\n> mail.org"),
        ("?user=ann%40mail.org&x=1", E.EMAIL, "ann%40mail.org"),
        ("see https://mail.org/~ann?id=4.", E.URL, "https://mail.org/~ann?id=4"),
        ("my page is annlee.net", E.URL, "annlee.net"),
        ("host 203.0.113.9 down", E.IP_ADDRESS, "203.0.113.9"),
        ("from 2001:db8::8a2e:370:7334 again", E.IP_ADDRESS, "2001:db8::8a2e:370:7334"),
        ("mac 00:1B:44:11:3A:B7", E.DEVICE, "00:1B:44:11:3A:B7"),
        ("call +44 20 7946 0958 please", E.PHONE, "+44 20 7946 0958"),
        ("(415) 555-2671", E.PHONE, "(415) 555-2671"),
        ("ring 555 2671", E.PHONE, "555 2671"),
        ("07700 900 123", E.PHONE, "07700 900 123"),
        ("my username is ann_lee77", E.USERNAME, "ann_lee77"),
        ("password: hunter2!", E.SECRET, "hunter2!"),
        ("the wifi password is Blue-Horse-7", E.SECRET, "Blue-Horse-7"),
        (
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            E.SECRET,
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        ),
        (
            "use ghp_16C7e42F292c6912E7710c838347Ae178B4a now",
            E.SECRET,
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        ),
        ("key AKIAIOSFODNN7EXAMPLE", E.SECRET, "AKIAIOSFODNN7EXAMPLE"),
        ("postgres://app:s3cr3t@db/x", E.SECRET, "s3cr3t"),
        ("born on 3/4/1980", E.DATE_OF_BIRTH, "3/4/1980"),
        ("DOB: 12 May 1980", E.DATE_OF_BIRTH, "12 May 1980"),
        ("on 2007-01-17 23:08:55 it", E.DATE, "2007-01-17 23:08:55"),
        ("on 7 May 2023 we", E.CALENDAR, "7 May 2023"),
        ("a 38-year-old man", E.AGE, "38"),
        ("I'm 34.", E.AGE, "34"),
        ("aged 71", E.AGE, "71"),
        ("at 12 Main Street today", E.ADDRESS, "12 Main Street"),
        ("Lindenstraße 12", E.ADDRESS, "Lindenstraße 12"),
        ("15 rue de la Paix", E.ADDRESS, "15 rue de la Paix"),
        ("P.O. Box 1042", E.ADDRESS, "P.O. Box 1042"),
        ("Apt. 12B", E.ADDRESS, "Apt. 12B"),
        ("zip code 94110", E.POSTCODE, "94110"),
        ("SW1A 1AA", E.POSTCODE, "SW1A 1AA"),
        ("K1A 0B1", E.POSTCODE, "K1A 0B1"),
        ("Boston, MA 02139", E.POSTCODE, "02139"),
        ("from Norway", E.LOCATION, "Norway"),
        ("a norwegian song", E.NATIONALITY, "norwegian"),
        ("Dr. Jane Smith", E.PERSON, "Dr. Jane Smith"),
        ("Patient: Ann Lee", E.PERSON, "Ann Lee"),
        ("my name is ann lee", E.PERSON, "ann lee"),
        ("works at Acme Widgets Ltd. now", E.ORGANIZATION, "Acme Widgets Ltd."),
        ("the law firm Owens, Duran and Oneal", E.ORGANIZATION, "Owens, Duran and Oneal"),
    ],
)
def test_it_finds(text: str, kind: E, value: str) -> None:
    assert (kind, value) in found(text)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("order 4111 1111 1111 1112 of 16 digits", {E.CARD}),
        ("version 1.2.3.4 is out", {E.IP_ADDRESS}),
        ("127.0.0.1 and ::1 and 0.0.0.0", {E.IP_ADDRESS}),
        ("999.1.1.1", {E.IP_ADDRESS}),
        ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", {E.SECRET, E.PHONE, E.CARD}),
        ("password is wrong, please reset it", {E.SECRET}),
        ("password: ${DB_PASSWORD}", {E.SECRET}),
        ("token = os.environ['TOKEN']", {E.SECRET}),
        ("from 10:30 to 12:45 on 2023-05-07", {E.PHONE, E.CARD}),
        ("we sold 1,200 units for $3,400.50", {E.PHONE, E.BANK_ACCOUNT}),
        ("3 days at the lake", {E.ADDRESS}),
        ("I'm 100% sure", {E.AGE}),
        ("main.py and utils.js", {E.URL}),
        ("000-12-3456", {E.SSN}),
        ("last Friday we met", {E.DATE, E.DATE_OF_BIRTH}),
        ("thanks, jordan told me about china plates", {E.LOCATION}),
        ("The bank is closed", {E.ORGANIZATION}),
        ("page 12 of 40", {E.AGE, E.ADDRESS, E.POSTCODE}),
    ],
)
def test_it_leaves_alone(text: str, kinds: set[E]) -> None:
    assert not {kind for kind, _ in found(text)} & kinds


def test_every_family_finds_only_kinds_that_it_declares() -> None:
    text = "Dr. Ann Lee, 12 Main St, 4111 1111 1111 1111, ann@mail.org, SSN 123-45-6789, born 3/4/1980, password: hunter2!, 203.0.113.9, MRN 123456, Norway"
    for family in FAMILIES:
        assert {one.kind for one in family.find(text)} <= family.kinds


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("ann.lee@mail.org\nsee example.org", "ann.lee@mail.org"),
        ("mail ann@corp.com.\nIs that right?", "ann@corp.com"),
        ("mail ann@corp.com.\nComing soon", "ann@corp.com"),
    ],
)
def test_a_line_break_after_an_address_does_not_make_it_longer(text: str, whole: str) -> None:
    assert {value for kind, value in found(text) if kind is E.EMAIL} == {whole}


@pytest.mark.parametrize(
    "text", ["we met @\nexample.org", "anna@host\nruns well. com", "ping root@host\nfoo.py", "@\n.com"]
)
def test_an_at_sign_at_the_end_of_a_line_alone_is_no_address(text: str) -> None:
    assert not [value for kind, value in found(text) if kind is E.EMAIL]
