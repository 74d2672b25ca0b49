"""The bundles that ship: the one a vault opens with, and the ready ones by their profile's name."""

from typing import Any

import pytest

from policies.bundle import SHIPPED, Bundle

READY = SHIPPED / "bundles"


def every_bundle() -> list[Any]:
    """Return each bundle as a parameter of a test, by name."""
    folders = sorted(path for path in READY.iterdir() if path.is_dir()) if READY.is_dir() else []
    return [
        pytest.param(Bundle.read(folder), id=name)
        for name, folder in [("shipped", SHIPPED), *((folder.name, folder) for folder in folders)]
        if name != "__pycache__"
    ]
