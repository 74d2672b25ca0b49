"""The demonstration: what it shows is true, and it would say so if it were not."""

import io
import json
import subprocess
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from api.cli.demo import demo
from api.demo.coverage import covered, readable_part
from api.demo.figures import figures
from api.demo.hunt import hunt
from api.demo.report import write_report
from api.demo.run import TENANT, Played, play
from api.demo.story import Story, read_story, shipped_story
from api.demo.terminal import show
from vault.errors import InputInvalidError
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import LocalRootWarning, Vault

HOSTILE = "<script>alert('x')</script> & call me on 218 555 0188"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Play the shipped story once, with one hostile turn more, in a real vault."""
    story = shipped_story()
    hostile = Chat((Turn("Noor Lindqvist", HOSTILE, SpeakerRole.USER, ref="D99:1"),))
    folder = tmp_path_factory.mktemp("demo") / "vault"
    told = Story(story.name, story.subject, (*story.chats, hostile), story.planted, story.questions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        with Vault.create(folder, tenant=TENANT) as vault:
            yield play(told, vault, folder, lambda _what, _done, _of: None)


def test_nothing_that_was_planted_or_said_stands_on_disk(played: Played) -> None:
    assert played.disk.hunt.sightings == ()
    assert played.disk.hunt.files >= 5
    assert played.disk.hunt.values > 200


def test_the_same_search_finds_everything_where_it_does_stand(played: Played) -> None:
    found = {sighting.value for sighting in played.disk.control.sightings}
    assert len(found) == played.disk.control.values


def typed(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as a reader types it."""
    return subprocess.run(  # noqa: S602  # that is a shell
        command, shell=True, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_printed_command_finds_nothing_in_the_vault_and_much_in_the_control(played: Played) -> None:
    done = typed(played.disk.command)
    counts = [line.rpartition(":")[2] for line in done.stdout.splitlines()]
    assert len(counts) == played.disk.hunt.files
    assert set(counts) == {"0"}
    control = played.disk.command.replace(str(played.folder), str(played.folder.with_name("control")))
    found = typed(control).stdout
    assert int(found.rpartition(":")[2]) > 100


def test_the_gate_hides_most_of_what_was_planted_and_the_rest_is_named(played: Played) -> None:
    planted = len(played.story.planted)
    missed = len(played.screening.missed)
    assert planted >= 60
    assert len(played.screening.kinds) >= 15
    assert sum(row.hidden for row in played.screening.kinds) == planted - missed
    assert missed <= planted * 0.1
    assert all(missed.readable for missed in played.screening.missed)


def test_each_principal_sees_what_its_role_allows_and_no_more(played: Played) -> None:
    seen = {(asked.principal.id, asked.purpose.value): asked for asked in played.asked}
    number = "218 555 0188"
    assert number in seen["dr-okafor", "treatment"].text
    assert number not in seen["wren-agent", "treatment"].text
    assert "[PHONE-" in seen["wren-agent", "treatment"].text
    assert seen["dr-okafor", "research"].outcome.startswith("denied")
    assert seen["billing-agent", "treatment"].outcome == "nothing within reach"
    assert seen["auditor-1", "audit"].outcome.startswith("denied")
    assert seen["operator-1", "operations"].outcome.startswith("denied")
    assert played.proofs.denied >= 4


def test_most_questions_are_answered_by_the_turn_that_answers_them(played: Played) -> None:
    answered = sum(answered.found_at is not None for answered in played.answers)
    assert answered >= len(played.answers) - 2


def test_a_correction_disputes_and_the_assistants_word_stays_a_candidate(played: Played) -> None:
    disputed = {memory.provenance.ref for memory in played.disputed}
    assert {"D1:7", "D4:3"} <= disputed
    assert played.candidates > 50


def test_the_log_verifies_and_one_altered_bit_is_caught(played: Played) -> None:
    assert played.proofs.inside.passed
    assert played.proofs.inside.rows_checked == played.turns
    assert played.proofs.offline_passed
    assert played.proofs.altered_finding


class _Outside(HTMLParser):
    """Collects whatever would make a browser fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}:
            self.found.append(tag)
        self.found += [
            f"{tag} {name}"
            for name, value in attrs
            if name.startswith("on") or (name in {"src", "href"} and not str(value).startswith("#"))
        ]


def test_the_report_loads_nothing_runs_nothing_and_escapes_what_was_said(
    played: Played, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    write_report(played, page, datetime(2026, 11, 22, tzinfo=UTC))
    text = page.read_text(encoding="utf-8")
    outside = _Outside()
    outside.feed(text)
    assert outside.found == []
    assert "url(" not in text
    assert "<script" not in text
    for planted in played.story.planted:
        if planted.kind in {"US_SSN", "CREDIT_CARD", "IBAN_CODE"}:
            assert planted.value not in text.partition('<h2 id="answers">')[2]


def test_the_terminal_shows_all_six_acts(played: Played) -> None:
    shown = io.StringIO()
    show(played, Path("report.html"), Console(file=shown, width=100))
    text = shown.getvalue()
    for act in (
        "1  What was found",
        "2  Questions",
        "3  The same question",
        "4  What the rules",
        "5  Receipt",
        "6  Every byte",
    ):
        assert act in text
    assert "0 found" in text
    assert "Traceback" not in text


def test_figures_are_those_of_the_play(played: Played) -> None:
    told = figures(played)
    assert told["turns"] == played.turns
    assert told["found_on_disk"] == 0
    assert told["log_verified"] is True
    assert json.loads(json.dumps(told)) == told


def _locomo(path: Path) -> Path:
    turns = [
        {"speaker": "Ana", "dia_id": f"D1:{place}", "text": text}
        for place, text in enumerate(
            ["Hi Bo!", "I adopted a cat called Miso last week.", "She sleeps in the sink."], 1
        )
    ]
    sample = {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ana",
            "speaker_b": "Bo",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": turns,
        },
        "qa": [
            {"question": "Which animal was adopted?", "answer": "a cat", "evidence": ["D1:2"], "category": 1}
        ],
    }
    path.write_text(json.dumps([sample]), encoding="utf-8")
    return path


def test_the_command_plays_a_locomo_file_and_writes_the_report(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(demo)
    output = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["--data", str(_locomo(tmp_path / "data.json")), "--output", str(output), "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["turns"], told["planted"], told["answered_in_first_five"], told["found_on_disk"]) == (
        3,
        0,
        1,
        0,
    )
    assert (output / "report.html").stat().st_size > 5_000


def test_the_command_leaves_a_folder_alone_that_it_did_not_make(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(demo)
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    result = CliRunner().invoke(app, ["--output", str(tmp_path)])
    assert result.exit_code == 2
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_file_that_is_no_conversation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(InputInvalidError):
        read_story(tmp_path / "no.json")
    with pytest.raises(InputInvalidError):
        read_story(tmp_path / "absent.json")


def test_the_hunter_finds_each_form(tmp_path: Path) -> None:
    value = "218 555 0188"
    forms = {
        "as it is": value.encode(),
        "without separators": b"2185550188",
        "UTF-16": value.encode("utf-16-le"),
        "hex": value.encode().hex().encode(),
    }
    for name, content in forms.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        (folder / "file").write_bytes(b"\x00\xff" + content + b"\x01")
        assert name in {sighting.form for sighting in hunt(folder, [value]).sightings}


WORDS = st.text(alphabet="ab c.", min_size=1, max_size=6)


@given(st.lists(st.tuples(WORDS, st.booleans()), min_size=1, max_size=8))
def test_covered_ranges_hide_at_least_what_was_replaced(pieces: list[tuple[str, bool]]) -> None:
    raw = "".join(text for text, _ in pieces)
    masked = "".join("[PERSON-k7f2qa]" if hidden else text for text, hidden in pieces)
    spans = covered(raw, masked)
    assert len(spans) == sum(hidden for _, hidden in pieces)
    left = readable_part(raw, 0, len(raw), spans)
    assert len(left) == sum(sum(map(str.isalnum, text)) for text, hidden in pieces if not hidden) or spans


def test_a_text_that_is_no_masked_form_is_refused() -> None:
    with pytest.raises(ValueError, match="masked form"):
        covered("one text", "another text")
