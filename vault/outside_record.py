"""What an opening says of what holds the log from outside, and what an earlier opening had that this one lacks.

Owns the `vault.open` entry of the system log: whether there is an anchor and which, the witnesses that are asked
and how many must cosign, and what went missing. It leaves the anchor to `audit.anchor`, and what is enough to
`policies.log_rules`.

Threat: an anchor that is optional, and a witness without a URL, stop nothing where somebody starts the vault with
other settings. That it was so before, and is so no more, then stands in the log, and is told until it is mended.
"""

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import bindparam, select

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EntryDraft, EventType
from audit.evidence import SYSTEM_LOG
from audit.store import LEAF
from vault.journal import Journal
from vault.outside import Outside
from vault.storage.store import Store

NO_ANCHOR: Final = "none"
ANCHOR: Final = "anchor"
"""In the list of what is missing; a witness stands there by its name, whose form has a dot or a slash or neither."""
FEWER: Final = "required"
RETIRED: Final = "retired"
"""Standing of an anchor that an administrator gave up; see `vault.anchor_retirement`."""
_LAST: Final = (
    select(LEAF.c.leaf_index, LEAF.c.payload)
    .where(LEAF.c.tenant_id == SYSTEM_LOG, LEAF.c.event == EventType.VAULT_OPEN.value)
    .order_by(LEAF.c.leaf_index.desc())
    .limit(1)
)
_SINCE: Final = select(LEAF.c.payload).where(
    LEAF.c.tenant_id == SYSTEM_LOG,
    LEAF.c.event == EventType.LOG_WITNESS.value,
    LEAF.c.leaf_index > bindparam("index"),
)


@dataclass(frozen=True, slots=True)
class Held:
    """What holds the logs from outside, as an opening found it."""

    anchor: str
    """Digest of which file it is; `none` where there is none."""
    witnesses: tuple[str, ...]
    """Names of those that are asked."""
    required: int
    missing: tuple[str, ...] = ()
    """What an earlier opening had and this one lacks: `anchor`, `required`, or `witness` and a name."""
    anchor_bytes: int = 0
    """Length of the anchor; the same file is never shorter later."""

    @classmethod
    def of(cls, outside: Outside) -> "Held":
        """Return what an opened vault is given."""
        names = sorted(witness.key.name for witness in outside.witnesses)
        held = cls(NO_ANCHOR, tuple(names), outside.rules.required)
        if outside.anchor is None:
            return held
        return replace(held, anchor=outside.anchor.identity, anchor_bytes=outside.anchor.length)

    def after(self, earlier: "Held | None") -> "Held":
        """Return the same, with what is missing since an earlier opening.

        A missing anchor is told until there is one again or it was given up, a witness that is asked no more once.
        """
        if earlier is None:
            return self
        anchored = earlier.anchor != NO_ANCHOR or ANCHOR in earlier.missing
        missing = [ANCHOR] if anchored and self.anchor == NO_ANCHOR else []
        missing += [f"witness {name}" for name in earlier.witnesses if name not in self.witnesses]
        missing += [FEWER] if self.required < earlier.required else []
        return replace(self, missing=tuple(missing))

    def entry(self, journal: Journal) -> EntryDraft:
        """Draft the entry of the opening."""
        return journal.event(
            EventType.VAULT_OPEN,
            SYSTEM_LOG,
            {
                "anchor": self.anchor,
                "anchor_bytes": self.anchor_bytes,
                "missing": list(self.missing),
                "required": self.required,
                "witnesses": list(self.witnesses),
            },
        )

    @property
    def told(self) -> tuple[str, ...]:
        """What is missing, in words."""
        return tuple(_words(one) for one in self.missing)


def _words(missing: str) -> str:
    if missing == ANCHOR:
        return "an earlier opening had an anchor, this one has none"
    if missing == FEWER:
        return "an earlier opening asked for more cosignatures"
    return f"an earlier opening asked the {missing}, this one does not"


def earlier_opening(store: Store) -> Held | None:
    """Return what the last opening found; None where its entry does not say, as those of earlier versions."""
    with store.log_connection(SYSTEM_LOG) as connection:
        last = connection.execute(_LAST).one_or_none()
        later = [] if last is None else connection.execute(_SINCE, {"index": last.leaf_index}).scalars().all()
    held = None if last is None else _held(_parsed(last.payload))
    retired = any(_retires(_parsed(payload)) for payload in later)
    return replace(held, missing=_without_anchor(held)) if held is not None and retired else held


def _without_anchor(held: Held) -> tuple[str, ...]:
    return tuple(one for one in held.missing if one != ANCHOR)


def _retires(told: JsonValue) -> bool:
    return told == {"missing": [ANCHOR], "standing": RETIRED}


def _parsed(payload: object) -> JsonValue:
    try:
        return parse_canonical(payload) if isinstance(payload, str) else None
    except MalformedError:  # verification says so
        return None


def _held(told: JsonValue) -> Held | None:
    match told:
        case {
            "anchor": str(anchor),
            "missing": list(missing),
            "required": int(required),
            "witnesses": list(names),
            **others,
        }:
            length = others.get("anchor_bytes")  # not in entries of before it was noted
            length = length if isinstance(length, int) else 0
            return Held(anchor, _texts(names), required, _texts(missing), length)
        case _:
            return None


def _texts(values: list[JsonValue]) -> tuple[str, ...]:
    return tuple(one for one in values if isinstance(one, str))
