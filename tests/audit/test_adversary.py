"""Who owns the database and not the signing key, against who verifies: what is caught, and by what alone.

Each line of two tables of docs/threat-model.md is a case here, and each case a line there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.checkpoint import parse_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.event import commit_payload, parse_header
from audit.evidence import SYSTEM_LOG
from audit.note import parse_note
from audit.reader import LogReader
from audit.report import Check, Report
from audit.trust import Trust
from audit.verify import verify_logs
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment
from tests.simulators.tampering_store import Snapshot, TamperingStore

A = "clinic-a"
WITNESS = WitnessSignerKey("witness.example/w1", bytes([1]) * 32)
WITNESSED = Trust((LOG_KEY.verifier,), (WITNESS.verifier,), 1)
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"

KEY = "the log's key"
KEPT = "a checkpoint kept elsewhere"
COSIGNED = "a witness that is demanded"


@dataclass
class Stage:
    """A deployment with a day behind it, what the adversary kept of yesterday, what others kept of today."""

    deployment: SmallDeployment
    store: TamperingStore
    yesterday: Snapshot
    kept: tuple[bytes, ...]

    def cosign(self) -> None:
        """Let the witness sign what it sees of the first log: it does so once for each size."""
        note = self.deployment.log.checkpoints(self.deployment.connection, A)[-1]
        parsed = parse_note(note)
        size = parse_checkpoint(parsed.text).size
        line = str(WITNESS.cosign(parsed.text, 1_700_000_000))
        self.store.add_cosignature(A, size, WITNESS.name, line)

    def tell_another_history(self) -> None:
        """Go back to yesterday and live another today, with the real key; the witness signs no second time."""
        self.store.restore(self.yesterday)
        for nth in range(300):
            self.deployment.write(A, f"mem_eeeeeeee{nth}")
        self.deployment.sign()


@pytest.fixture
def stage(deployment: SmallDeployment) -> Stage:
    deployment.live_a_day()
    store = TamperingStore(deployment.connection)
    yesterday = store.snapshot()
    for nth in range(300):
        deployment.write(A, f"mem_dddddddd{nth}")
    kept = tuple(deployment.sign())
    staged = Stage(deployment, store, yesterday, kept)
    staged.cosign()
    return staged


def lie(store: TamperingStore) -> None:
    """Let a denial become a success, everywhere that it stands."""
    store.alter_header(A, 4, '"denied","event"', '"allowed","event"')
    store.alter_header(A, 4, '"outcome":"denied"', '"outcome":"ok"')


def forge(stage: Stage) -> None:
    """Rewrite an entry with its payload and recompute all that needs no key, in the log and beside it."""
    (row,) = stage.deployment.log.entries(stage.deployment.connection, A, 3, 4)
    old = parse_header(row.header).commitment
    forged = '{"nth":99}'
    stage.store.alter_header(A, 3, old, commit_payload(bytes(32), forged.encode()))
    stage.store.alter(A, 3, salt=bytes(32), payload=forged)
    lie(stage.store)
    stage.store.cover_tracks(A)


def cut_middle(stage: Stage) -> None:
    stage.store.close_gap(A, 3)
    stage.store.cover_tracks(A)


def reorder(stage: Stage) -> None:
    stage.store.reorder(A, 2, 300)
    stage.store.cover_tracks(A)


def fork(stage: Stage) -> None:
    """Go back to yesterday's checkpoint and write another today behind it, unsigned, as no key is at hand."""
    notes = stage.store.snapshot().checkpoints
    stage.store.restore(stage.yesterday)
    stage.deployment.write(A, "mem_eeeeeeee0")
    for row in notes:
        known = {(one["tenant_id"], one["tree_size"]) for one in stage.yesterday.checkpoints}
        if (row["tenant_id"], row["tree_size"]) not in known:
            stage.store.add_note(str(row["tenant_id"]), int(str(row["tree_size"])), str(row["note"]).encode())


def cut_unsigned(stage: Stage) -> None:
    """Cut off what was written since the last checkpoint."""
    stage.deployment.deny(A)
    stage.store.truncate(A, 609)
    stage.store.cover_tracks(A)


def write_untruth(stage: Stage) -> None:
    """Record what did not happen, as only the vault itself can."""
    stage.deployment.write(A, "mem_ffffffff0")
    stage.deployment.sign()


ATTACKS: dict[str, tuple[Callable[[Stage], object], Check, str]] = {
    "a field is edited": (lambda stage: lie(stage.store), Check.LEAF_HASH, KEY),
    "a leaf hash is edited": (
        lambda stage: stage.store.alter(A, 2, leaf_hash=bytes(32)),
        Check.LEAF_HASH,
        KEY,
    ),
    "a tile is edited": (lambda stage: stage.store.alter_tile(A, 0, 1, bytes(8192)), Check.TILE, KEY),
    "tiles are deleted": (lambda stage: stage.store.drop_tiles(A), Check.TILE, KEY),
    "a hash of a full tile is edited": (
        lambda stage: stage.store.alter_subtree(A, 1, 0, bytes(32)),
        Check.TILE,
        KEY,
    ),
    "the tail is deleted": (lambda stage: stage.store.roll_back(A, 400), Check.CHECKPOINT_SIZE, KEY),
    "entries are deleted from the middle": (cut_middle, Check.CHECKPOINT_ROOT, KEY),
    "entries are reordered": (reorder, Check.CHECKPOINT_ROOT, KEY),
    "payloads are swapped between rows": (
        lambda stage: stage.store.swap_payloads(A, 2, 300),
        Check.COMMITMENT,
        KEY,
    ),
    "a payload is erased in silence": (
        lambda stage: stage.store.alter(A, 2, salt=None, payload=None),
        Check.ERASURE,
        KEY,
    ),
    "entries are forged with the database's password, every hash, tile and head recomputed": (
        forge,
        Check.CHECKPOINT_ROOT,
        KEY,
    ),
    "the log is forked behind an old checkpoint, without the key": (fork, Check.CHECKPOINT_SIZE, KEY),
    "signatures are stripped from the checkpoints": (
        lambda stage: stage.store.alter_note(A, "\u2014", "-"),
        Check.CHECKPOINT_NOTE,
        KEY,
    ),
    "all checkpoints of a log are deleted": (
        lambda stage: stage.store.strip_checkpoints(A),
        Check.SIGNED,
        KEY,
    ),
    "cosignatures are stripped": (
        lambda stage: stage.store.strip_cosignatures(A),
        Check.COSIGNED,
        COSIGNED,
    ),
    "a cosignature is moved to another checkpoint": (
        lambda stage: stage.store.move_cosignature(A, 9),
        Check.COSIGNATURE,
        COSIGNED,
    ),
    "one log is replayed from an old database": (
        lambda stage: stage.store.roll_back(A, 9),
        Check.CHECKPOINT_SIZE,
        KEY,
    ),
    "the whole database is replayed from an old copy": (
        lambda stage: stage.store.restore(stage.yesterday),
        Check.CHECKPOINT_SIZE,
        KEPT,
    ),
    "the log is forked behind a checkpoint, with the real key": (
        Stage.tell_another_history,
        Check.CHECKPOINT_ROOT,
        KEPT,
    ),
    "two histories are shown to two clients": (Stage.tell_another_history, Check.COSIGNED, COSIGNED),
}

NOT_CAUGHT: dict[str, tuple[Callable[[Stage], object], str]] = {
    "an old copy of the whole database, where nobody kept a checkpoint": (
        lambda stage: stage.store.restore(stage.yesterday),
        "keep checkpoints: in an anchor, at a witness, in a drawer",
    ),
    "two histories signed with the real key, where no witness is demanded and nobody compares": (
        Stage.tell_another_history,
        "demand cosignatures; compare roots",
    ),
    "entries cut off behind the last checkpoint, before they were signed": (
        cut_unsigned,
        "sign often: the stretch is seconds; a caller's receipt shows the entry",
    ),
    "an entry that was never made": (
        lambda _: None,
        "nothing in a log shows it; intents and row comparison narrow it",
    ),
    "a lie in an entry": (
        write_untruth,
        "nothing in a log shows it; row digests narrow it",
    ),
}


def verify(stage: Stage, needs: str) -> Report:
    trust = WITNESSED if needs == COSIGNED else Trust((LOG_KEY.verifier,))
    logs = LogReader().evidence(stage.deployment.connection)
    kept = stage.kept if needs == KEPT else ()
    return verify_logs(logs, trust, remembered=kept, now=stage.deployment.now, complete=True)


def found(report: Report) -> set[str]:
    """Return the checks that found something, but for logs that no witness of the test signs."""
    return {
        str(one.check)
        for one in report.findings
        if not (one.check == Check.COSIGNED and one.log in {SYSTEM_LOG, "clinic-b"})
    }


def test_before_the_attack_nothing_is_found(stage: Stage) -> None:
    for needs in (KEY, KEPT, COSIGNED):
        assert found(verify(stage, needs)) == set()


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_caught_that(name: str, stage: Stage) -> None:
    attack, check, needs = ATTACKS[name]
    attack(stage)
    assert check in found(verify(stage, needs))


@pytest.mark.parametrize("name", [name for name, (_, _, needs) in ATTACKS.items() if needs != KEY])
def test_without_what_it_takes_it_is_not_caught_that(name: str, stage: Stage) -> None:
    attack, _, _ = ATTACKS[name]
    attack(stage)
    assert found(verify(stage, KEY)) == set(), "or the table demands more than it takes"


@pytest.mark.parametrize("name", NOT_CAUGHT)
def test_it_is_not_caught_and_we_say_so_that_there_is(name: str, stage: Stage) -> None:
    attack, _ = NOT_CAUGHT[name]
    attack(stage)
    assert found(verify(stage, KEY)) == set()


def rows_of(heading: str) -> list[list[str]]:
    section = GUIDE.read_text(encoding="utf-8").partition(f" {heading}\n")[2]
    table = re.search(r"\n\|[^\n]*\n\|[-|]*\n((?:\|[^\n]*\n)+)", section)
    assert table is not None
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[1].splitlines()
    ]


def test_the_threat_model_lists_what_is_caught_by_which_check() -> None:
    expected = [[name, str(check), needs] for name, (_, check, needs) in ATTACKS.items()]
    assert rows_of("What a forger of the log runs into") == expected


def test_the_threat_model_lists_what_is_not_caught() -> None:
    assert rows_of("What nobody can see from the log") == [
        [name, narrows] for name, (_, narrows) in NOT_CAUGHT.items()
    ]


if __name__ == "__main__":  # prints the tables: `python -m tests.audit.test_adversary`
    import sys

    lines = [f"| {name} | `{check}` | {needs} |" for name, (_, check, needs) in ATTACKS.items()]
    lines += ["", *(f"| {name} | {narrows} |" for name, (_, narrows) in NOT_CAUGHT.items())]
    sys.stdout.write("\n".join(lines) + "\n")
