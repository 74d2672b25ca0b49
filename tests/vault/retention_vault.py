"""A small vault whose memories end soon, with a clock that a test sets."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from policies.bundle import RETENTION_RULES, Bundle
from policies.model import Purpose
from tests.simulators.clinic import CLINIC, OWNER, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import ClockUntrustedError
from vault.expiry import Expired, Expiry
from vault.model import Chat, Turn
from vault.opening import VaultOptions
from vault.storage.group_commit import Probe, WriteSet, no_probe
from vault.storage.retention_state import SaveState

RULES: Final = """
version: 1
clock: {longest-gap: P30D}
staleness: {unused: P1Y, again: P1Y}
classes:
  - {id: record, description: some, term: P1Y, from: event, then: expire}
  - {id: note, description: some, term: P90D, from: recorded, then: expire}
  - {id: used, description: some, term: P90D, from: last-used, then: expire}
  - {id: asked, description: some, term: P90D, from: recorded, then: ask}
  - {id: study, description: some, term: P90D, from: recorded, then: redact, next: kept}
  - {id: paid, description: some, term: P90D, from: recorded, then: archive, next: record}
  - {id: fresh, description: some, term: P90D, from: recorded, then: re-encrypt}
  - {id: kept, description: some, term: forever}
floors: []
rules:
  - {id: treatment, class: record, when: {purposes: [treatment]}}
  - {id: service, class: used, when: {purposes: [service]}}
  - {id: legal, class: asked, when: {purposes: [legal]}}
  - {id: research, class: study, when: {purposes: [research]}}
  - {id: payment, class: paid, when: {purposes: [payment]}}
default: note
"""
"""Each purpose has a class of its own: operations ends in 90 days."""


def retention_options(
    rules: str = RULES, clock: FrozenClock | None = None, probe: Probe = no_probe
) -> VaultOptions:
    """Return options with other retention rules."""
    bundle = Bundle({**Bundle.read().files, RETENTION_RULES: rules.encode()})
    return replace(fake_options(clock=clock or FrozenClock(), probe=probe), bundle=bundle)


class RetentionVault(Clinic):
    """A vault with short terms."""

    def __init__(self, template: Path, path: Path, rules: str = RULES) -> None:
        self.clock = FrozenClock()
        super().__init__(template, path, retention_options(rules, self.clock))

    def write(
        self,
        *texts: str,
        purpose: Purpose = Purpose.OPERATIONS,
        subject: str = "maria",
        at: datetime | None = None,
    ) -> tuple[str, ...]:
        """Write a chat and return its memories."""
        chat = Chat(tuple(Turn("Ana", text, at=at) for text in texts))
        return self.mem(OWNER, purpose).extract(chat, subject=subject).memory_ids

    def later(self, days: float) -> datetime:
        """Go on by so many days, as a vault does in which expiry ran each day."""
        now = self.clock.advance(timedelta(days=days))
        self.believe(now)
        return now

    def believe(self, now: datetime) -> None:
        """Have the clock believed."""
        microseconds = int(now.timestamp() * 1_000_000)
        self.vault.parts.store.submit(WriteSet(changes=[SaveState(CLINIC, clock=microseconds).change]))

    def expire(self) -> Expired:
        """Run expiry once."""
        return Expiry(self.vault.parts).run(CLINIC)

    def rows(self) -> list[str]:
        """Return the ids of all memories, from the file."""
        found = self.sql("SELECT DISTINCT memory_id FROM memory WHERE tenant_id = ? ORDER BY 1", CLINIC)
        return [str(row[0]) for row in found]

    def clean(self) -> bool:
        """Say whether log and rows agree."""
        verified = self.audit().verify()
        return verified.passed and not verified.row_findings


def refuses_the_clock(vault: RetentionVault) -> bool:
    """Say whether expiry does not believe the clock."""
    try:
        vault.expire()
    except ClockUntrustedError:
        return True
    return False


def same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Compare ids without their order."""
    return sorted(one) == sorted(other)
