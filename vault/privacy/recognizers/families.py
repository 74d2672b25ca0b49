"""The families of patterns, by name, with the kinds that each can find."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers import contact, identity, money, nations, people, places, secrets, times


class Family(NamedTuple):
    """One set of patterns, registered as one recognizer."""

    name: str
    kinds: frozenset[EntityType]
    find: Callable[[str], Iterator[Finding]]


_E: Final = EntityType
FAMILIES: Final = (
    Family("money", frozenset({_E.CARD, _E.CARD_CODE, _E.IBAN, _E.BANK_ACCOUNT, _E.WALLET}), money.find),
    Family(
        "identity",
        frozenset(
            {
                _E.SSN,
                _E.NATIONAL_ID,
                _E.MEDICAL_RECORD,
                _E.PASSPORT,
                _E.DRIVER_LICENSE,
                _E.VEHICLE,
                _E.MEMBER_NUMBER,
                _E.DEVICE,
            }
        ),
        identity.find,
    ),
    Family(
        "contact",
        frozenset({_E.EMAIL, _E.PHONE, _E.URL, _E.IP_ADDRESS, _E.DEVICE, _E.USERNAME}),
        contact.find,
    ),
    Family("secrets", frozenset({_E.SECRET}), secrets.find),
    Family("times", frozenset({_E.DATE, _E.CALENDAR, _E.DATE_OF_BIRTH, _E.AGE}), times.find),
    Family("places", frozenset({_E.ADDRESS, _E.POSTCODE, _E.LOCATION}), places.find),
    Family("nations", frozenset({_E.LOCATION, _E.NATIONALITY}), nations.find),
    Family("people", frozenset({_E.PERSON, _E.TITLE, _E.ORGANIZATION}), people.find),
)
