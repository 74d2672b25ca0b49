"""SIGHUP to a server: take the policies that lie in the folder now.

Owns the signal, and telling the operator what came of it. It leaves the reload to `vault.bundles.reloading`. A thread of
its own does it: a signal comes in the midst of anything, and requests go on being answered meanwhile.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from api.problems import EXPECTED, detail_of, outline

if TYPE_CHECKING:
    from vault.opening import Vault

_LOGGER: Final = logging.getLogger(__name__)


@contextmanager
def reloading_on_hangup(vault: "Vault", tell: Callable[[str], None]) -> Iterator[None]:
    """Reload the policies of a vault at each SIGHUP, as long as the block lasts; for the main thread.

    Args:
        vault: An open one.
        tell: Given one line of what came of each.
    """
    asked, ending = threading.Event(), threading.Event()

    def work() -> None:
        while asked.wait() and not ending.is_set():
            asked.clear()
            tell(_reload(vault))

    worker = threading.Thread(target=work, name="reload-policies", daemon=True)
    worker.start()
    before = signal.signal(signal.SIGHUP, lambda _signal, _frame: asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        ending.set()
        asked.set()
        worker.join()


def _reload(vault: "Vault") -> str:
    try:
        done = vault.reload_policy()
    except EXPECTED as error:
        return f"the policies stay as they are: {detail_of(error)}"
    except Exception as error:  # noqa: BLE001  # a thread that ends would leave the next signal unheard
        _LOGGER.error("defect in a reload\n%s", outline(error))  # noqa: TRY400  # its message could hold content
        return "the policies stay as they are: a defect; see the log"
    return f"policies in force: {done.digest}" + ("" if done.changed else ", as before")
