"""Another bundle takes the place of the one in force, in a running vault: whole, between calls, or not at all.

Owns the steps, and what has to stay the same. In order:

1. Read: lint, cases, signature (`vault.bundles.source`).
2. Hold it against the pin (`vault.bundles.pins`).
3. See that nothing of it needs what only an opening does: see `_expect_same`.
4. Make the parts that go with it, as long as the old ones decide.
5. Write the entries: who asked (`policy.reload`, under the old bundle), and that the new one is in force.
6. Put the new parts in force, by one assignment. A call that has begun goes on under those that it took.

What refuses a bundle before the fifth step is an entry `policy.refuse`, with its digest and a fixed word, and the old
one stays. A crash between the fifth and the sixth changes nothing: the next opening reads the folder anew, and says so.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome
from audit.evidence import SYSTEM_LOG
from policies.access import AccessPolicy
from policies.bundle import LOG_RULES, PRIVACY_RULES, RETENTION_RULES, Bundle
from policies.errors import PolicyInvalidError, PolicyRefusedError
from policies.log_rules import parse_log_rules
from policies.model import Principal, Purpose, SystemResource
from policies.privacy import parse_privacy_rules
from policies.retention import parse_retention_rules
from vault.bundles.following import InForce
from vault.bundles.pins import Pin, expect_pinned, mirror_pin, pinned
from vault.bundles.source import BundleSource
from vault.bundles.watching import FolderWatch
from vault.errors import ConflictError, VaultError
from vault.grant import Decider, Grant
from vault.journal import Journal
from vault.parts import Parts
from vault.shadow import under_trial, watch_trial
from vault.snapshots import authorise_over_vault


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload."""

    before: str
    """Digest of the bundle that was in force."""
    digest: str
    """Digest of the one that is."""
    name: str | None
    version: int | None

    @property
    def changed(self) -> bool:
        """Whether another bundle is in force."""
        return self.before != self.digest


class Reloads:
    """The bundle of one open vault: which is in force, and how another takes its place.

    Args:
        cell: Where the parts in force stand.
        source: Where bundles come from; None: the vault was opened with one, and takes no other.
        candidate: A bundle on trial, beside whichever is in force.
    """

    def __init__(self, cell: InForce, source: BundleSource | None, candidate: Bundle | None) -> None:
        self._cell: Final = cell
        self._source: Final = source
        self._candidate: Final = candidate
        self._end_trial: Callable[[], None] = _nothing
        self._watch: FolderWatch | None = None

    @property
    def folder_differs(self) -> bool:
        """Whether other files lie in the folder than are in force, as it was found at the last look."""
        return self._watch is not None and self._watch.differs

    def opening(self) -> EntryDraft:
        """Draft the system log's entry of the bundle that is in force from the opening on.

        Raises:
            PolicyInvalidError: with the place of name or version: another or a newer one is pinned.
            TamperedError: the pin is not what was written.
        """
        parts = self._cell.parts
        pin = pinned(parts)
        expect_pinned(parts.bundle, pin)
        return _load(parts.journal, SYSTEM_LOG, parts.bundle, pin, None)

    def start(self) -> None:
        """Mirror the pin, which a crash may have left in the log alone; begin the trial, and to look at the folder."""
        with suppress(VaultError):
            mirror_pin(self._cell.parts)
        self._end_trial = watch_trial(self._cell.parts)
        if self._source is not None:
            self._watch = FolderWatch(self._source, self._cell)

    def end(self) -> None:
        """End what `start` began, and mirror the pin."""
        if self._watch is not None:
            self._watch.end()
        self._end_trial()
        with suppress(VaultError):
            mirror_pin(self._cell.parts)

    def reload_by(self, principal: Principal, purpose: Purpose = Purpose.OPERATIONS) -> Reloaded:
        """Take the bundle that lies in the folder now, for a principal who runs the vault.

        Raises:
            DeniedError: not allowed; the denial is logged.
            ConflictError, PolicyRefusedError: as for `reload`.
        """
        grant = authorise_over_vault(self._cell.parts, principal, purpose, EventType.POLICY_RELOAD)
        return self.reload(grant)

    def reload(self, grant: Grant | None = None) -> Reloaded:
        """Take the bundle that lies in the folder now; None is the vault itself, told by who owns the process.

        Raises:
            ConflictError: the vault was opened without a folder.
            PolicyRefusedError: with file, line and column where one is known; an entry says so, the old one stays.
        """
        if self._source is None:
            raise ConflictError("the vault was opened without a policy folder: there is nothing to reload")
        with self._cell.parts.ruling:
            old = self._cell.parts
            try:
                bundle = self._source.load()
                pin = pinned(old)
                expect_pinned(bundle, pin)
                _expect_same(old, bundle)
                new = self._parts(old, bundle)
            except PolicyInvalidError as error:
                self._refuse(old, error, grant)
                raise PolicyRefusedError(
                    error.reason, file=error.file, line=error.line, column=error.column, code=error.code
                ) from None
            identity = bundle.identity
            reloaded = Reloaded(
                old.bundle.digest,
                bundle.digest,
                None if identity is None else identity.name,
                None if identity is None else identity.version,
            )
            asked = _of_each(old, EventType.POLICY_RELOAD, _told(old, bundle.digest), grant)
            if not reloaded.changed:
                old.journal.write(asked)
                return reloaded
            loads = [
                _load(new.journal, log, bundle, pin if log == SYSTEM_LOG else None, old)
                for log in (SYSTEM_LOG, *old.store.tenants())
            ]
            old.journal.write([*asked, *loads])
            old.probe("policy-told")
            self._cell.parts = new
            old.probe("policy-swapped")
            self._follow(new)
            return reloaded

    def _parts(self, old: Parts, bundle: Bundle) -> Parts:
        policy: Decider = under_trial(AccessPolicy.load(bundle), self._candidate)
        return replace(
            old,
            bundle=bundle,
            policy=policy,
            retention=parse_retention_rules(bundle.text(RETENTION_RULES)),
            journal=Journal(old.store, policy, old.clock),
        )

    def _follow(self, new: Parts) -> None:
        """Have a trial go on beside the new bundle; what it cannot tell of ends nothing."""
        self._end_trial()
        self._end_trial = _nothing
        with suppress(VaultError):
            self._end_trial = watch_trial(new)
        if self._watch is not None:
            self._watch.look()

    def _refuse(self, old: Parts, error: PolicyInvalidError, grant: Grant | None) -> None:
        told: dict[str, JsonValue] = {"kind": "refused", "reason": error.code}
        digest = None if self._source is None else self._source.digest()
        if digest is not None:
            told["candidate"] = digest
        drafts = _of_each(old, EventType.POLICY_REFUSE, told, grant)
        old.journal.write([replace(draft, outcome=Outcome.REFUSED) for draft in drafts])
        if self._watch is not None:
            self._watch.look(told=True)


def _expect_same(old: Parts, bundle: Bundle) -> None:
    """See that what only an opening can change is as it is in the bundle in force.

    - What the privacy gate does: every row says under which gate it was screened, and an opening begins to screen anew.
    - Which witnesses and which anchor the log needs: an opening asks them before it serves.
    - Which scopes the search index has: a call that has begun would search those of the other bundle.

    Raises:
        PolicyInvalidError: one of them differs: the vault has to be opened anew.
    """
    new, now = bundle.text, old.bundle.text
    gate, gate_now = (parse_privacy_rules(of(PRIVACY_RULES)) for of in (new, now))
    policy = AccessPolicy.load(bundle)
    for same, file, what, code in (
        (gate.digest == gate_now.digest, PRIVACY_RULES, "what becomes of personal data", "restart-privacy"),
        (parse_log_rules(new(LOG_RULES)) == parse_log_rules(now(LOG_RULES)), LOG_RULES, "the log's rules", "restart-log"),
        (policy.consent == old.policy.consent, PRIVACY_RULES, "the purposes that need consent", "restart-scopes"),
        (policy.tells_teams == old.policy.tells_teams, "rules/policy.csv", "whether care teams are told apart", "restart-scopes"),
    ):  # fmt: skip
        if not same:
            reason = f"{what} would change: restart the vault to use it"
            raise PolicyInvalidError(reason, file=file, line=1, column=1, code=code)


def _told(old: Parts, digest: str) -> dict[str, JsonValue]:
    return {"before": old.bundle.digest, "candidate": digest}


def _load(journal: Journal, log: str, bundle: Bundle, pin: Pin | None, old: Parts | None) -> EntryDraft:
    """Draft the entry that a bundle is in force, for one log."""
    told: dict[str, JsonValue] = {}
    identity = bundle.identity
    if identity is not None:
        told |= {"bundle": identity.name, "version": identity.version}
    if pin is not None:
        told["pin"] = pin.told()
    if old is not None:
        told["before"] = old.bundle.digest
    return journal.event(EventType.POLICY_LOAD, log, told)


def _of_each(
    parts: Parts, event: EventType, told: dict[str, JsonValue], grant: Grant | None
) -> list[EntryDraft]:
    """Draft one entry for each log: in that of who asked it is theirs, in the others the vault's."""
    where = SystemResource.VAULT.value
    return [
        parts.journal.allowed(grant, told, resource=where, event=event)
        if grant is not None and grant.tenant == log
        else parts.journal.event(event, log, told)
        for log in (SYSTEM_LOG, *parts.store.tenants())
    ]


def _nothing() -> None:
    """End a trial that there is not."""
