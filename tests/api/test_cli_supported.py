"""`memvault supported --picture`: the check as a picture, in a file of one's own."""

from pathlib import Path
from xml.etree import ElementTree as ET

from tests.api.conftest import Memvault


def test_a_draft_is_drawn_into_a_new_file_that_nobody_else_reads(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "draft.svg"
    memvault("feedback", "confirm", memory_id)
    text = memvault.json("show", memory_id)["text"]
    draft = f"{text} <b>Zebras</b> graze."
    told = memvault.json("supported", draft, "--picture", str(out))["statements"]
    drawn = ET.fromstring(out.read_text("utf-8"))  # noqa: S314  # our own output
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert told[0]["memory_id"] == memory_id
    assert {memory_id, f"{told[0]['source_start']}-{told[0]['source_end']}", "<b>Zebras</b> graze."} <= set(
        texts
    )
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_stays_as_it_is(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    assert memory_id
    out = tmp_path / "draft.svg"
    out.write_text("mine")
    refused = memvault("supported", "The knee hurts.", "--picture", str(out))
    assert refused.exit_code != 0
    assert "the file cannot be made" in refused.stderr
    assert out.read_text() == "mine"
