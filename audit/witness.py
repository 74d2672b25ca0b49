"""What a witness does with a submission, as in C2SP tlog-witness: parse, decide, answer. Pure.

Owns the body of add-checkpoint, the list of logs that a witness trusts, and the decision whether it may
cosign. It leaves remembering to `audit.witness_store`, which holds its lock from reading the latest size
to making the new one durable, and HTTP to `api.witness_app`.

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe…

Answers: 200 and cosignature lines; 400 malformed, or the old size is beyond the new; 403 no signature by
a trusted key; 404 a log that is not trusted here; 409 and the size that the witness has, where the old
size is another or the root at an equal size is another; 422 a proof that does not hold.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import KeyMalformedError, MalformedError, SubmissionMalformedError, VerificationError
from audit.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE, verify_consistency
from audit.note import is_key_name, parse_base64, parse_note, verify_note
from audit.signing import VerifierKey

MAX_PROOF_LINES: Final = 63
MAX_BODY_SIZE: Final = 64 * 1024
"""Bytes of a submission: 63 hashes and a note of a hundred signatures are far less."""
MAX_TRUSTED: Final = 10_000
"""Lines of a list of trusted logs."""
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

_SIZE_DIGITS: Final = 19
_OLD: Final = "old "
_LOG: Final = "log"
_DEPLOYMENT: Final = "deployment"


@dataclass(frozen=True, slots=True)
class Submission:
    """The body of add-checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    """Consistency proof from the old size to the checkpoint's (RFC 6962, section 2.1.2)."""
    note: bytes
    """The signed checkpoint."""

    def encode(self) -> bytes:
        """Return the body whose `parse_submission` is this."""
        lines = (f"{_OLD}{self.old_size}", *(b64encode(node).decode() for node in self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note


def parse_submission(body: bytes) -> Submission:
    """Return what a body of add-checkpoint says; the note in it is not looked into.

    Raises:
        SubmissionMalformedError: too large, or not an old size, at most 63 hashes, an empty line and a note.
    """
    if len(body) > MAX_BODY_SIZE:
        raise SubmissionMalformedError(f"expected at most {MAX_BODY_SIZE} bytes, got {len(body)}")
    head, separator, note = body.partition(b"\n\n")
    if not separator or not note:
        raise SubmissionMalformedError("expected lines, an empty line and a checkpoint")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise SubmissionMalformedError("expected lines of ASCII before the checkpoint") from None
    if len(lines) > MAX_PROOF_LINES:
        raise SubmissionMalformedError(f"expected at most {MAX_PROOF_LINES} hashes, got {len(lines)}")
    return Submission(_old_size(first), tuple(map(_hash, lines)), note)


def _old_size(line: str) -> int:
    text = line.removeprefix(_OLD)
    size = parse_size(text) if line.startswith(_OLD) else None
    if size is None:
        raise SubmissionMalformedError("expected a first line of old and a size without leading zeros")
    return size


def parse_size(text: str) -> int | None:
    """Return the tree size that `text` is the one decimal of, None where it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _SIZE_DIGITS):
        return None
    return int(text) if str(int(text)) == text and int(text) <= MAX_TREE_SIZE else None


def _hash(line: str) -> bytes:
    value = parse_base64(line)
    if value is None or len(value) != HASH_SIZE:
        raise SubmissionMalformedError(f"expected hashes of {HASH_SIZE} bytes in base64, one a line")
    return value


@dataclass(frozen=True, slots=True)
class TrustList:
    """Whose checkpoints a witness cosigns.

    A text of lines, `#` begins a comment:

        log example.com/log+33d7b496+AeHTu4Q3…           one log, named as its key
        deployment memos-vault/ward-1+8a1b2c3d+AQ…       every log `memos-vault/ward-1/<tenant>`

    A log may stand there with several keys, while one of them is being replaced.
    """

    logs: tuple[VerifierKey, ...] = ()
    deployments: tuple[VerifierKey, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "TrustList":
        """Return the list that a text says.

        Raises:
            KeyMalformedError: a line is neither empty, a comment, nor `log` or `deployment` and a key.
        """
        found: dict[str, list[VerifierKey]] = {_LOG: [], _DEPLOYMENT: []}
        lines = [line.strip() for line in text.split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
        if len(lines) > MAX_TRUSTED:
            raise KeyMalformedError(f"expected at most {MAX_TRUSTED} trusted logs, got {len(lines)}")
        for line in lines:
            kind, _, key = line.partition(" ")
            if kind not in found:
                raise KeyMalformedError("expected lines of log or deployment and a verifier key")
            found[kind].append(VerifierKey.parse(key))
        return cls(tuple(dict.fromkeys(found[_LOG])), tuple(dict.fromkeys(found[_DEPLOYMENT])))

    def encode(self) -> str:
        """Return the text whose `parse` is this."""
        lines = [f"{_LOG} {key}\n" for key in self.logs]
        return "".join(lines + [f"{_DEPLOYMENT} {key}\n" for key in self.deployments])

    def keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        """Return the keys that may sign for an origin; none where it is not trusted."""
        own = tuple(key for key in self.logs if key.name == origin)
        name, _, tenant = origin.rpartition("/")
        above = (key for key in self.deployments if tenant and is_key_name(origin) and key.name == name)
        return own + tuple(VerifierKey(origin, key.public) for key in above)


@dataclass(frozen=True, slots=True)
class Seen:
    """The largest tree of one log that a witness cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


class Refusal(StrEnum):
    """Why a note that the log signed is kept although it shows nothing by itself."""

    PROOF = "proof"
    """The proof that came with it does not hold: the log is another, or somebody brought a wrong proof."""
    SMALLER = "smaller"
    """It is of a smaller tree than was seen: the log was rolled back, or somebody brought an old note."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to who submitted."""

    status: int
    body: str
    media_type: str = TEXT_TYPE
    is_evidence: bool = False
    """The log's own key signed another root at the size that was seen: two notes that show a fork."""
    refused_as: Refusal | None = None
    """Why its note is kept for comparing; None where there is nothing to compare."""


class RefusedError(VerificationError):
    """A submission is not cosigned.

    Attributes:
        answer: What goes back.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__("submission", expected="200", got=str(answer.status))
        self.answer = answer


def _refuse(status: int, reason: str) -> NoReturn:
    raise RefusedError(Answer(status, reason + "\n"))


def identify(submission: Submission, trusted: TrustList) -> Checkpoint:
    """Return the checkpoint of a submission, signed by a key that is trusted for its origin.

    Raises:
        RefusedError: 400 no checkpoint, or smaller than the old size; 404 the origin is not trusted; 403
            no trusted key signed it.
    """
    try:
        note = parse_note(submission.note)
        checkpoint = parse_checkpoint(note.text)
    except MalformedError as error:
        _refuse(400, str(error))
    keys = trusted.keys_of(checkpoint.origin)
    if not keys:
        _refuse(404, "the log is not known here")
    if not _signed_by_any(submission.note, keys):
        _refuse(403, "no key that is trusted for this log signed the checkpoint")
    if submission.old_size > checkpoint.size:
        _refuse(400, f"expected an old size of at most {checkpoint.size}, got {submission.old_size}")
    return checkpoint


def _signed_by_any(note: bytes, keys: Iterable[VerifierKey]) -> bool:
    """Say whether at least one trusted key's signature holds: others, also wrong ones, do not hinder."""
    for key in keys:
        try:
            verify_note(note, [key])
        except VerificationError:
            continue
        return True
    return False


def check_extends(submission: Submission, checkpoint: Checkpoint, seen: Seen) -> None:
    """See that an identified checkpoint extends the tree that was seen.

    Threat: a log's notes are public, and anybody may submit one with a proof of his own. A proof that does
    not hold says nothing of the log, so it is no evidence; two signed roots at one size are, whoever
    brings them and whatever old size he names.

    Raises:
        RefusedError: 409 another size or, at this size, another root was seen; 422 the proof does not hold.
    """
    if seen.size == checkpoint.size and seen.root != checkpoint.root:
        raise RefusedError(_conflict(seen, is_evidence=checkpoint.size > 0))
    if submission.old_size != seen.size:
        smaller = 0 < checkpoint.size < seen.size
        raise RefusedError(_conflict(seen, refused_as=Refusal.SMALLER if smaller else None))
    if seen.size in {0, checkpoint.size}:
        if submission.proof:
            _refuse(422, "expected no proof")
        return
    try:
        verify_consistency(seen.size, checkpoint.size, submission.proof, seen.root, checkpoint.root)
    except VerificationError as error:
        raise RefusedError(Answer(422, f"{error}\n", refused_as=Refusal.PROOF)) from None


def _conflict(seen: Seen, *, is_evidence: bool = False, refused_as: Refusal | None = None) -> Answer:
    return Answer(409, f"{seen.size}\n", SIZE_TYPE, is_evidence, refused_as)


@dataclass(frozen=True, slots=True)
class RefusedNote:
    """A note that the log signed and that was not cosigned; proves nothing by itself.

    Whoever has the log's own checkpoint of this size compares the roots: where they differ, both notes are a fork.
    """

    origin: str
    size: int
    root: bytes
    time: int
    """POSIX seconds."""
    seen: int
    """Size that the witness had cosigned by then."""
    reason: Refusal
    note: bytes

    def is_signed(self, keys: Iterable[VerifierKey]) -> bool:
        """Say whether the log signed it, with any of these keys."""
        return _signed_by_any(self.note, keys)


@dataclass(frozen=True, slots=True)
class Fork:
    """Two notes of one log that say different roots of one size: no history has both."""

    origin: str
    size: int
    seen: bytes
    """The note that was cosigned."""
    shown: bytes
    """The note that was shown later."""
    roots: tuple[bytes, bytes]

    def is_signed(self, keys: Iterable[VerifierKey]) -> bool:
        """Say whether the log signed both notes, each with any of these keys."""
        tried = tuple(keys)
        return all(_signed_by_any(note, tried) for note in (self.seen, self.shown))


def find_fork(seen: bytes, shown: bytes) -> Fork | None:
    """Return the fork that two notes show by themselves, None where they show none.

    Signatures are left to `Fork.is_signed`.
    """
    try:
        one, other = (parse_checkpoint(parse_note(note).text) for note in (seen, shown))
    except MalformedError:
        return None
    if (one.origin, one.size) != (other.origin, other.size) or one.root == other.root or one.size == 0:
        return None
    return Fork(one.origin, one.size, seen, shown, (one.root, other.root))
