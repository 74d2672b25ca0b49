"""Plain words that stand for personal data in the text that is embedded.

Owns the list only. A stand-in says of what kind a value was and nothing else: two people are the same
"someone" to the embedder. That is not only more private than a surrogate name, it finds more: measured on
LoCoMo, a name in the text or in the question decides half of a vector and says nothing of the matter
(docs/search.md). Who is meant is found by hashed terms.

Changing a word changes vectors: stored ones no longer meet new questions, so the change belongs to a new
name of the embedding.
"""

from collections.abc import Mapping
from typing import Final

OTHERWISE: Final = "something"
STAND_INS: Final[Mapping[str, str]] = {
    "PERSON": "someone",
    "LOCATION": "somewhere",
    "ORGANIZATION": "some company",
    "NATIONALITY": "foreign",
    "TITLE": "some job",
    "ADDRESS": "some address",
    "POSTCODE": "some postcode",
    "AGE": "some age",
    "DATE": "some date",
    "DATE_OF_BIRTH": "date of birth",
    "EMAIL": "some e-mail address",
    "PHONE": "some phone number",
    "URL": "some link",
    "IP_ADDRESS": "some network address",
    "DEVICE": "some device",
    "USERNAME": "some user name",
    "CARD": "some card number",
    "CARD_CODE": "some card code",
    "IBAN": "some account number",
    "BANK_ACCOUNT": "some account number",
    "SSN": "some social security number",
    "NATIONAL_ID": "some identity number",
    "PASSPORT": "some passport number",
    "DRIVER_LICENSE": "some driving licence",
    "VEHICLE": "some vehicle",
    "MEDICAL_RECORD": "some medical record number",
    "MEMBER_NUMBER": "some member number",
    "WALLET": "some wallet",
    "SECRET": "some password",
}
