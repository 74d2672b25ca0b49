"""Errors of the policy room.

PolicyError
├── PolicyInvalidError     the bundle cannot be used: fix the files; nothing is decided until then
│   └── PolicyRefusedError a running vault did not take it: fix the files; the bundle in force stays
├── RequestInvalidError    the request names an unknown or empty value: fix the call
└── DeniedError            the decision was "no": be denied (the message never says whether a thing exists)
"""

from typing import Final


class PolicyError(Exception):
    """Root of the policy room's errors."""


class PolicyInvalidError(PolicyError):
    """A policy file is missing, empty, malformed or unsafe to load.

    Args:
        reason: What was expected; no content of the file.
        file: The file's name in the bundle.
        line: From 1.
        column: From 1, in characters.
        code: What is wrong, as a fixed word: lint's, or `vault.bundles`'s; it may stand in the log.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        code: str = "invalid",
    ) -> None:
        self.reason: Final = reason
        self.file: Final = file
        self.line: Final = line
        self.column: Final = column
        self.code: Final = code
        named = (("", file), ("line ", line), ("column ", column))
        place = ", ".join(f"{kind}{value}" for kind, value in named if value is not None)
        super().__init__(f"{place}: {reason}" if place else reason)


class PolicyRefusedError(PolicyInvalidError):
    """A running vault did not take a bundle; the one in force stays."""


class RequestInvalidError(PolicyError):
    """A request to decide is not well formed."""


class DeniedError(PolicyError):
    """The active rules do not allow the request.

    Args:
        message: Says nothing of the thing.
        asked: What was asked, as `policies.facts` writes it: for the log, and for nobody else.
    """

    def __init__(self, message: str, asked: str | None = None) -> None:
        self.asked: Final = asked
        super().__init__(message)
