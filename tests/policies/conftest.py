"""Fixtures of the policy tests: the bundle that ships, and the means to change one file of it."""

from collections.abc import Callable

import pytest

from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, Bundle

LoadRules = Callable[[str], AccessPolicy]


@pytest.fixture(scope="session")
def shipped() -> Bundle:
    return Bundle.read()


@pytest.fixture(scope="session")
def policy(shipped: Bundle) -> AccessPolicy:
    return AccessPolicy.load(shipped)


@pytest.fixture
def load_rules(shipped: Bundle) -> LoadRules:
    """Load the shipped bundle with other access rules."""
    return lambda rules: AccessPolicy.load(Bundle({**shipped.files, ACCESS_RULES: rules.encode()}))
