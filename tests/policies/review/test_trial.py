"""What a trial said stands in as few sentences as there are, of requests that were made."""

from policies.facts import MEMORIES, Facts, write_facts
from policies.model import AccessTier, Action, Assurance, Emergency, Relation, Role
from policies.review.diff import Way
from policies.review.replay import Logged, Replay
from policies.review.trial import MAX_KINDS, Trial, disagreements
from policies.rule import parse_rules

EVERY = frozenset(MEMORIES)
READING = Facts(frozenset({Role.CLINICIAN}), Assurance.MFA, Emergency.NONE, Action.READ, MEMORIES, EVERY)
DENIED = READING._replace(roles=frozenset({Role.MEMBER, Role.ADVISER}), allowed=frozenset())


def test_what_differs_is_told_by_whom_and_how_often() -> None:
    trial = Trial("sha256:x")
    trial.differs(4, "dr-a", "treatment", write_facts(READING), 3)
    trial.differs(9, "dr-b", "treatment", write_facts(READING._replace(action=Action.SEARCH)), 1)
    trial.differs(7, "desk", "treatment", write_facts(DENIED), 2)
    lost, gained = trial.disagreements()
    assert (lost.way, lost.count, lost.first, lost.last) == (Way.LOST, 4, 4, 9)
    assert (
        lost.sentence
        == "clinician may no longer read, search any memory for treatment, known by several factors, outside emergencies"
    )
    assert lost.principals == {"dr-a": 3, "dr-b": 1}
    assert (
        lost.witness == "clinician read private relation=owner purpose=treatment assurance=mfa emergency=none"
    )
    assert gained.way is Way.GAINED
    assert gained.sentence.startswith(
        "who is adviser and institution-member together may now read any memory"
    )
    assert gained.where["roles"] == ["adviser", "institution-member"]
    assert gained.witness.startswith("adviser+institution-member read ")
    assert trial.differing == 6


def test_what_this_version_does_not_know_and_what_is_too_much_is_counted() -> None:
    trial = Trial("sha256:x")
    trial.differs(1, "dr-a", "treatment", "doctor:single:none:read:memories:1ff", 1)
    trial.differs(2, "dr-a", "joy", write_facts(READING), 1)
    assert (trial.unreadable, trial.differing, trial.disagreements()) == (2, 0, [])
    trial.differs(3, "dr-a", "treatment", write_facts(READING), 1)
    known = next(iter(trial.kinds.values()))
    trial.kinds.update({(str(nth), None): known for nth in range(MAX_KINDS)})
    trial.differs(4, "dr-a", "treatment", write_facts(DENIED), 5)
    trial.differs(5, "dr-a", "treatment", write_facts(READING), 1)
    assert (trial.untold, trial.differing) == (5, 2)


def test_a_replay_says_what_was_gained_and_what_was_lost_of_one_request() -> None:
    rules = "p, one, clinician, public, *, *, *, read, treatment, allow"
    some = frozenset({(AccessTier.PRIVATE, Relation.OWNER)})
    replaying = Replay(parse_rules(rules, "one"))
    replaying.take(
        Logged(0, "dr-a", "treatment", allowed=True, asked=write_facts(READING._replace(allowed=some)))
    )
    told = {one.way: one.sentence for one in disagreements(replaying.result().flips)}
    assert told == {
        Way.GAINED: "clinician may now read public memory for treatment, known by several factors, outside emergencies",
        Way.LOST: "clinician may no longer read private memory (its own) for treatment, known by several factors, outside emergencies",
    }
