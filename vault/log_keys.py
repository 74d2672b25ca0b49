"""Rolling the log's signing key over: start, a time in which both keys sign, finish.

Owns the order of the steps, so that a crash between any two leaves a vault that opens, and a roll-over
that can be taken up. It leaves the keys' forms to `audit.signing`, and their file to `audit.key_file`.

Each step is an entry of every log, with the note by which the old key hands over to the new one
(`Handover`): who trusts the old key finds in the log that it was the old key that named the new one. From
start to finish every checkpoint carries both signatures; after it, the new key's alone. Nothing that the
old key signs from then on is taken for a checkpoint, so a thief of it gains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from audit.errors import KeyFileUnsafeError as LogKeyFileUnsafeError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.key_file import replace_key_file
from audit.log import Leaf
from audit.signing import LogKeys, SignerKey, sign_handover
from policies.model import Principal, Purpose
from vault.administration import Administration
from vault.errors import ConflictError, KeyFileUnsafeError
from vault.grant import Grant
from vault.journal import VAULT_PRINCIPAL
from vault.parts import Parts

_SEED_BYTES: Final = 32


class RollStep(StrEnum):
    """A step of a roll-over."""

    START = "start"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class KeyRolled:
    """What a step did."""

    step: RollStep
    old: str
    """Verifier key."""
    new: str
    """Verifier key: give it to whoever checks these logs."""
    handover: str
    """The note by which the old key names the new one."""
    logs: int
    """Logs that were signed with it."""


class LogKeyRollover(Administration):
    """Rolls the log key of one vault over.

    Args:
        parts: Of the vault.
        key_file: Where its log keys lie.
    """

    def __init__(self, parts: Parts, key_file: Path) -> None:
        super().__init__(parts)
        self._key_file = key_file

    def start(self, principal: Principal, purpose: Purpose) -> KeyRolled:
        """Make the next key and sign with both from here on; taken up where it was cut short.

        Raises:
            DeniedError: not allowed; the denial is logged.
            KeyFileUnsafeError: the key file cannot be replaced; the old key signs on.
        """
        grant, log = self._authorise(principal, purpose), self._parts.log
        keys = log.keys
        if keys.following is None:
            keys = keys.begun(SignerKey(keys.name, self._parts.entropy(_SEED_BYTES)))
            # The file first: a log that names a key that nobody has could never finish.
            self._replace(keys)
        log.sign_with(keys)
        return self._announce(grant, keys, RollStep.START)

    def finish(self, principal: Principal, purpose: Purpose) -> KeyRolled:
        """Put the old key down; from here on it only checks what it signed.

        Raises:
            DeniedError: not allowed; the denial is logged.
            ConflictError: no roll-over is under way.
            KeyFileUnsafeError: the key file cannot be replaced; both keys sign on.
        """
        grant, log = self._authorise(principal, purpose), self._parts.log
        keys = log.keys
        if keys.following is None:
            raise ConflictError("no roll-over of the log key is under way: start one")
        # Every log is signed by both once more: none is left whose last checkpoint the new key did not sign.
        done = self._announce(grant, keys, RollStep.FINISH)
        self._replace(keys.finished())
        log.sign_with(keys.finished())
        return done

    def _announce(self, grant: Grant, keys: LogKeys, step: RollStep) -> KeyRolled:
        old, new = keys.signers
        handover = sign_handover(old, new).decode()
        payload = {
            "step": step.value,
            "old": str(old.verifier),
            "new": str(new.verifier),
            "handover": handover,
        }
        logs = (*self._parts.store.tenants(), SYSTEM_LOG)
        # Who called is named where the caller is known; another tenant's log names the vault.
        named = {SYSTEM_LOG: grant.principal.id, grant.tenant: grant.principal.id}
        event = self._parts.journal.event
        self._parts.journal.write(
            [
                event(EventType.LOG_KEY, log, payload, principal=named.get(log, VAULT_PRINCIPAL))
                for log in logs
            ]
        )

        def sign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            for log in logs:  # the system log last: it records the others' checkpoints
                self._parts.log.checkpoint(connection, log, policy=grant.bundle_digest)

        self._parts.store.change(sign)
        return KeyRolled(step, str(old.verifier), str(new.verifier), handover, len(logs))

    def _replace(self, keys: LogKeys) -> None:
        try:
            replace_key_file(self._key_file, keys)
        except LogKeyFileUnsafeError as error:
            raise KeyFileUnsafeError(str(error)) from None
