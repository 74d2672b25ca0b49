"""The guide to the log names every event, check and tampering that the code knows."""

import re
from pathlib import Path

from audit.event import EventType, Outcome
from audit.replay import Invariant
from audit.verify import Check
from tests.audit.test_verification_of_tampered_logs import SCENARIOS

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "audit-log.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> dict[str, str]:
    """Return first and second cell of the first table after a heading."""
    section = GUIDE.partition(f" {heading}\n")[2]
    table = re.search(r"\n\|[^\n]*\n\|[-|]*\n((?:\|[^\n]*\n)+)", section)
    assert table is not None
    cells = [line.strip("|").split(" | ") for line in table[1].splitlines()]
    return {first.strip().strip("`"): second.strip().strip("`") for first, second in cells}


def test_every_event_is_described_and_no_other() -> None:
    assert rows_of("Events").keys() == set(EventType)


def test_every_outcome_is_named() -> None:
    for outcome in Outcome:
        assert f"`{outcome}`" in GUIDE


def test_every_check_is_described_and_no_other() -> None:
    assert rows_of("Verification").keys() == {*Check, *Invariant}


def test_every_tampering_that_is_tested_is_listed_with_its_check() -> None:
    listed = rows_of("What is caught, by which check")
    assert listed == {name: str(check) for name, (_, check) in SCENARIOS.items()}
