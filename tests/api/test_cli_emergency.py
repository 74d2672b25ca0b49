"""Emergency access through the command line, from the desk to the officer's judgement."""

import json
from pathlib import Path

import pytest

from api.assembly import vault_options
from api.cli import emergency
from api.settings import Settings
from tests.api.conftest import Memvault
from vault.emergency_terms import EmergencyReason, EmergencyVerdict
from vault.notices import Notice

START = ("emergency", "start", "--reason-code", "unresponsive", "--case", "case-17", "--minutes", "30")
DESK = ("--as", "nurse-1", "--assurance", "mfa")
READER = (*DESK, "--role", "institution-member", "--purpose", "treatment")


def test_the_words_of_the_options_are_those_of_the_vault() -> None:
    assert list(emergency._REASONS) == list(EmergencyReason)
    assert list(emergency._VERDICTS) == list(EmergencyVerdict)


def test_from_the_desk_to_the_judgement(memvault: Memvault, memory_id: str) -> None:
    assert memvault("show", memory_id, *READER).exit_code == 6
    one = memvault(*START, *DESK).stdout.strip()
    for command in (("show", memory_id), ("reveal", memory_id), ("retrieve", "knee", "--reveal")):
        assert memvault(*command, *READER, "--emergency", one).exit_code == 0
    assert memvault("emergency", "review", one, "--verdict", "justified").exit_code == 7
    assert memvault("emergency", "end", one, *DESK).stdout.split() == [one, "ended"]
    assert memvault("show", memory_id, *READER, "--emergency", one).exit_code == 4
    (waiting,) = memvault.json("emergency", "list", "--open")["emergencies"]
    assert (waiting["case"], waiting["stopped_by"], waiting["verdict"]) == ("case-17", "nurse-1", None)
    assert "to be judged by" in memvault("emergency", "list").stdout
    assert memvault.json("emergency", "review", one, "--verdict", "justified")["done"] == "justified"
    assert memvault.json("emergency", "list", "--open")["emergencies"] == []
    assert "justified, says local-officer" in memvault("emergency", "list").stdout
    assert memvault("audit", "verify").exit_code == 0


def test_an_officer_revokes(memvault: Memvault) -> None:
    one = str(memvault.json(*START, *DESK)["emergency"])
    assert memvault.json("emergency", "revoke", one)["done"] == "revoked"
    assert memvault("emergency", "revoke", one).exit_code == 7
    assert memvault("emergency", "end", one, *DESK).exit_code == 4


@pytest.mark.parametrize(
    "given",
    [
        ("--reason-code", "curiosity", "--case", "case-17", "--minutes", "5"),
        ("--reason-code", "other", "--case", "case-17", "--minutes", "481"),
        ("--reason-code", "other", "--case", "case-17"),
    ],
)
def test_what_is_no_declaration_is_a_wrong_use(memvault: Memvault, given: tuple[str, ...]) -> None:
    assert memvault("emergency", "start", *given, *DESK).exit_code == 2
    assert memvault("emergency", "review", "emg_x", "--verdict", "fine").exit_code == 2
    assert memvault.json("emergency", "list")["emergencies"] == []


def test_the_officers_find_a_notice_in_the_folder_of_the_settings(tmp_path: Path) -> None:
    notifier = vault_options(Settings(notice_folder=tmp_path)).notifier
    assert notifier is not None
    notifier.notify(Notice("clinic", "emg_1", "nurse-1", "other", "case-17", "treatment", "now", "then"))
    assert json.loads((tmp_path / "emg_1.json").read_text("ascii"))["principal"] == "nurse-1"
    assert vault_options(Settings()).notifier is None
