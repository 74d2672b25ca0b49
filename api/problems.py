"""Problems: what each error means to a caller over HTTP and on the command line, in one table.

Owns the map from every class of the rooms' error trees to a stable `type`, an HTTP status, a title and
an exit code (RFC 9457). A class that is not in the table takes the entry of its nearest ancestor; a test
sees to it that each class of the trees is there by itself. It leaves writing answers to `api.app` and
`api.cli.output`.

    {"type": "urn:memvault:problem:denied", "title": "Not allowed", "status": 403,
     "detail": "reveal for audit is not allowed", "instance": "urn:memvault:request:3f…"}

An error that is in no tree is a defect of ours: it is answered without its message, which could hold
content, and logged as its type and where it arose (`outline`).
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from api import errors as edge
from audit import errors as audit
from policies import errors as policies
from vault import errors as vault

URN: Final = "urn:memvault:problem:"
MAX_FRAMES: Final = 20
REQUEST_URN: Final = "urn:memvault:request:"


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    ERROR = 1
    USAGE = 2
    VERIFICATION_FAILED = 3
    DENIED = 4
    NOT_AUTHENTICATED = 5
    NOT_FOUND = 6
    CONFLICT = 7
    NOT_CHECKED = 9


@dataclass(frozen=True, slots=True)
class Problem:
    """What one kind of error means."""

    slug: str
    """Last part of the type, stable for ever."""
    status: int
    """HTTP status."""
    title: str
    exit: Exit = Exit.ERROR
    retry_after: int | None = None
    """Seconds after which to try again, where that helps."""

    @property
    def type(self) -> str:
        """The URN that names this kind of problem."""
        return URN + self.slug


INTERNAL: Final = Problem("internal", 500, "The server failed")
"""An error that no tree has."""

PROBLEMS: Final[Mapping[type[Exception], Problem]] = MappingProxyType(
    {
        # The vault.
        vault.VaultError: Problem("vault", 500, "The vault failed"),
        vault.InputInvalidError: Problem("input-invalid", 422, "The input cannot be accepted"),
        vault.InputTooLargeError: Problem("input-too-large", 413, "The input is beyond a limit"),
        vault.TextEmptyError: Problem("text-empty", 422, "There is nothing to remember"),
        vault.TextInvalidError: Problem("text-invalid", 422, "The text cannot be stored"),
        vault.TimeInvalidError: Problem("time-invalid", 422, "A time is unreadable"),
        vault.DocumentInvalidError: Problem("document-invalid", 422, "The document is not of its kind"),
        vault.IdentifierInvalidError: Problem(
            "identifier-invalid", 422, "An identifier is malformed", Exit.USAGE
        ),
        vault.PipelineInvalidError: Problem("pipeline-invalid", 422, "The pipeline is not declared as one"),
        vault.ContractError: Problem("contract", 422, "An operator's contract does not hold"),
        vault.StepFailedError: Problem("step-failed", 409, "A step of a run failed", Exit.CONFLICT),
        vault.ScreeningRefusedError: Problem(
            "screening-refused", 422, "The privacy rules refuse the content"
        ),
        vault.NotFoundError: Problem("not-found", 404, "There is no such thing", Exit.NOT_FOUND),
        vault.ConflictError: Problem("conflict", 409, "The state does not allow the change", Exit.CONFLICT),
        vault.EchoedError: Problem("taken-back", 409, "It was corrected or retracted since", Exit.CONFLICT),
        vault.HeldError: Problem("held", 409, "A legal hold forbids it", Exit.CONFLICT),
        vault.HoldTooLateError: Problem("hold-too-late", 409, "An erasure was begun before", Exit.CONFLICT),
        vault.ErasedError: Problem("erased", 409, "It was erased, and is not written again", Exit.CONFLICT),
        vault.ErasureIncompleteError: Problem(
            "erasure-incomplete", 500, "What was erased could still be got back", Exit.VERIFICATION_FAILED
        ),
        vault.ClockUntrustedError: Problem(
            "clock-untrusted", 409, "The clock jumped, and has to be confirmed", Exit.CONFLICT
        ),
        vault.RetainedError: Problem("retained", 409, "The retention rules keep it", Exit.CONFLICT),
        vault.SnapshotForeignError: Problem(
            "snapshot-foreign", 409, "The snapshot is another vault's", Exit.CONFLICT
        ),
        vault.LeaseLostError: Problem("lease-lost", 409, "The lease of a job was lost", Exit.CONFLICT),
        vault.BusyError: Problem("busy", 503, "Try again later", retry_after=1),
        vault.VaultInUseError: Problem(
            "vault-in-use", 503, "Another process has the vault open", Exit.CONFLICT, retry_after=5
        ),
        vault.OverloadedError: Problem("overloaded", 503, "Too much at one time", retry_after=1),
        vault.QueueFullError: Problem(
            "queue-full", 429, "So much waits already: try again later", retry_after=30
        ),
        vault.LogQueryTooDearError: Problem(
            "log-query-too-dear", 503, "The question takes too long: narrow it"
        ),
        vault.LogIndexBehindError: Problem(
            "log-index-behind", 503, "The log's index is not complete yet", retry_after=5
        ),
        vault.IndexStaleError: Problem(
            "index-stale", 503, "The search index is not complete yet", retry_after=5
        ),
        vault.KeyAccessError: Problem("key-unusable", 500, "A key cannot be used"),
        vault.KeyMissingError: Problem("key-missing", 500, "A key is missing"),
        vault.KeyWrongError: Problem("key-wrong", 500, "A key does not fit", Exit.NOT_AUTHENTICATED),
        vault.KeyDestroyedError: Problem("key-destroyed", 410, "The key was destroyed", Exit.NOT_FOUND),
        vault.KeyExhaustedError: Problem("key-exhausted", 503, "A key's limit is reached: rotate it"),
        vault.KeyFileUnsafeError: Problem("key-file-unsafe", 500, "A key file is not safe to use"),
        vault.RootUnusableError: Problem("root-unusable", 503, "The root key cannot be used now"),
        vault.RootSealedError: Problem("root-sealed", 503, "The root key's server is sealed", retry_after=5),
        vault.RootUnreachableError: Problem(
            "root-unreachable", 503, "The root key's server does not answer", retry_after=5
        ),
        vault.RootDeniedError: Problem("root-denied", 503, "The root key's server refuses its use"),
        vault.RootKeyGoneError: Problem("root-key-gone", 503, "The root key's server has no such key"),
        vault.RootVersionError: Problem(
            "root-version", 503, "The root key's server does not open that version any more"
        ),
        vault.RootAnswerError: Problem("root-answer", 502, "The root key's server answers wrongly"),
        vault.TamperedError: Problem(
            "tampered", 500, "Something stored is not what was written", Exit.VERIFICATION_FAILED
        ),
        vault.LogRolledBackError: Problem(
            "log-rolled-back", 500, "The log is not the one that was anchored", Exit.VERIFICATION_FAILED
        ),
        vault.StorageError: Problem("storage", 500, "The store failed"),
        vault.StorageFullError: Problem("storage-full", 507, "No space is left"),
        vault.StoreCorruptError: Problem("store-corrupt", 500, "The store is damaged"),
        vault.StoreVersionError: Problem("store-version", 500, "The store is of a newer version"),
        # The policies.
        policies.PolicyError: Problem("policy", 500, "The policy failed"),
        policies.PolicyInvalidError: Problem("policy-invalid", 500, "The policy bundle cannot be used"),
        policies.PolicyRefusedError: Problem(
            "policy-refused", 409, "The policy bundle was not taken: the one in force stays", Exit.CONFLICT
        ),
        policies.RequestInvalidError: Problem("request-invalid", 422, "The request is malformed", Exit.USAGE),
        policies.DeniedError: Problem("denied", 403, "Not allowed", Exit.DENIED),
        # The log.
        audit.AuditError: Problem("log", 500, "The log failed"),
        audit.EntryInvalidError: Problem("entry-invalid", 500, "An entry cannot be written"),
        audit.RangeInvalidError: Problem("range-invalid", 422, "The log has no such range", Exit.USAGE),
        audit.QueryInvalidError: Problem("query-invalid", 422, "The query cannot be read", Exit.USAGE),
        audit.LogConflictError: Problem("log-conflict", 503, "The log moved: try again", retry_after=1),
        audit.KeyFileUnsafeError: Problem("log-key-unsafe", 500, "The log's key file is not safe to use"),
        audit.AnchorUnusableError: Problem("anchor-unusable", 500, "The log's anchor cannot be used"),
        audit.WitnessStateError: Problem("witness-state", 500, "The witness's state cannot be used"),
        audit.MalformedError: Problem("malformed", 500, "Evidence is malformed", Exit.NOT_CHECKED),
        audit.HeaderMalformedError: Problem(
            "header-malformed", 500, "An entry's header is malformed", Exit.NOT_CHECKED
        ),
        audit.PayloadMalformedError: Problem(
            "payload-malformed", 500, "An entry's payload is malformed", Exit.NOT_CHECKED
        ),
        audit.NoteMalformedError: Problem("note-malformed", 500, "A note is malformed", Exit.NOT_CHECKED),
        audit.CheckpointMalformedError: Problem(
            "checkpoint-malformed", 500, "A checkpoint is malformed", Exit.NOT_CHECKED
        ),
        audit.KeyMalformedError: Problem("log-key-malformed", 500, "A log key is malformed", Exit.USAGE),
        audit.BundleMalformedError: Problem(
            "bundle-malformed", 500, "An evidence bundle is malformed", Exit.NOT_CHECKED
        ),
        audit.TileFolderError: Problem(
            "tile-folder", 409, "The folder holds something else than this log's tiles", Exit.CONFLICT
        ),
        audit.TileMalformedError: Problem("tile-malformed", 500, "A tile is malformed", Exit.NOT_CHECKED),
        audit.CertificateMalformedError: Problem(
            "certificate-malformed", 500, "A certificate is malformed", Exit.NOT_CHECKED
        ),
        audit.SubmissionMalformedError: Problem("submission-malformed", 400, "A submission is malformed"),
        audit.VerificationError: Problem(
            "verification-failed", 500, "A verification failed", Exit.VERIFICATION_FAILED
        ),
        audit.LogDamagedError: Problem(
            "log-damaged", 500, "The log contradicts itself", Exit.VERIFICATION_FAILED
        ),
        # The edge itself.
        edge.EdgeError: Problem("edge", 500, "The server failed"),
        edge.SettingsInvalidError: Problem("settings-invalid", 500, "A setting is invalid", Exit.USAGE),
        edge.ExposureRefusedError: Problem("exposure-refused", 500, "Refused to serve there", Exit.USAGE),
        edge.NotAuthenticatedError: Problem(
            "not-authenticated", 401, "No valid API key was shown", Exit.NOT_AUTHENTICATED
        ),
        edge.AttemptsExceededError: Problem("attempts-exceeded", 429, "Too many wrong keys"),
        edge.RequestUnreadableError: Problem("body-unreadable", 400, "The body cannot be read"),
        edge.RequestTooLargeError: Problem("body-too-large", 413, "The body is too large"),
        edge.RequestSlowError: Problem("body-slow", 408, "The body did not arrive in time"),
        edge.MediaUnsupportedError: Problem("media-unsupported", 415, "Expected a body of JSON"),
        edge.ArgumentInvalidError: Problem("argument-invalid", 422, "A field is not as it must be"),
        edge.PurposeMissingError: Problem("purpose-missing", 422, "Expected one purpose"),
        edge.RouteUnknownError: Problem("route-unknown", 404, "There is nothing here"),
        edge.MethodUnsupportedError: Problem("method-unsupported", 405, "Not with this method"),
        edge.NotReadyError: Problem("not-ready", 503, "Not ready", retry_after=5),
        edge.NotCheckableError: Problem("not-checkable", 503, "Could not be checked", Exit.NOT_CHECKED),
        edge.DeliveryFailedError: Problem("delivery-failed", 502, "The receiver did not take it"),
    }
)

EXPECTED: Final = (vault.VaultError, policies.PolicyError, audit.AuditError, edge.EdgeError)
"""Roots of the trees: what may be told to a caller by its message."""


def problem_of(kind: type[BaseException]) -> Problem:
    """Return what a class of errors means: its own entry, or that of its nearest ancestor."""
    for ancestor in kind.__mro__:
        if issubclass(ancestor, Exception) and ancestor in PROBLEMS:
            return PROBLEMS[ancestor]
    return INTERNAL


def detail_of(error: BaseException) -> str:
    """Return what may be said about an error: its message if it is one of ours."""
    return str(error) if isinstance(error, EXPECTED) else "an error that was not foreseen; it was logged"


def outline(error: BaseException) -> str:
    """Return types and places of an error and its causes, one a line, without any message or value.

    Threat: a library's message, or a line of a traceback, can hold the content that it choked on.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        frames = list(traceback.walk_tb(current.__traceback__))[-MAX_FRAMES:]
        lines += [
            f"  {frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
            for frame, line in frames
        ]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)
