"""The vault as a system under test of the harness in `../shared/bench`; run in a process of its own.

    python ../shared/bench/bench.py perf mem0 memos \
        --adapter api/bench/peer_adapter.py:MemosVault --python .venv/bin/python

The harness hands over its embedder: in mode "own" vectors come from a file, so that only the vault's cost
is seen. An `add` returns when the memory is durable and found by its words; its dense vector follows.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# The harness runs this file from a folder of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from policies.model import Principal, Purpose, Role
from vault.errors import NotFoundError
from vault.memos import MemOS
from vault.model import Chat, Turn
from vault.opening import LocalRootWarning, Vault, VaultOptions

TENANT = "bench"


class _One(Protocol):
    def one(self, text: str) -> NDArray[np.float32]:
        """Return the vector of one text."""
        ...


class _Shared:
    """The harness' embedder behind the vault's protocol."""

    name = "shared/1"
    dimensions = 384

    def __init__(self, embed: _One) -> None:
        self._embed = embed

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text."""
        return np.stack([self._embed.one(text) for text in texts])


class MemosVault:
    """Each user of the harness is an owner of its own; `delete` is not there yet: erasure is a later issue."""

    def __init__(self, root: str, embed: _One) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LocalRootWarning)
            folder = Path(root) / "vault"
            options = VaultOptions(embedder=_Shared(embed))
            self._vault = (
                Vault.open(folder, options=options)
                if folder.exists()
                else Vault.create(folder, tenant=TENANT, options=options)
            )
        self._owners: dict[str, MemOS] = {}

    def add(self, text: str, user: str, id: str) -> str:  # noqa: A002  # the harness' names
        """Write a turn and return its memory's id."""
        speaker, _, said = text.partition(": ")
        turn = Turn(speaker, said, ref=id) if said.strip() else Turn("", text, ref=id)
        return self._owner(user).extract(Chat((turn,)), subject=user or None).memory_ids[0]

    def search(self, query: str, user: str, k: int) -> list[tuple[str, str]]:
        """Return the caller's ids and the masked texts of the best memories."""
        hits = self._owner(user).retrieve(query, k=k).hits
        return [(hit.memory.provenance.ref or "", hit.memory.text) for hit in hits]

    def get(self, native_id: str, user: str) -> str | None:
        """Return a memory of this user, masked; None if it is not theirs."""
        try:
            return self._owner(user).get(native_id).text
        except NotFoundError:
            return None

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    def _owner(self, user: str) -> MemOS:
        if user not in self._owners:
            name = f"u{len(self._owners)}"
            principal = Principal(name, TENANT, frozenset({Role.OWNER_AGENT}))
            self._owners[user] = MemOS(self._vault, principal=principal, purpose=Purpose.TREATMENT)
        return self._owners[user]
