"""Stand-ins for personal data in the text that is embedded: common names, none of them anyone's.

Owns the lists only; `vault.search.lexical` chooses from them by a keyed hash. Changing a list changes
vectors: memories embedded before no longer meet questions asked after, so a change is a new embedder name.
"""

from collections.abc import Mapping
from typing import Final

_FIRST_NAMES: Final = tuple(
    """Alice Andrew Anna Anthony Barbara Benjamin Brandon Brian Carl Carol Catherine Charles Christine
    Daniel David Deborah Dennis Diana Donald Edward Elizabeth Emily Emma Eric Eva Frank George Grace
    Hannah Harold Helen Henry Irene Jack James Jane Jason Jennifer Jessica Julia Karen Keith Kevin Laura
    Lawrence Linda Lisa Louise Margaret Maria Mark Martha Martin Mary Matthew Michael Michelle Nancy
    Nicole Oliver Pamela Patrick Paul Peter Philip Rachel Ralph Rebecca Richard Robert Roger Rose
    Russell Ruth Samuel Sandra Sarah Sharon Simon Sophie Stephen Steven Susan Teresa Theresa Thomas
    Timothy Victor Vincent Virginia Walter William""".split()  # noqa: SIM905 - a word list reads better as text
)
_PLACES: Final = (
    *(
        "Amsterdam",
        "Athens",
        "Atlanta",
        "Austin",
        "Baltimore",
        "Barcelona",
        "Berlin",
        "Boston",
        "Brussels",
        "Cairo",
    ),
    *(
        "Chicago",
        "Cleveland",
        "Dallas",
        "Denver",
        "Detroit",
        "Dublin",
        "Edinburgh",
        "Geneva",
        "Hamburg",
        "Helsinki",
    ),
    *(
        "Houston",
        "Istanbul",
        "Lisbon",
        "Liverpool",
        "London",
        "Madrid",
        "Manchester",
        "Melbourne",
        "Miami",
        "Milan",
    ),
    *(
        "Montreal",
        "Moscow",
        "Munich",
        "Naples",
        "Oslo",
        "Oxford",
        "Paris",
        "Philadelphia",
        "Phoenix",
        "Portland",
    ),
    *(
        "Prague",
        "Rome",
        "Seattle",
        "Singapore",
        "Stockholm",
        "Sydney",
        "Tokyo",
        "Toronto",
        "Vienna",
        "Warsaw",
    ),
)
_COMPANIES: Final = (
    *(
        "Acme",
        "Allied",
        "Apex",
        "Atlas",
        "Beacon",
        "Cascade",
        "Central",
        "Crown",
        "Delta",
        "Eagle",
        "Everest",
        "Falcon",
    ),
    *(
        "Frontier",
        "Global",
        "Granite",
        "Harbor",
        "Horizon",
        "Keystone",
        "Liberty",
        "Lighthouse",
        "Meridian",
        "Monarch",
    ),
    *(
        "National",
        "Northern",
        "Olympic",
        "Pacific",
        "Phoenix",
        "Pioneer",
        "Premier",
        "Regal",
        "Sierra",
        "Sterling",
    ),
    *("Summit", "Titan", "Union", "United", "Vanguard", "Vertex", "Western", "Zenith"),
)
_NATIONALITIES: Final = tuple(
    """American Australian Austrian Belgian Brazilian British Canadian Chinese Danish Dutch Egyptian
    Finnish French German Greek Indian Irish Italian Japanese Korean Mexican Norwegian Polish Portuguese
    Russian Scottish Spanish Swedish Swiss Turkish""".split()  # noqa: SIM905 - a word list reads better as text
)

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "PERSON": _FIRST_NAMES,
    "LOCATION": _PLACES,
    "ORGANIZATION": _COMPANIES,
    "NATIONALITY": _NATIONALITIES,
}
"""Kinds whose values are told apart in the embedded text."""

PER_WORD: Final = frozenset({"PERSON"})
"""Kinds replaced word by word, so that a first name alone meets the full name."""

GENERIC: Final[Mapping[str, str]] = {
    "TITLE": "job",
    "ADDRESS": "the address",
    "POSTCODE": "the postcode",
    "AGE": "years old",
    "DATE": "the date",
    "DATE_OF_BIRTH": "the date of birth",
    "EMAIL": "the e-mail address",
    "PHONE": "the phone number",
    "URL": "the link",
    "IP_ADDRESS": "the network address",
    "USERNAME": "the user name",
    "CARD": "the card number",
    "BANK_ACCOUNT": "the account number",
    "SSN": "the social security number",
    "NATIONAL_ID": "the identity number",
    "SECRET": "the password",
}
"""What stands for values of other kinds, and for redacted ones; else the kind's own name."""
