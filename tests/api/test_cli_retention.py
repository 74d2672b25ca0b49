"""The command line in this process: classes of memories, why each is kept, and decisions about them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.api.conftest import Memvault


def test_classes_and_their_ends_are_shown(memvault: Memvault, memory_id: str) -> None:
    shown = memvault.json("retention", "list")
    general = next(one for one in shown["classes"] if one["retention_class"] == "general")
    assert (general["term"], general["starts"], general["then"], general["known"]) == (
        "P10Y",
        "last-used",
        "ask",
        True,
    )
    assert sum(one["memories"] for one in shown["classes"]) == 4
    told = memvault("retention", "list")
    assert "P10Y from event, then archive to finance-archive" in told.stdout
    assert memvault.json("retention", "due")["classes"] == []
    assert memvault("retention", "due").stderr == "nothing is due\n"
    assert memory_id not in told.stdout


def test_a_memory_is_explained(memvault: Memvault, memory_id: str) -> None:
    shown = memvault.json("retention", "explain", memory_id)
    told = memvault("retention", "explain", memory_id).stdout
    assert shown["memory_id"] == memory_id
    for value in (shown["retention_class"], shown["rule"], shown["ends"]):
        assert value in told
    hold = memvault.json(
        "hold",
        "place",
        "matter",
        "--matter",
        "m-1",
        "--memory",
        memory_id,
        "--reason-code",
        "audit",
        "--review",
        "2090-01-01",
    )["hold"]
    assert memvault.json("retention", "explain", memory_id)["holds"] == [hold]
    assert hold in memvault("retention", "explain", memory_id).stdout
    assert memvault("retention", "explain", memory_id, "--role", "auditor").exit_code == 4
    assert memvault("retention", "explain", "mem_" + "0" * 26).exit_code == 6
    assert memvault("retention", "explain", "all").exit_code == 2


def _bring_up(tmp_path: Path, memory_id: str) -> None:
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as file, file:
        file.execute("UPDATE memory SET trust = 'disputed' WHERE memory_id = ?", (memory_id,))


def test_what_waits_is_shown_and_decided(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    assert memvault("retention", "review").stderr == "0 memories wait for a decision\n"
    _bring_up(tmp_path, memory_id)
    assert memvault("jobs", "run", "staleness").exit_code == 0
    (waiting,) = memvault.json("retention", "review")["reviews"]
    assert (waiting["memory_id"], waiting["reason"]) == (memory_id, "disputed")
    assert f"{memory_id}  disputed" in memvault("retention", "review").stdout
    assert memvault("retention", "decide", memory_id, "burn").exit_code == 2
    assert memvault("retention", "decide", memory_id, "expire", "--role", "administrator").exit_code == 4
    assert memvault.json("retention", "decide", memory_id, "keep")["decision"] == "keep"
    assert memvault("retention", "decide", memory_id, "expire").exit_code == 6
    assert memvault("show", memory_id).exit_code == 0


def test_what_is_let_go_is_gone(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    _bring_up(tmp_path, memory_id)
    assert memvault("jobs", "run", "staleness").exit_code == 0
    assert "expire, entry" in memvault("retention", "decide", memory_id, "expire").stderr
    assert memvault("show", memory_id).exit_code == 6


def test_expiry_runs_and_the_clock_is_confirmed(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    assert memvault("jobs", "run", "expiry").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as file, file:
        file.execute(
            "UPDATE job SET cursor = ? WHERE name = 'retention'", ('{"clock":0,"read":0,"valued":""}',)
        )
    refused = memvault("jobs", "run", "expiry")
    assert refused.exit_code == 1
    assert memvault.json("jobs", "history", "expiry")["runs"][0]["outcome"] == "failed"
    assert memvault("retention", "confirm-clock").exit_code == 0
    assert memvault.json("retention", "confirm-clock")["decision"] == "confirm-clock"
    assert memvault("jobs", "run", "expiry").exit_code == 0
    assert memvault("show", memory_id).exit_code == 0
