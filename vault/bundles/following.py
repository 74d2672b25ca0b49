"""What follows when another bundle takes the place of the one in force.

Owns the one cell in which an open vault's parts stand, and two ways to follow it. A call takes the parts once and goes
on with those: so it decides under one bundle throughout, whatever is loaded meanwhile. What outlives calls takes them
anew for each piece of work (`Following`), or only names the bundle in force in its entries (`InForce`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Generic, TypeVar

from policies.errors import RequestInvalidError
from policies.model import Decision, Purpose, Request, Role
from vault.clock import Clock
from vault.journal import Journal
from vault.parts import Parts
from vault.storage.store import Store

Made = TypeVar("Made")


class InForce:
    """The cell: one assignment puts other parts in force. As a decider it names what is in force, and decides nothing."""

    parts: Parts
    """Set when they are assembled, before anybody asks."""

    @property
    def digest(self) -> str:
        """Digest of the bundle in force."""
        return self.parts.policy.digest

    @property
    def consent(self) -> frozenset[Purpose]:
        """Purposes that need consent under the bundle in force."""
        return self.parts.policy.consent

    @property
    def tells_teams(self) -> bool:
        """Whether the bundle in force tells care teams from the rest."""
        return self.parts.policy.tells_teams

    @property
    def emergency_minutes(self) -> Mapping[Role, int]:
        """How long emergencies last at most under the bundle in force."""
        return self.parts.policy.emergency_minutes

    def decide(self, _request: Request) -> Decision:
        """Refuse.

        Threat: of several questions of one call, some would be answered under one bundle and some under another.

        Raises:
            RequestInvalidError: always: ask the parts that the call was given.
        """
        raise RequestInvalidError("expected a decision under the bundle of one call")

    def journal(self, store: Store, clock: Clock) -> Journal:
        """Return a journal for what outlives calls: its entries name the bundle in force when they are written."""
        return Journal(store, self, clock)

    def lasting(self) -> Parts:
        """Return parts for what outlives calls and decides nothing, such as looking credentials up."""
        parts = self.parts
        return replace(parts, policy=self, journal=self.journal(parts.store, parts.clock))


class Following(Generic[Made]):
    """Something made of a vault's parts, and made anew when others are in force. Shared by threads.

    Args:
        current: Returns the parts in force.
        make: Makes it.
    """

    def __init__(self, current: Callable[[], Parts], make: Callable[[Parts], Made]) -> None:
        self._current: Final = current
        self._make: Final = make
        parts = current()
        self._made = (parts, make(parts))

    def now(self) -> Made:
        """Return it as it is made of the parts in force."""
        parts, made = self._made
        current = self._current()
        if parts is not current:
            made = self._make(current)
            self._made = (current, made)
        return made
