"""Time decisions and reviews: `python -m tests.policies.measure`. Prints the best of five, beside what is asked for."""

import timeit
from collections.abc import Callable, Sequence
from functools import partial

from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, ACCESS_TESTS, Bundle
from policies.facts import MEMORIES, Facts, write_facts
from policies.loading import profiles, ready
from policies.model import (
    AccessTier,
    Action,
    Assurance,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Role,
)
from policies.review.cases import parse_cases
from policies.review.diff import diff
from policies.review.lint import lint
from policies.review.mutation import mutate
from policies.review.replay import Logged, replay
from policies.rule import Question, parse_rules
from policies.space import questions

CALLS = 100_000
ROUNDS = 5
DECISIONS = 1_000_000
EVERY = 37
"""Of the space's points, one in so many is asked of casbin."""


def best(call: Callable[[], object], number: int = 1, rounds: int = ROUNDS) -> float:
    """Return the seconds of one call."""
    return min(timeit.repeat(call, number=number, repeat=rounds)) / number


def say(name: str, seconds: float, unit: str, asked: str = "") -> None:
    """Print a figure."""
    factor = {"µs": 1e6, "ms": 1e3, "s": 1.0}[unit]
    print(f"{seconds * factor:10.2f} {unit:2}  {name}{f' (at most {asked})' if asked else ''}")  # noqa: T201  # its output


def _ask(policy: AccessPolicy, some: Sequence[Question]) -> None:
    for question in some:
        policy.answer(question)


def main() -> None:
    """Measure the shipped bundle and the ready ones."""
    bundles = {"shipped": Bundle.read(), **{name: ready(name) for name in profiles()}}
    principal = Principal("dr-b", "clinic", frozenset({Role.CLINICIAN}), Assurance.MFA)
    request = Request(
        principal, "clinic", AccessTier.PRIVATE, Relation.OWNER, Action.REVEAL, Purpose.TREATMENT
    )
    some = list(questions())[::EVERY]
    for name, bundle in bundles.items():
        policy = AccessPolicy.load(bundle)
        rules = parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)
        cases = parse_cases(bundle.text(ACCESS_TESTS), ACCESS_TESTS)
        of = f"{name}, {len(rules)} rules"
        say(
            f"a decision that was asked before, {of}",
            best(partial(policy.decide, request), CALLS),
            "µs",
            "20 µs",
        )
        cold = best(partial(_ask, policy, some)) / len(some)
        say(f"a new question to casbin, {of}", cold, "µs", "500 µs")
        say(f"lint, {of}", best(partial(lint, bundle.files)), "ms")
        say(f"mutation test, {of}", best(partial(mutate, rules, cases), rounds=1), "s", "60 s")
    two = bundles["hipaa"], bundles["gdpr-default"]
    say("full difference of two ready bundles", best(lambda: diff(*two)), "s", "5 s")
    facts = Facts(principal.roles, Assurance.MFA, Emergency.NONE, Action.READ, MEMORIES, frozenset(MEMORIES))
    logged = [
        Logged(nth, "dr-b", "treatment", allowed=True, asked=write_facts(facts)) for nth in range(DECISIONS)
    ]
    rules = parse_rules(bundles["hipaa"].text(ACCESS_RULES), ACCESS_RULES)
    say(
        f"decide {DECISIONS:,} logged decisions anew",
        best(lambda: replay(rules, logged), rounds=1),
        "s",
        "60 s",
    )


if __name__ == "__main__":
    main()
