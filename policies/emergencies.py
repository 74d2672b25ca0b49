"""How long an emergency may last, by the role of whoever declares it: `emergency_minutes` of `privacy.yaml`.

Owns the bound and its ceiling. It leaves who may declare one at all to the access rules (`break-glass`), and ending it to
`vault.emergencies`. Pure.
"""

from collections.abc import Collection, Mapping
from typing import Final

from policies.model import Role

MAX_MINUTES: Final = 480
"""One shift, whatever a bundle says: who needs longer declares anew, and is judged anew."""


def longest(minutes: Mapping[Role, int], roles: Collection[Role]) -> int:
    """Return for how many minutes at most somebody with these roles may declare an emergency; 0: not at all.

    Args:
        minutes: By role, as a bundle says; empty: it bounds nobody.
        roles: Of the principal, together.
    """
    if not minutes:
        return MAX_MINUTES
    return max((minutes.get(role, 0) for role in roles), default=0)
