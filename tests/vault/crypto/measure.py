"""Time sealing and opening: `python -m tests.vault.crypto.measure`. Prints microseconds, best of five."""

import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine

from policies.model import AccessTier
from vault.clock import monotonic, system_clock, system_entropy
from vault.crypto.key_store import KEYS_METADATA, SqlKeyStore
from vault.crypto.keyring import Keyring, TenantKeys
from vault.crypto.local_root import LocalRoot
from vault.crypto.root import RootKind
from vault.crypto.sealed import Binding, SealedField

CALLS = 20_000
ROUNDS = 5
ROW = "mem_" + "a" * 26
VALUE = bytes(200)
FIELDS = tuple(SealedField)[:5]


def microseconds(call: Callable[[], object]) -> float:
    """Return the best time of one call over some rounds."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def calls(keys: TenantKeys) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    anna, ben = (keys.subject_id(name) for name in ("Anna", "Ben"))
    key = keys.sealing_key([anna])
    place = Binding(keys.tenant, ROW, 1, (anna,), AccessTier.PRIVATE, SealedField.TEXT)
    sealed = key.seal(place, VALUE)

    def row(*subjects: str) -> None:
        sealer = keys.sealing_key(subjects).bind(ROW, 1, AccessTier.PRIVATE)
        for field in FIELDS:
            sealer.seal(field, VALUE)

    return {
        "seal one value of 200 bytes": lambda: key.seal(place, VALUE),
        "open it, key looked up": lambda: keys.open(place, sealed),
        "seal 5 fields of a row, key looked up": lambda: row(anna),
        "the same under a joint key of two": lambda: row(anna, ben),
        "token key of a subject": lambda: keys.token_key(anna),
        "vault id of a name": lambda: keys.subject_id("Anna"),
    }


def main() -> None:
    """Measure over a key store on disk."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'keys.db'}")
        KEYS_METADATA.create_all(engine)
        root = LocalRoot(system_entropy(32), RootKind.FILE, system_entropy)
        with Keyring(root, SqlKeyStore(engine), system_clock, system_entropy, monotonic) as keyring:
            for name, call in calls(keyring.establish("clinic")).items():
                print(f"{microseconds(call):8.2f} µs  {name}")  # noqa: T201  # its output
        engine.dispose()


if __name__ == "__main__":
    main()
