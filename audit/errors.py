"""Errors of the audit room, split by what the caller does next.

AuditError
├── EntryInvalidError        fix the draft: a header value or payload is not of the accepted form
├── RangeInvalidError        fix the call: an index or size that the log does not have
├── QueryInvalidError        fix the query: it stops being one at a position
├── LogConflictError         retry the transaction: another writer moved the log's head
├── KeyFileUnsafeError       fix permissions, place or content of the signing key's file
├── AnchorUnusableError      bring the anchor back: it is missing, another file, shorter, or cannot be written
├── WitnessStateError        bring the witness's own state back: it is missing, unsafe or damaged
├── TileFolderError          fix the folder: it holds something else than an earlier export of this log
├── MalformedError           reject what was received: it is not in the format that it claims
│   ├── HeaderMalformedError
│   ├── PayloadMalformedError
│   ├── NoteMalformedError
│   ├── CheckpointMalformedError
│   ├── KeyMalformedError
│   ├── SubmissionMalformedError
│   ├── TileMalformedError
│   ├── CertificateMalformedError
│   └── BundleMalformedError
└── VerificationError        raise the alarm: a check failed (names check, expected and got)
    └── LogDamagedError      the stored log contradicts itself: serve nothing from it
"""


class AuditError(Exception):
    """Root of the audit room's errors. Messages carry ids and limits, never content."""


class EntryInvalidError(AuditError):
    """A draft cannot become an entry as it is."""


class RangeInvalidError(AuditError):
    """An index or size lies outside the log."""


class QueryInvalidError(AuditError):
    """A text is no query of the log.

    Attributes:
        position: Where it stops being one, in code points from 0.
        expected: What may stand there, where that is a short list.
    """

    def __init__(self, reason: str, *, position: int, expected: tuple[str, ...] = ()) -> None:
        super().__init__(f"query, column {position + 1}: {reason}")
        self.position = position
        self.expected = expected


class LogConflictError(AuditError):
    """The log's head moved between reading and writing it."""


class KeyFileUnsafeError(AuditError):
    """The signing key's file is missing, open to others, or not what it should be."""


class AnchorUnusableError(AuditError):
    """The anchor outside the database is not the file that it was, or cannot be written."""


class WitnessStateError(AuditError):
    """What a witness remembers is missing, open to others, or damaged."""


class TileFolderError(AuditError):
    """A folder of tiles is of another log, of another history, or holds other files."""


class MalformedError(AuditError):
    """Bytes are not in the format that they claim."""


class HeaderMalformedError(MalformedError):
    """A header is not in the one canonical form."""


class PayloadMalformedError(MalformedError):
    """A payload is not canonical JSON of the accepted values."""


class NoteMalformedError(MalformedError):
    """Bytes are not a C2SP signed note."""


class CheckpointMalformedError(MalformedError):
    """A note's text is not a C2SP tlog checkpoint."""


class KeyMalformedError(MalformedError):
    """A string is not a signer or verifier key in the note format."""


class SubmissionMalformedError(MalformedError):
    """A body is not what C2SP tlog-witness says of add-checkpoint."""


class TileMalformedError(MalformedError):
    """A tile's path or an entry bundle is not in the form of C2SP tlog-tiles."""


class CertificateMalformedError(MalformedError):
    """A file is not an erasure certificate, or a field of it is not of its form."""


class BundleMalformedError(MalformedError):
    """A file is not an evidence bundle, or ends too early."""


class VerificationError(AuditError):
    """A check of `verify_*` failed.

    Attributes:
        check: Name of the check, e.g. `inclusion proof`.
        expected: What would have passed.
        got: What was found.
    """

    def __init__(self, check: str, *, expected: str, got: str) -> None:
        super().__init__(f"{check}: expected {expected}, got {got}")
        self.check = check
        self.expected = expected
        self.got = got


class LogDamagedError(VerificationError):
    """The stored log contradicts itself."""
