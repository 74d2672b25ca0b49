"""Bounds of the keyring: how many keys are in the clear, for how long, and how much each may seal."""

from dataclasses import dataclass

from vault.crypto.aead import MAX_SUBJECTS
from vault.errors import InputInvalidError


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Bounds of the keyring."""

    leased_keys: int = 4096
    """Keys in the clear at one time, at least as many as one memory can have subjects."""
    lease_seconds: float = 300.0
    """How long a key stays in the clear; also how late another process may notice a rotation."""
    seals: int = 2**40
    """Seals by one key version. Random 192-bit nonces would bear 2**80 (C2SP); this bounds what one key exposes."""
    seal_block: int = 4096
    """Seals reserved by one durable write."""

    def __post_init__(self) -> None:
        if (
            self.leased_keys < MAX_SUBJECTS
            or self.lease_seconds <= 0
            or self.seals < 1
            or self.seal_block < 1
        ):
            raise InputInvalidError(f"expected at least {MAX_SUBJECTS} leased keys and positive limits")
