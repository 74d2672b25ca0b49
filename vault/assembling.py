"""The parts of an embedded vault, wired: from a directory and options to `Parts`.

Owns what is made of which option, and that each part is ended with the vault. It leaves the order of a vault's life to
`vault.opening`.
"""

from contextlib import ExitStack
from typing import Final

from audit.errors import KeyFileUnsafeError as LogKeyFileUnsafeError
from audit.key_file import load_key_file
from audit.log import AuditLog
from policies.access import AccessPolicy
from policies.bundle import LOG_RULES, PRIVACY_RULES, RETENTION_RULES, Bundle
from policies.privacy import PrivacyRules, parse_privacy_rules
from policies.retention import parse_retention_rules
from vault.assurance import Assurance
from vault.bundles.following import InForce
from vault.clock import monotonic
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.keyring import Keyring
from vault.crypto.ledger import Ledger
from vault.embedding_worker import EmbeddingWorker
from vault.errors import KeyFileUnsafeError
from vault.indexes import Indexes
from vault.journal import Journal
from vault.log_indexes import LogIndexes
from vault.outside import open_outside
from vault.parts import Parts
from vault.privacy.findings import Detector
from vault.privacy.gate import PrivacyGate
from vault.privacy.lazy import LazyDetector
from vault.root_move import settle
from vault.roots import open_root
from vault.sealing import Sealers
from vault.search.embed import MiniLmEmbedder
from vault.shadow import under_trial
from vault.storage.directory import VaultDirectory
from vault.storage.engine import writer_engine
from vault.storage.faults import translated
from vault.storage.migrate import upgrade
from vault.storage.store import Store
from vault.sweeping import Sweeper
from vault.vault_options import VaultOptions

CHECKPOINT_SECONDS: Final = 5.0
"""Longest time between an entry and its signing."""


def assemble(
    directory: VaultDirectory, passphrase: str | None, options: VaultOptions, stack: ExitStack
) -> InForce:
    """Return the cell in which the parts of a vault in a directory stand.

    Raises:
        PolicyInvalidError: the bundle, or the one on trial, cannot be used.
        KeyAccessError: its root key is missing, unsafe or another one.
        StorageError: or one of its kinds: it is damaged, or of a newer version.
    """
    bundle, cell = _bundle(options), InForce()
    policy = under_trial(AccessPolicy.load(bundle), options.candidate)
    rules = parse_privacy_rules(bundle.text(PRIVACY_RULES))
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
    assurance = Assurance(outside, store, log, cell.journal(store, options.clock), options.clock)

    embedder = options.embedder or MiniLmEmbedder()
    indexes = Indexes(embedder)
    sealers = Sealers(keyring)
    worker = EmbeddingWorker(embedder, sealers, store, indexes.add_vector, threads=options.embedding_threads)
    stack.callback(worker.close)
    cell.parts = Parts(
        store=store,
        keyring=keyring,
        key_store=key_store,
        ledger=Ledger(key_store),
        sealers=sealers,
        gate=PrivacyGate(LazyDetector(lambda: (options.detector or _presidio)(rules)), rules),
        bundle=bundle,
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
    return cell


def _bundle(options: VaultOptions) -> Bundle:
    if options.bundle is not None:
        return options.bundle
    return Bundle.read() if options.policies is None else options.policies.load()


def _presidio(rules: PrivacyRules) -> Detector:
    from vault.privacy.detect import PresidioDetector  # noqa: PLC0415  # 1.3 s that a fake need not pay

    return PresidioDetector(rules)
