"""Feedback's part of the facade: confirm, correct, retract and rate a memory, under `MemOS.feedback`.

Owns the methods alone; each decides and logs in `vault.feedback`.
"""

from collections.abc import Callable

from policies.model import Action, Purpose
from vault.feedback import Feedback, Rating, Verdict
from vault.journal import Call


class FeedbackView:
    """One principal's verdicts.

    Args:
        feedback: Returns what takes them, under the bundle in force.
        call: Makes a call of the principal's.
    """

    def __init__(
        self, feedback: Callable[[], Feedback], call: Callable[[Action, Purpose | None], Call]
    ) -> None:
        self._feedback = feedback
        self._call = call

    def confirm(self, memory_id: str, *, purpose: Purpose | None = None) -> Verdict:
        """Say that a memory is right: it is verified.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is none of this id within reach: none, erased, or another's.
            ConflictError: it was changed meanwhile.
        """
        return self._feedback().confirm(self._call(Action.ORGANIZE, purpose), memory_id)

    def correct(
        self,
        memory_id: str,
        text: str,
        *,
        expected_version: int | None = None,
        purpose: Purpose | None = None,
    ) -> Verdict:
        """Say what is right instead: the next version, verified; older ones stay, what was derived is disputed.

        What the old version said is disputed from now on when it comes from an older source again.

        Raises:
            VaultError: as for `MemOS.update`.
        """
        call = self._call(Action.UPDATE, purpose)
        return self._feedback().correct(call, memory_id, text, expected_version)

    def retract(self, memory_id: str, *, purpose: Purpose | None = None) -> Verdict:
        """Withdraw a memory: found no more, kept for the record; the rest as for `correct`.

        Raises:
            VaultError: as for `confirm`.
        """
        return self._feedback().retract(self._call(Action.UPDATE, purpose), memory_id)

    def rate(self, memory_id: str, rating: Rating, *, purpose: Purpose | None = None) -> Verdict:
        """Say whether a memory is of use; one that is not comes up for review.

        Raises:
            VaultError: as for `confirm`.
        """
        return self._feedback().rate(self._call(Action.ORGANIZE, purpose), memory_id, rating)
