"""What a witness remembers: durable before it answers, never backwards, safe when two ask at once."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey, parse_cosignatures, verify_cosignatures
from audit.errors import WitnessStateError
from audit.merkle import leaf_hash
from audit.note import Note, parse_note
from audit.signing import SignerKey
from audit.witness import Refusal, Seen, Submission, TrustList
from audit.witness_store import MAX_EVIDENCE, MAX_REFUSED, StandaloneWitness, WitnessStore
from tests.conftest import REPOSITORY
from tests.simulators.plain_tree import PlainTree as Tree

KEY = SignerKey("memos-vault/ward-1/clinic-a", bytes(range(32)))
WITNESS = WitnessSignerKey("witness.example/w1", bytes(32))
TREE = Tree(leaf_hash(str(nth).encode()) for nth in range(40))
NOW = 1_700_000_000


def witness(path: Path, *, probe: Callable[[str], None] = lambda _step: None) -> StandaloneWitness:
    store = WitnessStore(path) if path.exists() else WitnessStore.create(path)
    return StandaloneWitness(WITNESS, lambda: TrustList((KEY.verifier,)), store, lambda: NOW, probe)


def body(old: int, size: int, tree: Tree = TREE) -> bytes:
    note = sign_checkpoint(Checkpoint(KEY.name, size, tree.root(size)), [KEY]).note
    proof = tuple(tree.consistency_proof(old, size)) if 0 < old < size else ()
    return Submission(old, proof, note).encode()


def forked(at: int) -> Tree:
    return Tree(leaf_hash(str(nth if nth < at else -nth).encode()) for nth in range(40))


def test_what_is_answered_is_a_cosignature_and_is_remembered(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    for old, size in ((0, 3), (3, 3), (3, 20)):
        answer = one.answer(body(old, size))
        assert answer.status == 200
        note = parse_note(body(old, size).partition(b"\n\n")[2])
        cosigned = Note(note.text, parse_cosignatures(answer.body.encode()))
        (found,) = verify_cosignatures(cosigned, [WITNESS.verifier])
        assert found.time == NOW
        assert WitnessStore(tmp_path / "w.db").seen(KEY.name) == Seen(size, TREE.root(size))
    assert one.store.logs() == [(KEY.name, Seen(20, TREE.root(20)))]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (b"x", 400),
        (body(3, 2), 400),
        (body(0, 12), 409),
        (body(3, 5), 409),
        (body(8, 12, forked(5)), 422),
        (body(8, 8, forked(5)), 409),
    ],
)
def test_what_is_refused_leaves_the_state_as_it_was(tmp_path: Path, given: bytes, status: int) -> None:
    one = witness(tmp_path / "w.db")
    assert one.answer(body(0, 8)).status == 200
    answer = one.answer(given)
    assert answer.status == status
    assert "—" not in answer.body
    assert one.store.seen(KEY.name) == Seen(8, TREE.root(8))


def signed(size: int, root: bytes, *foreign: SignerKey) -> bytes:
    return sign_checkpoint(Checkpoint(KEY.name, size, root), [KEY, *foreign]).note


def test_a_fork_that_the_log_signed_is_kept_as_evidence_once(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    root = forked(5).root(8)
    noise = (SignerKey(f"noise.example/{nth}", bytes(32)) for nth in range(3))
    brought = [body(8, 8, forked(5)), *(Submission(3, (), signed(8, root, key)).encode() for key in noise)]
    for given in brought:
        assert one.answer(given).status == 409
    (fork,) = one.store.evidence(KEY.name)
    assert (fork.size, fork.roots) == (8, (TREE.root(8), root))
    assert fork.is_signed([KEY.verifier])


def test_honest_notes_with_wrong_proofs_leave_no_evidence_and_shut_none_out(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    for nth in range(MAX_EVIDENCE + 5):
        note = signed(9 + nth % 30, TREE.root(9 + nth % 30))
        assert one.answer(Submission(8, (nth.to_bytes(32),), note).encode()).status == 422
    assert one.store.evidence(KEY.name) == []
    assert one.answer(body(8, 8, forked(5))).status == 409
    assert [fork.size for fork in one.store.evidence(KEY.name)] == [8]


def test_a_note_of_another_size_is_kept_for_comparing_and_is_no_evidence(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    other = forked(5)
    for given, status in (
        (body(8, 12, other), 422),
        (body(8, 12, other), 422),  # once
        (body(3, 6, other), 409),  # a smaller tree than was seen
        (body(3, 20, other), 409),  # asked with another old size: what an honest log does, too
        (body(3, 8), 409),
    ):
        assert one.answer(given).status == status
    kept = one.store.refused(KEY.name)
    assert [(note.size, note.seen, note.reason, note.time) for note in kept] == [
        (12, 8, Refusal.PROOF, NOW),
        (6, 8, Refusal.SMALLER, NOW),
    ]
    assert [note.root for note in kept] == [other.root(12), other.root(6)]
    assert all(note.is_signed([KEY.verifier]) for note in kept)
    assert one.store.evidence(KEY.name) == []


def test_a_refused_note_becomes_evidence_when_the_witness_cosigns_its_size_with_another_root(
    tmp_path: Path,
) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    one.answer(body(8, 12, forked(5)))
    one.answer(Submission(8, (bytes(32),), signed(15, TREE.root(15))).encode())
    assert one.answer(body(8, 12)).status == 200
    (fork,) = one.store.evidence(KEY.name)
    assert (fork.size, fork.roots) == (12, (TREE.root(12), forked(5).root(12)))
    assert fork.is_signed([KEY.verifier])
    assert [note.size for note in one.store.refused(KEY.name)] == [15]
    assert one.answer(body(12, 15)).status == 200
    assert one.store.refused(KEY.name) == [], "it was an honest note that came with a wrong proof"
    assert len(one.store.evidence(KEY.name)) == 1


def test_refused_notes_are_bounded_and_the_latest_stay(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    for size in range(9, 9 + MAX_REFUSED + 5):
        one.answer(body(8, size, forked(5)))
    assert [note.size for note in one.store.refused(KEY.name)] == list(range(14, 14 + MAX_REFUSED))


def test_a_state_of_an_earlier_version_learns_to_keep_refused_notes(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    with closing(sqlite3.connect(tmp_path / "w.db")) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS refused")
    assert one.store.refused(KEY.name) == []
    one.answer(body(8, 12, forked(5)))
    assert [note.size for note in witness(tmp_path / "w.db").store.refused(KEY.name)] == [12]


def test_what_an_earlier_version_kept_without_a_fork_is_neither_shown_nor_counted(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    rows = [(KEY.name, NOW, signed(8, TREE.root(8)), signed(12, TREE.root(12)))] * MAX_EVIDENCE
    with closing(sqlite3.connect(tmp_path / "w.db")) as connection, connection:
        connection.executemany("INSERT INTO evidence VALUES (?, ?, ?, ?)", rows)
    assert one.store.evidence(KEY.name) == []
    one.answer(body(8, 8, forked(5)))
    assert len(one.store.evidence(KEY.name)) == 1


def test_evidence_is_bounded(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    for nth in range(MAX_EVIDENCE + 5):
        note = sign_checkpoint(Checkpoint(KEY.name, 8, nth.to_bytes(32)), [KEY]).note
        assert one.answer(Submission(8, (), note).encode()).status == 409
    assert len(one.store.evidence(KEY.name)) == MAX_EVIDENCE


def test_two_submissions_at_one_time_never_roll_the_log_back(tmp_path: Path) -> None:
    """The race of the specification: the smaller one is checked first and stored last."""
    inside, go_on = threading.Event(), threading.Event()

    def stall(step: str) -> None:
        if step == "locked":
            inside.set()
            go_on.wait(10)

    witness(tmp_path / "w.db").answer(body(0, 1))
    slow, quick = witness(tmp_path / "w.db", probe=stall), witness(tmp_path / "w.db")
    answers: dict[str, int] = {}
    first = threading.Thread(target=lambda: answers.update(slow=slow.answer(body(1, 3)).status))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=lambda: answers.update(quick=quick.answer(body(1, 5)).status))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert answers == {"slow": 200, "quick": 409}
    assert quick.store.seen(KEY.name).size == 3


def test_many_submissions_at_one_time_leave_one_history(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    cosigned: list[int] = []

    def submit(nth: int) -> None:
        for size in range(nth + 1, 40, 4):
            had = one.store.seen(KEY.name).size
            if had <= size and one.answer(body(had, size)).status == 200:
                cosigned.append(size)

    threads = [threading.Thread(target=submit, args=(nth,)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert one.store.seen(KEY.name).size == max(cosigned)


def test_the_state_itself_refuses_to_go_back_or_to_forget(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    with closing(sqlite3.connect(tmp_path / "w.db")) as connection:
        for statement in (
            "UPDATE seen SET size = 3",
            "UPDATE seen SET root = zeroblob(32)",
            "DELETE FROM seen",
            "INSERT INTO seen VALUES ('x', -1, zeroblob(32), x'00')",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
    assert one.store.seen(KEY.name) == Seen(8, TREE.root(8))


def test_a_state_that_is_lost_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    one = witness(tmp_path / "w.db")
    one.answer(body(0, 8))
    (tmp_path / "w.db").unlink()
    with pytest.raises(WitnessStateError, match="SQLITE_CANTOPEN"):
        one.answer(body(0, 3))
    with pytest.raises(WitnessStateError, match="must get a new key"):
        WitnessStore(tmp_path / "w.db")
    assert not (tmp_path / "w.db").exists()


def test_a_state_that_is_unsafe_or_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    WitnessStore.create(path)
    with pytest.raises(WitnessStateError, match="File exists"):
        WitnessStore.create(path)
    path.chmod(0o640)
    with pytest.raises(WitnessStateError, match="mode 0600"):
        WitnessStore(path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with pytest.raises(WitnessStateError, match="regular file"):
        WitnessStore(link)
    other = tmp_path / "other.db"
    other.touch(0o600)
    with pytest.raises(WitnessStateError, match="another database"):
        WitnessStore(other)
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"noise" * 1000)
    noise.chmod(0o600)
    with pytest.raises(WitnessStateError, match="SQLITE_NOTADB"):
        WitnessStore(noise)


@pytest.mark.parametrize("step", ["locked", "written", "remembered"])
def test_a_witness_that_is_killed_remembers_what_it_may_have_answered(tmp_path: Path, step: str) -> None:
    path = tmp_path / "w.db"
    one = witness(path)
    assert one.answer(body(0, 8)).status == 200
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.audit import test_witness_store as t\n"
        "def probe(step):\n"
        "    if step == sys.argv[2]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.witness(Path(sys.argv[1]), probe=probe).answer(t.body(8, 20))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), step],
        check=False,
        capture_output=True,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    remembered = witness(path).store.seen(KEY.name)
    assert remembered.size == (20 if step == "remembered" else 8)
    assert witness(path).answer(body(remembered.size, 30)).status == 200
    assert witness(path).answer(body(30, 30, forked(25))).status == 409
