"""Which keys a payload may have, and what leaves the vault of their values.

Owns the list of payload keys, which docs/audit-log.md repeats, and the one sieve through which payloads
pass on their way to systems that are not ours. It leaves writing payloads to the vault: a test holds
every place that writes one against this list. Pure.

Threat: a SIEM keeps what it was sent for years, outside every erasure. So a payload leaves as ids,
numbers and fixed words or not at all: an unknown key, or a value of another form, is withheld and counted.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from audit.canonical import JsonValue

PAYLOAD_KEYS: Final[Mapping[str, str]] = {
    "about": "what an incident or a review is about, as a fixed word",
    "access_tier": "access tier of what was written",
    "anchor": "digest of which file the anchor is, or none",
    "anchor_bytes": "length of the anchor at the opening",
    "asked": "what a decision was asked: roles, assurance, emergency, action, over what, what of it was allowed, and by which rules",
    "before": "digest of the policy bundle that was in force before",
    "bundle": "name of a policy bundle",
    "by": "what was counted by",
    "candidate": "digest of a policy bundle that is not in force: on trial, refused, or to be taken",
    "case": "id of the case at the institution for which somebody broke the glass",
    "certificate": "SHA-256 of an erasure certificate's text, in hex",
    "class": "id of a retention class",
    "classes": "ids of retention classes",
    "complete": "whether all was covered",
    "count": "how many",
    "counted": "how many entries were counted",
    "counts": "what a job did, by kind, with how many",
    "credentials": "number of credentials",
    "definition": "digest of a pipeline's definition",
    "deployment": "name of the deployment's log key",
    "digests": "digests of the rows that were written",
    "edges": "number of edges",
    "emergency": "id of the emergency access under which it was done",
    "entries": "leaf indexes that an erasure names or a step wrote, or how many entries",
    "episode": "digest of the episode's row",
    "episode_digests": "digests of episodes' rows that were sealed anew",
    "episodes": "ids of episodes",
    "erasure": "id of an erasure",
    "examined": "number of memories looked at",
    "export": "the whole log was exported",
    "findings": "number of findings",
    "fingerprints": "fingerprints of keys",
    "first": "first leaf index of a range",
    "follow": "whether a stream goes on after the end",
    "format": "format of an export",
    "found": "how many entries of a page",
    "from_version": "version of a key that was left",
    "gained": "ids of memories or episodes in which a newer gate masked something",
    "gone": "ids of memories that were removed for good",
    "handover": "note in which a log key says which comes after it",
    "held": "ids of memories that a hold kept, or how many",
    "hold": "id of a hold",
    "holds": "ids of holds",
    "intent": "leaf index of the intent that an outcome belongs to",
    "job": "name of a job",
    "k": "number of memories asked for",
    "keys": "number of keys",
    "kind": "kind of an effect or key",
    "kinds": "kinds of personal data, with how many",
    "left": "what stays of a person after an erasure, by kind, with how many",
    "limit": "most entries of a page",
    "links": "edges: kind, source and target",
    "log": "tenant of a log",
    "matched": "what an erasure takes, by kind, with how many",
    "matter": "id of a legal matter",
    "memories": "ids of memories that were found, read, revealed or changed",
    "missing": "what held the log from outside at an earlier opening, and no more",
    "new": "verifier key that is added",
    "old": "verifier key that is followed",
    "operator": "name and version of an operator",
    "origin": "origin of a log",
    "others": "other persons whom joint memories are about",
    "outcome": "how a run of a job ended",
    "part": "number of the entry among several that belong together",
    "parts": "how many more entries belong to this one",
    "pin": "the least that a policy bundle has to be: number of the pin, name, version, digest",
    "pipeline": "name of a pipeline",
    "plan": "digest of the plan of an erasure",
    "principal": "principal id",
    "purposes": "purposes that a person objects to",
    "query": "keyed hash of a question or value; of a query of the log, its words with free text as keyed hashes",
    "readers": "who read what was exposed, and how often",
    "reason": "reason code",
    "reasons": "reasons of changes",
    "remaining": "rows left under an older version of a key",
    "replayed": "legal holds that a restore had from the ledger",
    "required": "cosignatures that the policy asks for",
    "review": "when a hold is to be reviewed, in microseconds since 1970",
    "reviewed": "whether a person gave this outcome",
    "roles": "roles of a credential",
    "root": "root of a tree, in hex",
    "rows": "number of rows",
    "scope": "what a hold names: a subject, a matter, a query, the tenant",
    "seen": "size at which a witness saw a log",
    "since": "from when something was so, in microseconds since 1970",
    "size": "size of a tree",
    "snapshot": "id of a snapshot",
    "standing": "how a witness stands to a log",
    "start": "first leaf index that was looked at",
    "state": "how a run or one of its steps stands",
    "step": "step of a roll-over or of a run",
    "steps": "number of steps",
    "stop": "leaf index after the last of a range",
    "subjects": "vault ids of subjects",
    "suppressed": "how many rows of a snapshot were not put back",
    "targets": "vault ids that a hold names, or that a repair is about",
    "task": "id of work that was put off",
    "tests": "tests after an erasure: name, result, how many, reason",
    "tier": "memory tier to which memories moved",
    "to_version": "version of a key that follows",
    "tree_size": "size of the tree that an answer speaks of",
    "trust": "trust states of what was written or changed",
    "unreadable": "ids of memories whose row cannot be opened, or how many",
    "unsigned": "entries that no checkpoint had signed",
    "until": "when a lease or a restriction ends, in microseconds since 1970",
    "verdict": "how an emergency access was judged afterwards",
    "verified": "entries that were verified",
    "version": "version of a memory or of a policy bundle",
    "versions": "versions of memories or keys",
    "witness": "name of a witness",
    "witnesses": "names of the witnesses that are asked",
    "written": "ids of memories that came to be",
}
"""Every key that a payload may have, and what it holds: ids, numbers, fixed words and keyed hashes."""

_ID: Final = r"(?![a-z0-9._:/-]*?(?:[0-9][._:/-]?){7})[a-z0-9]++(?:[._:/-][a-z0-9]++)*+"
_VAULT_ID: Final = r"[a-z]{2,12}_[a-z0-9]{8,64}"
_HEX: Final = r"(?:sha256:)?(?:[0-9a-f]{2}){16,64}"
# Sixteen bytes of hash at least: sixteen digits could be the number of a card.
_PLAIN: Final = re.compile(rf"{_VAULT_ID}|{_HEX}|{_ID}", re.ASCII)
_MAX_PLAIN: Final = 160
_MAX_DEPTH: Final = 3


class Outgoing(NamedTuple):
    """What of a payload may leave, and how many of its fields may not."""

    fields: dict[str, JsonValue]
    withheld: int


def outgoing(payload: Mapping[str, JsonValue]) -> Outgoing:
    """Return the fields of a payload that hold nothing but ids, numbers and fixed words."""
    fields = {
        key: value for key, value in sorted(payload.items()) if key in PAYLOAD_KEYS and is_identifying(value)
    }
    return Outgoing(fields, len(payload) - len(fields))


def is_identifying(value: JsonValue, depth: int = _MAX_DEPTH) -> bool:
    """Say whether a value is made of vault ids, plain ids, hashes, fixed words, numbers and truth values."""
    if value is None or isinstance(value, bool | int):
        return True
    if isinstance(value, str):
        return value == "" or (len(value) <= _MAX_PLAIN and _PLAIN.fullmatch(value) is not None)
    if isinstance(value, Mapping):
        return False  # an object has names of its own making
    return depth > 0 and all(is_identifying(item, depth - 1) for item in value)
