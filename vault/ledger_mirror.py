"""Tombstones and holds beside the keys, outside the data and its backups, and back again at a restore.

Owns what a row of the ledger means, and both directions. It leaves the ledger's table to `vault.crypto.ledger`, and
when each direction is due to those who open, erase, snapshot and restore.

Threat: the disk with `vault.db` is lost, and an old snapshot takes its place: it knows nothing of what was erased or
held since. `keys.db`, which is kept apart, does.

A tombstone is mirrored once. A hold is mirrored whenever it changed: the digest is that of its body, and the latest
of its bodies counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select, update

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import MalformedError
from vault.crypto.ledger import LedgerRow
from vault.errors import TamperedError
from vault.parts import Parts
from vault.storage.removal import TombstoneKind
from vault.storage.schema import HOLD, HOLD_TARGET, TOMBSTONE

HOLD_KIND: Final = "hold"
GONE_KINDS: Final = {kind: f"gone-{kind.value}" for kind in TombstoneKind}
_KIND_OF: Final = {word: kind for kind, word in GONE_KINDS.items()}
_PAGE: Final = 500


def mirror(parts: Parts, tenant: str) -> None:
    """Add to the ledger what it does not have yet of a tenant's tombstones and holds.

    Raises:
        StorageError: or one of its kinds: some may be missing still; the next time adds them.
    """
    with parts.store.log_connection(tenant) as connection:
        parts.ledger.add(tenant, list(_hold_rows(connection, tenant)))
        count = select(func.count()).select_from(TOMBSTONE).where(TOMBSTONE.c.tenant_id == tenant)
        standing = connection.execute(count).scalar_one()
        if parts.ledger.count(tenant, tuple(_KIND_OF)) >= standing:
            return  # tombstones are only added, and the ledger has no others than those that once stood here
        tombstones = _tombstone_rows(connection, tenant)
        while some := list(islice(tombstones, _PAGE)):
            parts.ledger.add(tenant, some)


def known_gone(rows: Iterable[LedgerRow]) -> dict[bytes, TombstoneKind]:
    """Return the digests that stand in a ledger, with what each is of."""
    return {row.digest: _KIND_OF[row.kind] for row in rows if row.kind in _KIND_OF}


def replay(connection: Connection, tenant: str, rows: Sequence[LedgerRow]) -> int:
    """Put tombstones and holds of a ledger back that are not there, in the caller's transaction; return how many.

    Raises:
        TamperedError: a row of the ledger is not of the form of one.
    """
    standing = set(
        connection.execute(select(TOMBSTONE.c.digest).where(TOMBSTONE.c.tenant_id == tenant)).scalars()
    )
    missing = [
        {
            "tenant_id": tenant,
            "digest": row.digest,
            "kind": _KIND_OF[row.kind].value,
            "recorded": _number(row.body),
            "leaf_index": row.leaf_index,
        }
        for row in rows
        if row.kind in _KIND_OF and row.digest not in standing
    ]
    if missing:
        connection.execute(TOMBSTONE.insert(), missing)
    return len(missing) + sum(_put_hold(connection, tenant, hold) for hold in _latest(rows))


def lost_holds(connection: Connection, tenant: str, rows: Iterable[LedgerRow]) -> list[dict[str, JsonValue]]:
    """Return the holds of a ledger that the tables lack, or have as they were before: what `replay` puts back.

    Raises:
        TamperedError: a row of the ledger is not of the form of one.
    """
    there = {row.digest for row in _hold_rows(connection, tenant)}
    known = {row.digest for row in rows if row.kind == HOLD_KIND}
    if known <= there:
        return []
    return [body for body in _latest(rows) if sha256(canonical(body).encode()).digest() not in there]


def _tombstone_rows(connection: Connection, tenant: str) -> Iterator[LedgerRow]:
    query = select(TOMBSTONE).where(TOMBSTONE.c.tenant_id == tenant)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield LedgerRow(GONE_KINDS[TombstoneKind(row.kind)], row.digest, str(row.recorded), row.leaf_index)


def _hold_rows(connection: Connection, tenant: str) -> Iterator[LedgerRow]:
    targets: dict[str, list[list[str | int]]] = {}
    for row in connection.execute(
        select(HOLD_TARGET).where(HOLD_TARGET.c.tenant_id == tenant).order_by(*HOLD_TARGET.primary_key)
    ):
        targets.setdefault(row.hold_id, []).append([row.kind, row.target_id, row.leaf_index])
    for row in connection.execute(select(HOLD).where(HOLD.c.tenant_id == tenant)):
        fields = {name: value for name, value in row._mapping.items() if name != "tenant_id"}  # noqa: SLF001  # SQLAlchemy's public name
        body = canonical({**fields, "targets": targets.get(row.hold_id, [])})
        yield LedgerRow(HOLD_KIND, sha256(body.encode()).digest(), body, row.leaf_index)


def _latest(rows: Iterable[LedgerRow]) -> Iterator[dict[str, JsonValue]]:
    """Yield each hold as its latest body has it, with all targets that it ever had."""
    bodies: dict[str, list[dict[str, JsonValue]]] = {}
    for row in rows:
        if row.kind == HOLD_KIND:
            body = _body(row.body)
            bodies.setdefault(str(body["hold_id"]), []).append(body)
    for versions in bodies.values():
        last = max(versions, key=lambda body: _progress(body, len(_targets(body))))
        targets = {(one[0], one[1]): one[2] for body in versions for one in _targets(body)}
        yield {**last, "targets": [[*place, index] for place, index in sorted(targets.items())]}


def _progress(body: Mapping[str, JsonValue], targets: int) -> tuple[bool, int, int, int]:
    """Say how far a hold came: one that was released is never in force again, and targets are only added.

    A hold that names more, or was reviewed, is asked about anew: so who asked counts last.
    """
    asked = -1 if body["asked"] is None else _number(body["asked"])
    return body["released"] is not None, targets, _number(body["review"]), asked


def _put_hold(connection: Connection, tenant: str, body: dict[str, JsonValue]) -> int:
    targets = _targets(body)
    values = {name: value for name, value in body.items() if name != "targets"}
    same = (HOLD.c.tenant_id == tenant) & (HOLD.c.hold_id == body["hold_id"])
    standing = connection.execute(select(HOLD).where(same)).mappings().one_or_none()
    there = {
        (row.kind, row.target_id)
        for row in connection.execute(
            select(HOLD_TARGET).where(
                HOLD_TARGET.c.tenant_id == tenant, HOLD_TARGET.c.hold_id == body["hold_id"]
            )
        )
    }
    changed = 0
    if standing is None:
        connection.execute(HOLD.insert(), [{**values, "tenant_id": tenant}])
        changed = 1
    elif _progress(dict(standing), len(there)) < _progress(values, len(targets)):
        moved = {name: values[name] for name in ("review", "asked_by", "asked", "released_by", "released")}
        connection.execute(update(HOLD).where(same).values(moved))
        changed = 1
    missing = [
        {
            "tenant_id": tenant,
            "hold_id": body["hold_id"],
            "kind": kind,
            "target_id": target,
            "leaf_index": index,
        }
        for kind, target, index in targets
        if (kind, target) not in there
    ]
    if missing:
        connection.execute(HOLD_TARGET.insert(), missing)
    return changed or bool(missing)


def _body(text: str) -> dict[str, JsonValue]:
    try:
        body = parse_canonical(text)
    except MalformedError:
        raise _damaged() from None
    wanted = {column.name for column in HOLD.c if column.name != "tenant_id"} | {"targets"}
    if not isinstance(body, Mapping) or set(body) != wanted:
        raise _damaged()
    return dict(body)


def _targets(body: Mapping[str, JsonValue]) -> list[tuple[str, str, int]]:
    found = body["targets"]
    if not isinstance(found, list):
        raise _damaged()
    try:
        return [(str(kind), str(target), _number(index)) for kind, target, index in found]
    except (TypeError, ValueError):
        raise _damaged() from None


def _number(value: object) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise _damaged()


def _damaged() -> TamperedError:
    return TamperedError("a row of the ledger is not of the form of one")
