"""Time decisions: `python -m tests.policies.measure`. Prints microseconds, best of five."""

import timeit

from policies.access import AccessPolicy
from policies.bundle import Bundle
from policies.model import AccessTier, Action, Principal, Purpose, Relation, Request, Role
from policies.space import questions

CALLS = 100_000
ROUNDS = 5


def main() -> None:
    """Measure the shipped bundle."""
    policy = AccessPolicy.load(Bundle.read())
    principal = Principal("dr-b", "clinic", frozenset({Role.CLINICIAN}))
    request = Request(
        principal, "clinic", AccessTier.PRIVATE, Relation.INSTITUTION, Action.REVEAL, Purpose.TREATMENT
    )
    warm = min(timeit.repeat(lambda: policy.decide(request), number=CALLS, repeat=ROUNDS)) / CALLS
    space = list(questions())
    cold = min(
        timeit.repeat(lambda: [policy.answer(question) for question in space], number=1, repeat=ROUNDS)
    )
    load = min(timeit.repeat(lambda: AccessPolicy.load(Bundle.read()), number=1, repeat=ROUNDS))
    print(f"{warm * 1e6:8.2f} µs  a decision that was asked before")  # noqa: T201  # its output
    print(f"{cold / len(space) * 1e6:8.2f} µs  a new question to casbin, mean of {len(space)}")  # noqa: T201  # its output
    print(f"{load * 1e6:8.2f} µs  load the bundle of {len(policy.rules)} rules")  # noqa: T201  # its output


if __name__ == "__main__":
    main()
