"""Each suite at its smallest, with peers that are simulated, absent or broken."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.bench.floor import Floor, floor_rate
from api.bench.footprint import _install, locked_names
from api.bench.ingest import SESSIONS, TURNS, ingest
from api.bench.made_up import Texts, UnitVectors, bare_options, new_vault, owner_of
from api.bench.peers import MEM0, PeerError, PeerProcess
from api.bench.rebuild import Sizes, growth
from api.bench.report import Figure
from api.bench.run import SUITES, Setting, run
from api.bench.writes import Effort, own_cost, side_by_side
from policies.errors import DeniedError
from tests.simulators.fakes import fake_options
from vault.errors import VaultError
from vault.model import Chat, Turn

WORKER = """
import json, sys
settings = json.loads(sys.argv[1])
print("a library prints this", flush=True)
if settings["cls"] == "MemosGeneral":
    print(json.dumps({"error": "cannot open: ImportError"}), flush=True)
    sys.exit()
print(json.dumps({"open_s": 0.0}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "close":
        break
    if any("poison" in item.get("text", "") for item in request["items"]):
        print(json.dumps({"error": "ValueError: poison"}), flush=True)
        continue
    print(json.dumps({"seconds": [0.5] * len(request["items"])}), flush=True)
"""


@pytest.fixture
def harness(tmp_path: Path) -> tuple[Path, Path]:
    """A harness whose worker answers by the clock of the test: mem0 works, MemOS does not open."""
    folder, root = tmp_path / "harness", tmp_path / "peers"
    (folder / "adapters").mkdir(parents=True)
    (folder / "worker.py").write_text(WORKER)
    for name in ("mem0", "memos"):
        place = root / "venvs" / name / "bin"
        place.mkdir(parents=True)
        (place / "python").symlink_to(sys.executable)
    return folder, root


@pytest.fixture
def locomo(tmp_path: Path) -> Path:
    """A conversation of two sessions in LoCoMo's form."""
    turn = {"speaker": "Anna", "text": "My knee hurts, said Maria."}
    conversation = {
        "session_1": [{**turn, "dia_id": "D1:1"}, {**turn, "dia_id": "D1:2"}],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_2": [{**turn, "dia_id": "D2:1", "blip_caption": "a knee"}],
        "session_2_date_time": "1:56 pm on 9 May, 2023",
    }
    asked = {"question": "What hurts?", "evidence": ["D1:1"], "category": 4}
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([{"sample_id": "conv-1", "conversation": conversation, "qa": [asked]}]))
    return file


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    """Return figures by name; each name stands once."""
    found = {figure.name: figure for figure in figures}
    assert len(found) == len(figures)
    return found


def test_a_write_is_measured_alone_and_among_others_with_the_floor_beside_it(tmp_path: Path) -> None:
    found = by_name(own_cost(tmp_path, Effort(alone=4, crowd=32, runs=1, gated=0)))
    alone = found["write alone, own cost, p50"]
    assert alone.value is not None
    assert alone.value > 0
    assert "floor" in alone.note
    assert (found["32 writers, whole calls of one memory each"].value or 0) > 0
    assert "calls/s" in found["32 writers, sessions of 16 turns"].note
    assert alone.met is None, "four writes say nothing"
    assert "a small sample" in alone.note


def test_what_one_of_many_writers_raises_reaches_the_caller(tmp_path: Path) -> None:
    with new_vault(tmp_path / "vault", bare_options()) as vault:
        memory = owner_of(vault)
        with pytest.raises(VaultError):
            side_by_side(memory, [Chat((Turn("user", " "),))], writers=2)


def test_a_store_that_grows_is_searched_opened_and_written_to(tmp_path: Path) -> None:
    found = by_name(growth(tmp_path, Sizes(small=3, large=6, full=8, young=2, searches=2, blocks=1)))
    assert found["open and rebuild 6 memories"].note.startswith("6 memories")
    assert found["open and rebuild 6 memories"].met is None
    assert "the target speaks of 100,000 memories" in found["open and rebuild 6 memories"].note
    assert found["write at 8 against 2"].met is None
    assert set(found) == {
        "search 3 memories, own cost, p50",
        "search 6 memories, own cost, p50",
        "open and rebuild 6 memories",
        "write at 8 against 2",
    }


def test_ingest_stands_beside_the_peer_that_works_and_says_why_the_other_is_missing(
    tmp_path: Path, locomo: Path, harness: tuple[Path, Path]
) -> None:
    folder, root = harness
    found = by_name(ingest(tmp_path, locomo, harness=folder, peers=root, options=fake_options()))
    assert found["mem0, an add for each turn"].value == pytest.approx(2.0)
    ratio = found[f"{SESSIONS}, against mem0"]
    assert ratio.value == pytest.approx((found[SESSIONS].value or 0) / 2.0)
    assert ratio.met is True
    missing = found[f"{TURNS}, against MemOS"]
    assert missing.value is None
    assert missing.note == "not measured: MemOS: cannot open: ImportError"


def test_ingest_without_peers_measures_the_vault_and_says_what_was_not_given(
    tmp_path: Path, locomo: Path
) -> None:
    found = by_name(ingest(tmp_path, locomo, options=fake_options()))
    assert (found[SESSIONS].value or 0) > 0
    assert "the harness" in found[f"{SESSIONS}, against mem0"].note


def test_a_peer_that_fails_in_the_middle_is_left_out_with_its_reason(
    tmp_path: Path, harness: tuple[Path, Path]
) -> None:
    folder, root = harness
    with PeerProcess(MEM0, folder, root, tmp_path / "run") as peer:
        assert peer.search([("q", "u")]) == [0.5]
        with pytest.raises(PeerError, match="mem0: ValueError: poison"):
            peer.add([{"id": "1", "user": "u", "text": "poison"}])
        assert peer.add([{"id": "2", "user": "u", "text": "well"}]) == 0.5


def test_a_peer_that_was_never_set_up_is_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"mem0 is not installed: run setup_peers.py mem0"):
        PeerProcess(MEM0, tmp_path, tmp_path, tmp_path / "run")


def test_a_run_without_shared_data_has_a_row_for_everything_it_could_not_measure(tmp_path: Path) -> None:
    *_, report = run(
        ["ingest", "recall"],
        Setting(scratch=tmp_path),
        command="memvault bench",
        clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert [section.name for section in report.sections] == ["ingest", "recall"]
    assert all(
        figure.note.startswith("not measured") for section in report.sections for figure in section.figures
    )
    assert list(tmp_path.iterdir()) == []


def test_a_suite_that_fails_leaves_its_error_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Setting) -> list[Figure]:
        raise DeniedError("not allowed")

    monkeypatch.setattr("api.bench.run.SUITES", {**SUITES, "writes": fails})
    *_, report = run(
        ["writes", "recall"],
        Setting(scratch=tmp_path),
        command="x",
        clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert report.sections[0].figures[0].note == "not measured: DeniedError: not allowed"
    assert len(report.sections) == 2


def test_the_floor_writes_its_six_rows_durably(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor.db")
    assert floor.write(3) > 0
    floor.close()
    assert (tmp_path / "floor.db").stat().st_size > 0
    assert floor_rate(tmp_path / "other.db", 2, 4) > 0


def test_made_up_texts_are_the_same_for_the_same_seed_and_of_the_length_asked_for() -> None:
    assert Texts(7).sentence() == Texts(7).sentence() != Texts(8).sentence()
    assert 4 <= len(Texts().questions(1)[0].split()) <= 8
    vectors = UnitVectors().embed(["a", "b", "a"])
    assert (vectors[0] == vectors[2]).all()
    assert abs(float(vectors[1] @ vectors[1]) - 1) < 1e-6


def test_the_install_is_the_sum_of_what_the_lock_names_and_is_there(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "numpy==2.0 \\\n    --hash=sha256:00\n# a comment==1\nabsent-thing[extra]==1.0 ; python_version > '3'\n"
    )
    assert locked_names(lock) == ["numpy", "absent-thing"]
    found = _install(lock)
    assert found.value is not None
    assert found.value > 1
    assert found.note.startswith("bytes on disk, compiled modules included, of 1 distributions")
    shutil.rmtree(tmp_path)
    assert _install(lock).note == "not measured: requirements.lock is not beside the program"
