"""The log's suite at its smallest: every figure has its name, unit and target, and what fails says so."""

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.pool import StaticPool

from api.bench import log, log_reads
from api.bench.log import log_speed
from api.bench.log_made_up import (
    Calendar,
    add_leaves,
    clinic,
    fill,
    fill_tiles,
    no_clock,
    number_leaf,
    write_draft,
)
from api.bench.log_reads import AUDITOR, reads, verify_alone
from api.bench.log_targets import (
    COUNTS,
    DURABLE,
    IN_MEMORY,
    PAGE,
    PROOF,
    RESIDENT,
    SINGLE,
    VERIFY,
    LogEffort,
    part,
    timed,
)
from api.bench.log_verifier import resident, verified
from api.bench.made_up import TENANT, bare_options, new_vault
from api.bench.report import Figure
from api.bench.run import Setting, run
from audit.event import EventType, Verdict
from audit.merkle import root_hash, verify_inclusion
from audit.query.index import IndexUnusableError
from audit.reader import LogReader
from audit.store import LEAF, METADATA
from policies.errors import DeniedError
from policies.model import Purpose
from vault.errors import StorageError
from vault.memos import MemOS

SMALLEST = LogEffort(1_280, 4, 1_000, 8, 40, 80, 1)
"""A floor's turn, a few single entries, a tree of three full tiles, a clinic of eighty calls asked once."""
PROMISED = (IN_MEMORY, DURABLE, SINGLE, PROOF, VERIFY, RESIDENT, PAGE, COUNTS)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An export of a made-up clinic, with the key that verifies it."""
    folder, calendar = tmp_path_factory.mktemp("clinic"), Calendar()
    with new_vault(folder / "vault", replace(bare_options(), clock=calendar)) as vault:
        fill(vault, clinic(calendar, vault.parts.policy.digest), 40, lambda _: None)
        file = folder / "evidence.tar"
        with file.open("wb") as written:
            MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT).export(written)
        return file, str(vault.parts.verifier_key)


def no_step(_: str) -> None:
    """Say nothing."""


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    """Return figures by name; each name stands once."""
    found = {figure.name: figure for figure in figures}
    assert len(found) == len(figures)
    return found


def raises(error: Exception) -> list[Figure]:
    """Fail as a measure may."""
    raise error


def test_every_promise_of_the_log_is_measured_with_its_unit_and_target_and_not_judged_when_small(
    tmp_path: Path,
) -> None:
    steps: list[str] = []
    found = by_name(log_speed(tmp_path, SMALLEST, step=steps.append))
    for promised in PROMISED:
        figure = found[promised.name]
        assert (figure.value or 0) > 0, figure.note
        assert (figure.unit, figure.target) == (promised.unit, promised.target)
        assert not figure.judged
        assert figure.met is None
        assert f"the target speaks of {promised.of}" in figure.note
    beside = [figure for figure in found.values() if figure.target is None]
    assert all(figure.value is not None and figure.unit for figure in beside)
    assert {
        "inclusion proof at 500 of 1,000, p95",
        "consistency proof to 1,000, p95",
        "the same less that of 40 entries",
        "index a log for questions",
    } == {figure.name for figure in beside}
    assert "making 80 of 80 entries" in steps


def test_enough_is_what_the_targets_speak_of_and_a_quick_run_is_less() -> None:
    full, quick = LogEffort.of(quick=False), LogEffort.of(quick=True)
    assert full == LogEffort()
    assert full.whole
    assert not quick.whole
    assert (full.entries, full.leaves) == (1_000_000, 10_000_000)
    judged = PROOF.measured(1.5, "so", enough=True, sample="")
    assert (judged.judged, judged.met, judged.note) == (True, True, "so")
    assert PROOF.measured(2.5, "so", enough=True, sample="").met is False


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DeniedError("not allowed"), "DeniedError: not allowed"),
        (StorageError("no space"), "StorageError: no space"),
        (IndexUnusableError("no index", damaged=False), "IndexUnusableError: no index"),
        (ChildProcessError("ended with 3"), "ChildProcessError: ended with 3"),
        (subprocess.TimeoutExpired("verify", 600), "TimeoutExpired: "),
    ],
)
def test_a_part_that_fails_keeps_its_rows_with_their_targets_and_says_why(
    error: Exception, said: str
) -> None:
    figures = part((PAGE, COUNTS), lambda: raises(error))
    assert [(one.name, one.unit, one.target) for one in figures] == [
        (one.name, one.unit, one.target) for one in (PAGE, COUNTS)
    ]
    assert all(one.value is None and one.met is None for one in figures)
    assert all(one.note.startswith(f"not measured: {said}") for one in figures)


def test_a_defect_of_the_benchmark_itself_is_not_taken_for_a_figure_that_is_missing() -> None:
    with pytest.raises(ZeroDivisionError):
        part((PAGE,), lambda: raises(ZeroDivisionError()))


def test_parts_that_fail_do_not_take_the_others_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> list[Figure]:
        raise StorageError("no space")

    monkeypatch.setattr(log, "_durable", no_room)
    monkeypatch.setattr(log, "_proofs", no_room)
    monkeypatch.setattr(log, "reads", lambda *_: [])
    found = by_name(log_speed(tmp_path, SMALLEST))
    assert (found[IN_MEMORY.name].value or 0) > 0
    assert set(found) == {one.name for one in (IN_MEMORY, DURABLE, SINGLE, PROOF)}
    assert all(
        found[one.name].note == "not measured: StorageError: no space" for one in (DURABLE, SINGLE, PROOF)
    )


def test_a_log_that_is_not_verified_can_still_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> dict[str, float]:
        raise ChildProcessError("the verifier ended with 3")

    monkeypatch.setattr(log_reads, "verify_alone", refused)
    found = by_name(reads(tmp_path, SMALLEST, no_step))
    assert found[VERIFY.name].note == "not measured: ChildProcessError: the verifier ended with 3"
    assert (found[PAGE.name].value or 0) > 0
    assert "of 80 entries" in found[COUNTS.name].note, "filled up though the export failed at half of it"


def test_a_good_bundle_is_verified_in_a_process_of_its_own_which_counts_its_own_memory(
    bundle: tuple[Path, str],
) -> None:
    found = verify_alone(*bundle)
    assert found["code"] == 0
    assert found["seconds"] > 0
    assert 5 < found["before"] <= found["peak"] < 200


def test_a_changed_bundle_is_refused_with_the_verifiers_own_reason(
    bundle: tuple[Path, str], tmp_path: Path
) -> None:
    file, key = bundle
    changed = bytearray(file.read_bytes())
    changed[changed.index(b"agent-") + 6] ^= 1
    bad = tmp_path / "bad.tar"
    bad.write_bytes(changed)
    with pytest.raises(ChildProcessError, match=r"^the verifier ended with \d: .+"):
        verify_alone(bad, key)
    assert verify_alone(file, key)["code"] == 0, "the file that it was made from still passes"


@pytest.mark.parametrize("content", [b"", b"no bundle"])
def test_what_is_no_bundle_is_refused(bundle: tuple[Path, str], tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(content)
    with pytest.raises(ChildProcessError, match="the verifier ended with 9: could not check"):
        verify_alone(bad, bundle[1])


def test_a_verifier_that_dies_is_no_result(
    bundle: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = tmp_path / "python"
    dies.write_text("#!/bin/sh\nexit 7\n")
    dies.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dies))
    with pytest.raises(ChildProcessError, match="the verifier ended with -1: no reason given"):
        verify_alone(*bundle)


def test_the_verifier_says_what_the_command_says_and_prints_nothing_of_it(
    bundle: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = bundle
    found = verified(str(file), key)
    assert found["code"] == 0
    assert capsys.readouterr().out == ""
    assert json.loads(json.dumps(found)) == found
    assert 0 < resident("VmRSS") <= resident("VmHWM")


def test_a_made_up_clinic_is_the_same_each_time_and_uses_only_what_it_wrote() -> None:
    calendar, again = Calendar(), Calendar()
    drafts = list(islice(clinic(calendar, "sha256:" + "00" * 32), 2_000))
    assert drafts == list(islice(clinic(again, "sha256:" + "00" * 32), 2_000))
    written: set[str] = set()
    for draft in drafts:
        if draft.event is EventType.MEMORY_WRITE:
            written |= set(re.findall(r"mem_\d{26}", str(draft.payload)))
        elif draft.resource is not None:
            assert draft.resource in written
    assert [one.time for one in drafts] == sorted(one.time for one in drafts)
    denied = sum(one.decision is Verdict.DENIED for one in drafts)
    assert 0.005 < denied / len(drafts) < 0.04
    assert drafts[-1].time == calendar.now > no_clock()


def test_a_tree_of_tiles_has_the_root_of_its_leaves_and_proves_them() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    METADATA.create_all(engine)
    with engine.connect() as connection:
        edge = fill_tiles(connection, 600, no_step)
        assert edge.root() == root_hash([number_leaf(nth) for nth in range(600)])
        add_leaves(connection, set())
        assert connection.execute(select(func.count()).select_from(LEAF)).scalar_one() == 0
        add_leaves(connection, {7, *range(512, 600)})
        proof = LogReader().inclusion_proof(connection, TENANT, 7, 600)
        verify_inclusion(7, 600, number_leaf(7), proof, edge.root())
    engine.dispose()


def test_runs_are_timed_one_by_one() -> None:
    ran = io.StringIO()
    times = timed([lambda: ran.write("a"), lambda: ran.write("b")])
    assert ran.getvalue() == "ab"
    assert len(times.walls) == len(times.own) == 2
    assert "p95 of processor" in times.told


def test_the_suite_stands_in_the_program_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogEffort, "of", classmethod(lambda _cls, *, quick: SMALLEST if quick else None))
    setting = Setting(scratch=tmp_path, quick=True)
    (report,) = run(["log"], setting, command="memvault bench --only log --quick", clock=no_clock)
    (section,) = report.sections
    assert {one.name for one in PROMISED} <= {figure.name for figure in section.figures}
    assert report.missed == []
    assert len(report.not_judged) == len(PROMISED)
    assert list(tmp_path.iterdir()) == []


def test_names_of_promises_are_those_of_the_figures() -> None:
    assert len({one.name for one in PROMISED}) == len(PROMISED)
    assert all(one.absent("x").target == one.target for one in PROMISED)
    assert write_draft().tenant == TENANT
