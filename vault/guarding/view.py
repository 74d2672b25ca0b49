"""The guard's part of the facade: the check of a drafted answer, and what is held back.

Owns the methods alone; each decides and logs in `vault.guarding.supporting` and `vault.guarding.held_back`.
"""

from abc import abstractmethod

from audit.log import Leaf
from policies.model import Action, Purpose
from vault.guarding.held_back import Held, HeldBack
from vault.guarding.supporting import SupportAsked, Supported, supported_by
from vault.journal import Call
from vault.log_view import LogView
from vault.read_path import ReadPath


class GuardView(LogView):
    """One principal's view of the guard."""

    @abstractmethod
    def _call(self, action: Action, purpose: Purpose | None) -> Call: ...

    def supported(
        self,
        draft: str,
        *,
        k: int = 10,
        subject: str | tuple[str, ...] = (),
        purpose: Purpose | None = None,
    ) -> tuple[Supported, ...]:
        """Say of each statement of a drafted answer which memory bears it out, and where; or what is missing.

        Args:
            draft: At most 20,000 characters and 50 statements; questions are passed over. Screened like a query,
                searched statement by statement, and kept nowhere.
            k: How many memories each statement is held against, 1 to 200; only verified ones are.
            subject: Only memories about these.
            purpose: Why it is read.

        Raises:
            InputInvalidError: the draft is empty or too long.
            DeniedError: nothing may be searched for this purpose; the denial is logged.
        """
        call = self._call(Action.SEARCH, purpose)
        names = (subject,) if isinstance(subject, str) else tuple(subject)
        asked = SupportAsked(draft, k, call.purpose, names, call.emergency)
        return supported_by(ReadPath(self._parts), call.principal, asked)

    def held_back(self, *, purpose: Purpose | None = None) -> list[Held]:
        """Return the derived memories that nothing bears out and that wait for a person: ids, no content.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        call = self._call(Action.ERASE, purpose)
        return HeldBack(self._parts).waiting(call.principal, call.purpose)

    def release_held_back(self, memory_id: str, *, purpose: Purpose | None = None) -> Leaf:
        """Serve a memory that was held back, on the caller's word.

        Raises:
            NotFoundError: no such memory is held back.
            DeniedError: not allowed; the denial is logged.
        """
        call = self._call(Action.ERASE, purpose)
        return HeldBack(self._parts).release(call.principal, call.purpose, memory_id)
