"""Each change of a rule that changes an answer fails a case of each bundle that ships; one that does not is told."""

import pytest

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, Bundle
from policies.review.cases import covered_rules, failures, parse_cases
from policies.review.mutation import LISTS, Change, mutants, mutate
from policies.rule import Effect, parse_rules
from policies.space import answers
from tests.policies.bundles import every_bundle

RULES = parse_rules(Bundle.read().text(ACCESS_RULES), ACCESS_RULES)
CASES = parse_cases(Bundle.read().text(ACCESS_TESTS), ACCESS_TESTS)


@pytest.mark.parametrize("bundle", every_bundle())
def test_the_cases_of_a_bundle_hold_need_every_rule_and_leave_no_mutant(bundle: Bundle) -> None:
    rules = parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)
    cases = parse_cases(bundle.text(ACCESS_TESTS), ACCESS_TESTS)
    assert failures(cases, answers(rules)) == []
    assert covered_rules(cases, rules) == {rule.id for rule in rules}
    found = mutate(rules, cases)
    assert [str(one.mutant) for one in found.survivors] == []
    assert found.tried > 20 * len(rules)


def test_a_rule_is_changed_in_every_way_there_is() -> None:
    for rule in RULES:
        made = list(mutants(rule))
        assert len(made) == 2 + sum(len(names) for _, names in LISTS)
        assert all(one.changed != rule for one in made)
        assert len({str(one) for one in made}) == len(made)
    kinds = [one.change for one in mutants(RULES[0])]
    assert kinds[:2] == [Change.DROP, Change.FLIP]
    assert {Change.WIDEN, Change.NARROW} == set(kinds[2:])


def test_a_deny_is_flipped_to_an_allow() -> None:
    (deny,) = parse_rules("p, no, clinician, private, owner, mfa, none, read, treatment, deny", "t")
    flipped = next(one for one in mutants(deny) if one.change is Change.FLIP)
    assert flipped.changed is not None
    assert flipped.changed.effect is Effect.ALLOW
    assert str(flipped) == "no: flip to allow"


def test_what_no_case_notices_is_told_with_a_request() -> None:
    fewer = [case for case in CASES if "research" not in case.name]
    found = mutate(RULES, fewer)
    told = {str(one.mutant): one.request for one in found.survivors}
    assert told == {} or all(request is not None for request in told.values())
    nothing = mutate(RULES, CASES[:1])
    assert len(nothing.survivors) == nothing.tried > 900
    first = nothing.survivors[0]
    assert str(first.mutant) == f"{RULES[0].id}: drop"
    assert RULES[0].covers(first.request)


def test_a_change_that_changes_no_answer_is_none() -> None:
    (rule,) = parse_rules("p, a, clinician, private, owner, mfa, none, read, treatment, allow", "t")
    twin = parse_rules("p, b, clinician, private, owner, mfa, none, read, treatment, allow", "t")
    found = mutate([rule, *twin], CASES[:1])
    # Narrowing one of two that say the same changes nothing, and so does dropping it: seven lists of one name.
    assert found.same == 2 * (1 + 7)
