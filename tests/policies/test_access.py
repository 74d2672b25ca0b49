"""The access policy refuses to load what it does not understand, and denies what no rule allows."""

import copy
import dataclasses
import logging
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.access import AccessPolicy
from policies.bundle import ACCESS_MODEL, Bundle
from policies.errors import DeniedError, PolicyInvalidError, RequestInvalidError
from policies.model import (
    AccessTier,
    Action,
    Assurance,
    Decision,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Role,
    SystemResource,
)
from policies.rule import DEFAULT_DENY, MAX_RULES, Effect, Question, Wall

LoadRules = Callable[[str], AccessPolicy]
GOOD = "p, a-rule, clinician, private, *, single|mfa, none, read|search, treatment, allow"
SHIPPED = AccessPolicy.load(Bundle.read())
TREAT = (AccessTier.PRIVATE, Relation.INSTITUTION, Action.READ, Purpose.TREATMENT)


def by(*roles: Role, tenant: str = "clinic") -> Principal:
    return Principal("someone", tenant, frozenset(roles))


def treating(principal: Principal | None = None, tenant: str = "clinic") -> Request:
    return Request(principal or by(Role.CLINICIAN), tenant, *TREAT)


# ---- decisions ----


def test_a_decision_names_its_rule_and_its_bundle(policy: AccessPolicy, shipped: Bundle) -> None:
    decision = policy.decide(treating())
    assert (decision.allowed, decision.rule) == (True, "clinician-treats")
    assert decision.bundle_digest == policy.digest == shipped.digest
    assert decision.require() is decision


def test_a_denial_says_what_was_asked_and_nothing_of_the_thing(policy: AccessPolicy) -> None:
    decision = policy.decide(treating(by(Role.OWNER_AGENT)))
    assert (decision.allowed, decision.rule) == (False, DEFAULT_DENY)
    with pytest.raises(DeniedError, match=r"^read for treatment is not allowed$"):
        decision.require()


def test_an_answer_that_is_kept_is_the_same_answer(policy: AccessPolicy) -> None:
    assert policy.decide(treating()) == policy.decide(treating())
    other = policy.decide(treating(Principal("another", "clinic", frozenset({Role.CLINICIAN}))))
    assert other.request.principal.id == "another"


def test_a_kept_answer_of_one_tenant_is_not_anothers(policy: AccessPolicy) -> None:
    assert policy.decide(treating()).allowed
    assert not policy.decide(treating(tenant="bank")).allowed
    assert policy.decide(treating(by(Role.CLINICIAN, tenant="bank"), tenant="bank")).allowed


@given(
    roles=st.sets(st.sampled_from(Role), min_size=1),
    resource=st.sampled_from((*AccessTier, *SystemResource)),
    relation=st.sampled_from(Relation),
    action=st.sampled_from(Action),
    purpose=st.sampled_from(Purpose),
)
def test_several_roles_are_allowed_what_any_of_them_is(
    roles: set[Role],
    resource: AccessTier | SystemResource,
    relation: Relation,
    action: Action,
    purpose: Purpose,
) -> None:
    def ask(*chosen: Role) -> Decision:
        return SHIPPED.decide(Request(by(*chosen), "clinic", resource, relation, action, purpose))

    alone = [ask(role) for role in roles]
    together = ask(*roles)
    assert together.allowed == any(decision.allowed for decision in alone)
    assert together.rule in {decision.rule for decision in alone}


def test_threads_get_one_answer(load_rules: LoadRules) -> None:
    fresh = load_rules(GOOD)
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: fresh.decide(treating()), range(64)))
    assert {decision.rule for decision in decisions} == {"a-rule"}


def test_a_rule_that_denies_overrides_all_that_allow_of_whichever_role(load_rules: LoadRules) -> None:
    deny = "p, no-research, adviser, *, *, *, *, read, treatment, deny"
    for rules in (f"{GOOD}\n{deny}", f"{deny}\n{GOOD}"):
        fresh = load_rules(rules)
        assert fresh.decide(treating(by(Role.CLINICIAN))).allowed
        denied = fresh.decide(treating(by(Role.CLINICIAN, Role.ADVISER)))
        assert (denied.allowed, denied.rule) == (False, "no-research")
        assert fresh.decide(treating(by(Role.ADVISER))).rule == "no-research"
        assert fresh.decide(treating(by(Role.AUDITOR))).rule == DEFAULT_DENY


def test_a_rule_for_several_roles_denies_each_of_them(load_rules: LoadRules) -> None:
    fresh = load_rules(f"{GOOD}\np, nobody, *, *, *, single, *, *, *, deny")
    assert fresh.decide(treating()).rule == "nobody"
    surely = Principal("someone", "clinic", frozenset({Role.CLINICIAN}), Assurance.MFA)
    assert fresh.decide(treating(surely)).rule == "a-rule"


def test_an_emergency_is_asked_for_apart(load_rules: LoadRules) -> None:
    fresh = load_rules(GOOD.replace("none", "declared"))
    assert not fresh.decide(treating()).allowed
    declared = Request(by(Role.CLINICIAN), "clinic", *TREAT, Emergency.DECLARED)
    assert fresh.decide(declared).allowed


# ---- only typed requests, only our decisions ----


@pytest.mark.parametrize("wrong", [None, "", ("", "", ""), {"allowed": True}, object()])
def test_what_is_no_request_is_refused(policy: AccessPolicy, wrong: object) -> None:
    with pytest.raises(RequestInvalidError):
        policy.decide(wrong)  # type: ignore[arg-type]  # that is the test


def test_a_look_alike_of_a_request_is_refused(policy: AccessPolicy) -> None:
    class Tricky(Request):
        pass

    with pytest.raises(RequestInvalidError):
        policy.decide(Tricky(by(Role.CLINICIAN), "clinic", *TREAT))


def test_nobody_else_makes_a_decision(policy: AccessPolicy) -> None:
    denied = policy.decide(treating(by(Role.OWNER_AGENT)))
    with pytest.raises(TypeError, match=r"policies\.access alone"):
        Decision(treating(), True, "sha256:", "mine", object())  # noqa: FBT003  # positional as declared
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(denied, allowed=True)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(dataclasses.FrozenInstanceError):
        denied.allowed = True  # type: ignore[misc]  # that is the test


@pytest.mark.parametrize(
    "way",
    [
        lambda denied: denied.__setstate__([denied.request, True, "sha256:", "mine"]),
        lambda _denied: type("Loose", (Decision,), {"__slots__": (), "__post_init__": lambda *_given: None}),
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
    ],
)
def test_no_decision_is_changed_copied_or_derived(
    policy: AccessPolicy, way: Callable[[Decision], object]
) -> None:
    denied = policy.decide(treating(by(Role.OWNER_AGENT)))
    with pytest.raises(TypeError, match="issuer alone"):
        way(denied)
    assert not denied.allowed


def test_no_other_source_file_names_the_issuer() -> None:
    root = Path(__file__).parents[2]
    naming = {
        path.relative_to(root).as_posix()
        for room in ("policies", "audit", "vault", "lifecycle", "compliance", "api")
        for path in (root / room).rglob("*.py")
        if "DECISION_ISSUER" in path.read_text()
    }
    assert naming == {"policies/model.py", "policies/access.py"}


def test_casbin_is_imported_in_one_file() -> None:
    root = Path(__file__).parents[2]
    importing = {
        path.relative_to(root).as_posix()
        for room in ("policies", "audit", "vault", "lifecycle", "compliance", "api")
        for path in (root / room).rglob("*.py")
        if re.search(r"^\s*(?:import|from) casbin", path.read_text(), re.MULTILINE)
    }
    assert importing == {"policies/access.py"}


# ---- casbin's traps ----


def test_an_enforcer_that_was_switched_off_allows_nothing(load_rules: LoadRules) -> None:
    """Casbin then says yes to everything: here that is an error, and no decision."""
    fresh = load_rules(GOOD)
    for enforcer in fresh._enforcers.values():
        enforcer.enable_enforce(enabled=False)
    with pytest.raises(PolicyInvalidError, match="nothing is allowed"):
        fresh.decide(treating())
    with pytest.raises(PolicyInvalidError):
        fresh.decide(treating(by(Role.AUDITOR)))


def test_an_enforcer_that_lost_its_rules_denies(load_rules: LoadRules) -> None:
    fresh = load_rules(GOOD)
    for enforcer in fresh._enforcers.values():
        enforcer.clear_policy()
    assert fresh.decide(treating()).rule == DEFAULT_DENY


def test_a_rule_slipped_in_behind_the_file_is_not_believed(load_rules: LoadRules) -> None:
    fresh = load_rules(GOOD)
    row = [
        "a-rule",
        "|auditor|",
        "|private|",
        "|institution|",
        "|single|",
        "|none|",
        "|read|",
        "|treatment|",
        "allow",
    ]
    fresh._enforcers[Role.AUDITOR].add_policy(*row)
    with pytest.raises(PolicyInvalidError, match="no loaded rule covers"):
        fresh.decide(treating(by(Role.AUDITOR)))


def test_names_inside_other_names_do_not_match(load_rules: LoadRules) -> None:
    fresh = load_rules("p, a-rule, clinician, private, *, *, *, search, treatment, allow")
    asked = fresh.answer(
        Question(
            Wall.SAME,
            Role.CLINICIAN,
            AccessTier.PRIVATE,
            Relation.INSTITUTION,
            Assurance.SINGLE,
            Emergency.NONE,
            Action.SEARCH,
            Purpose.TREATMENT,
        )
    )
    assert asked == (Effect.ALLOW, "a-rule")
    assert not fresh.decide(treating()).allowed


def test_loading_leaves_casbins_loggers_as_they_were(
    load_rules: LoadRules, caplog: pytest.LogCaptureFixture
) -> None:
    enabled, disabled = logging.getLogger("casbin.enforcer"), logging.getLogger("casbin.role")
    enabled.disabled, disabled.disabled = False, True
    try:
        fresh = load_rules(GOOD)
        assert not enabled.disabled
        assert disabled.disabled
        with caplog.at_level(logging.DEBUG):
            fresh.decide(treating(by(Role.AUDITOR)))
        assert caplog.records == []
    finally:
        disabled.disabled = False


# ---- loading ----


def test_a_star_stands_for_every_name_there_is(load_rules: LoadRules) -> None:
    (rule,) = load_rules("p, a-rule, clinician, *, *, *, *, *, *, allow").rules
    assert rule.resources == {*AccessTier, *SystemResource}
    assert (rule.relations, rule.actions, rule.purposes) == (
        frozenset(Relation) - {Relation.OTHER},
        frozenset(Action),
        frozenset(Purpose),
    )


def test_comments_and_empty_lines_are_passed_over(load_rules: LoadRules) -> None:
    assert len(load_rules(f"# a comment\n\n{GOOD}\n   \n").rules) == 1


@pytest.mark.parametrize("rules", ["", "\n", "# only a comment\n"])
def test_a_policy_without_rules_does_not_load(load_rules: LoadRules, rules: str) -> None:
    with pytest.raises(PolicyInvalidError, match="at least one rule, got 0"):
        load_rules(rules)


def test_a_policy_of_too_many_rules_does_not_load(load_rules: LoadRules) -> None:
    with pytest.raises(PolicyInvalidError, match=f"at most {MAX_RULES} rules"):
        load_rules("\n".join(GOOD.replace("a-rule", f"a-rule-{number}") for number in range(MAX_RULES + 1)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("p, a-rule, clinician, private, *, *, *, read, treatment", "got 9"),
        (GOOD + ", more", "got 11"),
        ("p", "got 1"),
        (GOOD.replace("p,", "g,", 1), "expected p"),
        (GOOD.replace("p,", "p2,", 1), "expected p"),
        (GOOD.replace("p,", " # p,", 1), "expected p"),
        (GOOD.replace("a-rule", ""), "an id"),
        (GOOD.replace("a-rule", "A rule"), "an id"),
        (GOOD.replace("a-rule", "default-deny"), "an id"),
        (GOOD.replace("a-rule", "tenant-wall"), "an id"),
        (GOOD.replace("clinician", "doctor"), "known role"),
        (GOOD.replace("clinician", "Clinician"), "known role"),
        (GOOD.replace("clinician", ""), "known role"),
        (GOOD.replace("clinician", "clinician|doctor"), "known role"),
        (GOOD.replace("clinician", "clinician|clinician"), "each role once"),
        (GOOD.replace("single|mfa", "sms"), "known assurance"),
        (GOOD.replace("none", "yes"), "known emergency"),
        (GOOD.replace("private", "secret"), "known resource"),
        (GOOD.replace("private", ""), "known resource"),
        (GOOD.replace("private", "priv*"), "known resource"),
        (GOOD.replace("*", "friend"), "known relation"),
        (GOOD.replace("*", "other"), "known relation"),
        (GOOD.replace("read|search", "read|*"), "known action"),
        (GOOD.replace("read|search", "read|"), "known action"),
        (GOOD.replace("read|search", "read|read"), "each action once"),
        (GOOD.replace("read|search", "regexMatch(.*)"), "known action"),
        (GOOD.replace("treatment", "fun"), "known purpose"),
        (GOOD.replace("allow", "forbid"), "the effect allow"),
        (GOOD.replace("allow", ""), "the effect allow"),
        (GOOD.replace("allow", "ALLOW"), "the effect allow"),
        (GOOD.replace("a-rule", "other"), "stands on line 2 too"),
        ('"p", "a-rule", "clinician", "private", "*", "*", "*", "read", "treatment", "allow"', "expected p"),
    ],
)
def test_a_row_that_is_not_understood_stops_the_load_with_its_line(
    load_rules: LoadRules, row: str, reason: str
) -> None:
    with pytest.raises(PolicyInvalidError, match=re.escape(reason)) as refused:
        load_rules(f"# first\n{GOOD.replace('a-rule', 'other')}\n{row}\n")
    assert "rules/policy.csv, line 3" in str(refused.value)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('r.wall == "same" && ', ""),
        ("some(where (p.eft == allow)) && !some", "!some"),
        (" && !some(where (p.eft == deny))", ""),
        ("covers(p.actions, r.action)", "regexMatch(r.action, p.actions)"),
        ("covers(p.roles, r.role)", "eval(p.roles)"),
        ("covers(p.roles, r.role)", 'covers(p.roles, r.role) || r.role == "auditor"'),
        ("p = id, roles,", "p = id, groups,"),
        ("[matchers]", "[matcher]"),
        ("[matchers]", "[role_definition]\ng = _, _\n\n[matchers]"),
        ("m = ", "m = true || "),
    ],
)
def test_no_other_model_loads(shipped: Bundle, was: str, now: str) -> None:
    text = shipped.text(ACCESS_MODEL)
    assert was in text
    with pytest.raises(PolicyInvalidError, match="not the model"):
        AccessPolicy.load(Bundle({**shipped.files, ACCESS_MODEL: text.replace(was, now).encode()}))


def test_a_model_with_other_comments_is_the_same_model(shipped: Bundle) -> None:
    text = "# reviewed\n\n" + shipped.text(ACCESS_MODEL)
    assert (
        AccessPolicy.load(Bundle({**shipped.files, ACCESS_MODEL: text.encode()})).decide(treating()).allowed
    )
