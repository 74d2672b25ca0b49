"""Following the log's keys from those that somebody trusts, by the handovers that stand in the logs.

Owns which keys took over from which, in which log and at which entry. It leaves the form of a handover to
`audit.signing` and judging checkpoints to `audit.verify_log`. A handover needs no trust in where it was
found: both keys signed it. What it is worth depends on which of both was trusted before:

- whoever holds the old key takes the new one, as the old one said who comes after it;
- whoever holds the new key alone learns which key went before. Nothing rests on that one's signatures: a
  checkpoint that the new key signed covers the same entries.

Each key hands over once, and to a key that was not in use before. A second handover of an old key is what
its thief would write.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from audit.canonical import JsonValue
from audit.errors import VerificationError
from audit.note import Note, verify_note
from audit.signing import MAX_RETIRED, Handover, VerifierKey, read_handover
from audit.trust import Trust

_MAX_KNOWN: Final = 64
_STEPS: Final = ("start", "finish")


class Succession:
    """The keys of a verification: those that were given, those after them, those before them."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._after: dict[VerifierKey, VerifierKey] = {}
        self._known: dict[tuple[str, str], tuple[frozenset[VerifierKey], frozenset[VerifierKey]]] = {}

    def add(self, handover: Handover) -> None:
        """Take a handover that both of its keys signed.

        Raises:
            VerificationError: its old key handed over to another, its new key was in use before, or there
                are more than a deployment has.
        """
        old, new = handover.old, handover.new
        if old not in self._after:
            if new in self._after.values() or old in _reached([new], self._after):
                raise VerificationError("handover", expected="one to a new key", got="one to a known one")
            if len(self._after) >= MAX_RETIRED:
                raise VerificationError("handover", expected=f"at most {MAX_RETIRED} of them", got="more")
            self._after[old] = new
            self._known.clear()
        if self._after[old] != new:
            raise VerificationError("handover", expected="one of a key in force", got="a second one of it")

    def names(self, name: str, tenant: str) -> bool:
        """Tell whether keys of this name sign the tenant's log, as far as the keys that were given say."""
        return self._trust.tenant_of(f"{name}/{tenant}") == tenant

    def keys_of(self, origin: str, tenant: str) -> tuple[frozenset[VerifierKey], frozenset[VerifierKey]]:
        """Return, under a log's origin, the keys to believe, and those that went before them."""
        if (origin, tenant) not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[origin, tenant] = self._keys_of(origin, tenant)
        return self._known[origin, tenant]

    def _keys_of(self, origin: str, tenant: str) -> tuple[frozenset[VerifierKey], frozenset[VerifierKey]]:
        links = {
            old.for_log(tenant): new.for_log(tenant)
            for old, new in self._after.items()
            if f"{old.name}/{tenant}" == origin
        }
        back = {new: old for old, new in links.items()}
        given = self._trust.keys_of(origin, tenant)
        believed = frozenset(_reached(given, links))
        return believed, frozenset(_reached(given, back)) - believed


def _reached(given: list[VerifierKey], links: Mapping[VerifierKey, VerifierKey]) -> Iterator[VerifierKey]:
    for start in given:
        key: VerifierKey | None = start
        # `add` lets no circle in.
        while key is not None:
            yield key
            key = links.get(key)


class KeyWatch:
    """What one log says of its keys."""

    def __init__(self, succession: Succession, tenant: str) -> None:
        self._succession = succession
        self._tenant = tenant
        self._handovers: dict[Handover, int] = {}
        self._finished: dict[VerifierKey, int] = {}

    def observe(self, index: int, payload: JsonValue) -> None:
        """Take the payload of a `log.key` entry.

        Raises:
            MalformedError: it holds no handover.
            VerificationError: its handover does not hold.
        """
        told = payload if isinstance(payload, Mapping) else {}
        note, step = told.get("handover"), told.get("step")
        if not isinstance(note, str) or step not in _STEPS:
            raise VerificationError("handover", expected="a step of a roll-over, and its note", got="none")
        handover = read_handover(note.encode(errors="surrogatepass"))
        if (told.get("old"), told.get("new")) != (str(handover.old), str(handover.new)):
            raise VerificationError("handover", expected="the keys of its note", got="others")
        if not self._succession.names(handover.old.name, self._tenant):
            raise VerificationError("handover", expected="one of this deployment", got="another's")
        self._succession.add(handover)
        self._handovers.setdefault(handover, index)
        if step == _STEPS[1]:
            self._finished.setdefault(handover.old, index)

    def strays(self) -> Iterator[int]:
        """Yield entries whose handover is none from or to a key that is believed."""
        for handover, index in self._handovers.items():
            if not self._leads(handover.old):
                yield index

    def put_down(self) -> list[tuple[int, VerifierKey]]:
        """Return the keys, under the log's origin, that were put down, each with the entry that says so."""
        return [
            (index, old.for_log(self._tenant)) for old, index in self._finished.items() if self._leads(old)
        ]

    def followed(self) -> tuple[str, ...]:
        """Return the handovers that count, in words."""
        return tuple(
            f"{handover.old.key_id.hex()} to {handover.new} at entry {index}"
            for handover, index in self._handovers.items()
            if self._leads(handover.old)
        )

    def _leads(self, key: VerifierKey) -> bool:
        named = key.for_log(self._tenant)
        return any(named in keys for keys in self._succession.keys_of(named.name, self._tenant))


def signers(note: Note, keys: frozenset[VerifierKey]) -> frozenset[VerifierKey]:
    """Return those of the keys that signed a note; none where it bears only others' signatures.

    Raises:
        VerificationError: a signature of one of them is wrong.
    """
    known = {(key.name, key.key_id): key for key in keys}
    if not any((one.name, one.key_id) in known for one in note.signatures):
        return frozenset()
    checked = verify_note(note.encode(), keys)
    return frozenset(known[one.name, one.key_id] for one in checked.signatures)
