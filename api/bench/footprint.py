"""What the program takes before it does anything: seconds to answer, memory with models loaded, disk.

Owns measures of whole processes. Resident memory is read in a process of its own that takes in the shipped
conversation with everything on, asks, and looks at itself; the disk is that of the distributions which the
lock installs at run time, as they lie in this environment.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Final

from api.bench.report import Figure, at_most, not_judged, not_measured

HELP_SECONDS: Final = at_most(0.4)
RESIDENT_MB: Final = at_most(700)
INSTALL_MB: Final = at_most(900)
_PROCESSES: Final = 10
_QUICK_PROCESSES: Final = 3
_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==", re.ASCII)
_MB: Final = 1_000_000


def footprint(scratch: Path, *, lock: Path, quick: bool = False) -> list[Figure]:
    """Measure start, resident memory and disk."""
    return [_help(_QUICK_PROCESSES if quick else _PROCESSES), *_resident(scratch), _install(lock)]


def _help(processes: int) -> Figure:
    command = [sys.executable, "-m", "api.cli.main", "--help"]
    taken = []
    for _ in range(processes + 1):  # the first one warms the file cache
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=_root())  # noqa: S603  # our own program
        taken.append(time.perf_counter() - start)
    note = f"median of {processes} processes; slowest {max(taken[1:]):.2f} s"
    figure = Figure("memvault --help", median(taken[1:]), "s", HELP_SECONDS, note)
    return figure if processes >= _PROCESSES else not_judged(figure, "a small sample")


def _resident(scratch: Path) -> list[Figure]:
    command = [sys.executable, "-m", "api.bench.footprint", str(scratch / "resident")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=_root())  # noqa: S603  # the same
    name = "resident memory with models loaded"
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return [not_measured(name, "MB", last[0], RESIDENT_MB)]
    found = json.loads(done.stdout)
    note = f"after {found['memories']} memories of the shipped conversation; peak {found['peak']:.0f} MB"
    return [Figure(name, found["resident"], "MB", RESIDENT_MB, note)]


def _install(lock: Path) -> Figure:
    name = "runtime install"
    if not lock.is_file():
        return not_measured(name, "MB", "requirements.lock is not beside the program", INSTALL_MB)
    found = {name: size for name in locked_names(lock) if (size := _size_of(name))}
    largest = sorted(found, key=lambda one: -found[one])[:3]
    note = (
        f"bytes on disk, compiled modules included, of {len(found)} distributions of requirements.lock "
        "that lie in this environment, and of this one; largest "
    ) + ", ".join(f"{one} {found[one] / _MB:.0f}" for one in largest)
    own = sum(file.stat().st_size for room in _rooms() for file in room.rglob("*") if file.is_file())
    return Figure(name, (sum(found.values()) + own) / _MB, "MB", INSTALL_MB, note)


def locked_names(lock: Path) -> list[str]:
    """Return the names of the distributions that a lock pins."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [match["name"] for line in lines if (match := _PIN.match(line))]


def _size_of(name: str) -> int:
    """Return the bytes on disk of an installed distribution, compiled modules included; 0 if it is absent."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return 0
    places = {Path(str(file.locate())) for file in files}
    caches = {place.parent / "__pycache__" for place in places if place.suffix == ".py"}
    places.update(compiled for cache in caches if cache.is_dir() for compiled in cache.iterdir())
    return sum(place.stat().st_size for place in places if place.is_file())


def _rooms() -> Iterator[Path]:
    for name in ("api", "audit", "compliance", "lifecycle", "policies", "vault"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def take_in(folder: Path) -> dict[str, float]:
    """Take in the shipped conversation with everything on; return memories, resident and peak memory in MB."""
    from api.bench.made_up import new_vault, owner_of  # noqa: PLC0415  # only the child process needs the vault
    from api.demo.story import shipped_story  # noqa: PLC0415
    from vault.opening import VaultOptions  # noqa: PLC0415

    with new_vault(folder, VaultOptions()) as vault:
        memory = owner_of(vault)
        count = sum(len(memory.extract(chat, subject="x").memory_ids) for chat in shipped_story().chats)
        vault.wait()
        memory.retrieve("what was said about the appointment?")
        return {"memories": count, "resident": _status("VmRSS"), "peak": _status("VmHWM")}


def _status(name: str) -> float:
    """Return one line of this process's status, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) * 1024 / _MB


if __name__ == "__main__":
    sys.stdout.write(json.dumps(take_in(Path(sys.argv[1]))) + os.linesep)
