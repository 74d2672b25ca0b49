"""Logged decisions are decided anew from what the log says, and from nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.payload_keys import is_identifying
from policies.bundle import ACCESS_RULES, Bundle
from policies.facts import MEMORIES, Facts, Place, read_facts, write_facts
from policies.model import (
    RESOURCES,
    AccessTier,
    Action,
    Assurance,
    Emergency,
    Relation,
    Role,
    SystemResource,
)
from policies.review import replay as replaying
from policies.review.replay import MAX_PRINCIPALS, Logged, Missing, Outcome, Replay, replay
from policies.rule import RELATIONS, Rule, parse_rules
from vault.grant import EVERY_MEMORY

RULES = parse_rules(Bundle.read().text(ACCESS_RULES), ACCESS_RULES)
EVERY = frozenset(MEMORIES)
TREATING = Facts(frozenset({Role.CLINICIAN}), Assurance.SINGLE, Emergency.NONE, Action.READ, MEMORIES, EVERY)
PLACES = st.tuples(st.sampled_from(RESOURCES), st.sampled_from(RELATIONS))


def logged(facts: Facts, purpose: str = "treatment", principal: str = "dr-a", index: int = 0) -> Logged:
    return Logged(index, principal, purpose, bool(facts.allowed), write_facts(facts))


def without(*ids: str, more: str = "") -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.id not in ids) + (parse_rules(more, "more") if more else ())


@given(
    st.builds(
        Facts,
        st.sets(st.sampled_from(Role), min_size=1).map(frozenset),
        st.sampled_from(Assurance),
        st.sampled_from(Emergency),
        st.sampled_from(Action),
        st.one_of(st.just(MEMORIES), st.lists(PLACES, min_size=1, max_size=6, unique=True).map(tuple)),
        st.just(frozenset[Place]()),
        st.sampled_from([(), ("default-deny",), ("clinician-treats", "clinician-consults")]),
    ),
    st.data(),
)
def test_facts_come_back_as_they_were(facts: Facts, data: st.DataObject) -> None:
    allowed = frozenset(data.draw(st.sets(st.sampled_from(facts.over))))
    told = facts._replace(allowed=allowed)
    back = read_facts(write_facts(told))
    assert back._replace(rules=told.rules) == told
    assert back.rules == told.rules or back.rules[-1].endswith("-more")


def test_facts_are_one_word_that_a_siem_may_have() -> None:
    assert write_facts(TREATING) == "clinician:single:none:read:memories:1ff"
    assert MEMORIES == EVERY_MEMORY


def test_facts_name_the_rules_that_decided_as_far_as_a_siem_may_have_them() -> None:
    named = TREATING._replace(rules=("clinician-treats", "clinician-consults"))
    assert write_facts(named) == "clinician:single:none:read:memories:1ff:clinician-treats.clinician-consults"
    many = TREATING._replace(rules=("short", "sec-164-502-b-1", "a" * 64, "b" * 64, "last"))
    asked = write_facts(many)
    assert asked == f"clinician:single:none:read:memories:1ff:short.{'a' * 64}.last.2-more"
    assert is_identifying(asked)
    crowded = write_facts(many._replace(roles=frozenset(Role)))
    assert crowded.endswith(":short.last.3-more")
    assert is_identifying(crowded)
    assert read_facts(asked).rules == ("short", "a" * 64, "last", "2-more")


def test_which_rules_decided_then_makes_no_other_question() -> None:
    named = [TREATING._replace(rules=(rule,)) for rule in ("one", "other")]
    found = replay(without("clinician-treats"), [logged(facts) for facts in (TREATING, *named)])
    assert [(one.count, one.facts.rules) for one in found.flips] == [(3, ())]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clinician:single:none:read:memories",
        "doctor:single:none:read:memories:1",
        "clinician:single:none:read:memories:200",
        "clinician:single:none:read:memories:-1",
        "clinician:single:none:read:secret/owner:1",
        "clinician:single:none:read:private/friend:1",
        "clinician:single:none:fly:memories:1",
        "clinician:single:none:read:memories:x",
    ],
)
def test_what_is_no_word_of_facts_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever part is wrong
        read_facts(text)


def test_under_the_same_rules_every_decision_ends_as_it_did() -> None:
    denied = TREATING._replace(action=Action.WRITE, allowed=frozenset())
    found = replay(RULES, [logged(TREATING), logged(denied), logged(TREATING, index=7)])
    assert (found.decided, found.same, found.flipped, found.flips) == (3, 3, 0, [])
    assert found.share_missing == 0


def test_each_way_to_flip_is_told_with_whom_it_affects() -> None:
    reads_own = Facts(
        frozenset({Role.OWNER_AGENT}),
        Assurance.SINGLE,
        Emergency.NONE,
        Action.READ,
        MEMORIES,
        EVERY - {(AccessTier.PRIVATE, Relation.CARE_TEAM), (AccessTier.PRIVATE, Relation.INSTITUTION)},
    )
    audits = Facts(
        frozenset({Role.MEMBER}),
        Assurance.MFA,
        Emergency.NONE,
        Action.AUDIT,
        ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),),
        frozenset(),
    )
    rules = without(
        "clinician-treats",
        "owner-keeps-own",
        more="p, own-team, owner-agent, private, care-team, *, *, read, operations, allow\n"
        "p, member-audits, institution-member, audit-log, *, mfa, *, audit, audit, allow",
    )
    narrower = without("owner-keeps-own")
    entries = [
        logged(TREATING, index=3),
        logged(TREATING, principal="dr-b", index=9),
        logged(TREATING, index=5),
        logged(reads_own, "operations", "agent-1", 4),
        logged(audits, "audit", "desk-1", 6),
    ]
    found = replay(rules, entries)
    assert [(one.outcome, one.count) for one in found.flips] == [
        (Outcome.REFUSED, 3),
        (Outcome.OTHER, 1),
        (Outcome.ALLOWED, 1),
    ]
    first = found.flips[0]
    assert (first.first, first.last, dict(first.principals)) == (3, 9, {"dr-a": 2, "dr-b": 1})
    assert (found.decided, found.flipped) == (5, 5)
    (less,) = replay(narrower, [entries[3]]).flips
    assert (less.outcome, less.now) == (
        Outcome.LESS,
        less.facts.allowed - {(AccessTier.PRIVATE, Relation.OWNER)},
    )
    fewer = less.facts._replace(allowed=less.now)
    (more,) = replay(RULES, [logged(fewer, "operations")]).flips
    assert more.outcome is Outcome.MORE


def test_what_cannot_be_replayed_is_counted_by_why_and_nothing_is_supposed() -> None:
    found = replay(
        RULES,
        [
            Logged(0, "dr-a", "treatment", True, None, erased=True),  # noqa: FBT003  # as the log has it
            Logged(1, "dr-a", "treatment", True, None),  # noqa: FBT003
            Logged(2, "dr-a", "treatment", True, "doctor:single:none:read:memories:1ff"),  # noqa: FBT003
            Logged(3, "dr-a", None, True, write_facts(TREATING)),  # noqa: FBT003
            Logged(4, "dr-a", "treatment", False, write_facts(TREATING)),  # noqa: FBT003
            logged(TREATING),
        ],
    )
    assert found.missing == {
        Missing.ERASED: 1,
        Missing.NOT_LOGGED: 1,
        Missing.UNKNOWN: 2,
        Missing.INCONSISTENT: 1,
    }
    assert (found.decided, found.same) == (1, 1)
    assert found.share_missing == pytest.approx(5 / 6)


def test_a_denying_rule_of_any_role_refuses() -> None:
    both = TREATING._replace(roles=frozenset({Role.CLINICIAN, Role.ADVISER}))
    rules = without(more="p, no-adviser, adviser, *, *, *, *, *, *, deny")
    assert [one.outcome for one in replay(rules, [logged(both)]).flips] == [Outcome.REFUSED]


def test_of_very_many_principals_some_are_named_and_all_are_counted() -> None:
    entries = [logged(TREATING, principal=f"dr-{nth}", index=nth) for nth in range(MAX_PRINCIPALS + 20)]
    (flip,) = replay(without("clinician-treats"), entries).flips
    assert (len(flip.principals), flip.more_principals, flip.count) == (
        MAX_PRINCIPALS,
        20,
        MAX_PRINCIPALS + 20,
    )


def test_a_hundred_thousand_decisions_take_no_longer_than_their_share_of_a_minute() -> None:
    entries = [logged(TREATING, index=nth) for nth in range(100_000)]
    start = time.process_time()
    assert replay(RULES, entries).same == 100_000
    assert time.process_time() - start < 6


def test_payloads_that_were_left_out_are_told_from_those_that_were_erased() -> None:
    left = Logged(0, "dr-a", "treatment", allowed=True, asked=None)
    entries = [left._replace(erased=True), left._replace(withheld=True), left._replace(withheld=True)]
    assert replay(RULES, entries).missing == {Missing.ERASED: 1, Missing.WITHHELD: 2}


def test_memory_does_not_grow_with_the_kinds_of_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MAX_QUESTIONS", 2)
    found = Replay(without("clinician-treats"))
    for action in (Action.READ, Action.SEARCH, Action.REVEAL, Action.REVEAL):
        found.take(logged(TREATING._replace(action=action)))
    found.take(Logged(9, "dr-a", "treatment", True, "a" * 1_001))  # noqa: FBT003
    told = found.result()
    assert (told.flipped, len(told.flips), told.untold, told.missing) == (4, 2, 2, {Missing.UNKNOWN: 1})
