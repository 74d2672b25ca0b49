"""A deployment's log in memory, with a clock that stands still and salts that count.

Owns a database, a key and an `AuditLog` over them, for tests of the log and of its verification.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.signing import SignerKey, VerifierKey
from audit.store import METADATA

START: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY: Final = "sha256:" + "9a" * 32
LOG_KEY: Final = SignerKey.for_deployment("ward-1", bytes(range(32)))


def draft(
    event: EventType = EventType.MEMORY_WRITE,
    *,
    time: datetime = START,
    principal: str = "agent-7",
    tenant: str = "clinic-a",
    action: str = "write",
    decision: Verdict = Verdict.ALLOWED,
    policy: str = POLICY,
    outcome: Outcome = Outcome.OK,
    resource: str | None = None,
    purpose: str | None = "treatment",
    payload: Mapping[str, JsonValue] | None = None,
) -> EntryDraft:
    """Return a draft that an honest vault could have made, but for what is given."""
    return EntryDraft(
        event, time, principal, tenant, action, decision, policy, outcome, resource, purpose, payload or {}
    )


class CountingSalts:
    """Salts that never repeat and are the same in every run."""

    def __init__(self) -> None:
        self._numbers = count()

    def __call__(self, size: int) -> bytes:
        blocks = (sha256(next(self._numbers).to_bytes(8)).digest() for _ in range(-(-size // 32)))
        return b"".join(blocks)[:size]


class SmallDeployment:
    """One system log and two tenants: loads a policy, writes, reads, is denied, signs checkpoints."""

    def __init__(self, key: SignerKey = LOG_KEY) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        METADATA.create_all(self._engine)
        self.now = START
        self.log = AuditLog(key, salt_source=CountingSalts(), clock=lambda: self.now)
        self.key: VerifierKey = key.verifier
        self.connection: Connection = self._engine.connect()

    def close(self) -> None:
        """Give the database up."""
        self.connection.close()
        self._engine.dispose()

    def open_logs(self, *tenants: str) -> None:
        """Record that the policy was loaded, in the system log and in each tenant's."""
        loads = [
            draft(EventType.POLICY_LOAD, tenant=tenant, action="administer", purpose=None, time=self.now)
            for tenant in (SYSTEM_LOG, *tenants)
        ]
        self.log.append(self.connection, loads)

    def write(self, tenant: str, *memories: str) -> None:
        """Record a write of memories and one read of each."""
        self.now += timedelta(seconds=1)
        write = draft(tenant=tenant, time=self.now, payload={"written": list(memories)})
        reads = [
            draft(
                EventType.MEMORY_READ,
                tenant=tenant,
                time=self.now,
                action="read",
                resource=memory,
                payload={"nth": nth},
            )
            for nth, memory in enumerate(memories)
        ]
        self.log.append(self.connection, [write, *reads])

    def deny(self, tenant: str) -> None:
        """Record a reveal that was denied."""
        self.now += timedelta(seconds=1)
        denial = draft(
            EventType.MEMORY_REVEAL,
            tenant=tenant,
            time=self.now,
            action="reveal",
            decision=Verdict.DENIED,
            outcome=Outcome.DENIED,
        )
        self.log.append(self.connection, [denial])

    def sign(self) -> list[bytes]:
        """Sign a checkpoint of every log and return the notes."""
        return [signed.note for signed in self.log.checkpoint_all(self.connection, policy=POLICY)]

    def live_a_day(self) -> list[bytes]:
        """Do a little of everything over two rounds and return all checkpoint notes."""
        self.open_logs("clinic-a", "clinic-b")
        notes: list[bytes] = []
        for nth in range(2):
            self.write("clinic-a", f"mem_aaaaaaaa{nth}", f"mem_bbbbbbbb{nth}")
            self.write("clinic-b", f"mem_cccccccc{nth}")
            self.deny("clinic-a")
            notes += self.sign()
        return notes
