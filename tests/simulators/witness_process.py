"""A standalone witness in a process of its own, on loopback, and what a vault needs to rely on it."""

import os
import select
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from audit.cosignature import WitnessSignerKey, WitnessVerifierKey
from audit.signing import VerifierKey
from audit.witness_files import WitnessDirectory
from policies.bundle import LOG_RULES, Bundle
from tests.conftest import REPOSITORY
from tests.simulators.fakes import FrozenClock, fake_options
from vault.opening import VaultOptions
from vault.outside import Places

NAME = "witness.example/w1"
_START_SECONDS = 20.0


class WitnessProcess:
    """`memvault witness serve`, started for real and ended by its process id.

    Args:
        path: Directory of the witness; made if it is not there.
        name: Of the witness.
    """

    def __init__(self, path: Path, name: str = NAME) -> None:
        self.directory = WitnessDirectory(path)
        if not path.exists():
            self.directory.create(WitnessSignerKey(name, os.urandom(32)))
        self.key: WitnessVerifierKey = self.directory.load_key().verifier
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def trust(self, deployment: VerifierKey) -> Self:
        """Trust all logs of a deployment."""
        self.directory.trust(deployment, deployment=True)
        return self

    def start(
        self, port: int = 0, *, tls: tuple[Path, Path] | None = None, descriptors: int | None = None
    ) -> Self:
        """Start it and wait until it answers.

        Args:
            port: 0 takes a free one.
            tls: Files of certificate and key.
            descriptors: Most file descriptors that it may have; None leaves the limit.
        """
        command = [sys.executable, "-m", "api.cli.main", "witness", "serve", "--port", str(port)]
        environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
        if tls is not None:
            names = ("MEMWITNESS_TLS_CERTIFICATE_FILE", "MEMWITNESS_TLS_KEY_FILE")
            environment |= dict(zip(names, map(str, tls), strict=True))
        limit = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
        self._process = subprocess.Popen(
            [*limit, *command, "--directory", str(self.directory.path)],
            stderr=subprocess.PIPE,
            env=environment,
        )
        said = self._first_line(self._process)
        assert said.startswith("witness at http" + ("s" if tls else "") + "://"), said
        self.url = said.removeprefix("witness at ").strip()
        return self

    def _first_line(self, process: "subprocess.Popen[bytes]") -> str:
        assert process.stderr is not None
        until, said = time.monotonic() + _START_SECONDS, b""
        while not said.endswith(b"\n") and time.monotonic() < until:
            if select.select([process.stderr], [], [], 0.1)[0]:
                piece = os.read(process.stderr.fileno(), 4096)
                if not piece:
                    break
                said += piece
        return said.decode()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def bundle_with(
    *witnesses: WitnessVerifierKey, required: int = 0, anchor: str = "optional", start: str = "serve"
) -> Bundle:
    """Return the shipped policies with other rules of the log."""
    listed = "".join(f"\n  - {witness}" for witness in witnesses) or " []"
    rules = (
        f"version: 1\nwitnesses:{listed}\nrequired: {required}\nanchor: {anchor}\n"
        f"unanswered_at_start: {start}\n"
    )
    return Bundle({**Bundle.read().files, LOG_RULES: rules.encode()})


def options_with(bundle: Bundle, places: Places) -> VaultOptions:
    """Return options of a vault over fakes that relies on them."""
    return replace(fake_options(clock=FrozenClock()), bundle=bundle, outside=places)
