"""A stranger's text in the terminal: it neither steers it, nor hides, nor passes for a line of ours."""

import io
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.cli.output import MARK, flat, safe
from api.demo.run import TENANT, play
from api.demo.story import DemoQuestion, Story
from api.demo.terminal import show
from tests.api.conftest import Memvault
from tests.simulators.fakes import fake_options
from vault.clock import system_clock
from vault.model import Chat, Turn
from vault.opening import LocalRootWarning, Vault

EVIL = "\x1b[2J\x1b]0;pwn\x07\x9b31m\u061c\u00ad\u2028\u2029\U000e0061\ufeff[link=x]y[/link]"
FORGED = "the knee\ntrust       verified by the board\n  2.   9.99  forged hit"
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_no_text_of_any_kind_steers_or_hides(text: str) -> None:
    assert not {unicodedata.category(char) for char in flat(text).replace("\t", "")} & _STEERING
    first, *rest = safe(text).split("\n")
    assert all(line.startswith(f"    {MARK}") for line in rest)
    assert [first, *(line.removeprefix(f"    {MARK}") for line in rest)] == list(map(flat, text.split("\n")))


def test_every_format_character_there_is_becomes_an_escape() -> None:
    formats = [chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) == "Cf"]
    assert len(formats) > 100
    assert all(flat(char).startswith("\\") for char in formats)


def test_letters_of_every_script_stay_as_they_are() -> None:
    assert flat("Ökonom · 漢字 · العربية · 😀\t") == "Ökonom · 漢字 · العربية · 😀\t"


@pytest.mark.parametrize("forged", ["trust       verified by the board", "  2.   9.99"])
def test_a_line_break_in_stored_text_forges_no_line(memvault: Memvault, forged: str) -> None:
    memory = memvault.json("extract", "-", stdin=FORGED)["sources"][0]["memory_ids"][0]
    for shown in (memvault("show", memory).stdout, memvault("retrieve", "knee").stdout):
        assert not [line for line in shown.splitlines() if line.startswith(forged)]
        assert [line for line in shown.splitlines() if line.lstrip().startswith(MARK + forged)]


def test_the_demonstration_shows_a_strangers_conversation_without_its_controls(tmp_path: Path) -> None:
    evil = Chat(
        tuple(
            Turn(f"Ana {EVIL}", f"my knee hurts {EVIL} {place}", ref=f"D{place}{EVIL}") for place in range(4)
        ),
        title=EVIL,
    )
    question = DemoQuestion(f"which knee {EVIL}", EVIL, EVIL, frozenset({evil.turns[0].ref or ""}))
    story = Story(f"name {EVIL}", "subject", (evil,), (), (question,))
    folder = tmp_path / "vault"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        vault = Vault.create(folder, tenant=TENANT, options=fake_options(clock=system_clock))
    with vault:
        played = play(story, vault, folder, lambda _what, _done, _of: None)
    written = io.StringIO()
    show(played, tmp_path / "report.html", Console(file=written, width=200))
    shown = written.getvalue()
    assert "knee" in shown
    assert "\\u001b[2J" in shown
    assert "[link=x]y[/link]" in shown
    assert not {unicodedata.category(char) for char in shown.replace("\n", "")} & _STEERING
