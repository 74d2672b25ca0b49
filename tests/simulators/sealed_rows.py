"""Short ways to seal, count and destroy, for tests of keys."""

from sqlalchemy import Engine, func, select, update

from policies.model import AccessTier
from vault.crypto.key_record import KeyState
from vault.crypto.key_store import KEYS
from vault.crypto.keyring import TenantKeys
from vault.crypto.sealed import Binding, Sealed, SealedField

ROW = "mem_" + "a" * 26


def place(keys: TenantKeys, *subjects: str, field: SealedField = SealedField.TEXT) -> Binding:
    """Return a place in one row about these subjects."""
    return Binding(keys.tenant, ROW, 1, tuple(sorted(subjects)), AccessTier.PRIVATE, field)


def seal(keys: TenantKeys, *subjects: str) -> tuple[Binding, Sealed]:
    """Seal `text` about these subjects; return where and what."""
    binding = place(keys, *subjects)
    return binding, keys.sealing_key(subjects).seal(binding, b"text")


def rows(engine: Engine) -> int:
    """Count the keys in a store."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(KEYS)).scalar_one()


def destroy(engine: Engine, subject: str) -> None:
    """Leave a tombstone of each of a subject's keys, as the erasure job will."""
    with engine.begin() as connection:
        gone = update(KEYS).where(KEYS.c.subject_id == subject)
        connection.execute(gone.values(state=KeyState.DESTROYED, wrapped=b""))
