"""An erasure as it stands: its row, its entries, and how each of its steps is told to the log.

Owns the row of `erasure` and the reading of an erasure's entries, from which a run that was interrupted knows
what it had done. It leaves the steps to `vault.erasing.run`, and the certificate to `vault.erasing.certifying`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from sqlalchemy import Connection, Row, select, update

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EntryDraft, EventType, Header, Outcome, parse_header
from audit.log import Leaf
from audit.store import LEAF
from vault.errors import TamperedError
from vault.grant import Grant
from vault.journal import Journal
from vault.storage.group_commit import Change
from vault.storage.schema import ERASURE

EVENTS: Final = (
    EventType.EFFECT_INTENT,
    EventType.SUBJECT_ERASE,
    EventType.KEY_DESTROY,
    EventType.PAYLOAD_ERASE,
    EventType.EFFECT_OUTCOME,
)
"""Events of an erasure's entries."""


class State(StrEnum):
    """How far an erasure came."""

    BEGUN = "begun"
    """No write about the person passes any more."""
    SHREDDED = "shredded"
    """The keys are destroyed: nothing of the person opens."""
    DONE = "done"
    """It is certified."""


class StepName(StrEnum):
    """What an entry of an erasure tells, under `step`; `certified` is `audit.certificate_check`'s."""

    BEGUN = "begun"
    FACTS = "facts"
    """What could be read is remembered as digests; what could not is counted. The keys are destroyed next."""
    SHREDDED = "shredded"
    ROWS = "rows"
    TESTED = "tested"
    """A test got something back: the erasure is not done."""


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """A row of `erasure`."""

    tenant: str
    erasure_id: str
    subject: str
    state: State
    begun: int
    """Microseconds since 1970 UTC."""
    finished: int | None
    intent_leaf: int
    certificate: str | None
    """Canonical text of what is certified."""

    @classmethod
    def beginning(cls, voice: "Voice", subject: str, begun: int) -> Self:
        """Return one of a person that has no entry yet."""
        return cls(voice.tenant, voice.erasure_id, subject, State.BEGUN, begun, None, -1, None)

    @property
    def begun_leaf(self) -> int:
        """Index of the entry of its beginning, written with the intent."""
        return self.intent_leaf + 1


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """An entry of an erasure."""

    index: int
    header: Header
    payload: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Voice:
    """Tells the log of one erasure: under the grant that allowed it, or, resumed, as the vault itself."""

    journal: Journal
    tenant: str
    erasure_id: str
    grant: Grant | None = None

    def draft(
        self, event: EventType, payload: Mapping[str, JsonValue], outcome: Outcome = Outcome.OK
    ) -> EntryDraft:
        """Draft an entry."""
        told = {**payload, "erasure": self.erasure_id}
        if self.grant is None:
            drafted = self.journal.event(event, self.tenant, told)
            return replace(drafted, resource=self.erasure_id, outcome=outcome)
        return self.journal.allowed(self.grant, told, resource=self.erasure_id, event=event, outcome=outcome)

    def step(
        self, name: StepName, payload: Mapping[str, JsonValue], outcome: Outcome = Outcome.OK
    ) -> EntryDraft:
        """Draft the entry of a step."""
        return self.draft(EventType.SUBJECT_ERASE, {**payload, "step": name.value}, outcome)


def record_of(connection: Connection, tenant: str, subject: str) -> ErasureRecord | None:
    """Return the erasure of a person, if there is one."""
    return _found(connection, tenant, ERASURE.c.subject_id == subject)


def record_by_id(connection: Connection, tenant: str, erasure_id: str) -> ErasureRecord | None:
    """Return an erasure, if there is one."""
    return _found(connection, tenant, ERASURE.c.erasure_id == erasure_id)


def unfinished(connection: Connection, tenant: str) -> list[ErasureRecord]:
    """Return the erasures that were begun and are not certified, oldest first."""
    query = select(ERASURE).where(ERASURE.c.tenant_id == tenant, ERASURE.c.state != State.DONE.value)
    return [_record(row) for row in connection.execute(query.order_by(ERASURE.c.begun))]


def _found(connection: Connection, tenant: str, which: object) -> ErasureRecord | None:
    row = connection.execute(select(ERASURE).where(ERASURE.c.tenant_id == tenant, which)).one_or_none()  # type: ignore[arg-type]  # a condition
    return None if row is None else _record(row)


def _record(row: Row[tuple[object, ...]]) -> ErasureRecord:
    try:
        return ErasureRecord(
            tenant=row.tenant_id,
            erasure_id=row.erasure_id,
            subject=row.subject_id,
            state=State(row.state),
            begun=row.begun,
            finished=row.finished,
            intent_leaf=row.intent_leaf,
            certificate=row.certificate,
        )
    except ValueError:
        raise TamperedError("a row of the erasure table is not of the form of one") from None


def inserted(record: ErasureRecord) -> Change:
    """Return the change that adds an erasure; its intent is the first entry of the write set."""

    def insert(connection: Connection, leaves: Sequence[Leaf]) -> None:
        row = {
            "tenant_id": record.tenant,
            "erasure_id": record.erasure_id,
            "subject_id": record.subject,
            "state": record.state.value,
            "begun": record.begun,
            "finished": None,
            "intent_leaf": leaves[0].index,
            "certificate": None,
        }
        connection.execute(ERASURE.insert(), [row])

    return insert


def moved(record: ErasureRecord) -> Change:
    """Return the change that writes how far an erasure came."""

    def move(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        connection.execute(
            update(ERASURE)
            .where(ERASURE.c.tenant_id == record.tenant, ERASURE.c.erasure_id == record.erasure_id)
            .values(state=record.state.value, finished=record.finished, certificate=record.certificate)
        )

    return move


def entries_of_erasure(connection: Connection, record: ErasureRecord) -> Iterator[ErasureEntry]:
    """Yield the entries of an erasure that ended well, oldest first.

    Raises:
        TamperedError: one is not of the form of an entry.
    """
    query = (
        select(LEAF.c.leaf_index, LEAF.c.header, LEAF.c.payload)
        .where(
            LEAF.c.tenant_id == record.tenant,
            LEAF.c.leaf_index >= record.intent_leaf,
            LEAF.c.event.in_([event.value for event in EVENTS]),
        )
        .order_by(LEAF.c.leaf_index)
    )
    for row in connection.execute(query):
        try:
            header = parse_header(row.header)
            payload = parse_canonical(row.payload or "{}")
        except (MalformedError, TypeError):
            raise TamperedError(f"entry {row.leaf_index} is not of the form of one") from None
        if header.resource == record.erasure_id and header.outcome is Outcome.OK:
            yield ErasureEntry(row.leaf_index, header, payload if isinstance(payload, Mapping) else {})
