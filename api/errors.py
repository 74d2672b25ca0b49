"""Errors of the edge, split by what the caller does next.

EdgeError
├── SettingsInvalidError        fix the environment: a variable is unknown or malformed
├── ExposureRefusedError        fix how the server is bound: it would serve where it must not
├── NotAuthenticatedError       show a valid API key
├── AttemptsExceededError       wait: too many wrong keys from one place
├── RequestUnreadableError      fix the request's bytes: no JSON, no UTF-8, repeated keys, nested too deep
├── RequestTooLargeError        send less
├── RequestSlowError            send faster
├── MediaUnsupportedError       send JSON
├── ArgumentInvalidError        fix a field: its name and the reason are given, never its value
├── PurposeMissingError         say why: every call has a purpose
├── RouteUnknownError           there is nothing at this path
├── MethodUnsupportedError      another method is served at this path
├── NotReadyError               retry later: a part of the vault does not answer
├── NotCheckableError           what was to be checked could not be read or reached
└── DeliveryFailedError         send again: nobody knows how much the receiver took
"""

from dataclasses import dataclass


class EdgeError(Exception):
    """Root of the edge's errors. Messages carry names and limits, never content."""


class SettingsInvalidError(EdgeError):
    """A setting is unknown or malformed."""


class ExposureRefusedError(EdgeError):
    """The server would be reachable in a way that its settings do not justify."""


class NotAuthenticatedError(EdgeError):
    """No valid API key was shown. The message does not say what was wrong with it."""


class AttemptsExceededError(EdgeError):
    """Too many wrong keys came from one place."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class RequestUnreadableError(EdgeError):
    """The body is not the JSON that it should be."""


class RequestTooLargeError(EdgeError):
    """The body is beyond the limit."""


class RequestSlowError(EdgeError):
    """The body did not arrive in time."""


class MediaUnsupportedError(EdgeError):
    """The body is of another media type than JSON."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that is not as it must be."""

    field: str
    """Where, e.g. `body.chat.turns.3.text`; names that the caller made up are left out."""
    reason: str


class ArgumentInvalidError(EdgeError):
    """One or more fields are not as they must be."""

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__(f"fields that are not as they must be: {len(faults)}")
        self.faults = faults


class PurposeMissingError(EdgeError):
    """The call says no purpose, or two different ones."""


class RouteUnknownError(EdgeError):
    """There is nothing at this path."""


class MethodUnsupportedError(EdgeError):
    """Another method is served at this path."""


class NotReadyError(EdgeError):
    """A part that is needed does not answer."""


class NotCheckableError(EdgeError):
    """What was to be checked could not be read or reached."""


class DeliveryFailedError(EdgeError):
    """A receiver did not take all that was sent."""
