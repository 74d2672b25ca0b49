"""Asking a witness over HTTP: add-checkpoint of C2SP tlog-witness.

Owns what an answer means. It leaves the request to `vault.bounded_post`, and when to ask, and what
follows, to `vault.witnessing`.
"""

import http.client
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.cosignature import MAX_LINES_SIZE, WitnessVerifierKey, parse_cosignatures
from audit.errors import MalformedError, VerificationError
from audit.note import Signature, parse_note
from audit.witness import SIZE_TYPE, TEXT_TYPE, Submission, parse_size
from vault.bounded_post import Answer, Endpoint, NoAnswerError

SECONDS: Final = 5.0
"""Longest time of one request, from connecting to the last byte."""
_PATH: Final = "/add-checkpoint"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The witness cosigned the checkpoint, and its signature holds."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class HasSize:
    """The witness has seen another size, or another root at this one (409)."""

    size: int


@dataclass(frozen=True, slots=True)
class ProofRefused:
    """The witness has seen this old size, and the checkpoint does not extend it (422)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The witness answered anything else: it does not know the log or its key, or is no witness."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The witness did not answer in time, or cannot be reached."""

    reason: str


Reply = Cosigned | HasSize | ProofRefused | Refused | Unreachable


class HttpWitness:
    """One witness: its key and where it is reached.

    Args:
        key: What its cosignatures are verified with.
        url: Submission prefix; `https`, or `http` on this machine.
        seconds: Longest time of one request.
        authorities: PEM file of the authorities that its certificate may be of; None is the system's.

    Raises:
        InputInvalidError: the URL is not of that form.
    """

    def __init__(
        self,
        key: WitnessVerifierKey,
        url: str,
        *,
        seconds: float = SECONDS,
        authorities: Path | None = None,
    ) -> None:
        self.key = key
        label = f"witness {key.name}"
        self._endpoint = Endpoint(label, url, seconds=seconds, authorities=authorities)

    def submit(self, submission: Submission) -> Reply:
        """Submit a checkpoint and return what the witness made of it; never raises for what it does."""
        try:
            answer = self._endpoint.post(_PATH, submission.encode(), TEXT_TYPE, MAX_LINES_SIZE)
        except NoAnswerError as error:
            return Unreachable(str(error))
        return self._read(submission, answer)

    def _read(self, submission: Submission, answer: Answer) -> Reply:
        if answer.status == http.client.OK:
            return self._cosigned(submission, answer.body)
        if answer.status == http.client.CONFLICT and _essence(answer.media_type) == SIZE_TYPE:
            size = parse_size(answer.body.decode("ascii", "replace").removesuffix("\n"))
            return Refused("409 without a size") if size is None else HasSize(size)
        if answer.status == http.client.UNPROCESSABLE_ENTITY:
            return ProofRefused()
        return Refused(f"answered {answer.status}")

    def _cosigned(self, submission: Submission, body: bytes) -> Reply:
        """Take the line that this witness's key signed; lines of other keys are passed over."""
        try:
            text = parse_note(submission.note).text.encode()
            for signature in parse_cosignatures(body):
                if (signature.name, signature.key_id) == (self.key.name, self.key.key_id):
                    self.key.verify(text, signature.value)
                    return Cosigned(signature)
        except (MalformedError, VerificationError):
            return Refused("answered a cosignature that does not hold")
        return Refused("answered no cosignature by its key")


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip()
