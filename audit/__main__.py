"""The verifier alone: `python -m audit FILE --key VKEY`. It needs `audit/` and `cryptography`, no vault.

Exit codes: 0 verified, 2 not used as it must be, 3 verification failed, 9 could not check.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from audit.errors import KeyMalformedError, MalformedError, VerificationError
from audit.offline import Terms, describe, verify_file
from audit.verify_bundle import BundleReport

VERIFIED: Final = 0
USAGE: Final = 2
FAILED: Final = 3
NOT_CHECKED: Final = 9


def main(arguments: Sequence[str]) -> int:
    """Verify the file that the arguments name, say what was found, and return the exit code."""
    parser = ArgumentParser(
        "python -m audit",
        description="Verify a bundle or a proof of an audit log, or an erasure certificate, offline.",
    )
    parser.add_argument("file", type=Path, help="an evidence bundle, a .tlog-proof, or a certificate")
    parser.add_argument(
        "--key", action="append", required=True, help="verifier key of the log, or a file of them"
    )
    parser.add_argument("--witness", action="append", default=[], help="key of a witness, or a file of them")
    parser.add_argument("--required", type=int, default=0, help="cosignatures without which it fails")
    parser.add_argument(
        "--may-lag", type=int, default=0, help="entries at the end that these need not cover yet"
    )
    parser.add_argument(
        "--remembered", type=Path, action="append", default=[], help="a checkpoint that was kept"
    )
    parser.add_argument("--entry", type=Path, help="the entry of a proof that carries none")
    parser.add_argument(
        "--handover", type=Path, action="append", default=[], help="a log key hands over to the next"
    )
    given = parser.parse_args(arguments)
    try:
        terms = Terms(
            given.key,
            given.witness,
            given.required,
            given.remembered,
            given.entry,
            given.handover,
            given.may_lag,
        )
        found = verify_file(given.file, terms, now=datetime.now(UTC))
    except KeyMalformedError as error:
        return _end(USAGE, f"{error}")
    except MalformedError as error:
        return _end(NOT_CHECKED, f"could not check: {error}")
    except VerificationError as error:
        return _end(FAILED, f"FAILED {error}\nverification failed")
    except OSError as error:
        return _end(NOT_CHECKED, f"could not check: a file cannot be read: {error.strerror}")
    except Exception as error:  # noqa: BLE001  # a hostile file must not end this with another code
        return _end(NOT_CHECKED, f"could not check: a defect of the verifier ({type(error).__name__})")
    sys.stdout.write("".join(f"{_safe(line)}\n" for line in describe(found)))
    return FAILED if isinstance(found, BundleReport) and not found.report.passed else VERIFIED


def _end(code: int, text: str) -> int:
    sys.stderr.write("".join(f"{_safe(line)}\n" for line in text.split("\n")))
    return code


def _safe(line: str) -> str:
    """Return a line without anything that could steer a terminal: parts of it may be a stranger's."""
    return line.encode("ascii", errors="backslashreplace").decode() if line.isprintable() else ascii(line)


if __name__ == "__main__":  # pragma: no cover - a process of its own, which a test starts
    sys.exit(main(sys.argv[1:]))
