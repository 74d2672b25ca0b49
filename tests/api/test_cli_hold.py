"""Legal holds through the command line: what people and programs see, and how commands end."""

from pathlib import Path

import pytest

from api.cli import hold
from tests.api.conftest import Memvault
from vault.hold_words import HoldReason, HoldScope

WHY = ("--reason-code", "litigation", "--review", "2099-03-31")


def place(memvault: Memvault, *arguments: str) -> str:
    return str(memvault.json("hold", "place", *arguments, *WHY)["hold"])


def test_the_words_of_the_options_are_those_of_the_vault() -> None:
    assert list(hold._SCOPES) == list(HoldScope)
    assert list(hold._REASONS) == list(HoldReason)


def test_a_hold_is_placed_shown_reviewed_and_released_by_two(memvault: Memvault, memory_id: str) -> None:
    hold_id = place(memvault, "matter", "--matter", "case-7", "--memory", memory_id)
    (listed,) = memvault.json("hold", "list")["holds"]
    assert (listed["hold"], listed["in_force"], listed["memories"]) == (hold_id, True, 1)
    assert memvault.json("hold", "show", hold_id)["targets"] == [memory_id]
    assert "in force" in memvault("hold", "show", hold_id).stdout
    assert memvault.json("hold", "review", hold_id, "--until", "2099-09-30")["done"] == "reviewed"
    assert memvault("hold", "release", hold_id, "--as", "officer-b").exit_code == 4
    assert memvault("hold", "ask-release", hold_id).exit_code == 0
    assert "asks for its release" in memvault("hold", "list").stdout
    refused = memvault("hold", "release", hold_id)
    assert (refused.exit_code, "second person" in refused.stderr) == (4, True)
    assert memvault.json("hold", "release", hold_id, "--as", "officer-b")["done"] == "released"
    assert memvault("hold", "release", hold_id, "--as", "officer-b").exit_code == 7
    assert "released by officer-b" in memvault("hold", "list").stdout
    assert memvault("audit", "verify").exit_code == 0


def test_a_held_person_is_not_erased(memvault: Memvault, tmp_path: Path) -> None:
    written = memvault.json("extract", "-", "--subject", "patient 17", "--no-wait", stdin="the knee hurts")
    (memory_id,) = written["sources"][0]["memory_ids"]
    names = tmp_path / "names.txt"
    names.write_text("patient 17\n")
    hold_id = place(memvault, "subject", "--subject-file", str(names))
    plan = memvault.json("erase", "patient 17")
    erased = memvault("erase", "patient 17", "--confirm", str(plan["plan"]))
    assert (erased.exit_code, plan["holds"]) == (7, [hold_id])
    assert memvault("show", memory_id).exit_code == 0


def test_words_are_held_and_added_to(memvault: Memvault, memory_id: str, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("zeppelin\nknee\n")
    made = memvault.json("hold", "place", "query", "--query-file", str(words), *WHY)
    assert made["memories"] > 0
    again = memvault("hold", "add", made["hold"], "--query", "knee")
    assert again.exit_code == 0
    assert memvault("hold", "place", "query", "--query", "zeppelin", *WHY).exit_code == 6
    assert memvault("hold", "place", "tenant", *WHY).exit_code == 0
    assert "everything" in memvault("hold", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("place", "planet", *WHY), 2),
        (("place", "tenant", "--reason-code", "spite", "--review", "2099-03-31"), 2),
        (("place", "tenant", "--reason-code", "audit", "--review", "tomorrow"), 2),
        (("place", "tenant", "--reason-code", "audit", "--review", "2001-01-01"), 1),
        (("place", "subject", *WHY), 1),
        (("place", "matter", "--matter", "Anna Keller", "--subject", "anna", *WHY), 2),
        (("place", "tenant", *WHY, "--role", "administrator"), 4),
        (("show", "hld_" + "0" * 26), 6),
        (("release", "anna"), 2),
    ],
)
def test_what_is_not_as_it_must_be_ends_with_its_code(
    memvault: Memvault, arguments: tuple[str, ...], code: int
) -> None:
    ended = memvault("hold", *arguments)
    assert ended.exit_code == code, ended.stderr
    assert memvault.json("hold", "list")["holds"] == []
