"""The log's public form over HTTP and from the command line: paths, types, caching, walls."""

import json
from pathlib import Path

import pytest

from audit.checkpoint import verify_checkpoint
from audit.signing import VerifierKey
from policies.model import Role
from tests.api.conftest import Caller, MakeCaller, Memvault
from tests.simulators.tile_monitor import Monitor
from vault.opening import Vault

AUDIT = "audit"


@pytest.fixture
def auditor(caller: MakeCaller) -> Caller:
    """A client that may read the log."""
    return caller(Role.AUDITOR, name="auditor-1")


def get(calling: Caller, path: str, tenant: str = "clinic"):  # type: ignore[no-untyped-def]  # noqa: ANN201 - the client's answer
    return calling.client.get(f"/v1/logs/{tenant}/{path}", headers=calling.headers(AUDIT))


def test_a_monitor_follows_a_log_over_http(vault: Vault, auditor: Caller) -> None:
    def fetch(path: str) -> bytes | None:
        answer = get(auditor, path)
        assert answer.status_code in {200, 404}
        return answer.content if answer.status_code == 200 else None

    monitor = Monitor(vault.parts.verifier_key.for_log("clinic"), fetch)
    first = monitor.follow()
    for _ in range(3):
        auditor.client.get("/v1/audit/entries", headers=auditor.headers(AUDIT))
    auditor.client.get("/v1/audit/checkpoint", headers=auditor.headers(AUDIT))
    assert monitor.follow().size > first.size


def test_types_and_caching_are_those_of_the_specification(auditor: Caller) -> None:
    note = get(auditor, "checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.headers["cache-control"] == "private, no-cache"
    for path in ("tile/0/000.p/1", "tile/entries/000.p/1"):
        tile = get(auditor, path)
        assert tile.headers["content-type"] == "application/octet-stream"
        assert tile.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert tile.headers["x-content-type-options"] == "nosniff"
    assert len(get(auditor, "tile/0/000.p/1").content) == 32


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=1.0", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("identity", False),
        ("", False),
        ("x-gzip", False),
    ],
)
def test_entry_bundles_are_compressed_for_whoever_asks_for_it_and_hashes_never(
    auditor: Caller,
    accepted: str,
    packed: bool,  # noqa: FBT001 - a row of the table
) -> None:
    headers = auditor.headers(AUDIT) | {"Accept-Encoding": accepted}
    plain = get(auditor, "tile/entries/000.p/1").content
    for path in ("tile/entries/000.p/1", "tile/0/000.p/1", "checkpoint"):
        answer = auditor.client.get(f"/v1/logs/clinic/{path}", headers=headers)
        assert answer.status_code == 200
        expected = "gzip" if packed and "entries" in path else None
        assert answer.headers.get("content-encoding") == expected
        if "entries" in path:
            assert answer.content == plain
            assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint/",
        "Checkpoint",
        "tile/0/000",
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/255",
        "tile/0/000.p/01",
        "tile/00/000.p/1",
        "tile/0/000.p/1/",
        "tile//0/000.p/1",
        "tile/0/%30%30%30.p/01",
        "tile/0/000.p/1%0A",
        "tile/%30/000.p/1",
        "checkpoint%0A",
        "%63heckpoint",
        "tile/0/..%2f..%2fvault.db",
        "tile/64/000",
        "tile/entries/x001/000",
    ],
)
def test_any_other_path_is_not_found_and_cached_by_nobody(auditor: Caller, path: str) -> None:
    answer = get(auditor, path)
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"


def test_a_path_that_is_too_long_is_refused(auditor: Caller) -> None:
    assert get(auditor, "tile/0/" + "x001/" * 40 + "001").status_code == 422
    assert get(auditor, "checkpoint", tenant="c" * 65).status_code == 422


def test_another_tenants_log_is_as_little_there_as_one_that_never_was(
    vault: Vault, auditor: Caller, caller: MakeCaller
) -> None:
    vault.add_tenant("bank")
    told = []
    for tenant in ("bank", "no-such", "system"):
        for path in ("checkpoint", "tile/0/000.p/1"):
            answer = get(auditor, path, tenant)
            problem = answer.json()
            del problem["instance"]
            told.append((answer.status_code, problem))
    assert all(one == told[0] for one in told)
    assert told[0][0] == 404
    banker = caller(Role.AUDITOR, name="auditor-1", tenant="bank")
    assert get(banker, "checkpoint", "bank").content.startswith(b"memos-vault/embedded/bank\n")


def test_the_command_writes_a_folder_that_a_monitor_follows(memvault: Memvault, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    made = memvault("audit", "tiles", str(folder), "--json")
    assert made.exit_code == 0, made.output
    shown = json.loads(made.stdout)

    def fetch(path: str) -> bytes | None:
        place = folder / path
        return place.read_bytes() if place.is_file() else None

    monitor = Monitor(VerifierKey.parse(shown["verifier_key"]), fetch)
    assert monitor.follow().size == shown["size"]
    again = memvault("audit", "tiles", str(folder))
    assert again.exit_code == 0
    assert "new" in again.stdout
    assert monitor.follow().size > shown["size"]


def test_the_command_refuses_a_folder_of_something_else(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    refused = memvault("audit", "tiles", str(tmp_path))
    assert refused.exit_code == 7
    assert "other files" in refused.stderr


def test_the_command_rolls_the_key_over(memvault: Memvault, tmp_path: Path) -> None:
    early = memvault("audit", "roll-key", "finish")
    assert (early.exit_code, "start one" in early.stderr) == (7, True)
    started = json.loads(memvault("audit", "roll-key", "start", "--json").stdout)
    assert started["step"] == "start"
    assert started["old"] != started["new"]
    folder = tmp_path / "log"
    assert memvault("audit", "tiles", str(folder)).exit_code == 0
    note = (folder / "checkpoint").read_bytes()
    tenant = note.split(b"\n")[0].decode().rpartition("/")[2]
    for key in ("old", "new"):
        verify_checkpoint(note, VerifierKey.parse(started[key]).for_log(tenant))
    finished = memvault("audit", "roll-key", "finish")
    assert finished.exit_code == 0
    assert started["new"] in finished.stdout
    assert memvault("audit", "tiles", str(folder)).exit_code == 0
    note = (folder / "checkpoint").read_bytes()
    assert verify_checkpoint(note, VerifierKey.parse(started["new"]).for_log(tenant)).size
    assert memvault("audit", "verify").exit_code == 0
    denied = memvault("audit", "roll-key", "start", "--role", "auditor", "--purpose", "audit")
    assert denied.exit_code == 4
