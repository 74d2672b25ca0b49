"""Who has to look at a change is said by a file beside the bundle."""

import pytest

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, PRIVACY_RULES, Bundle
from policies.errors import PolicyInvalidError
from policies.review.diff import Difference, diff
from policies.review.reviewers import MAX_CHARACTERS, parse_reviewers, required

FILE = """
reviewers:
  - ask: [privacy-office, security]
    when: {section: privacy}
  - ask: [security]
    when: {section: access, actions: [reveal, export]}
  - ask: [ward]
    when: {roles: [clinician], severity: medium}
  - ask: [anybody]
    when: {}
"""
RULES = parse_reviewers(FILE, "reviewers.yaml")
BASE = Bundle.read()


def change(name: str, was: str, now: str) -> Difference:
    assert was in BASE.text(name)
    return diff(BASE, Bundle({**BASE.files, name: BASE.text(name).replace(was, now, 1).encode()}))


CLINICIAN = "read|search|reveal, treatment, allow"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (diff(BASE, BASE), ()),
        (change(PRIVACY_RULES, "spacy: false", "spacy: true"), ("privacy-office", "security", "anybody")),
        (
            change(ACCESS_RULES, CLINICIAN, CLINICIAN.replace("treatment", "treatment|payment")),
            ("security", "ward", "anybody"),
        ),
        (change(ACCESS_RULES, CLINICIAN, CLINICIAN.replace("read|", "")), ("anybody",)),
        (change(ACCESS_TESTS, "- case: tenants never meet", "- case: tenants do not meet"), ("anybody",)),
        (change(ACCESS_TESTS, "expect: allow", "expect: deny"), ("anybody",)),
        (change(ACCESS_RULES, "p, clinician-treats,", "p, clinician-sees,"), ("anybody",)),
        (change(PRIVACY_RULES, "# What", "# This is what"), ("privacy-office", "security", "anybody")),
    ],
)
def test_each_change_names_its_reviewers_once(found: Difference, expected: tuple[str, ...]) -> None:
    assert required(RULES, found) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "expected reviewers: a list"),
        ("reviewers: []", "at least one rule"),
        ("reviewers: [3]", "rule 1: expected ask and when"),
        ("reviewers: [{ask: [a], when: 3}]", "expected ask and when"),
        ("reviewers: [{ask: [], when: {}}]", "a list of names"),
        ("reviewers: [{ask: [3], when: {}}]", "a list of names"),
        ("reviewers: [{ask: [a], when: {place: x}}]", "expected when: some of"),
        ("reviewers: [{ask: [a], when: {section: x}}]", "expected section: one of"),
        ("reviewers: [{ask: [a], when: {section: [privacy]}}]", "expected section: one of"),
        ("reviewers: [{ask: [a], when: {severity: {high: 1}}}]", "expected severity: one of"),
        ("reviewers: [{ask: [a], when: {severity: x}}]", "expected severity: one of"),
        ("reviewers: [{ask: [a], when: {roles: []}}]", "expected roles: some of"),
        ("reviewers: [{ask: [a], when: {actions: [fly]}}]", "expected actions: some of"),
        ("x" * (MAX_CHARACTERS + 1), "at most"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyInvalidError, match=reason):
        parse_reviewers(text, "reviewers.yaml")
