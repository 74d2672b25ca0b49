"""The real gate, built once, and one subject's tokens."""

import pytest

from policies.privacy import PrivacyRules, default_privacy_rules
from vault.privacy.detect import PresidioDetector
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens


@pytest.fixture(scope="session")
def rules() -> PrivacyRules:
    return default_privacy_rules()


@pytest.fixture(scope="session")
def detector(rules: PrivacyRules) -> PresidioDetector:
    return PresidioDetector(rules)


@pytest.fixture(scope="session")
def gate(detector: PresidioDetector, rules: PrivacyRules) -> PrivacyGate:
    return PrivacyGate(detector, rules)


@pytest.fixture(scope="session")
def tokens() -> SubjectTokens:
    return SubjectTokens(b"one subject's token key, made up")
