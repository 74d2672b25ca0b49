"""The command as a process of its own: streams, exit codes, signals, the server on a real socket."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.settings import PREFIX

REPOSITORY = Path(__file__).resolve().parents[2]
FAKE = "tests.simulators.memvault_with_fakes"
REAL = "api.cli.main"
HELP_SECONDS = 0.5
"""Of processor time, which other tests beside this one lengthen little: the web framework alone takes as much."""


@dataclass(frozen=True)
class Process:
    """Runs the command over one vault."""

    folder: Path
    module: str = FAKE

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {**kept, "MEMVAULT_VAULT": str(self.folder / "vault"), "PYTHONPATH": str(REPOSITORY)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", self.module, *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    @contextmanager
    def serving(self) -> "Iterator[tuple[subprocess.Popen[str], str]]":
        """Serve on a free port of loopback; ended by its own process id."""
        server = self.start("serve", "--port", "0")
        try:
            yield server, _address(server)
        finally:
            if server.poll() is None:
                server.terminate()
            server.communicate(timeout=30)


def _address(server: "subprocess.Popen[str]") -> str:
    assert server.stderr is not None
    limit = threading.Timer(60, server.kill)
    limit.start()
    try:
        for line in server.stderr:
            if line.startswith("serving at "):
                return line.removeprefix("serving at ").strip()
    finally:
        limit.cancel()
    raise AssertionError("the server did not start")


@pytest.fixture
def memvault(tmp_path: Path) -> Process:
    return Process(tmp_path)


@pytest.fixture
def key(memvault: Process) -> str:
    made = memvault.run("init", "--tenant", "clinic", "--json")
    return str(json.loads(made.stdout)["api_key"])


def test_help_answers_at_once(memvault: Process) -> None:
    real = Process(memvault.folder, REAL)
    taken = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shown = real.run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert shown.returncode == 0
        assert "extract" in shown.stdout
    assert min(taken) < HELP_SECONDS


def test_answers_go_to_standard_output_and_the_rest_to_standard_error(memvault: Process, key: str) -> None:
    written = memvault.run("extract", "-", "--json", stdin="Maria Keller drinks tea")
    assert (written.returncode, json.loads(written.stdout)["memories"]) == (0, 1)
    assert written.stderr == ""
    missing = memvault.run("show", f"mem_{'0' * 26}")
    assert (missing.returncode, missing.stdout) == (6, "")
    assert missing.stderr == "memvault: there is no such memory here\n"
    assert memvault.run("show", f"mem_{'0' * 26}", "--role", "auditor").returncode == 4
    assert memvault.run("nonsense").returncode == 2


def test_a_defect_shows_no_message(memvault: Process, key: str) -> None:
    script = (
        "import tests.simulators.memvault_with_fakes as fakes, api.assembly as assembly\n"
        "from api.cli.main import run\n"
        "def broken(settings):\n    raise ValueError('Maria Keller')\n"
        "assembly.vault_options = broken\n"
        "import sys; sys.argv = ['memvault', 'retrieve', 'x']\n"
        "run()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=memvault.environment,
        check=False,
        timeout=120,
    )
    assert result.returncode == 1
    assert "builtins.ValueError" in result.stderr
    assert "Maria" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_no_defect(memvault: Process, key: str) -> None:
    for _ in range(2):
        memvault.run("extract", "-", stdin="tea " * 4000)
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        memvault.command("audit", "tail", "-n", "1000", "--json"),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=memvault.environment,
    ) as process:
        os.close(writing)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told == ""


def test_the_server_serves_until_it_is_told_to_end_and_closes_the_vault(memvault: Process, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Memvault-Purpose": "treatment"}
    with memvault.serving() as (server, address):
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}/readyz").status_code == 200
        body = {"subject": "maria", "document": {"text": "Maria Keller: 212-555-0147"}}
        written = httpx.post(f"{address}/v1/extract", headers=headers, json=body)
        assert written.status_code == 201
        assert "server" not in written.headers
        second = memvault.run("retrieve", "tea")
        assert (second.returncode, second.stdout) == (7, "")
        assert str(server.pid) in second.stderr
        doctor = memvault.run("doctor", "--json")
        assert doctor.returncode == 9
        server.send_signal(signal.SIGTERM)
        out, told = server.communicate(timeout=30)
    assert server.returncode == 0
    assert out == ""
    assert "Traceback" not in told
    assert "212-555-0147" not in told
    memory_id = written.json()["memory_ids"][0]
    assert "[PERSON-" in memvault.run("show", memory_id).stdout
    assert memvault.run("audit", "verify").returncode == 0
    assert not (memvault.folder / "vault" / "vault.db-wal").exists(), "the store was closed"


def test_many_clients_write_at_one_time_and_nothing_is_lost(memvault: Process, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Memvault-Purpose": "treatment"}
    with memvault.serving() as (_, address), httpx.Client(base_url=address, headers=headers) as client:

        def write(number: int) -> httpx.Response:
            return client.post("/v1/extract", json={"document": {"text": f"note {number}"}}, timeout=60)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(write, range(96)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["receipt"]["leaf_index"] for answer in answers}) == 96
    report = json.loads(memvault.run("audit", "verify", "--json").stdout)
    assert (report["passed"], report["rows_checked"]) == (True, 96)


def test_an_interrupt_ends_the_server_without_a_traceback(memvault: Process, key: str) -> None:
    with memvault.serving() as (server, _):
        server.send_signal(signal.SIGINT)
        _, told = server.communicate(timeout=30)
    assert server.returncode in {0, 1, 130}
    assert "Traceback" not in told
    assert memvault.run("audit", "verify").returncode == 0


def test_two_servers_do_not_share_a_vault(memvault: Process, key: str) -> None:
    with memvault.serving():
        other = memvault.run("serve", "--port", "0", "--json")
    assert other.returncode == 7
    problem = json.loads(other.stderr.splitlines()[-1])
    assert problem["type"] == "urn:memvault:problem:vault-in-use"


def test_the_server_refuses_to_be_reachable_beyond_loopback(memvault: Process, key: str) -> None:
    refused = memvault.run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert refused.returncode == 2
    assert "root key" in refused.stderr


def test_there_is_nothing_to_serve_without_a_vault(memvault: Process) -> None:
    assert memvault.run("serve", "--port", "0").returncode == 6


@pytest.mark.slow
def test_the_command_with_its_real_models_keeps_and_finds_what_it_was_told(tmp_path: Path) -> None:
    memvault = Process(tmp_path, REAL)
    assert memvault.run("init", "--tenant", "clinic").returncode == 0
    told = "Maria Keller moved to Boston. Her phone is 212-555-0147."
    written = memvault.run("extract", "-", "--subject", "maria", "--json", stdin=told)
    assert written.returncode == 0, written.stderr
    found = memvault.run("retrieve", "phone of Maria Keller", "--json")
    hit = json.loads(found.stdout)["hits"][0]["memory"]
    assert hit["id"] == json.loads(written.stdout)["sources"][0]["memory_ids"][0]
    assert "212-555-0147" not in found.stdout
    assert "212-555-0147" in memvault.run("reveal", hit["id"]).stdout
    doctor = memvault.run("doctor")
    assert doctor.returncode == 0, doctor.stdout
    for file in (tmp_path / "vault").iterdir():
        assert b"212-555-0147" not in file.read_bytes(), file.name
