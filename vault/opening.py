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

from audit.errors import KeyFileUnsafeError as LogKeyFileUnsafeError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.intent import Intent
from audit.key_file import create_key_file as create_log_key_file
from audit.key_file import load_key_file
from audit.log import AuditLog
from audit.signing import SignerKey
from policies.access import AccessPolicy
from policies.bundle import LOG_RULES, RETENTION_RULES, Bundle
from policies.model import check_id
from policies.privacy import PrivacyRules, parse_privacy_rules
from policies.retention import parse_retention_rules
from vault.assurance import Assurance
from vault.checkpointing import Checkpointer, check_heads
from vault.clock import microseconds, monotonic
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.keyring import Keyring
from vault.crypto.ledger import Ledger
from vault.crypto.root import RootKind
from vault.embedding_worker import EmbeddingWorker
from vault.emergencies import watch_emergencies
from vault.erasure import finish_erasures
from vault.errors import ConflictError, KeyFileUnsafeError, NotFoundError, VaultError
from vault.indexes import Indexes
from vault.intents import Effects
from vault.journal import Journal
from vault.ledger_mirror import mirror
from vault.log_indexes import LogIndexes
from vault.outside import make_anchor, open_outside
from vault.parts import Parts
from vault.privacy.findings import Detector
from vault.privacy.gate import PrivacyGate
from vault.privacy.lazy import LazyDetector
from vault.rebuilding import fill_index
from vault.root_move import settle
from vault.roots import check_root_options, create_root, open_root, root_kind
from vault.sealing import Sealers
from vault.search.embed import MiniLmEmbedder
from vault.shadow import under_trial, watch_trial
from vault.storage.directory import VaultDirectory
from vault.storage.engine import writer_engine
from vault.storage.faults import translated
from vault.storage.group_commit import WriteSet
from vault.storage.migrate import upgrade
from vault.storage.schema import TENANT
from vault.storage.store import Store
from vault.sweeping import Sweeper
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
CHECKPOINT_SECONDS: Final = 5.0
"""Longest time between an entry and its signing."""

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

    def __init__(self, parts: Parts, resources: ExitStack) -> None:
        self.parts = parts
        self._resources = resources
        self._tenants: frozenset[str] = frozenset()

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
            parts = _assemble(directory, passphrase, options, stack)
            vault = cls(parts, stack.pop_all())
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
            AnchorUnusableError: the anchor is not the file that it was.
            OverloadedError: too few witnesses answered, and the policy refuses to serve then.
        """
        tenants = self.parts.store.tenants()
        check_heads(self.parts.store, self.parts.log, tenants)
        self.parts.assurance.check(tenants)
        self.parts.store.drop_vectors_but(self.parts.embedding.model)
        for tenant in tenants:
            fill_index(self.parts, tenant)
        event = self.parts.journal.event
        opening, missing = self.parts.assurance.opening()
        drafts = [event(EventType.POLICY_LOAD, SYSTEM_LOG, {}), opening]
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
        self._resources.callback(watch_emergencies(self.parts).end)
        self._resources.callback(watch_trial(self.parts))


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


def _assemble(
    directory: VaultDirectory, passphrase: str | None, options: VaultOptions, stack: ExitStack
) -> Parts:
    bundle = options.bundle or Bundle.read()
    policy = under_trial(AccessPolicy.load(bundle), options.candidate)
    rules = parse_privacy_rules(bundle.text("privacy.yaml"))
    settle(directory)
    root = open_root(directory, passphrase, options.transit, options.entropy, stack)
    try:
        log_keys = load_key_file(directory.log_key)
    except LogKeyFileUnsafeError as error:
        raise KeyFileUnsafeError(str(error)) from None

    keys_engine = writer_engine(directory.keys)
    stack.callback(keys_engine.dispose)
    with translated():
        upgrade(keys_engine, "keys")
    key_store = SqlKeyStore(keys_engine)
    keyring = Keyring(
        root, key_store, options.clock, options.entropy, monotonic=monotonic, limits=options.key_limits
    )
    stack.callback(keyring.close)
    stack.callback(Sweeper(keyring.sweep, options.key_limits.lease_seconds / 10).end)

    log = AuditLog(log_keys, salt_source=options.entropy, clock=options.clock)
    store = Store(directory.rows, log, options.probe)
    stack.callback(store.close)

    log_indexes = LogIndexes(directory.path, store, log)
    stack.callback(log_indexes.close)
    stack.callback(Sweeper(log_indexes.keep_up, CHECKPOINT_SECONDS).end)

    journal = Journal(store, policy, options.clock)
    outside = open_outside(bundle.text(LOG_RULES), options.outside)
    if outside.anchor is not None:
        stack.callback(outside.anchor.close)
    assurance = Assurance(outside, store, log, journal, options.clock)

    embedder = options.embedder or MiniLmEmbedder()
    indexes = Indexes(embedder)
    sealers = Sealers(keyring)
    worker = EmbeddingWorker(embedder, sealers, store, indexes.add_vector, threads=options.embedding_threads)
    stack.callback(worker.close)
    return Parts(
        store=store,
        keyring=keyring,
        key_store=key_store,
        ledger=Ledger(key_store),
        sealers=sealers,
        gate=PrivacyGate(LazyDetector(lambda: (options.detector or _presidio)(rules)), rules),
        policy=policy,
        retention=parse_retention_rules(bundle.text(RETENTION_RULES)),
        journal=journal,
        log=log,
        indexes=indexes,
        embedding=worker,
        limits=options.limits,
        clock=options.clock,
        entropy=options.entropy,
        probe=options.probe,
        log_indexes=log_indexes,
        verifier_key=log_keys.current.verifier,
        assurance=assurance,
        snapshots=options.snapshots,
        backup_horizon_days=options.backup_horizon_days,
        notifier=options.notifier,
    )


def _presidio(rules: PrivacyRules) -> Detector:
    from vault.privacy.detect import PresidioDetector  # noqa: PLC0415  # 1.3 s that a fake need not pay

    return PresidioDetector(rules)
