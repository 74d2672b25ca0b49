"""Time stamps of the system log's checkpoints, now and then, by an authority of RFC 3161.

Owns asking the authority, in a thread of its own, and keeping what it answers in the anchor. It leaves
the form and the verification to `audit.timestamp`. The system log records every tenant's checkpoints, so
that one time stamp of it covers them all. Nothing waits for it.
"""

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cryptography import x509

from audit.anchor import FileAnchor
from audit.errors import AnchorUnusableError, MalformedError, VerificationError
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.timestamp import MAX_RESPONSE_SIZE, QUERY_TYPE, query_for, verify_time_stamp
from vault.bounded_post import Endpoint, NoAnswerError

_OK: Final = 200
_END_SECONDS: Final = 0.5
_FIRST_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class TimeStampStatus:
    """How the time stamps stand."""

    size: int = 0
    """Of the system log's checkpoint that was stamped last since the vault was opened."""
    time: datetime | None = None
    """As the authority says."""
    failures: int = 0
    reason: str = ""
    """Why the last one failed; empty where it did not."""


class TimeStamper:
    """Has the newest checkpoint of the system log stamped at an interval.

    Args:
        endpoint: Of the authority.
        roots: Whom to trust.
        anchor: Has the checkpoints that are stamped, and keeps what is answered.
        log: Whose checkpoints they are.
        seconds: Interval.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        roots: tuple[x509.Certificate, ...],
        anchor: FileAnchor,
        log: AuditLog,
        *,
        seconds: float,
    ) -> None:
        self._endpoint = endpoint
        self._roots = roots
        self._anchor = anchor
        self._log = log
        self._lock = threading.Lock()
        self._seconds = seconds
        self._status = TimeStampStatus()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="time-stamps", daemon=True)

    @property
    def status(self) -> TimeStampStatus:
        """How the time stamps stand."""
        return self._status

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop; a request under way is waited for a moment and then left to its own end."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def stamp(self) -> TimeStampStatus:
        """Have the newest anchored checkpoint stamped, unless it is, and return how the time stamps stand."""
        with self._lock:
            try:
                self._status = self._stamp()
            except (NoAnswerError, MalformedError, VerificationError, AnchorUnusableError) as error:
                failures = self._status.failures + 1
                self._status = replace(self._status, failures=failures, reason=str(error))
            return self._status

    def _stamp(self) -> TimeStampStatus:
        keys = [key.for_log(SYSTEM_LOG) for key in self._log.keys.verifiers]
        latest = self._anchor.latest(self._log.origin(SYSTEM_LOG), keys)
        if latest is None or latest.checkpoint.size == self._status.size:
            return self._status
        text = latest.checkpoint.encode()
        query = query_for(text)
        answer = self._endpoint.post("", query.der, QUERY_TYPE, MAX_RESPONSE_SIZE)
        if answer.status != _OK:
            raise NoAnswerError(f"answered {answer.status}")
        time = verify_time_stamp(answer.body, text, self._roots, query.nonce)
        self._anchor.append_time_stamp(latest.checkpoint, answer.body)
        return replace(self._status, size=latest.checkpoint.size, time=time, reason="")

    def _run(self) -> None:
        delay = min(_FIRST_SECONDS, self._seconds)
        while not self._ending.wait(delay):
            status = self.stamp()
            whole = status.time is not None and not status.reason
            delay = self._seconds if whole else min(_RETRY_SECONDS, self._seconds)
