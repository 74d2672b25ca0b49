"""Cases are read whole or not at all, and say whether rules say what they are meant to."""

import pytest

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, Bundle
from policies.errors import PolicyInvalidError
from policies.loading import ready
from policies.model import Role
from policies.review.cases import MAX_CASES, MAX_CHARACTERS, covered_rules, failures, parse_cases
from policies.review.diff import diff
from policies.review.notes import Severity
from policies.rule import Effect, parse_rules
from policies.space import answers

RULES = parse_rules(Bundle.read().text(ACCESS_RULES), ACCESS_RULES)
SAID = answers(RULES)
CASE = """
- case: a clinician reads
  given: {roles: [clinician], resource: private, relation: any}
  when: {action: [read, search], purpose: treatment}
  expect: allow
  because: who treats has to know whom
"""


def one(text: str) -> str:
    return next((str(found.request[1:]) for found in failures(parse_cases(text, "tests.yaml"), SAID)), "")


def test_the_shipped_cases_hold() -> None:
    cases = parse_cases(Bundle.read().text(ACCESS_TESTS), ACCESS_TESTS)
    assert failures(cases, SAID) == []
    assert covered_rules(cases, RULES) == {rule.id for rule in RULES}


def test_a_case_has_its_line_and_asks_each_combination() -> None:
    (case,) = parse_cases("# first\n" + CASE, "tests.yaml")
    assert (case.name, case.line, case.expect, case.because) == (
        "a clinician reads", 3, Effect.ALLOW, "who treats has to know whom",
    )  # fmt: skip
    assert case.points.sum() == 3 * 2 * 2 * 2
    assert case.failing(SAID) is None


def test_a_case_that_does_not_hold_names_one_request() -> None:
    wrong = parse_cases(CASE.replace("treatment", "[treatment, research]"), "t")[0].failing(SAID)
    assert wrong is not None
    assert (wrong.role, wrong.purpose.value) == (Role.CLINICIAN, "research")
    denied = parse_cases(CASE.replace("[clinician]", "[auditor, clinician]").replace("allow", "deny"), "t")
    (failure,) = failures(denied, SAID)
    assert failure.request.role is Role.CLINICIAN, "the one who is allowed"
    assert failure.case is denied[0]


def test_roles_of_a_case_are_held_together() -> None:
    assert one(CASE.replace("[clinician]", "[auditor, clinician]")) == ""
    deny = parse_rules("p, no-auditor, auditor, *, *, *, *, *, *, deny", "more")
    (case,) = parse_cases(CASE.replace("[clinician]", "[auditor, clinician]"), "t")
    assert case.failing(answers([*RULES, *deny])) is not None


def test_another_tenants_is_denied_whatever_the_rules() -> None:
    other = CASE.replace("relation: any", "relation: any, tenant: other")
    assert one(other.replace("allow", "deny")) == ""
    assert one(other) != ""
    cases = parse_cases(other.replace("allow", "deny"), "t")
    assert covered_rules(cases, RULES) == frozenset(), "the wall decides, no rule"


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        (CASE, "", "a list of cases, got none"),
        (CASE, "a: b", "a list of cases"),
        (CASE, CASE + CASE, "line 8: expected each case's name once"),
        (CASE, CASE * (MAX_CASES + 1), f"at most {MAX_CASES} cases"),
        (CASE, "- 3", "line 1: expected a case with"),
        ("  expect: allow\n", "", "expected a case with"),
        ("  expect: allow\n", "  expect: allow\n  more: x\n", "expected a case with"),
        ("roles: [clinician], ", "", "expected given with"),
        ("relation: any}", "relation: any, mood: good}", "expected given with"),
        ("when: {action: [read, search], ", "when: {", "expected when with"),
        ("a clinician reads", "''", "expected case: what it says"),
        ("who treats has to know whom", "so", "a reason of 10 characters"),
        ("expect: allow", "expect: maybe", "expected expect: allow or deny"),
        ("relation: any}", "relation: any, tenant: some}", "expected tenant: same or other"),
        ("[clinician]", "[doctor]", "expected roles: some of"),
        ("[clinician]", "any", "expected roles: some of"),
        ("[clinician]", "[]", "expected roles: some of"),
        ("[read, search]", "[read, read]", "expected each action once"),
        ("[read, search]", "[3]", "expected action: some of"),
        ("resource: private", "resource: secret", "expected resource: some of"),
        ("relation: any", "relation: other", "expected relation: some of"),
        ("relation: any", "relation: any, assurance: sms", "expected assurance: some of"),
        ("relation: any", "relation: any, emergency: yes", "expected emergency: some of"),
        ("treatment", "fun", "expected purpose: some of"),
        (CASE, "x" * (MAX_CHARACTERS + 1), "at most"),
        ("given: {", "given: {roles: [adviser], ", "each key once"),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused_with_its_place(was: str, now: str, reason: str) -> None:
    with pytest.raises(PolicyInvalidError, match=reason) as refused:
        parse_cases(CASE.replace(was, now), "tests.yaml")
    assert "tests.yaml" in str(refused.value)


def test_a_rule_that_denies_what_no_role_of_a_case_is_allowed_is_needed_by_none() -> None:
    bundle = ready("hipaa")
    cases = parse_cases(bundle.text(ACCESS_TESTS), ACCESS_TESTS)
    deny = "p, new-deny, clinician, audit-log, *, *, *, audit, audit|legal, deny\n"
    rules = parse_rules(bundle.text(ACCESS_RULES) + deny, ACCESS_RULES)
    assert {rule.id for rule in rules} - covered_rules(cases, rules) == {"new-deny"}
    head = Bundle({**bundle.files, ACCESS_RULES: (bundle.text(ACCESS_RULES) + deny).encode()})
    found = diff(bundle, head)
    assert (found.rules_untested, found.severity) == (("new-deny",), Severity.MEDIUM)
