"""`memvault jobs` in this process, and the timetable of a server."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from api.assembly import jobs_of, start_timetable
from api.errors import SettingsInvalidError
from api.settings import Settings, read_settings
from lifecycle.catalogue import JOBS
from tests.api.conftest import Memvault
from vault.opening import Vault


def test_jobs_are_listed_run_paused_resumed_and_remembered(memvault: Memvault) -> None:
    listed = memvault.json("jobs", "list")
    assert [one["job"] for one in listed["jobs"]] == [one.name for one in JOBS]
    assert {one["due"] for one in listed["jobs"]} == {None}
    (run,) = memvault.json("jobs", "run", "checkpoint")["runs"]
    assert (run["job"], run["outcome"], run["reason"], run["findings"]) == (
        "checkpoint",
        "complete",
        None,
        [],
    )
    assert memvault.json("jobs", "pause", "anchor")["leaf_index"] > run["entry"]
    paused = {one["job"]: one["paused"] for one in memvault.json("jobs", "list")["jobs"]}
    assert [name for name, is_paused in paused.items() if is_paused] == ["anchor"]
    memvault.json("jobs", "resume", "anchor")
    (past,) = memvault.json("jobs", "history")["runs"]
    assert (past["job"], past["by"], past["index"]) == ("checkpoint", "local-operator", run["entry"])
    assert memvault.json("jobs", "history", "anchor")["runs"] == []


def test_what_people_see_of_jobs(memvault: Memvault) -> None:
    assert "consistency  23 3 * * sun" in memvault("jobs", "list").stdout
    ended = memvault("jobs", "run", "hold-review")
    assert ended.stderr.startswith("hold-review: complete, entry ")
    memvault("jobs", "pause", "anchor")
    listed = memvault("jobs", "list").stdout
    assert "next paused" in listed
    assert "hold-review" in memvault("jobs", "history").stdout
    assert memvault("jobs", "history", "anchor").stderr == "no job ran yet\n"


def test_what_the_consistency_check_finds_is_shown_and_ends_the_command(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    assert memvault("jobs", "run", "consistency").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "vault" / "vault.db")) as connection, connection:
        connection.execute("UPDATE memory SET text = zeroblob(90) WHERE memory_id = ?", (memory_id,))
    shown = memvault("jobs", "run", "consistency")
    assert shown.exit_code == 3
    assert f"error    {memory_id}" in shown.stdout
    told = json.loads(memvault("jobs", "run", "consistency", "--json").stdout)["runs"][0]
    assert told["counts"]["errors"] >= 1
    assert {"check": "quarantine", "severity": "notice", "where": memory_id}.items() <= told["findings"][
        -1
    ].items()
    assert memvault("show", memory_id).exit_code == 3
    assert memvault("audit", "verify").exit_code == 3


def test_a_job_that_fails_or_is_not_there_or_not_allowed_ends_the_command(
    memvault: Memvault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert memvault("jobs", "run", "nosuch").exit_code == 6
    assert memvault("jobs", "run", "anchor", "--role", "auditor").exit_code == 4

    def fail(*_: object) -> None:
        raise RuntimeError("about patient 17")

    monkeypatch.setattr("lifecycle.jobs.checkpoint.check_heads", fail)
    ended = memvault("jobs", "run", "checkpoint")
    assert ended.exit_code == 1
    assert ended.stderr.startswith("checkpoint: failed (runtime), entry ")
    assert "patient" not in ended.stdout + ended.stderr
    listed = memvault("jobs", "list").stdout
    assert "failed, failed 1 times" in listed


def test_a_setting_of_a_job_that_is_none_stops_the_program(
    memvault: Memvault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMVAULT_JOBS", "nosuch=1h")
    ended = memvault("jobs", "list")
    assert (ended.exit_code, "MEMVAULT_JOBS" in ended.stderr) == (2, True)
    with pytest.raises(SettingsInvalidError, match="MEMVAULT_JOBS"):
        jobs_of(read_settings({"MEMVAULT_JOBS": "anchor=often"}))


def test_a_servers_timetable_runs_and_ends_with_the_vault(vault: Vault) -> None:
    assert start_timetable(vault, Settings(timetable=False)) is None
    timetable = start_timetable(vault, Settings())
    assert timetable is not None
    until = time.monotonic() + 20
    while not _ran(vault) and time.monotonic() < until:
        time.sleep(0.05)
    assert _ran(vault), "what a crash may have left is looked at when a server starts"
    vault.close()
    assert timetable.end(0), "nothing of it runs any more"


def _ran(vault: Vault) -> bool:
    with vault.parts.store.log_connection("clinic") as connection:
        return bool(connection.exec_driver_sql("SELECT 1 FROM audit_leaf WHERE event = 'job.run'").first())
