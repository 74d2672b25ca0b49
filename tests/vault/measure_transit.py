"""What a root on a server costs: `python -m tests.vault.measure_transit [KEYS]`; starts the real OpenBao.

Prints what transit adds to a subject's first write and to the next, as medians of turns taken in pairs with a
local root, so that a busy machine slows both; and how long a rewrap of KEYS keys (100,000) takes.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from sqlalchemy import create_engine

from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from tests.simulators.openbao import KEY, OpenBao
from vault.clock import system_entropy
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState
from vault.crypto.key_store import KEYS_METADATA, SqlKeyStore
from vault.crypto.rewrapping import below, rewrap_keys
from vault.crypto.root import InContext
from vault.crypto.transit_hvac import HvacTransit
from vault.crypto.transit_place import TransitPlace
from vault.crypto.transit_root import TransitRoot, name_root
from vault.memos import MemOS
from vault.opening import LocalRootWarning, Vault

OWNER = Principal("agent-1", "clinic", frozenset({Role.OWNER_AGENT}))
PAIRS = 300
PAGE = 10_000


def milliseconds(call: Callable[[], object]) -> float:
    """Return the time of one call."""
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def writes(place: TransitPlace, folder: Path) -> None:
    """Compare first and next writes under both roots, turn by turn."""
    with ExitStack() as stack:
        warnings.simplefilter("ignore", LocalRootWarning)
        views = [
            MemOS(stack.enter_context(made), principal=OWNER, purpose=Purpose.TREATMENT)
            for made in (
                Vault.create(folder / "local", tenant="clinic", options=fake_options()),
                Vault.create(
                    folder / "transit", tenant="clinic", options=replace(fake_options(), transit=place)
                ),
            )
        ]
        for name, subject in (("first write", "Patient {}"), ("next write", "Patient")):
            for view in views:
                view.extract("Warm.", subject=subject)
            pairs = [
                [milliseconds(partial(view.extract, "One.", subject=about)) for view in views]
                for about in map(subject.format, range(PAIRS))
            ]
            local, transit = (median(pair[one] for pair in pairs) for one in (0, 1))
            added = median(transit - local for local, transit in pairs)
            print(f"{name}: local {local:.2f} ms, transit {transit:.2f} ms, adds {added:.2f} ms")  # noqa: T201  # its output


def rewrap(server: OpenBao, place: TransitPlace, folder: Path, count: int) -> None:
    """Rewrap many keys on disk."""
    engine = create_engine(f"sqlite:///{folder / 'keys.db'}")
    KEYS_METADATA.create_all(engine)
    store, client = SqlKeyStore(engine), HvacTransit(place)
    root = TransitRoot(client, name_root(client, place.mount, place.key, system_entropy), system_entropy)
    at = datetime(2026, 11, 23, tzinfo=UTC)
    for start in range(0, count, PAGE):
        names = [
            KeyName("clinic", KeyKind.SUBJECT, f"sub_{nth:026d}", 1)
            for nth in range(start, min(count, start + PAGE))
        ]
        boxes = root.wrap_many([InContext(name.context, bytes(64)) for name in names])
        store.add(
            [
                KeyRecord(name, box, "f" * 32, KeyState.ACTIVE, 0, at)
                for name, box in zip(names, boxes, strict=True)
            ]
        )
    server.rotate()
    version = root.latest_version()
    begin, used = time.perf_counter(), time.process_time()
    last = list(rewrap_keys(root, store, version))[-1]
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    left = below(root, store, version)
    print(f"rewrap: {last.renewed} keys in {seconds:.1f} s ({cpu:.1f} s of it our CPU), {left} left")  # noqa: T201  # its output
    client.close()
    engine.dispose()


def main() -> None:
    """Measure against a server in dev mode."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name, OpenBao(Path(name)) as server:
        folder = Path(name)
        token = folder / "token"
        token.write_text(server.token(period="1h"))
        token.chmod(0o600)
        place = TransitPlace(server.url, KEY, token)
        writes(place, folder)
        rewrap(server, place, folder, count)


if __name__ == "__main__":
    main()
