"""Giving an anchor up: what an earlier opening had is missed no more, because somebody said so in the log.

Owns the entry that says it. It leaves what an opening misses, and reading this entry, to `vault.outside_record`.

Threat: whoever starts the vault without its anchor is told of at every opening, and an operator who gave the
anchor up on purpose learns to overlook it. So there is an end to it, and that end has a name and a time: an
entry of the system log, which a later opening with an anchor does not take back.
"""

from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.log import Leaf
from policies.model import Principal, Purpose
from vault.administration import Administration
from vault.errors import ConflictError
from vault.outside_record import ANCHOR, RETIRED, earlier_opening


class AnchorRetirement(Administration):
    """Gives up the anchor of one vault."""

    def retire(self, principal: Principal, purpose: Purpose) -> Leaf:
        """Say in the log that the anchor is gone on purpose; the next opening misses none.

        Raises:
            DeniedError: not allowed; the denial is logged.
            ConflictError: no anchor is missed: there is one, or never was, or it was given up before.
        """
        grant = self._authorise(principal, purpose)
        opening = earlier_opening(self._parts.store)
        if opening is None or ANCHOR not in opening.missing:
            raise ConflictError("no anchor is missed: start without it first, then give it up")
        payload = {"missing": [ANCHOR], "standing": RETIRED}
        event = self._parts.journal.event
        draft = event(EventType.LOG_WITNESS, SYSTEM_LOG, payload, principal=grant.principal.id)
        (leaf,) = self._parts.journal.write([draft])
        return leaf
