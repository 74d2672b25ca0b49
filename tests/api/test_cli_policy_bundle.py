"""The commands that sign, pin and reload: what they print, and what they refuse with its place."""

import io
import json
import os
import signal
import subprocess
import threading
from email.message import Message
from http.client import BadStatusLine
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from api import remote_policy
from api.errors import NotAuthenticatedError, NotReadyError, SettingsInvalidError
from api.hangup import reloading_on_hangup
from api.remote_policy import reload_at
from api.remote_stream import Server
from audit.signing import VerifierKey
from policies.errors import DeniedError, PolicyRefusedError
from policies.model import Purpose
from tests.api.conftest import Memvault
from tests.api.test_processes import Process
from tests.vault.bundles.folders import change, make, narrow, versioned
from vault.bundles.reloading import Reloaded
from vault.bundles.signatures import SIGNATURE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "mine")


@pytest.fixture
def key(empty: Memvault, tmp_path: Path) -> Path:
    """A key's file; its public half lies beside it."""
    made = empty("policy", "keygen", "ward-1/policies", "--out", str(tmp_path / "policy.key"))
    assert made.exit_code == 0, made.stderr
    assert VerifierKey.parse(made.stdout.strip()).name == "ward-1/policies"
    assert (tmp_path / "policy.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys").write_text(made.stdout)
    return tmp_path / "policy.key"


def public(key: Path) -> str:
    return (key.parent / "keys").read_text().strip()


def test_a_key_is_made_once_and_its_private_half_is_not_shown(empty: Memvault, key: Path) -> None:
    before = key.read_bytes()
    again = empty("policy", "keygen", "ward-1/policies", "--out", str(key))
    assert again.exit_code == 1
    assert key.read_bytes() == before
    assert empty("policy", "keygen", "a name", "--out", str(key.with_name("other"))).exit_code == 2
    assert not key.with_name("other").exists()
    assert "PRIVATE" not in public(key)


def test_a_bundle_is_signed_and_verified_by_exactly_that_key(
    empty: Memvault, key: Path, folder: Path
) -> None:
    signed = empty.json("policy", "sign", str(folder), "--key", str(key))
    assert (signed["name"], signed["version"], signed["signed_by"]) == ("ours", 1, ["ward-1/policies"])
    assert empty.json("policy", "verify", str(folder), "--key", public(key)) == signed
    shown = empty("policy", "verify", str(folder), "--key", public(key))
    assert shown.stdout.splitlines() == [
        "ours version 1",
        signed["digest"],
        "signed by ward-1/policies",
    ]
    versioned(folder, 2)
    refused = empty("policy", "verify", str(folder), "--key", public(key))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "bundle.sig, line 3, column 1: it signs another bundle" in refused.stderr
    assert empty("policy", "verify", str(folder), "--key", "nonsense").exit_code == 2


def test_what_no_vault_would_load_is_not_signed(empty: Memvault, key: Path, folder: Path) -> None:
    change(folder, "rules/policy.csv", "p, clinician-treats, clinician,", "p, clinician-treats, doctor,")
    refused = empty("policy", "sign", str(folder), "--key", str(key))
    assert refused.exit_code == 1
    assert "rules/policy.csv, line 23, column 22" in refused.stderr
    assert not (folder / SIGNATURE).exists()


def test_a_signature_that_cannot_be_written_leaves_the_old_one(
    empty: Memvault, key: Path, folder: Path
) -> None:
    empty.json("policy", "sign", str(folder), "--key", str(key))
    before = (folder / SIGNATURE).read_bytes()
    (folder / f".{SIGNATURE}.new").mkdir()
    versioned(folder, 2)
    refused = empty("policy", "sign", str(folder), "--key", str(key))
    assert (refused.exit_code, (folder / SIGNATURE).read_bytes()) == (1, before)
    assert "cannot be written" in refused.stderr


def test_a_vault_that_asks_for_signatures_opens_under_none_but_a_signed_bundle(
    memvault: Memvault, key: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMVAULT_POLICY_KEYS", str(key.with_name("keys")))
    shipped = memvault("doctor")
    assert "bundle.sig, line 1, column 1: expected a signature" in shipped.stdout
    monkeypatch.setenv("MEMVAULT_POLICY_FOLDER", str(folder))
    assert memvault("jobs", "list").exit_code == 1
    empty_handed = memvault("policy", "pin", "--show")
    assert "the bundle is not signed" in empty_handed.stderr
    memvault.json("policy", "sign", str(folder), "--key", str(key))
    assert memvault("jobs", "list").exit_code == 0
    line = next(one for one in memvault("doctor").stdout.splitlines() if "policy bundle" in one)
    assert line.endswith("ours version 1; nothing is pinned; signed")


def test_a_pin_is_set_shown_and_lowered_only_on_purpose(
    memvault: Memvault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert memvault("policy", "pin", "--show").stdout == "nothing is pinned\n"
    assert memvault.json("policy", "pin", "--show") == {"pin": None}
    monkeypatch.setenv("MEMVAULT_POLICY_FOLDER", str(versioned(folder, 2)))
    pinned = memvault("policy", "pin")
    assert pinned.stdout.splitlines()[0] == "ours version 2 is pinned"
    versioned(folder, 1)
    refused = memvault("policy", "pin", "--show")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "bundle.yaml, line 2, column 10: expected at least version 2" in refused.stderr
    older = folder.with_name("older")
    make(older, 1)
    versioned(folder, 2)
    kept = memvault("policy", "pin", str(older))
    assert kept.exit_code == 7
    assert "replace the pin if that is meant" in kept.stderr
    assert memvault.json("policy", "pin", str(older), "--replace")["pin"]["version"] == 1
    assert memvault("policy", "pin", "--show", "--replace").exit_code == 2


class Answering:
    """A server that answers one thing."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: Any = None

    def open(self, asked: Any, timeout: float) -> io.BytesIO:  # noqa: ANN401  # the opener's signature
        assert timeout == remote_policy.SECONDS
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return io.BytesIO(self.answer)


def problem(status: int, body: bytes) -> HTTPError:
    return HTTPError("http://localhost", status, "no", Message(), io.BytesIO(body))


SERVER = Server("http://127.0.0.1:1", "mv_key")
REFUSED = json.dumps({"type": "urn:memvault:problem:policy-refused", "detail": "a, line 1: no\nand"})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"{}", NotReadyError),
        (b"\xff", NotReadyError),
        (OSError("refused"), NotReadyError),
        (BadStatusLine("x"), NotReadyError),
        (problem(401, b"{}"), NotAuthenticatedError),
        (problem(403, b"[]"), DeniedError),
        (problem(409, b"nonsense"), NotReadyError),
        (problem(409, REFUSED.encode()), PolicyRefusedError),
    ],
)
def test_what_a_server_answers_else_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | Exception, error: type[Exception]
) -> None:
    server = Answering(answer)
    monkeypatch.setattr(remote_policy, "opener_of", lambda _: server)
    with pytest.raises(error) as raised:
        reload_at(SERVER, Purpose.OPERATIONS)
    assert (server.asked.full_url, server.asked.get_method()) == (f"{SERVER.url}/v1/policy/reload", "POST")
    if error is PolicyRefusedError:
        assert str(raised.value) == "a, line 1: no", "one line of what a server says"


def test_a_server_that_would_see_the_key_in_clear_is_not_asked(empty: Memvault, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mv_key\n")
    asked = empty(
        "policy", "reload", "--server", "http://example.org", "--api-key-file", str(tmp_path / "key")
    )
    assert asked.exit_code == 2
    with pytest.raises(SettingsInvalidError):
        Server("http://example.org", "mv_key")


class Reloading:
    """A vault of which only reloading is asked."""

    def __init__(self, *ends: Reloaded | Exception) -> None:
        self.ends = list(ends)

    def reload_policy(self) -> Reloaded:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def test_each_hangup_is_one_reload_and_none_ends_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    vault = Reloading(
        Reloaded("sha256:a", "sha256:b", None, None),
        Reloaded("sha256:b", "sha256:b", None, None),
        PolicyRefusedError("expected rules", file="rules/policy.csv", line=3, column=1),
        ValueError("content"),
    )
    said, heard = list[str](), threading.Semaphore(0)

    def tell(line: str) -> None:
        said.append(line)
        heard.release()

    before = signal.getsignal(signal.SIGHUP)
    with reloading_on_hangup(vault, tell):  # type: ignore[arg-type]  # all that is asked of it
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGHUP)
            assert heard.acquire(timeout=10)
    assert signal.getsignal(signal.SIGHUP) is before
    assert said == [
        "policies in force: sha256:b",
        "policies in force: sha256:b, as before",
        "the policies stay as they are: rules/policy.csv, line 3, column 1: expected rules",
        "the policies stay as they are: a defect; see the log",
    ]
    assert "content" not in capfd.readouterr().err


def next_line(server: "subprocess.Popen[str]", holding: str) -> str:
    assert server.stderr is not None
    limit = threading.Timer(60, server.kill)
    limit.start()
    try:
        return next(line for line in server.stderr if holding in line)
    finally:
        limit.cancel()


def test_a_server_takes_new_policies_over_http_and_at_a_hangup_without_a_restart(tmp_path: Path) -> None:
    memvault = Process(tmp_path)
    memvault.run("init", "--tenant", "clinic")
    folder = make(tmp_path / "vault" / "policies")
    made = memvault.run("principal", "add", "boss", "--role", "administrator", "--json")
    (tmp_path / "key").write_text(json.loads(made.stdout)["api_key"])
    with memvault.serving() as (server, address):
        told = ("policy", "reload", "--server", address, "--api-key-file", str(tmp_path / "key"))
        versioned(narrow(folder), 2)
        first = memvault.run(*told)
        assert (first.returncode, first.stderr) == (0, "")
        assert first.stdout.startswith("in force: ours version 2, sha256:")
        again = memvault.run(*told, "--json")
        assert json.loads(again.stdout)["changed"] is False
        versioned(folder, 3)
        server.send_signal(signal.SIGHUP)
        assert "policies in force: sha256:" in next_line(server, "policies")
        (folder / "log.yaml").unlink()
        server.send_signal(signal.SIGHUP)
        assert "the policies stay as they are: log.yaml: expected this file" in next_line(server, "policies")
        refused = memvault.run(*told)
        assert (refused.returncode, refused.stdout) == (7, "")
        assert refused.stderr == "memvault: log.yaml: expected this file\n"
