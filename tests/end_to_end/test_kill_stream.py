"""kill -9 of a streamer at any moment, then on from its cursor: items may come twice, none is missing."""

import json
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from api.delivery import Delivery, file_sink
from audit.event import EventType
from audit.siem.formats import Format, formatter_of
from policies.model import Purpose
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import AUDITOR, CLINIC, Clinic
from tests.simulators.fakes import fake_options
from vault.log_stream import Anchored, StreamRequest
from vault.memos import MemOS
from vault.opening import Vault
from vault.stream_cursor import CursorFile

ENTRIES = 400
KILLS = 25


@dataclass(frozen=True)
class Streamed:
    """A vault whose log goes to a file, and the cursor."""

    vault: Path
    output: Path
    cursor: Path

    def stream(self, reached: Callable[[str], None]) -> None:
        """Stream what is there, in small batches, telling each place that is reached."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vault.log_stream.BATCH", 7)
            with Vault.open(self.vault, options=fake_options()) as vault, self.output.open("ab") as file:
                memory = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
                take = file_sink(file)

                def sink(batch: bytes) -> None:
                    reached("write")
                    take(batch)
                    reached("written")

                class Watched(CursorFile):
                    def write(self, place: Anchored) -> None:
                        super().write(place)
                        reached("cursor")

                asked = StreamRequest(Format.OCSF)
                cursor = Watched(self.cursor, asked)
                stream = memory.stream(asked, cursor.read())
                Delivery(stream, formatter_of(Format.OCSF), sink, cursor).run()


def _stream_and_die(streamed: Streamed, step: str, after: int, _acknowledge: Tell) -> None:
    left = [after]

    def reached(place: str) -> None:
        left[0] -= place == step
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    streamed.stream(reached)


def test_a_streamer_killed_at_any_moment_leaves_no_gap(template: Path, tmp_path: Path) -> None:
    clinic = Clinic(template, tmp_path / "vault", fake_options())
    journal = clinic.vault.parts.journal
    journal.write([journal.event(EventType.VAULT_READ, CLINIC, {"count": nth}) for nth in range(ENTRIES)])
    clinic.close()
    output, cursor = tmp_path / "events.ndjson", tmp_path / "siem.cursor"
    moments = random.Random(7)  # noqa: S311  # the same moments in every run
    killed = 0
    for _ in range(KILLS):
        before = cursor.read_bytes() if cursor.exists() else None
        step = moments.choice(["write", "written", "cursor"])
        after = moments.randint(1, 4)
        child = run_child(partial(_stream_and_die, Streamed(clinic.path, output, cursor), step, after))
        killed += child.killed
        if cursor.exists() and cursor.read_bytes() != before:
            had_before = json.loads(cursor.read_bytes())["next"]
            assert set(range(had_before)) <= set(_delivered(output)), (
                "the cursor is never ahead of the receiver"
            )
    assert killed >= KILLS // 2
    Streamed(clinic.path, output, cursor).stream(lambda _place: None)
    clinic.reopen()
    had = _delivered(output)
    told = [entry for entry in clinic.log() if entry.event == "audit.export"]
    assert sorted(set(had)) == list(range(max(had) + 1)), "no gap"
    assert max(had) >= ENTRIES
    assert len(had) > len(set(had)), "some came twice"
    assert len(told) >= killed
    assert clinic.audit().verify().passed
    clinic.close()


def _delivered(output: Path) -> list[int]:
    """Return the indexes of the whole lines that the receiver has; a torn one is not had."""
    lines = output.read_bytes().split(b"\n")[:-1]
    return [json.loads(line)["metadata"]["sequence"] for line in lines if line.endswith(b"}}}")]
