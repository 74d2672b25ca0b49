"""Guards in `keys.db` itself: a destroyed key stays destroyed, and the ledger only grows.

Owns the triggers, by table. They stop our own mistakes and a careless hand; whoever may write the file can drop
them, which `vault.storage.schema_pins` finds at opening.
"""

from collections.abc import Mapping
from typing import Final


def _refuse(name: str, when: str, table: str, message: str, condition: str = "") -> str:
    guard = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table}{guard} BEGIN SELECT RAISE(ABORT, 'vault: {message}'); END"


_ALIVE_AGAIN: Final = (
    "OLD.state = 'destroyed' AND (NEW.state <> 'destroyed' OR NEW.wrapped <> x'' OR NEW.staged IS NOT NULL)"
)
_SAME_ROW: Final = "EXISTS (SELECT 1 FROM ledger WHERE tenant_id = NEW.tenant_id AND kind = NEW.kind AND digest = NEW.digest)"

KEY_GUARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        _refuse("keys_destroyed_fixed", "UPDATE", "keys", "a destroyed key stays destroyed", _ALIVE_AGAIN),
        _refuse(
            "keys_destroyed_keep",
            "DELETE",
            "keys",
            "the tombstone of a key is never deleted",
            "OLD.state = 'destroyed'",
        ),
        # INSERT OR REPLACE deletes without firing delete triggers.
        _refuse("ledger_once", "INSERT", "ledger", "rows of the ledger are only added", _SAME_ROW),
        _refuse("ledger_keep", "DELETE", "ledger", "rows of the ledger are never deleted"),
        _refuse("ledger_fixed", "UPDATE", "ledger", "rows of the ledger are never changed"),
    ),
}
"""Statements by dialect, run once after the tables are made."""
