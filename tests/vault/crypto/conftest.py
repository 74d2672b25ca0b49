"""Fixtures of the crypto tests: a root, a real key store on disk, and clocks that stand still."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from vault.clock import Entropy
from vault.crypto.key_store import KEYS_METADATA, SqlKeyStore
from vault.crypto.keyring import KeyLimits, Keyring
from vault.crypto.local_root import LocalRoot
from vault.crypto.root import RootKind


class CountedEntropy:
    """Bytes that look random, differ at each call and are the same in each run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(size)


@pytest.fixture
def entropy() -> Entropy:
    return CountedEntropy("test")


@pytest.fixture
def root(entropy: Entropy) -> LocalRoot:
    return LocalRoot(b"r" * 32, RootKind.FILE, entropy)


@pytest.fixture
def keys_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    KEYS_METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(keys_engine: Engine) -> SqlKeyStore:
    return SqlKeyStore(keys_engine)


@pytest.fixture
def ticks() -> list[float]:
    """The monotonic clock: one number that a test may raise."""
    return [0.0]


MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def make_keyring(
    root: LocalRoot, store: SqlKeyStore, entropy: Entropy, ticks: list[float]
) -> Iterator[MakeKeyring]:
    """Make keyrings over the same store; all are closed at the end."""
    with ExitStack() as stack:

        def make(limits: KeyLimits | None = None, over: LocalRoot | None = None) -> Keyring:
            def clock() -> datetime:
                return datetime(2026, 11, 22, 12, tzinfo=UTC)

            return stack.enter_context(Keyring(over or root, store, clock, entropy, lambda: ticks[0], limits))

        yield make


@pytest.fixture
def keyring(make_keyring: MakeKeyring) -> Keyring:
    return make_keyring()
