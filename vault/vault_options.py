"""What may differ between two openings of one vault; the edge fills it from its settings.

Owns the values alone. What is made of them is `vault.opening`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from policies.bundle import Bundle
from policies.privacy import PrivacyRules
from vault.bundles.source import BundleSource
from vault.clock import Clock, Entropy, system_clock, system_entropy
from vault.crypto.keyring import KeyLimits
from vault.crypto.transit_place import TransitPlace
from vault.notices import Notifier
from vault.outside import Places
from vault.parts import SnapshotPlace
from vault.pipeline.limits import InputLimits
from vault.privacy.findings import Detector
from vault.search.embed import Embedder
from vault.storage.group_commit import Probe, no_probe

DetectorFactory = Callable[[PrivacyRules], Detector]


@dataclass(frozen=True, slots=True)
class VaultOptions:
    """What may differ between two openings of one vault."""

    limits: InputLimits = field(default_factory=InputLimits)
    key_limits: KeyLimits = field(default_factory=KeyLimits)
    bundle: Bundle | None = None
    """None reads the one of `policies`, or those that ship with the program."""
    policies: BundleSource | None = None
    """Folder from which a running vault may take another bundle; None: it takes no other."""
    candidate: Bundle | None = None
    """A bundle on trial: it decides beside the active one, and the log says where it differs; None: there is none."""
    detector: DetectorFactory | None = None
    """None is Presidio with our recognizers."""
    embedder: Embedder | None = None
    """None is the shipped sentence embedder."""
    embedding_threads: int = 1
    clock: Clock = system_clock
    entropy: Entropy = system_entropy
    probe: Probe = no_probe
    outside: Places = field(default_factory=Places)
    """Where the log's anchor and witnesses are."""
    backup_horizon_days: int | None = None
    """How long backups of the vault are kept; erasure certificates name it. None: nobody says."""
    snapshots: SnapshotPlace | None = None
    """Where jobs make snapshots; None: they make none."""
    transit: TransitPlace | None = None
    """The transit key that is the root, and how to reach it; None where the root is a key file."""
    notifier: Notifier | None = None
    """How officers are told at once of an emergency access; None: they look at the register."""
