"""The offline verifier in a process of its own, so that its memory is the verifier's alone.

    python -m api.bench.log_verifier BUNDLE VKEY

Owns one JSON line: what `python -m audit` returned, its seconds of processor, and resident memory of this
process before and at its peak, in MB. It imports nothing of the vault.
"""

import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from time import process_time

from audit.__main__ import main


def resident(name: str) -> float:
    """Return one line of this process's status, in MB; not `getrusage`, which counts the parent's before exec."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) * 1024 / 1_000_000


def verified(bundle: str, key: str) -> dict[str, float]:
    """Verify a bundle as the command does, and return what that took."""
    before = resident("VmRSS")
    with redirect_stdout(io.StringIO()):
        code = main([bundle, "--key", key])
    return {"code": code, "seconds": process_time(), "before": before, "peak": resident("VmHWM")}


if __name__ == "__main__":  # pragma: no cover - a process of its own, which a test starts
    sys.stdout.write(json.dumps(verified(sys.argv[1], sys.argv[2])) + os.linesep)
