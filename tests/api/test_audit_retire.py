"""Giving an anchor up, as an operator does: told until it is said, and never after."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from api import assembly
from api.settings import Settings
from tests.api.conftest import Memvault
from vault.opening import OutsideMissingWarning, VaultOptions
from vault.outside import Places


def told(memvault: Memvault, *command: str) -> tuple[int, int]:
    """Return the exit code, and how many warnings of something missing there were."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutsideMissingWarning)
        code = int(memvault("audit", *command).exit_code)
    return code, sum(one.category is OutsideMissingWarning for one in caught)


def test_an_anchor_is_given_up_by_command(
    memvault: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = assembly.vault_options

    def anchored(settings: Settings) -> VaultOptions:
        return replace(plain(settings), outside=Places(anchor=settings.anchor_file))

    monkeypatch.setattr(assembly, "vault_options", anchored)
    path = str(tmp_path / "elsewhere.anchor")
    assert told(memvault, "retire-anchor") == (7, 0), "there is none to be missed"
    assert told(memvault, "anchor", path) == (0, 0)
    monkeypatch.setenv("MEMVAULT_ANCHOR_FILE", path)
    assert told(memvault, "checkpoint") == (0, 0)
    assert told(memvault, "retire-anchor") == (7, 0), "it is there"
    monkeypatch.delenv("MEMVAULT_ANCHOR_FILE")
    assert told(memvault, "checkpoint") == (0, 1)
    assert told(memvault, "retire-anchor", "--role", "auditor", "--purpose", "audit") == (4, 1)
    assert told(memvault, "retire-anchor") == (0, 1)
    assert told(memvault, "checkpoint") == (0, 0)
    assert told(memvault, "retire-anchor") == (7, 0), "it was given up before"
    monkeypatch.setenv("MEMVAULT_ANCHOR_FILE", path)
    assert told(memvault, "checkpoint") == (0, 0)
    monkeypatch.delenv("MEMVAULT_ANCHOR_FILE")
    with pytest.warns(OutsideMissingWarning):
        leaf = memvault.json("audit", "retire-anchor")
    assert set(leaf) == {"leaf_index", "leaf_hash"}
    assert told(memvault, "verify") == (0, 0)
