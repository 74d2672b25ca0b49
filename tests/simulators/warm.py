"""What the server of `children` has before it forks: a vault was made, opened, written to and closed in it.

Owns nothing but that effect of its import: SQLAlchemy's compiled statements, the parsed policies and the
late imports are there, and a child opens its vault in tens of milliseconds. No thread may be left: whoever
forks beside one hands on the locks that it holds.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.simulators.clinic import OWNER, Clinic, make_template

ASKED: Final = "WARM_A_VAULT"
"""Environment variable that asks for the effect; a test may look at this module without it."""
_SECONDS: Final = 20.0


def threads() -> int:
    """Count the threads of this process, those of native libraries too."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208  # names alone


def warm() -> None:
    """Use a vault, and see that none of its threads is left."""
    with tempfile.TemporaryDirectory() as folder:
        clinic = Clinic(make_template(Path(folder) / "template"), Path(folder) / "vault")
        view = clinic.mem(OWNER)
        memory_id = view.extract("Maria Keller has a warm vault", subject="maria").memory_ids[0]
        view.update(memory_id, "Maria Keller has a warmer vault")
        view.retrieve("vault")
        clinic.vault.wait(_SECONDS)
        clinic.close()
    require_one_thread(_SECONDS)


def require_one_thread(seconds: float) -> None:
    """Wait so long until no other thread is left.

    Raises:
        RuntimeError: there still is one.
    """
    until = time.monotonic() + seconds
    while threads() > 1 and time.monotonic() < until:
        time.sleep(0.01)
    if threads() > 1:
        raise RuntimeError(f"expected one thread in the process that forks, got {threads()}")


if os.environ.get(ASKED):
    warm()
