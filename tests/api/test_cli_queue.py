"""`memvault queue`, `tiers`, `context`, `episode` and `halumem` in this process, and the workers of a server."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from api.assembly import start_workers
from api.settings import Settings
from tests.api.conftest import Memvault
from vault.opening import Vault


@pytest.fixture
def dead(memvault: Memvault, memory_id: str, tmp_path: Path) -> str:
    """A task that is dead, since somebody changed its row."""
    assert memory_id
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as connection, connection:
        connection.execute(
            "INSERT INTO task SELECT tenant_id, 'tsk_' || substr(memory_id, 5), 'organize', 'sub_x', 'agent-1',"
            " 'owner-agent', 'single', 'operations', 'waiting', 1, 0, 'k', 1, 0, 0, '', 0, 0, NULL, NULL, x'00', 0"
            " FROM memory LIMIT 1"
        )
        (task,) = connection.execute("SELECT task_id FROM task").fetchone()
    assert memvault.json("queue", "run", "--seconds", "5")["done"] == 0
    return str(task)


def test_the_queue_is_shown_worked_and_decided_about(memvault: Memvault, dead: str) -> None:
    status = memvault.json("queue", "status")
    told = {(one["kind"], one["state"]): one["tasks"] for one in status["counts"]}
    assert told == {("organize", "dead"): 1, ("organize", "waiting"): 1}
    assert (status["open"], status["depth"]) == (1, 10_000)
    (one,) = memvault.json("queue", "dead")["tasks"]
    assert (one["task"], one["reason"]) == (dead, "tampered")
    assert f"{dead}  organize" in memvault("queue", "dead").stdout
    assert "organize   dead            1" in memvault("queue", "status").stdout
    assert memvault("queue", "retry", dead).stderr.startswith("written at ")
    assert memvault("queue", "run").stderr == "0 tasks done\n"
    assert memvault.json("queue", "discard", dead)["leaf_index"] > 0
    assert memvault("queue", "dead").stderr == "no task is dead\n"
    assert memvault("queue", "discard", dead).exit_code == 6


def test_work_is_put_off_done_and_taken_back(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    text = tmp_path / "note.txt"
    text.write_text("The left knee hurts every morning before breakfast at home.")
    first, second = (
        memvault.json("extract", str(text), "--subject", "berta")["sources"][0]["memory_ids"][0]
        for _ in range(2)
    )
    put = memvault.json("queue", "put", "distil", "--subject", "berta", "--key", "visit 12")
    again = memvault("queue", "put", "distil", "--subject", "berta", "--key", "visit 12")
    assert again.stdout == f"{put['task']}\n"
    assert memvault.json("queue", "run")["done"] == 1
    (made,) = (
        hit["memory"]["id"]
        for hit in memvault.json("retrieve", "left knee breakfast", "--subject", "berta")["hits"]
    )
    assert made not in {first, second, memory_id}
    assert set(memvault.json("queue", "take-back", made)["memories"]) == {first, second}
    assert memvault("queue", "take-back", made).exit_code == 6
    assert memvault("queue", "put", "organize").stdout.startswith("tsk_")
    assert memvault("tiers", "move", first, "reference").exit_code == 0
    assert memvault("jobs", "run", "consistency").exit_code == 0
    bundle = str(tmp_path / "log.tar")
    key = str(memvault.json("audit", "export", bundle)["verifier_key"])
    verified = memvault("audit", "verify", bundle, "--key", key)
    assert verified.exit_code == 0, verified.stdout


def test_tiers_are_shown_and_a_memory_moves(memvault: Memvault, memory_id: str) -> None:
    assert memvault("tiers", "move", memory_id, "reference").stderr.startswith("written at ")
    assert memvault.json("tiers", "move", memory_id, "activation")["leaf_index"] > 0
    assert memvault("tiers", "move", memory_id, "activation").exit_code == 7
    found = memvault.json("tiers", "status")
    counts = {one["tier"]: one["memories"] for one in found["tiers"]}
    assert counts["activation"] == 1
    assert found["at_hand"]["items"] == 2, "warmed when the vault was opened"
    shown = memvault("tiers", "status").stdout
    assert "activation          1 memory" in shown
    assert "at hand     2 fields" in shown


def test_a_context_block_and_a_raw_episode_are_shown_masked(memvault: Memvault, memory_id: str) -> None:
    made = memvault.json("context", "knee", "--tokens", "500", "--subject", "maria")
    assert memory_id in made["memory_ids"]
    assert made["text"].startswith("<memories>")
    shown = memvault("context", "knee")
    assert shown.stdout.startswith("<memories>")
    assert "left out; entry " in shown.stderr
    episode = memvault.json("show", memory_id)["provenance"]["episode_id"]
    read = memvault.json("episode", episode)
    assert read["turns"][0]["id"] == memory_id
    assert not read["more"]
    few = memvault("episode", episode, "-n", "1")
    assert memory_id in few.stdout
    assert "entry " in few.stderr


def test_conversations_are_made_and_systems_scored(memvault: Memvault, tmp_path: Path) -> None:
    out = tmp_path / "made.jsonl"
    assert memvault("halumem", "generate", str(out), "--seed", "3").exit_code == 0
    assert out.stat().st_size > 1_000
    results = tmp_path / "results"
    scored = memvault(
        *("halumem", "run", "--out", str(results), "--file", str(out), "--systems", "nothing,gold")
    )
    assert scored.exit_code == 0
    assert json.loads((results / "report.json").read_text())
    assert memvault("halumem", "run", "--out", str(results), "--systems", "nobody").exit_code == 2
    assert memvault("halumem", "generate", str(tmp_path)).exit_code == 1


def test_a_server_works_the_queue_unless_told_not_to(vault: Vault) -> None:
    assert start_workers(vault, Settings(workers=0)) is None
    workers = start_workers(vault, Settings(workers=2))
    assert workers is not None
    assert workers.end()
