"""CloudEvents 1.0.2 in the JSON format, one event a line (NDJSON).

Owns the form: `source` and `id` together are unique for ever, so that a receiver drops what it has had.
Leaf index and tree size are attributes of type String, because a CloudEvents Integer ends at 2^31 - 1.

    {"data":{…},"id":"17","leafhash":"5f…","leafindex":"17","source":"urn:memvault:log:memos-vault/ward-1/clinic-a",
     "specversion":"1.0","subject":"mem_k7f2…","time":"2026-11-22T18:51:27.000001Z","treesize":"20",
     "type":"memvault.memory.write.v1"}
"""

import json

from audit.siem.item import LogItem


def cloud_event_line(item: LogItem) -> str:
    """Return an entry as one line of JSON."""
    header = item.header
    event: dict[str, object] = {
        "data": {
            "action": header.action,
            "decision": header.decision.value,
            "erased_by": item.erased_by,
            "leaf": item.leaf,
            "outcome": header.outcome.value,
            "payload": item.fields,
            "policy": header.policy,
            "principal": header.principal,
            "purpose": header.purpose,
            "tenant": header.tenant,
            "withheld": item.withheld,
        },
        "datacontenttype": "application/json",
        "id": str(item.index),
        "leafhash": item.leaf_hash.hex(),
        "leafindex": str(item.index),
        "source": f"urn:memvault:log:{item.origin}",
        "specversion": "1.0",
        "time": item.time,
        "treesize": str(item.tree_size),
        "type": f"memvault.{header.event}.v1",
    }
    if header.resource is not None:
        event["subject"] = header.resource
    return json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n"
