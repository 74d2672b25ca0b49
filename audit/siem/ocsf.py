"""OCSF events, version 1.8.0 (https://schema.ocsf.io/1.8.0), one JSON object a line.

Owns the mapping from events of the log to OCSF classes:

| events | class | why |
|---|---|---|
| `memory.*`, `audit.read`, `audit.query`, `audit.lookup` | Datastore Activity 6005 | data was read, written or searched |
| `principal.login` | Authentication 3002 | a credential was shown |
| `principal.create`, `principal.revoke` | Account Change 3001 | a credential was made or taken back |
| `policy.load`, `key.*`, `log.key`, `log.witness` | Entity Management 3004 | a thing that is managed has changed |
| `vault.init`, `vault.open` | Application Lifecycle 6002 | installed, started |
| `audit.export`, `log.checkpoint`, `log.forensics`, `payload.erase` | Event Log Activity 1008 | something was done to the log itself |
| `vault.read`, `effect.*`, and whatever is new | API Activity 6003 | a call with no class of its own |

Of 6003 and 6005 the schema requires a source endpoint, which the log does not record: it is given as
unknown (`type_id` 0) and not made up. No value is a name or an address; ids are vault ids.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from audit.canonical import JsonValue
from audit.event import Header, Outcome
from audit.siem.item import PRODUCT, LogItem

OCSF_VERSION: Final = "1.8.0"
_OTHER: Final = 99
_CATEGORIES: Final = {
    1: "System Activity",
    3: "Identity & Access Management",
    6: "Application Activity",
}


class OcsfClass(NamedTuple):
    """An event class."""

    uid: int
    name: str


DATASTORE: Final = OcsfClass(6005, "Datastore Activity")
AUTHENTICATION: Final = OcsfClass(3002, "Authentication")
ACCOUNT: Final = OcsfClass(3001, "Account Change")
ENTITY: Final = OcsfClass(3004, "Entity Management")
LIFECYCLE: Final = OcsfClass(6002, "Application Lifecycle")
EVENT_LOG: Final = OcsfClass(1008, "Event Log Activity")
API: Final = OcsfClass(6003, "API Activity")


class Activity(NamedTuple):
    """An activity of a class; 99 where the class has none of that name."""

    kind: OcsfClass
    uid: int
    name: str


ACTIVITIES: Final[Mapping[str, Activity]] = {
    "memory.write": Activity(DATASTORE, 5, "Write"),
    "memory.read": Activity(DATASTORE, 1, "Read"),
    "memory.search": Activity(DATASTORE, 4, "Query"),
    "memory.reveal": Activity(DATASTORE, _OTHER, "Reveal"),
    "memory.update": Activity(DATASTORE, 2, "Update"),
    "memory.organize": Activity(DATASTORE, 2, "Update"),
    "memory.promote": Activity(DATASTORE, 2, "Update"),
    "memory.expire": Activity(DATASTORE, 7, "Delete"),
    "memory.move": Activity(DATASTORE, _OTHER, "Move"),
    "memory.quarantine": Activity(DATASTORE, _OTHER, "Quarantine"),
    "memory.rescreen": Activity(DATASTORE, 2, "Update"),
    "memory.review": Activity(DATASTORE, _OTHER, "Review"),
    "care-team.change": Activity(ENTITY, 3, "Update"),
    "emergency.start": Activity(ENTITY, 10, "Activate"),
    "emergency.stop": Activity(ENTITY, 11, "Deactivate"),
    "emergency.review": Activity(ENTITY, 2, "Read"),
    "hold.place": Activity(ENTITY, 1, "Create"),
    "hold.release": Activity(ENTITY, 11, "Deactivate"),
    "hold.review": Activity(ENTITY, 2, "Read"),
    "subject.plan": Activity(DATASTORE, 4, "Query"),
    "subject.erase": Activity(DATASTORE, 7, "Delete"),
    "subject.report": Activity(DATASTORE, 1, "Read"),
    "subject.consent": Activity(ENTITY, 3, "Update"),
    "subject.restrict": Activity(ENTITY, 3, "Update"),
    "pipeline.run": Activity(DATASTORE, _OTHER, "Pipeline"),
    "pipeline.step": Activity(DATASTORE, _OTHER, "Pipeline step"),
    "audit.read": Activity(DATASTORE, 1, "Read"),
    "audit.query": Activity(DATASTORE, 4, "Query"),
    "audit.lookup": Activity(DATASTORE, 4, "Query"),
    "audit.export": Activity(EVENT_LOG, 3, "Export"),
    "payload.erase": Activity(EVENT_LOG, _OTHER, "Erase payload"),
    "log.checkpoint": Activity(EVENT_LOG, _OTHER, "Sign checkpoint"),
    "log.forensics": Activity(EVENT_LOG, _OTHER, "Examine"),
    "log.key": Activity(ENTITY, 3, "Update"),
    "log.witness": Activity(ENTITY, 3, "Update"),
    "policy.load": Activity(ENTITY, 10, "Activate"),
    "policy.pin": Activity(ENTITY, 3, "Update"),
    "policy.refuse": Activity(ENTITY, 2, "Read"),
    "policy.reload": Activity(ENTITY, 3, "Update"),
    "policy.shadow": Activity(ENTITY, 2, "Read"),
    "key.create": Activity(ENTITY, 1, "Create"),
    "key.read": Activity(ENTITY, 2, "Read"),
    "key.rotate": Activity(ENTITY, 3, "Update"),
    "key.rewrap": Activity(ENTITY, 3, "Update"),
    "key.reencrypt": Activity(DATASTORE, 9, "Encrypt"),
    "key.migrate": Activity(ENTITY, 3, "Update"),
    "key.destroy": Activity(ENTITY, 4, "Delete"),
    "principal.login": Activity(AUTHENTICATION, 1, "Logon"),
    "principal.create": Activity(ACCOUNT, 1, "Create"),
    "principal.revoke": Activity(ACCOUNT, 5, "Disable"),
    "task.dead": Activity(API, _OTHER, "Fail work"),
    "task.decide": Activity(API, _OTHER, "Decide on work"),
    "task.queue": Activity(API, _OTHER, "Put work off"),
    "vault.init": Activity(LIFECYCLE, 1, "Install"),
    "vault.open": Activity(LIFECYCLE, 3, "Start"),
    "vault.repair": Activity(API, 3, "Update"),
    "vault.read": Activity(API, 2, "Read"),
    "snapshot.create": Activity(DATASTORE, _OTHER, "Snapshot"),
    "snapshot.delete": Activity(DATASTORE, 7, "Delete"),
    "snapshot.restore": Activity(DATASTORE, _OTHER, "Restore"),
    "snapshot.verify": Activity(DATASTORE, 1, "Read"),
    "job.run": Activity(API, _OTHER, "Run job"),
    "job.pause": Activity(API, _OTHER, "Pause job"),
    "incident.open": Activity(API, _OTHER, "Open incident"),
    "effect.intent": Activity(API, _OTHER, "Intend"),
    "effect.outcome": Activity(API, _OTHER, "Conclude"),
}
_UNCLASSED: Final = Activity(API, _OTHER, "Other")

_SEVERITY: Final[Mapping[Outcome, tuple[int, str]]] = {
    Outcome.OK: (1, "Informational"),
    Outcome.NOT_FOUND: (2, "Low"),
    Outcome.REFUSED: (2, "Low"),
    Outcome.DENIED: (3, "Medium"),
    Outcome.FAILED: (3, "Medium"),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_Shape = dict[str, object]


def ocsf_line(item: LogItem) -> str:
    """Return an entry as one line of JSON."""
    return json.dumps(ocsf_event(item), sort_keys=True, separators=(",", ":")) + "\n"


def ocsf_event(item: LogItem) -> _Shape:
    """Return an entry as an OCSF event."""
    header = item.header
    activity = ACTIVITIES.get(header.event.value, _UNCLASSED)
    severity_id, severity = _SEVERITY[header.outcome]
    type_uid = activity.kind.uid * 100 + activity.uid
    event: _Shape = {
        "activity_id": activity.uid,
        "activity_name": activity.name,
        "category_name": _CATEGORIES[activity.kind.uid // 1000],
        "category_uid": activity.kind.uid // 1000,
        "class_name": activity.kind.name,
        "class_uid": activity.kind.uid,
        "message": f"{header.event} {header.outcome}",
        "metadata": _metadata(item),
        "raw_data": item.leaf,
        "raw_data_hash": {
            "algorithm": "RFC 6962 leaf",
            "algorithm_id": _OTHER,
            "value": item.leaf_hash.hex(),
        },
        "raw_data_size": len(item.leaf),
        "severity": severity,
        "severity_id": severity_id,
        "status": "Success" if item.succeeded else "Failure",
        "status_code": header.outcome.value,
        "status_id": 1 if item.succeeded else 2,
        "time": (header.time - _EPOCH) // timedelta(milliseconds=1),
        "type_name": f"{activity.kind.name}: {activity.name}",
        "type_uid": type_uid,
        "unmapped": {"memvault": _own(item)},
    }
    # The lifecycle class takes an actor only under the profile of a host, which the log knows nothing of.
    who = {} if activity.kind is LIFECYCLE else {"actor": _actor(header)}
    return event | who | _PARTS[activity.kind](item)


def _metadata(item: LogItem) -> _Shape:
    return {
        "event_code": item.header.event.value,
        "log_name": item.origin,
        "log_provider": PRODUCT,
        "original_time": item.time,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": item.version},
        "sequence": item.index,
        "tenant_uid": item.header.tenant,
        "uid": item.uid,
        "version": OCSF_VERSION,
    }


def _actor(header: Header) -> _Shape:
    """Return who acted, with the decision and the policy bundle that made it."""
    return {
        "authorizations": [{"decision": header.decision.value, "policy": {"uid": header.policy}}],
        "user": {"type_id": 0, "uid": header.principal},
    }


def _own(item: LogItem) -> dict[str, JsonValue]:
    """Return what OCSF has no attribute for."""
    header = item.header
    own: dict[str, JsonValue] = {
        "action": header.action,
        "decision": header.decision.value,
        "leaf_hash": item.leaf_hash.hex(),
        "leaf_index": item.index,
        "origin": item.origin,
        "policy": header.policy,
        "principal": header.principal,
        "purpose": header.purpose,
        "resource": header.resource,
        "tree_size": item.tree_size,
        "withheld": item.withheld,
    }
    if item.fields is not None:
        own["payload"] = dict(item.fields)
    if item.erased_by is not None:
        own["erased_by"] = item.erased_by
    return own


def _datastore(item: LogItem) -> _Shape:
    name = item.origin if item.header.event.value.startswith("audit.") else PRODUCT
    return {
        "database": {"name": name, "type": "memory vault", "type_id": _OTHER, "uid": item.header.tenant},
        "src_endpoint": _UNKNOWN_ENDPOINT,
        "type": "Database",
        "type_id": 1,
    }


def _authentication(item: LogItem) -> _Shape:
    return {"service": {"name": PRODUCT, "uid": item.origin}, "user": _user(item)}


def _account(item: LogItem) -> _Shape:
    return {"user": _user(item)}


def _user(item: LogItem) -> _Shape:
    """Return whom it is about: the payload's principal where an administrator acted, with its credential."""
    named = (item.fields or {}).get("principal", item.header.principal)
    about = named if item.header.event.value != "principal.login" else item.header.principal
    user: _Shape = {"type_id": 0, "uid": about}
    return user | {"credential_uid": item.header.resource} if item.header.resource else user


def _entity(item: LogItem) -> _Shape:
    header, fields = item.header, item.fields or {}
    if header.event.value == "policy.load":
        entity: _Shape = {
            "policy": {"is_applied": True, "uid": header.policy},
            "type": "Policy",
            "type_id": 5,
        }
        return {"entity": entity | {"uid": header.policy}}
    name = header.resource or fields.get("key") or fields.get("witness") or header.event.value
    return {"entity": {"type": header.event.value.partition(".")[0], "type_id": _OTHER, "uid": str(name)}}


def _lifecycle(item: LogItem) -> _Shape:
    return {"app": {"name": PRODUCT, "uid": item.origin, "vendor_name": PRODUCT, "version": item.version}}


def _event_log(item: LogItem) -> _Shape:
    return {"log_name": item.origin, "log_provider": PRODUCT, "log_type": "Audit", "log_type_id": _OTHER}


def _api(item: LogItem) -> _Shape:
    return {
        "api": {"operation": item.header.event.value, "service": {"name": PRODUCT}},
        "src_endpoint": _UNKNOWN_ENDPOINT,
    }


_UNKNOWN_ENDPOINT: Final = {"name": "not recorded", "type_id": 0}
_PARTS: Final[Mapping[OcsfClass, Callable[[LogItem], _Shape]]] = {
    DATASTORE: _datastore,
    AUTHENTICATION: _authentication,
    ACCOUNT: _account,
    ENTITY: _entity,
    LIFECYCLE: _lifecycle,
    EVENT_LOG: _event_log,
    API: _api,
}
