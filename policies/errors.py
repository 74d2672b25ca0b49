"""Errors of the policy room.

PolicyError
├── PolicyInvalidError     the bundle cannot be used: fix the files; nothing is decided until then
├── RequestInvalidError    the request names an unknown or empty value: fix the call
└── DeniedError            the decision was "no": be denied (the message never says whether a thing exists)
"""


class PolicyError(Exception):
    """Root of the policy room's errors."""


class PolicyInvalidError(PolicyError):
    """A policy file is missing, empty, malformed or unsafe to load."""


class RequestInvalidError(PolicyError):
    """A request to decide is not well formed."""


class DeniedError(PolicyError):
    """The active rules do not allow the request."""
