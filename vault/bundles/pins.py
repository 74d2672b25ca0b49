"""The pin: below which version no bundle is used, whoever puts its files there.

Owns what a pin is, where it stands and what it refuses. It leaves reading bundles to `vault.bundles.source`, and the
ledger's table to `vault.crypto.ledger`.

A pin is an entry of the system log, and counts from then on. Each opening and each reload repeats the pin in its own
entry, so that only the entries since have to be looked at. Beside that it stands in the ledger, with the keys: where
the data is lost and an old snapshot takes its place, the log knows of no pin, and the ledger does. Of two, that with
the higher number counts. Who can write to the data and to the keys can take both back; the anchored log shows it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import select

from audit.canonical import JsonValue, canonical, parse_canonical
from audit.errors import MalformedError
from audit.event import EntryDraft, EventType
from audit.evidence import SYSTEM_LOG, StoredEntry
from audit.log import Leaf
from audit.selection import latest_of
from audit.store import LEAF
from policies.bundle import Bundle
from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY, START, Identity, Place
from policies.model import Principal, Purpose, SystemResource
from vault.crypto.ledger import LedgerRow
from vault.errors import ConflictError, TamperedError, VaultError
from vault.grant import Grant
from vault.log_stream import checked
from vault.parts import Parts
from vault.snapshots import authorise_over_vault
from vault.storage.group_commit import WriteSet

PIN_KIND: Final = "policy-pin"


@dataclass(frozen=True, slots=True)
class Pin:
    """The least that a bundle has to be."""

    number: int
    """From 1, one more with each pin of the vault."""
    name: str
    version: int
    digest: str

    def told(self) -> list[JsonValue]:
        """Return it as entries and the ledger tell it."""
        return [self.number, self.name, self.version, self.digest]


def pin_told(told: JsonValue) -> Pin:
    """Return the pin that an entry or the ledger tells.

    Raises:
        TamperedError: it tells none.
    """
    match told:
        case [int(number), str(name), int(version), str(digest)]:
            return Pin(number, name, version, digest)
    raise TamperedError("a pin of the policies is not of the form of one")


def pinned(parts: Parts) -> Pin | None:
    """Return the pin that is in force; None where none is.

    Raises:
        TamperedError: an entry, or the ledger, is not what was written.
    """
    known = [
        _logged(parts),
        *(pin_told(_parsed(row.body)) for row in parts.ledger.rows(SYSTEM_LOG, PIN_KIND)),
    ]
    return max((pin for pin in known if pin is not None), key=lambda pin: pin.number, default=None)


def expect_pinned(bundle: Bundle, pin: Pin | None) -> None:
    """See that a bundle is at least what is pinned.

    Raises:
        PolicyInvalidError: with the place of its name or version: it is older, another one of the same version or of
            another name, or says no version.
    """
    if pin is None:
        return
    identity = bundle.identity
    if identity is None:
        raise _refused(f"expected name and version: {pin.name} {pin.version} is pinned", "pin-unversioned")
    if identity.name != pin.name:
        reason = f"expected the name that is pinned, {pin.name}"
        raise _refused(reason, "pin-other-name", identity.name_at)
    if identity.version < pin.version:
        reason = f"expected at least version {pin.version}, which is pinned, got {identity.version}"
        raise _refused(reason, "pin-older", identity.version_at)
    if identity.version == pin.version and bundle.digest != pin.digest:
        reason = f"expected another version than {pin.version}: other files are pinned as it"
        raise _refused(reason, "pin-other-files", identity.version_at)


def mirror_pin(parts: Parts) -> None:
    """Have the pin stand in the ledger, too.

    Raises:
        VaultError: or one of its kinds: it may be missing there; the next opening or closing adds it.
    """
    pin = pinned(parts)
    if pin is not None:
        body = canonical(pin.told())
        # Its leaf may be another after a restore: the number tells pins apart.
        parts.ledger.add(SYSTEM_LOG, [LedgerRow(PIN_KIND, sha256(body.encode()).digest(), body, -1)])


class Pins:
    """Pins versions of the policies, for who runs the vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def show(self, principal: Principal, purpose: Purpose = Purpose.OPERATIONS) -> Pin | None:
        """Return the pin in force; that somebody looked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose)
        pin = pinned(self._parts)
        told: dict[str, JsonValue] = {"kind": "pin", "count": int(pin is not None)}
        self._parts.journal.note(grant, told, resource=SystemResource.VAULT.value)
        return pin

    def pin(
        self,
        principal: Principal,
        bundle: Bundle | None = None,
        purpose: Purpose = Purpose.OPERATIONS,
        *,
        replace: bool = False,
    ) -> tuple[Pin, Leaf]:
        """Pin a bundle's version, by default that of the bundle in force; return where the entry stands.

        Args:
            principal: Who.
            bundle: A bundle that the vault may use.
            purpose: Why.
            replace: Take the place also of a pin of a higher version, of other files or of another name.

        Raises:
            DeniedError: not allowed; the denial is logged.
            PolicyInvalidError: it says no version.
            ConflictError: what is pinned is newer, or another bundle; nothing was changed.
        """
        parts = self._parts
        grant = self._authorise(principal, purpose)
        chosen = bundle or parts.bundle
        identity = _identity(chosen)
        with parts.ruling:
            before = pinned(parts)
            if not replace:
                try:
                    expect_pinned(chosen, before)
                except PolicyInvalidError as error:
                    raise ConflictError(f"{error}: replace the pin if that is meant") from None
            number = 1 if before is None else before.number + 1
            pin = Pin(number, identity.name, identity.version, chosen.digest)
            leaf = parts.store.submit(WriteSet(drafts=self._drafts(grant, pin, replaced=replace)))[0]
            parts.probe("policy-pinned")
            with suppress(VaultError):  # the entry counts; closing and opening mirror it, too
                mirror_pin(parts)
        return pin, leaf

    def _drafts(self, grant: Grant, pin: Pin, *, replaced: bool) -> list[EntryDraft]:
        """Draft the entry of who pinned, and the vault's own in the log that openings look at."""
        told: dict[str, JsonValue] = {"kind": "replaced" if replaced else "pinned", "pin": pin.told()}
        journal, where = self._parts.journal, SystemResource.VAULT.value
        return [
            journal.allowed(grant, told, resource=where, event=EventType.POLICY_PIN),
            journal.event(EventType.POLICY_PIN, SYSTEM_LOG, told),
        ]

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        return authorise_over_vault(self._parts, principal, purpose, EventType.POLICY_PIN)


def _identity(bundle: Bundle) -> Identity:
    identity = bundle.identity
    if identity is None:
        raise _refused("expected name and version: what has none cannot be pinned", "version-missing")
    return identity


def _logged(parts: Parts) -> Pin | None:
    """Return the pin that the system log tells: of an entry since the last opening or reload, or repeated in that."""
    with parts.store.log_connection(SYSTEM_LOG) as connection:
        loaded = latest_of(connection, SYSTEM_LOG, EventType.POLICY_LOAD, holding="", limit=1)
        since = select(LEAF.c.leaf_index).where(
            LEAF.c.tenant_id == SYSTEM_LOG,
            LEAF.c.event == EventType.POLICY_PIN.value,
            LEAF.c.leaf_index > (loaded[0].index if loaded else -1),
        )
        later = bool(connection.execute(since.limit(1)).first())
        found = loaded
        if later:
            found = latest_of(connection, SYSTEM_LOG, EventType.POLICY_PIN, holding="", limit=1)
    payload = _payload(found[0]) if found else {}
    return pin_told(payload["pin"]) if "pin" in payload else None


def _payload(stored: StoredEntry) -> Mapping[str, JsonValue]:
    return checked(stored, stored.index, SYSTEM_LOG)[1] or {}


def _parsed(body: str) -> JsonValue:
    try:
        return parse_canonical(body)
    except MalformedError:
        raise TamperedError("a row of the ledger is not of the form of one") from None


def _refused(reason: str, code: str, at: Place = START) -> PolicyInvalidError:
    return PolicyInvalidError(reason, file=IDENTITY, line=at.line, column=at.column, code=code)
