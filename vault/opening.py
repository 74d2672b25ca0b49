"""Making and opening an embedded vault: a directory, one process at a time.

Owns the order in which parts come to life and end. What is configurable is passed in as
`VaultOptions`; the edge fills it from its settings, a program that embeds the vault from its own.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from platformdirs import user_data_path

from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.intent import Intent
from audit.key_file import create_key_file as create_log_key_file
from audit.signing import SignerKey
from policies.model import Principal, Purpose, check_id
from vault.assembling import CHECKPOINT_SECONDS, assemble
from vault.bundles.following import InForce
from vault.bundles.reloading import Reloaded, Reloads
from vault.checkpointing import Checkpointer, check_heads
from vault.clock import microseconds
from vault.crypto.root import RootKind
from vault.emergencies import watch_emergencies
from vault.erasure import finish_erasures
from vault.errors import ConflictError, NotFoundError, VaultError
from vault.intents import Effects
from vault.ledger_mirror import mirror
from vault.outside import make_anchor
from vault.parts import Parts
from vault.rebuilding import fill_index
from vault.roots import check_root_options, create_root, root_kind
from vault.storage.directory import VaultDirectory
from vault.storage.group_commit import WriteSet
from vault.storage.schema import TENANT
from vault.tiers.warming import warm
from vault.vault_options import VaultOptions

__all__ = [
    "CHECKPOINT_SECONDS",
    "DEPLOYMENT",
    "LocalRootWarning",
    "OutsideMissingWarning",
    "Vault",
    "VaultOptions",
    "default_path",
    "open_default",
]

DEPLOYMENT: Final = "embedded"
LOG_SEED_BYTES: Final = 32

_BESIDE_THE_DATA: Final = (
    "the root key lies in a file beside the data: whoever copies both reads everything;"
    " use a passphrase, or keep root.key on another volume"
)


class LocalRootWarning(UserWarning):
    """A root key was made beside the data that it protects."""


class OutsideMissingWarning(UserWarning):
    """An anchor or a witness held the logs at an earlier opening, and does no more."""


class Vault(AbstractContextManager["Vault"]):
    """An open vault, shared by all principals of this process."""

    def __init__(self, cell: InForce, policies: Reloads, resources: ExitStack) -> None:
        self._cell = cell
        self._policies = policies
        self._resources = resources
        self._tenants: frozenset[str] = frozenset()

    @property
    def parts(self) -> Parts:
        """The parts in force; a reload of the policies puts others there, so a call takes them once."""
        return self._cell.parts

    @parts.setter
    def parts(self, parts: Parts) -> None:
        self._cell.parts = parts

    @property
    def lasting(self) -> Parts:
        """The parts for what outlives calls and decides nothing: its entries name the bundle in force by then."""
        return self._cell.lasting()

    @property
    def policy_differs(self) -> bool:
        """Whether other policy files lie in the folder than are in force; nobody uses them before a reload."""
        return self._policies.folder_differs

    def reload_policy(
        self, principal: Principal | None = None, purpose: Purpose = Purpose.OPERATIONS
    ) -> Reloaded:
        """Take the policies that lie in the folder now; calls that have begun end under those before.

        Args:
            principal: Who asks, and has to be allowed to run the vault; None: who owns the process.
            purpose: Why.

        Raises:
            DeniedError: not allowed; the denial is logged.
            ConflictError: the vault was opened without a folder.
            PolicyRefusedError: with file, line and column; an entry says so, and those in force stay.
        """
        return self._policies.reload() if principal is None else self._policies.reload_by(principal, purpose)

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        tenant: str,
        deployment: str = DEPLOYMENT,
        passphrase: str | None = None,
        options: VaultOptions | None = None,
    ) -> "Vault":
        """Make a vault in a new or empty directory, with its first tenant, and open it.

        Raises:
            ConflictError: something is there already.
            RequestInvalidError: the tenant id is not acceptable.
            InputInvalidError: the passphrase is too short or too long; nothing was made.
            KeyAccessError: the root is a transit key, and cannot be used.
            StorageError: it cannot be written.
        """
        check_id("tenant", tenant)
        check_id("deployment", deployment)
        if tenant == SYSTEM_LOG:
            raise ConflictError(f"the tenant id {SYSTEM_LOG} is the system log's")
        chosen = options or VaultOptions()
        check_root_options(passphrase, chosen.transit)
        directory = VaultDirectory(path)
        directory.create()
        make_anchor(chosen.outside)
        create_root(directory, passphrase, chosen.transit, chosen.entropy)
        create_log_key_file(
            directory.log_key, SignerKey.for_deployment(deployment, chosen.entropy(LOG_SEED_BYTES))
        )
        if root_kind(directory) is RootKind.FILE:
            warnings.warn(_BESIDE_THE_DATA, LocalRootWarning, stacklevel=2)
        vault = cls._open(directory, passphrase, chosen, new=True)
        try:
            vault.add_tenant(tenant)
            directory.finish()
        except BaseException:
            vault.close()
            raise
        return vault

    @classmethod
    def open(
        cls, path: Path, *, passphrase: str | None = None, options: VaultOptions | None = None
    ) -> "Vault":
        """Open the vault in a directory.

        Raises:
            NotFoundError: there is none.
            VaultInUseError: another process has it open.
            KeyAccessError: its root key is missing, unsafe or another one.
            TamperedError: its schema, or a log, is not what was made.
            StorageError: or one of its kinds: it is damaged, or of a newer version.
        """
        return cls._open(VaultDirectory(path), passphrase, options or VaultOptions(), new=False)

    @classmethod
    def open_to_restore(cls, path: Path, passphrase: str | None, options: VaultOptions) -> "Vault":
        """Open a vault whose rows were put back from a snapshot, for `vault.restoring` alone.

        What was erased since the snapshot may be there still.

        Raises:
            VaultError: or one of its kinds: see `open`.
        """
        return cls._open(VaultDirectory(path), passphrase, options, new=False, restoring=True)

    @classmethod
    def _open(
        cls,
        directory: VaultDirectory,
        passphrase: str | None,
        options: VaultOptions,
        *,
        new: bool,
        restoring: bool = False,
    ) -> "Vault":
        if not new:
            directory.expect()
        with ExitStack() as stack:
            stack.callback(directory.hold().release)
            if not new:
                directory.check(restoring=restoring)
            cell = assemble(directory, passphrase, options, stack)
            vault = cls(cell, Reloads(cell, options.policies, options.candidate), stack.pop_all())
        try:
            vault._start()
        except BaseException:
            vault.close()
            raise
        return vault

    def add_tenant(self, tenant: str) -> None:
        """Add an institution: its keys, its row and the first entries of its log.

        Raises:
            ConflictError: it is there already.
        """
        check_id("tenant", tenant)
        if tenant == SYSTEM_LOG or tenant in self.parts.store.tenants():
            raise ConflictError("the tenant is there already")
        self.parts.sealers.establish(tenant)
        created = microseconds(self.parts.clock())
        self.parts.store.submit(
            WriteSet(
                drafts=[
                    self.parts.journal.event(EventType.POLICY_LOAD, tenant, {}),
                    self.parts.journal.event(
                        EventType.VAULT_INIT, tenant, {"deployment": self.parts.verifier_key.name}
                    ),
                ],
                rows=[(TENANT, {"tenant_id": tenant, "created": created})],
            )
        )

    def require_tenant(self, tenant: str) -> None:
        """See that a tenant is known here.

        Raises:
            NotFoundError: it is not; an unknown tenant is no accepted write that nobody can find.
        """
        if tenant not in self._tenants:
            self._tenants = frozenset(self.parts.store.tenants())
        if tenant not in self._tenants:
            raise NotFoundError("there is no such tenant here")

    def load_models(self) -> None:
        """Load detector and embedder now rather than at the first call.

        Raises:
            StoreCorruptError: a model file is absent or not the pinned one.
        """
        self.parts.gate.stamp  # noqa: B018  # made when it is asked for
        self.parts.indexes.load()

    def unmatched_intents(self) -> dict[str, tuple[Intent, ...]]:
        """Return the intents of effects outside the database that have no outcome, by log; empty where none is.

        Raises:
            TamperedError: an entry of an effect is not what its leaf says.
        """
        effects = Effects(self.parts)
        found = {log: effects.unmatched(log) for log in (SYSTEM_LOG, *self.parts.store.tenants())}
        return {log: intents for log, intents in found.items() if intents}

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every memory has its dense vector."""
        return self.parts.embedding.drain(timeout)

    def before_close(self, end: Callable[[], object]) -> None:
        """Have something that works over this vault, such as a timetable, ended before anything of it is."""
        self._resources.callback(end)

    def close(self) -> None:
        """End the workers, close the store, wipe the keys, let go of the directory."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mirror(self) -> None:
        """Have tombstones and holds stand beside the keys, too; what cannot be is tried at the next opening."""
        with suppress(VaultError):
            for tenant in self.parts.store.tenants():
                mirror(self.parts, tenant)

    def _start(self) -> None:
        """Check the logs, rebuild the indexes from sealed rows, write the opening into each log and sign it.

        Raises:
            TamperedError: a log is not what was signed, anchored or witnessed; nothing was appended to it.
            PolicyInvalidError: another bundle is pinned, or a newer one; the same.
            AnchorUnusableError: the anchor is not the file that it was.
            OverloadedError: too few witnesses answered, and the policy refuses to serve then.
        """
        tenants = self.parts.store.tenants()
        check_heads(self.parts.store, self.parts.log, tenants)
        self.parts.assurance.check(tenants)
        loaded = self._policies.opening()
        self.parts.store.drop_vectors_but(self.parts.embedding.model)
        for tenant in tenants:
            fill_index(self.parts, tenant)
            warm(self.parts, tenant, len(tenants))
        event = self.parts.journal.event
        opening, missing = self.parts.assurance.opening()
        drafts = [loaded, opening]
        for tenant in tenants:
            drafts += [event(EventType.POLICY_LOAD, tenant, {}), event(EventType.VAULT_OPEN, tenant, {})]
        self.parts.journal.write(drafts)
        for one in missing:  # after the entry: it is told whatever becomes of the warning
            warnings.warn(f"{one}: what it would have caught may pass", OutsideMissingWarning, stacklevel=4)
        checkpointer = Checkpointer(
            self.parts.store,
            self.parts.log,
            policy_digest=lambda: self.parts.policy.digest,
            tenants=self.parts.store.tenants,
            seconds=CHECKPOINT_SECONDS,
            signed=self.parts.assurance.publish,
        )
        self._resources.callback(self.parts.assurance.end)
        self._resources.callback(checkpointer.end)
        self._resources.callback(self._mirror)
        self._mirror()
        self.parts.assurance.start()
        checkpointer.sign_now()
        finish_erasures(self.parts, tenants)
        self._resources.callback(watch_emergencies(self.lasting).end)
        self._resources.callback(self._policies.end)
        self._policies.start()


def open_default(tenant: str) -> Vault:
    """Open the embedded vault in the user's data directory; make it if there is none.

    Raises:
        VaultError: it cannot be opened or made.
    """
    path = default_path()
    try:
        return Vault.open(path)
    except NotFoundError:
        return Vault.create(path, tenant=tenant)


def default_path() -> Path:
    """Return where an embedded vault lies if nobody says otherwise."""
    return user_data_path("memos-vault", appauthor=False) / "vault"
