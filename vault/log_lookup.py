"""Whether the log knows a value: for an auditor who holds one and must not read the others.

Owns the forms in which a value may stand in the log, the search for them, and the entry that tells of it.
The log holds no content, so a value stands there, if at all, as one of these:

- `subject`: the vault id of a subject of that name, a keyed hash of the name's normal form;
- `query`: the keyed hash of a question, or of free text in a query of the log, in exactly these words;
- `id`: itself, where it is an id that the log shows anyway (a principal, a memory, a credential); words that
  the log is written in, such as purposes and actions, stand elsewhere and are not found;
- `text`: itself, in a place where no value should be. A find of this kind is a leak, and an alarm.

Tokens (`[PERSON-k7f2qa]`) stand in no entry, so a value is not looked up as one.

Threat: who may look values up may try out a list of names. So each look-up is an entry before it is
answered, with the keyed hash of the value, and there are `MOST_A_MINUTE` for a tenant, counted in the
log itself, so that neither a restart nor a second session starts the count anew.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue, canonical
from audit.event import EventType, is_id
from audit.evidence import StoredEntry
from audit.log import Leaf
from audit.selection import count_erased, count_since, entries_holding
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import microseconds
from vault.errors import IdentifierInvalidError, InputInvalidError, OverloadedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_stream import checked
from vault.parts import Parts
from vault.storage.group_commit import WriteSet

MAX_VALUE: Final = 1_024
MOST_A_MINUTE: Final = 30
MAX_FOUND: Final = 1_000
SPAN: Final = 250_000
"""Entries that one look-up goes through."""
_SHORTEST_TEXT: Final = 4
"""A shorter value stands in hashes and times by chance."""

_VAULT_ID: Final = re.compile(r"[a-z]{2,12}_[a-z0-9]{8,64}", re.ASCII)
_LOG: Final = SystemResource.AUDIT_LOG.value
# Threat: an id may be any word. Only where an id stands, a word is one: `treatment` is a purpose of many entries.
_ID_FIELDS: Final = ("principal", "resource")
_FIXED: Final = frozenset(SystemResource)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An entry that knows the value, and as what."""

    index: int
    event: EventType
    forms: tuple[str, ...]
    """`subject`, `query`, `id` or `text`."""


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """What a look-up came to."""

    occurrences: tuple[Occurrence, ...]
    start: int
    stop: int
    """The entries in `[start, stop)` were gone through."""
    tree_size: int
    complete: bool
    """Whether that is the whole log from `start`; otherwise go on at `stop`."""
    erased: int
    """Entries in that range whose payload was erased: what they said is not known."""


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    text: str = field(repr=False)


class LogLookup:
    """Looks values up in one vault's logs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def find(self, principal: Principal, purpose: Purpose, value: str, *, start: int = 0) -> LookupAnswer:
        """Return the entries of the principal's log that know a value.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            InputInvalidError: the value is empty or too long, or `start` is out of range.
            OverloadedError: too many look-ups within a minute.
            TamperedError: an entry that was found is not what its leaf says.
        """
        grant = self._authorise(principal, purpose)
        wanted = value.strip()
        if not wanted or len(value) > MAX_VALUE or start < 0 or not _is_text(value):
            raise InputInvalidError(
                f"expected a value of 1 to {MAX_VALUE} characters and a start of at least 0"
            )
        self._expect_patience(grant.tenant)
        forms = tuple(self._forms(grant.tenant, wanted, value))
        answer = self._search(grant.tenant, forms, start)
        payload: dict[str, JsonValue] = {
            "complete": answer.complete,
            "count": len(answer.occurrences),
            "query": self._parts.sealers.query_digest(grant.tenant, wanted),
            "start": answer.start,
            "stop": answer.stop,
            "tree_size": answer.tree_size,
        }
        draft = self._parts.journal.allowed(grant, payload, resource=_LOG, event=EventType.AUDIT_LOOKUP)

        def count(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            # Its own entry stands there by now.
            self._expect_fewer(connection, grant.tenant, MOST_A_MINUTE + 1)

        # Threat: many at one time, each of which counts before any of them has its entry.
        self._parts.store.submit(WriteSet(drafts=[draft], changes=[count]))
        return answer

    def _forms(self, tenant: str, value: str, given: str) -> Iterator[_Form]:
        sealers = self._parts.sealers
        try:
            (subject,) = sealers.subject_ids(tenant, (value,))
            yield _Form("subject", f'"{subject}"')
        except IdentifierInvalidError:
            pass  # nothing that could be a subject's name
        for words in dict.fromkeys((value, given)):
            yield _Form("query", sealers.query_digest(tenant, words))
        if _VAULT_ID.fullmatch(value):
            yield _Form("id", f'"{value}"')
        elif is_id(value):
            if value not in _FIXED:
                yield from (_Form("id", f'"{name}":"{value}"') for name in _ID_FIELDS)
        elif len(value) >= _SHORTEST_TEXT:
            yield _Form("text", canonical(value)[1:-1])

    def _search(self, tenant: str, forms: Sequence[_Form], start: int) -> LookupAnswer:
        log = self._parts.log
        with self._parts.store.log_connection(tenant) as connection:
            size = log.head(connection, tenant).size
            span = range(start, max(start, min(size, start + SPAN)))
            found = entries_holding(connection, tenant, [form.text for form in forms], span, MAX_FOUND + 1)
            stop = span.stop if len(found) <= MAX_FOUND else found[MAX_FOUND].index
            erased = count_erased(connection, tenant, range(start, stop))
        return LookupAnswer(
            occurrences=tuple(_occurrence(entry, forms, tenant) for entry in found[:MAX_FOUND]),
            start=start,
            stop=stop,
            tree_size=size,
            complete=stop >= size,
            erased=erased,
        )

    def _expect_patience(self, tenant: str) -> None:
        """Refuse before anything is searched; whether it holds is seen once more when the entry is written."""
        with self._parts.store.log_connection(tenant) as connection:
            self._expect_fewer(connection, tenant, MOST_A_MINUTE)

    def _expect_fewer(self, connection: Connection, tenant: str, most: int) -> None:
        since = microseconds(self._parts.clock() - timedelta(minutes=1))
        if count_since(connection, tenant, EventType.AUDIT_LOOKUP, since) >= most:
            raise OverloadedError(f"more than {MOST_A_MINUTE} look-ups within a minute: wait")

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=_LOG)
            raise


def _is_text(value: str) -> bool:
    """Say whether a value is Unicode text: no half of a surrogate pair, which stands in no entry."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _occurrence(entry: StoredEntry, forms: Sequence[_Form], tenant: str) -> Occurrence:
    header, _payload = checked(entry, entry.index, tenant)
    standing = f"{entry.header}\n{entry.payload or ''}"
    return Occurrence(
        entry.index, header.event, tuple(dict.fromkeys(form.name for form in forms if form.text in standing))
    )
