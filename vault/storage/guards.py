"""Guards in the database itself over what may only grow: tombstones, holds and emergencies that nobody drops.

Owns the triggers of `vault.db` beside those of the audit log (`audit.store`). They stop our own mistakes and a
careless hand; whoever may write the file can drop them, which `vault.storage.schema_pins` finds at opening.
"""

from collections.abc import Mapping
from typing import Final


def _refuse(name: str, when: str, table: str, message: str, condition: str) -> str:
    guard = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table}{guard} BEGIN SELECT RAISE(ABORT, 'vault: {message}'); END"


_SAME_TOMBSTONE: Final = (
    "EXISTS (SELECT 1 FROM tombstone WHERE tenant_id = NEW.tenant_id AND digest = NEW.digest"
    " AND (kind <> NEW.kind OR leaf_index <> NEW.leaf_index OR recorded <> NEW.recorded))"
)
_FIXED_OF_HOLD: Final = (
    "NEW.tenant_id <> OLD.tenant_id OR NEW.hold_id <> OLD.hold_id OR NEW.scope <> OLD.scope"
    " OR NEW.placed_by <> OLD.placed_by OR NEW.placed <> OLD.placed OR NEW.leaf_index <> OLD.leaf_index"
    # Two people: who released is neither who placed the hold nor who asked for the release.
    " OR (NEW.released_by IS NOT NULL AND (NEW.asked_by IS NULL"
    " OR NEW.released_by IN (NEW.asked_by, NEW.placed_by)))"
    " OR (OLD.released IS NOT NULL)"
)
_SAME_EMERGENCY: Final = (
    "EXISTS (SELECT 1 FROM emergency WHERE tenant_id = NEW.tenant_id AND emergency_id = NEW.emergency_id)"
)
_FIXED_OF_EMERGENCY: Final = (
    "NEW.tenant_id <> OLD.tenant_id OR NEW.emergency_id <> OLD.emergency_id"
    " OR NEW.principal_id <> OLD.principal_id OR NEW.reason <> OLD.reason OR NEW.case_id <> OLD.case_id"
    " OR NEW.purpose <> OLD.purpose OR NEW.started <> OLD.started OR NEW.until <> OLD.until"
    " OR NEW.leaf_index <> OLD.leaf_index"
    # What was written once stays: an end, a notice, a judgement.
    " OR (OLD.stopped IS NOT NULL AND (NEW.stopped IS NOT OLD.stopped OR NEW.stopped_by IS NOT OLD.stopped_by))"
    " OR (OLD.noticed IS NOT NULL AND NEW.noticed IS NOT OLD.noticed)"
    # Two people: who judges an emergency is not who declared it, and judges what is over.
    " OR (NEW.reviewed IS NOT NULL AND (NEW.stopped IS NULL OR NEW.reviewed_by IS NULL OR NEW.verdict IS NULL"
    " OR NEW.reviewed_by = NEW.principal_id))"
    " OR (OLD.reviewed IS NOT NULL)"
)

LIFE_GUARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        # INSERT OR REPLACE deletes without firing delete triggers.
        _refuse("tombstone_once", "INSERT", "tombstone", "tombstones are only added", _SAME_TOMBSTONE),
        _refuse("tombstone_keep", "DELETE", "tombstone", "tombstones are never deleted", ""),
        _refuse("tombstone_fixed", "UPDATE", "tombstone", "tombstones are never changed", ""),
        _refuse("hold_keep", "DELETE", "hold", "holds are released, never deleted", ""),
        _refuse("hold_fixed", "UPDATE", "hold", "holds are released by two people", _FIXED_OF_HOLD),
        _refuse("hold_target_keep", "DELETE", "hold_target", "targets of holds are never deleted", ""),
        _refuse("hold_target_fixed", "UPDATE", "hold_target", "targets of holds are never changed", ""),
        # INSERT OR REPLACE would forget who was judged for what.
        _refuse("emergency_once", "INSERT", "emergency", "emergencies are only added", _SAME_EMERGENCY),
        _refuse("emergency_keep", "DELETE", "emergency", "emergencies are never deleted", ""),
        _refuse(
            "emergency_fixed", "UPDATE", "emergency", "emergencies are judged by another", _FIXED_OF_EMERGENCY
        ),
    ),
}
"""Statements by dialect, run once after the tables are made."""
