"""Errors of the vault room, split by what the caller does next.

VaultError
├── InputInvalidError            fix the input (4xx)
│   ├── InputTooLargeError       send less
│   ├── TextEmptyError           nothing to remember: no visible character
│   ├── TextInvalidError         text that cannot be stored: NUL, lone surrogates, invalid UTF-8
│   ├── TimeInvalidError         a date outside years 1 to 9999 or unreadable
│   ├── DocumentInvalidError     a file that is not what it says
│   ├── IdentifierInvalidError   a malformed tenant, principal, subject or memory id
│   ├── PipelineInvalidError     a pipeline that is not declared as one, or whose types do not fit
│   └── ContractError            what goes into an operator or comes out of it is not as its contract says
├── ScreeningRefusedError        the privacy rules refuse this content
├── StepFailedError              a step of a run failed: what was done before stands, and the run can go on
├── NotFoundError                no such thing for this principal
├── ConflictError                the thing changed or exists already
│   ├── HeldError                a legal hold forbids it: nothing was removed
│   ├── HoldTooLateError         an erasure of it was begun before: nothing was placed
│   ├── ErasedError              it was erased, and is not written again
│   ├── EchoedError              it was taken back: the write path keeps it as disputed
│   ├── ClockUntrustedError      the clock jumped: nothing expires until somebody confirms it
│   ├── RetainedError            a floor of the retention rules keeps it
│   ├── ErasureIncompleteError   what was erased could still be got back: it is not certified
│   ├── SnapshotForeignError     the snapshot is another vault's
│   └── LeaseLostError           whoever wrote does not hold the job's lease any more: nothing was written
├── BusyError                    retry later, or elsewhere
│   ├── VaultInUseError          another process has this vault open
│   ├── OverloadedError          a queue or a time limit was reached
│   ├── QueueFullError           so much work waits already that no more is taken
│   ├── LogQueryTooDearError     a question to the log takes too long: narrow it
│   ├── LogIndexBehindError      the log's index cannot answer for the whole tree yet
│   └── IndexStaleError          the search index lacks a change and could not be built anew
├── KeyAccessError               keys
│   ├── KeyMissingError          never existed here
│   ├── KeyWrongError            exists, and does not fit: wrong passphrase or root key
│   ├── KeyDestroyedError        was destroyed: nothing opens again
│   ├── KeyExhaustedError        its seal limit is reached: rotate
│   ├── KeyFileUnsafeError       permissions or shape of the key file
│   └── RootUnusableError        the root on a transit server cannot be used now: nothing was written
│       ├── RootSealedError      the server is sealed: unseal it
│       ├── RootUnreachableError it does not answer, or not in time: retry later
│       ├── RootDeniedError      login refused, or permission withdrawn
│       ├── RootKeyGoneError     the server has no such transit key any more
│       ├── RootVersionError     wrapped under a version below the key's min_decryption_version
│       └── RootAnswerError      it answered what no transit engine answers
├── TamperedError                raise the alarm: a sealed value or row is not what was written
│   └── LogRolledBackError       the log is shorter or another than what an anchor or a witness saw
└── StorageError                 the store
    ├── StorageFullError         no space left: nothing was acknowledged
    ├── StoreCorruptError        truncated or damaged: restore
    └── StoreVersionError        written by a newer version
"""


class VaultError(Exception):
    """Root of the vault room's errors. Messages carry ids and limits, never content."""


class InputInvalidError(VaultError):
    """The input cannot be accepted as it is."""


class InputTooLargeError(InputInvalidError):
    """The input is beyond a configured limit."""


class TextEmptyError(InputInvalidError):
    """There is nothing to remember: no turn, or no visible character."""


class TextInvalidError(InputInvalidError):
    """The text cannot be stored or read as Unicode text."""


class TimeInvalidError(InputInvalidError):
    """A time is unreadable or outside years 1 to 9999."""


class DocumentInvalidError(InputInvalidError):
    """A document is not of the shape its kind promises."""


class IdentifierInvalidError(InputInvalidError):
    """An identifier does not have the form of one."""


class PipelineInvalidError(InputInvalidError):
    """A pipeline is not what a pipeline has to be; the message says where."""


class ContractError(InputInvalidError):
    """An operator's input, its output, or what must hold before or after it is not as its contract says."""


class StepFailedError(VaultError):
    """A step of a run failed; what the steps before it did stands, and the run can go on from there.

    Attributes:
        run: Id of the run.
        step: Name of the step.
        reason: A fixed word.
    """

    def __init__(self, run: str, step: str, reason: str) -> None:
        super().__init__(f"step {step} of {run} failed: {reason}")
        self.run = run
        self.step = step
        self.reason = reason


class ScreeningRefusedError(VaultError):
    """The privacy rules refuse to store this content."""


class NotFoundError(VaultError):
    """There is no such thing for this principal."""


class ConflictError(VaultError):
    """The state does not allow the change."""


class HeldError(ConflictError):
    """A legal hold forbids what was asked for; nothing of it was done.

    Args:
        memories: Ids of the memories that are held.
        holds: Ids of the holds that are in force.
    """

    def __init__(self, memories: tuple[str, ...], holds: tuple[str, ...]) -> None:
        of = f"{len(memories)} {'memory' if len(memories) == 1 else 'memories'}"
        super().__init__(f"{of} under {len(holds)} legal {'hold' if len(holds) == 1 else 'holds'}")
        self.memories = memories
        self.holds = holds


class HoldTooLateError(ConflictError):
    """What is to be held is being erased, or was: a hold over it would be false security."""


class ErasedError(ConflictError):
    """What is to be written was erased: it is not written again."""


class EchoedError(ConflictError):
    """What is written says again what was corrected or retracted, from an older source; the write path marks it.

    Args:
        places: Of the memories among those that are written.
    """

    def __init__(self, places: frozenset[int]) -> None:
        super().__init__("what was taken back comes from an older source again")
        self.places = places


class ErasureIncompleteError(ConflictError):
    """A test after an erasure got something back: nothing is certified, and the next run tries again."""


class ClockUntrustedError(ConflictError):
    """The clock went on by more than the bound since the last run: nothing expires until somebody confirms it."""


class RetainedError(ConflictError):
    """A floor of the retention rules keeps it: nobody may remove it yet."""


class SnapshotForeignError(ConflictError):
    """The snapshot was made of another vault, or of another history of this one; nothing was done."""


class LeaseLostError(ConflictError):
    """The lease of a job ran out, or is another's."""


class BusyError(VaultError):
    """Try again later."""


class VaultInUseError(BusyError):
    """Another process has this vault open."""


class OverloadedError(BusyError):
    """A queue or time limit was reached."""


class QueueFullError(BusyError):
    """So much work waits already that no more is taken."""


class LogQueryTooDearError(BusyError):
    """A question to a log was not answered within its time."""


class LogIndexBehindError(BusyError):
    """The derived index of a log does not reach the size that was asked, and the rest is too long to scan."""


class IndexStaleError(BusyError):
    """The search index lacks something that is durable; no answer is better than one that leaves it out."""


class KeyAccessError(VaultError):
    """A key cannot be used."""


class KeyMissingError(KeyAccessError):
    """The key never existed here."""


class KeyWrongError(KeyAccessError):
    """The key exists and does not fit."""


class KeyDestroyedError(KeyAccessError):
    """The key was destroyed; what it sealed never opens again."""


class KeyExhaustedError(KeyAccessError):
    """The key's seal limit is reached."""


class KeyFileUnsafeError(KeyAccessError):
    """The key file's permissions or shape are unsafe."""


class RootUnusableError(KeyAccessError):
    """The root key on a transit server cannot be used now; what is wrapped under it is as it was."""


class RootSealedError(RootUnusableError):
    """The transit server is sealed."""


class RootUnreachableError(RootUnusableError):
    """The transit server does not answer, or not in time."""


class RootDeniedError(RootUnusableError):
    """The transit server refuses the login, or the key's use."""


class RootKeyGoneError(RootUnusableError):
    """The transit server has no such key, or no engine there."""


class RootVersionError(RootUnusableError):
    """Wrapped under a version of the transit key that may decrypt no more: lower its min_decryption_version."""


class RootAnswerError(RootUnusableError):
    """The transit server's answer is malformed."""


class TamperedError(VaultError):
    """Something stored is not what was written."""


class LogRolledBackError(TamperedError):
    """A log is not the one that was anchored or witnessed: an old copy, a cut or a fork.

    Attributes:
        log: Origin of the log.
        seen_by: Who saw the other one: the anchor, or a witness by its name.
        seen: Size that was seen.
        size: Size that the store holds.
    """

    def __init__(self, log: str, *, seen_by: str, seen: int, size: int, what: str) -> None:
        super().__init__(
            f"{log}: {seen_by} saw size {seen}, the store holds {size}: {what};"
            " nothing was appended; look with `memvault audit forensics`"
        )
        self.log = log
        self.seen_by = seen_by
        self.seen = seen
        self.size = size


class StorageError(VaultError):
    """The store failed."""


class StorageFullError(StorageError):
    """No space is left."""


class StoreCorruptError(StorageError):
    """The store is truncated or damaged."""


class StoreVersionError(StorageError):
    """The store was written by a newer version."""
