"""Peers in the same run: the worker processes of the harness in `../shared/bench`, driven in turn.

Owns the protocol (one JSON value a line) and where the peers lie. The harness is not part of this
repository and never imported: its `worker.py` runs in the peer's own environment, made by its
`setup_peers.py`. A peer that is absent or fails is reported with its reason; it never ends the benchmark.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypedDict

_TELEMETRY_OFF: Final = {
    "MEM0_TELEMETRY": "False",
    "ANONYMIZED_TELEMETRY": "false",
    "TELEMETRY_DISABLED": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
_CLOSE_SECONDS: Final = 30


class PeerError(Exception):
    """A peer is not installed, or failed; the message says which and how."""


class PeerItem(TypedDict):
    """One memory as the harness takes it."""

    id: str
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A system that the harness knows."""

    name: str
    environment: str
    file: str
    adapter: str


MEM0: Final = Peer("mem0", "mem0", "mem0.py", "Mem0")
MEMOS: Final = Peer("MemOS", "memos", "memos.py", "MemosGeneral")


class PeerProcess(AbstractContextManager["PeerProcess"]):
    """A peer at work, with its data in a folder of its own.

    Args:
        peer: Which.
        harness: The folder of the harness.
        root: Where `setup_peers.py` put environments and model.
        folder: For its data; made anew.

    Raises:
        PeerError: it is not installed, or does not open.
    """

    def __init__(self, peer: Peer, harness: Path, root: Path, folder: Path) -> None:
        # Not resolved: in a virtual environment the interpreter is a link, and is found by its place.
        python = Path(os.path.abspath(root)) / "venvs" / peer.environment / "bin" / "python"  # noqa: PTH100
        if not python.exists():
            raise PeerError(f"{peer.name} is not installed: run setup_peers.py {peer.environment}")
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("data", "home", "tmp"):
            (folder / name).mkdir(parents=True)
        self.name: Final = peer.name
        settings = {
            "file": str(harness / "adapters" / peer.file),
            "cls": peer.adapter,
            "options": {},
            "data": str(folder / "data"),
            "mode": "live",
            "secure_delete_off": False,
        }
        self._log = (folder / "worker.log").open("ab")
        self._process = subprocess.Popen(  # noqa: S603  # the peers' own interpreter, arguments of ours
            [str(python), str(harness / "worker.py"), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder / "home",
            env={
                "PATH": os.defpath,
                "LANG": "C.UTF-8",
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "PEERS_ROOT": str(Path(root).resolve()),
                **_TELEMETRY_OFF,
                **_ONE_THREAD,
            },
        )
        try:
            self._answer()
        except PeerError:
            self.close()
            raise

    def add(self, items: Sequence[PeerItem]) -> float:
        """Add memories one after another and return the seconds of all calls.

        Raises:
            PeerError: one failed.
        """
        answer = self._ask({"op": "add", "items": list(items)})
        seconds = answer.get("seconds")
        if not isinstance(seconds, list):
            raise PeerError(f"{self.name} gave no times")
        return float(sum(seconds))

    def search(self, queries: Sequence[tuple[str, str]], k: int = 10) -> list[float]:
        """Ask questions, each of one user, and return the seconds of each call.

        Raises:
            PeerError: one failed.
        """
        items = [{"query": query, "user": user} for query, user in queries]
        seconds = self._ask({"op": "search", "items": items, "k": k}).get("seconds")
        if not isinstance(seconds, list):
            raise PeerError(f"{self.name} gave no times")
        return [float(one) for one in seconds]

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None and self._process.stdin is not None:
            try:
                self._process.stdin.write('{"op": "close"}\n')
                self._process.stdin.close()
                self._process.wait(_CLOSE_SECONDS)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, object]) -> dict[str, object]:
        stdin = self._process.stdin
        try:
            if stdin is not None:
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
        except BrokenPipeError:
            raise PeerError(f"{self.name} ended") from None
        return self._answer()

    def _answer(self) -> dict[str, object]:
        for line in self._process.stdout or ():
            if line.startswith("{"):
                answer = json.loads(line)
                if isinstance(answer, dict) and "error" in answer:
                    raise PeerError(f"{self.name}: {answer['error']}")
                if isinstance(answer, dict):
                    return answer
        raise PeerError(f"{self.name} ended with status {self._process.wait()}")
