"""What persons and teams open and close, as the search index needs it: a scope for each way to be open.

Owns the two questions that put a memory into its scope: for which purposes is it closed, and who is on the care team
of everyone it is about. It leaves the rows to `vault.storage`, and what opens a scope to `vault.indexes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from policies.model import Purpose
from vault.grant import Decider
from vault.storage.care_rows import team, teams
from vault.storage.consent_rows import consented, consents
from vault.storage.restricting import barred, standing

NOTHING: frozenset[Purpose] = frozenset()


@dataclass(slots=True)
class Openness:
    """What is open about the persons of a tenant; changed one person at a time."""

    needs_consent: frozenset[Purpose] = NOTHING
    """Purposes for which nothing is searched about anybody who did not consent."""
    tells_teams: bool = False
    """Whether scopes are of one care team each; where no rule tells a team from the rest, they cost time for nothing."""
    restricted: dict[str, frozenset[Purpose]] = field(default_factory=dict)
    """For which purposes nothing about a subject is searched; who asked for nothing is left out."""
    consented: dict[str, frozenset[Purpose]] = field(default_factory=dict)
    teams: dict[str, frozenset[str]] = field(default_factory=dict)

    def fits(self, policy: Decider) -> bool:
        """Say whether scopes that were made by this are those that the rules in force ask for."""
        return (self.needs_consent, self.tells_teams) == (policy.consent, policy.tells_teams)

    def barred(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Return the purposes for which nothing is searched that is about these, in order."""
        closed = {purpose for subject in subjects for purpose in self.restricted.get(subject, NOTHING)}
        for subject in subjects:
            closed |= self.needs_consent - self.consented.get(subject, NOTHING)
        return tuple(sorted(closed))

    def team(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Return who is on the care teams of all of these, in order."""
        if not self.tells_teams or not subjects:
            return ()
        members = [self.teams.get(subject, frozenset()) for subject in subjects]
        return tuple(sorted(frozenset.intersection(*members)))


def openness(connection: Connection, tenant: str, policy: Decider) -> Openness:
    """Return what is open about the persons of a tenant, as its rows and the rules say."""
    return Openness(
        policy.consent,
        policy.tells_teams,
        dict(barred(connection, tenant)),
        consented(connection, tenant),
        teams(connection, tenant),
    )


def reread(known: Openness, connection: Connection, tenant: str, subject: str) -> None:
    """Bring what is known of one person up to what the rows say."""
    restrictions = [one.barred for one in standing(connection, tenant, subject)]
    known.restricted[subject] = frozenset[Purpose]().union(*restrictions)
    known.consented[subject] = frozenset(consents(connection, tenant, subject))
    known.teams[subject] = frozenset(team(connection, tenant, subject))
