"""The parts of an open vault, as the paths use them."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from audit.log import AuditLog
from audit.signing import VerifierKey
from policies.bundle import Bundle
from policies.retention_model import RetentionRules
from vault.assurance import Assurance
from vault.clock import Clock, Entropy
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.keyring import Keyring
from vault.crypto.ledger import Ledger
from vault.deadlines import Deadlines
from vault.embedding_worker import EmbeddingWorker
from vault.grant import Decider
from vault.indexes import Indexes
from vault.journal import Journal
from vault.log_indexes import LogIndexes
from vault.notices import Notifier
from vault.pipeline.limits import InputLimits
from vault.privacy.gate import PrivacyGate
from vault.sealing import Sealers
from vault.storage.group_commit import Probe
from vault.storage.store import Store
from vault.tiers.windows import ContextWindows
from vault.tile_readers import TileReaders


@dataclass(frozen=True, slots=True)
class SnapshotPlace:
    """Where snapshots of the vault are made."""

    folder: Path
    """Outside the vault's own."""
    keep: int = 7
    """How many of the newest stay."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that one vault is made of; assembled by `vault.opening`."""

    store: Store
    keyring: Keyring
    key_store: SqlKeyStore
    ledger: Ledger
    """What must not come back, outside the data and its backups."""
    sealers: Sealers
    gate: PrivacyGate
    bundle: Bundle
    """The policies in force, as files."""
    policy: Decider
    retention: RetentionRules
    """How long memories are kept."""
    journal: Journal
    log: AuditLog
    indexes: Indexes
    embedding: EmbeddingWorker
    limits: InputLimits
    clock: Clock
    entropy: Entropy
    probe: Probe
    log_indexes: LogIndexes
    verifier_key: VerifierKey
    """Public key of the deployment's log."""
    assurance: Assurance
    """Anchor and witnesses of the logs."""
    tile_readers: TileReaders = field(default_factory=TileReaders)
    snapshots: SnapshotPlace | None = None
    """Where jobs make snapshots; None: they make none."""
    erasing: threading.Lock = field(default_factory=threading.Lock)
    """Held while an erasure is carried on: one at a time."""
    ruling: threading.RLock = field(default_factory=threading.RLock)
    """Held while another bundle takes the place of the one in force, and while one is pinned."""
    backup_horizon_days: int | None = None
    """How long backups of the vault are kept, as whoever runs it says; None: nobody said."""

    notifier: Notifier | None = None
    """How notices reach the officers of a tenant; None: they look at the register."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    windows: ContextWindows = field(default_factory=ContextWindows)
    """What each caller's context blocks held."""

    def origin(self, tenant: str) -> str:
        """Return the origin of a tenant's log, as its checkpoints name it."""
        return self.log.origin(tenant)
