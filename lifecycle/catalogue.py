"""The jobs that there are, and when each runs unless somebody says otherwise.

    catalogue({"expiry": "6h", "consistency": "30 4 * * sun"})

Owns the table. `docs/jobs.md` repeats it (tested). Times of a calendar are UTC, spread over the night and off the
full hour, where every other program of the machine begins.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from lifecycle.job import Job
from lifecycle.jobs.anchor import AnchorJob
from lifecycle.jobs.checkpoint import CheckpointJob
from lifecycle.jobs.consistency import ConsistencyJob
from lifecycle.jobs.erasure import ErasureJob
from lifecycle.jobs.expire import ExpiryJob
from lifecycle.jobs.hold_review import HoldReviewJob
from lifecycle.jobs.placement import PlacementJob
from lifecycle.jobs.rekey import RekeyJob
from lifecycle.jobs.rescan import RescanJob
from lifecycle.jobs.snapshot import RestoreDrillJob, SnapshotJob
from lifecycle.jobs.staleness import StalenessJob
from lifecycle.running import SECONDS, Scheduled
from lifecycle.terms import parse_term
from vault.errors import InputInvalidError


def _line(job: Job, term: str, about: str, *, at_start: bool = False, seconds: float = SECONDS) -> Scheduled:
    return Scheduled(job, about, parse_term(term), at_start=at_start, seconds=seconds)


JOBS: Final[tuple[Scheduled, ...]] = (
    _line(ErasureJob(), "10m", "finish erasures that were cut short", at_start=True),
    _line(ExpiryJob(), "53 1 * * *", "end the terms of memories, as retention.yaml says", seconds=600),
    _line(StalenessJob(), "31 5 * * sun", "bring stale memories up for review", seconds=300),
    _line(PlacementJob(), "19 3 * * *", "move memories between memory tiers, as retention.yaml says"),
    _line(RescanJob(), "41 2 * * *", "screen memories again that an older privacy gate let pass"),
    _line(RekeyJob(), "11 4 * * *", "seal rows anew that lie under older versions of their keys"),
    _line(HoldReviewJob(), "7 6 * * *", "tell of legal holds whose review is due"),
    _line(ConsistencyJob(), "23 3 * * sun", "compare rows, edges, index, keys and log", seconds=600),
    _line(
        SnapshotJob(), "17 0 * * *", "copy the sealed rows and the logs, if it is said where to", seconds=600
    ),
    _line(
        RestoreDrillJob(), "47 5 * * sat", "put the newest snapshot back into a scratch folder", seconds=600
    ),
    _line(CheckpointJob(), "1h", "hold the logs against what was signed, and sign what is new"),
    _line(AnchorJob(), "1h", "anchor what is signed, and hold the logs against the anchor"),
)
"""All jobs, with the terms that they have unless the settings say otherwise."""


def catalogue(terms: Mapping[str, str] = MappingProxyType({})) -> tuple[Scheduled, ...]:
    """Return all jobs, some with other terms than their own.

    Args:
        terms: Terms by the name of the job; `off` leaves a job to be run by hand.

    Raises:
        InputInvalidError: there is no such job, or a term is none.
    """
    unknown = sorted(terms.keys() - {one.name for one in JOBS})
    if unknown:
        known = ", ".join(one.name for one in JOBS)
        raise InputInvalidError(f"expected names of jobs ({known}), got {len(unknown)} others")
    return tuple(replace(one, term=parse_term(terms[one.name])) if one.name in terms else one for one in JOBS)
