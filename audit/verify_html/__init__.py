"""The verifier as one HTML file: what `audit.verify_bundle` and `audit.proof` do, in a browser, offline.

Owns putting the page together: script and style stand inside, under a policy that allows these two by
their hash and nothing else, no connection above all. It leaves the rules to the scripts beside it, which
name the Python module that each of them follows; a test holds both against the same good and bad files.
"""

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from audit.bundle_section import CHECKPOINTS_A_FILE
from audit.event import COMMITMENT_DOMAIN, ERASABLE, HEADER_PATTERN, ID_PATTERN, MAX_HEADER_SIZE, EventType
from audit.manifest import FORMAT, MAX_BESIDE
from audit.replay import CLOCK_INVARIANTS, CLOCK_SKEW, Invariant
from audit.report import Check
from audit.signing import HANDOVER_TITLE, MAX_RETIRED

FILE_NAME: Final = "verify.html"
_SCRIPTS: Final = (
    "foundation.js",
    "tree.js",
    "entries.js",
    "keys.js",
    "bundle.js",
    "checkpoints.js",
    "log.js",
    "run.js",
    "proof.js",
    "page.js",
)


def build_page() -> bytes:
    """Return the page: the same bytes each time."""
    script = f'"use strict";\n(() => {{\nconst CONSTANTS = {_constants()};\n'
    script += "\n".join(_read(name) for name in _SCRIPTS) + "})();\n"
    style = _read("page.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _read("page.html").replace("@POLICY@", policy).replace("@STYLE@", style)
    return page.replace("@SCRIPT@", script).encode()


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _constants() -> str:
    """Return what the scripts share with the Python modules, as a JavaScript value."""
    constants = {
        "checks": {check.name: check.value for check in Check},
        "checkpointsAFile": CHECKPOINTS_A_FILE,
        "clockInvariants": sorted(CLOCK_INVARIANTS),
        "clockSkewMicroseconds": int(CLOCK_SKEW.total_seconds() * 1_000_000),
        "erasable": sorted(ERASABLE),
        "events": {event.name: event.value for event in EventType},
        "format": FORMAT,
        "handover": HANDOVER_TITLE,
        "header": _javascript(HEADER_PATTERN),
        "id": _javascript(ID_PATTERN),
        "invariants": {invariant.name: invariant.value for invariant in Invariant},
        "maxBeside": MAX_BESIDE,
        "maxHandovers": MAX_RETIRED,
        "maxHeaderSize": MAX_HEADER_SIZE,
        "payloadDomain": COMMITMENT_DOMAIN.decode(),
    }
    return json.dumps(constants, sort_keys=True).replace("<", "\\u003c")


def _javascript(pattern: str) -> str:
    """Return a pattern without possessive quantifiers, which JavaScript lacks.

    None of ours needs one to match what it matches: they only spare the search for another way.
    """
    for possessive, plain in (("++", "+"), ("*+", "*"), ("}+", "}")):
        pattern = pattern.replace(possessive, plain)
    return pattern
