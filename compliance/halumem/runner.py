"""Runs systems over users, one user at a time, and goes on where it was stopped.

Owns the run's folder: `run.json` says what is run, `<system>/<user>.json` holds one user's counts, written
aside and then moved into place. A folder of another run is refused, never mixed.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from compliance.halumem.errors import RunMismatchError
from compliance.halumem.judge import Judge
from compliance.halumem.report import Report, measured
from compliance.halumem.schema import User
from compliance.halumem.scoring import Scorer
from compliance.halumem.systems import MemorySystem
from compliance.halumem.tally import Tally

FORMAT: Final = 1
MAX_RESULT: Final = 64 * 1024


class Runner:
    """One run in one folder.

    Args:
        folder: Made if absent.
        source: What the users come from: a file's digest, or seed, split and size.
        judge: Who decides.
        caveat: What every report of this run says first.

    Raises:
        RunMismatchError: the folder holds a run of another source or judge.
    """

    def __init__(self, folder: Path, source: str, judge: Judge, caveat: str) -> None:
        self._folder, self._source, self._judge, self._caveat = folder, source, judge, caveat
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"format": FORMAT, "source": source, "judge": judge.label}
        place = folder / "run.json"
        if not place.exists():
            _write(place, json.dumps(wanted, sort_keys=True))
        try:
            found = json.loads(_read(place))
        except ValueError as error:
            raise RunMismatchError("expected run.json to be JSON") from error
        if found != wanted:
            raise RunMismatchError(
                "expected a new folder, got one with a run of another source, judge or format"
            )

    def run(self, systems: Mapping[str, MemorySystem], users: Callable[[], Iterable[User]]) -> Report:
        """Score every user that is not scored yet, and report on all.

        Args:
            systems: By the name of their folder.
            users: Gives the same users each time that it is called.

        Raises:
            RunMismatchError: a user's stored counts are damaged.
            DatasetInvalidError: from the file that the users come from.
        """
        reports, count = [], 0
        for key, system in systems.items():
            place = self._folder / key
            place.mkdir(exist_ok=True)
            scorer = Scorer(system, self._judge)
            tallies = [
                self._user(place / f"{user.uuid}.json", scorer, user, system.label) for user in users()
            ]
            count = len(tallies)
            reports.append(measured(system.label, Tally.total(tallies)))
        report = Report(caveat=self._caveat, source=self._source, judge=self._judge.label, users=count, systems=tuple(reports))  # fmt: skip
        _write(self._folder / "report.json", report.model_dump_json(indent=2) + "\n")
        return report

    @staticmethod
    def _user(place: Path, scorer: Scorer, user: User, label: str) -> Tally:
        if place.exists():
            try:
                found = json.loads(_read(place))
                if found["system"] != label:
                    raise RunMismatchError("expected a new folder, got one with counts of another system")
                return Tally.model_validate(found["counts"])
            except (ValueError, KeyError, TypeError, ValidationError) as error:
                raise RunMismatchError(
                    f"expected a user's counts in {place.name}, got something else"
                ) from error
        tally = scorer.score(user)
        _write(place, json.dumps({"system": label, "counts": tally.model_dump()}))
        return tally


def _read(place: Path) -> str:
    with place.open("rb") as file:
        content = file.read(MAX_RESULT + 1)
    if len(content) > MAX_RESULT:
        raise RunMismatchError(f"expected at most {MAX_RESULT} bytes in {place.name}")
    return content.decode()


def _write(place: Path, text: str) -> None:
    aside = place.with_name(place.name + ".part")
    with aside.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    aside.replace(place)
