"""The command line in this process: erasing a person, and certificates."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from api.assembly import vault_options
from api.settings import read_settings
from audit.certificate_check import describe_erasure, verify_certificate
from audit.signing import VerifierKey
from audit.trust import Trust
from tests.api.conftest import Memvault


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in {"src", "href", "action"}]


def erased(memvault: Memvault, folder: Path) -> tuple[Path, str]:
    """Erase Maria; return the certificate's file and the log's key."""
    plan = memvault.json("erase", "maria")["plan"]
    file = folder / "maria.json"
    shown = memvault.json(
        "erase", "maria", "--confirm", plan, "-o", str(file), "--html", str(folder / "maria.html")
    )
    return file, str(shown["verifier_key"])


def test_without_a_confirmation_it_is_a_plan(memvault: Memvault, memory_id: str) -> None:
    shown = memvault.json("erase", "maria")
    assert (shown["found"], shown["counts"]["memories"], shown["keys"]) == (True, 4, 1)
    assert (shown["packages"], shown["snapshots"], shown["backup_horizon_days"]) == (0, 0, None)
    told = memvault("erase", "maria", "--plan")
    assert "removed       memories: 4" in told.stdout
    assert f"--confirm {shown['plan']}" in told.stderr
    assert "maria" not in told.output
    assert memvault.json("erase", "-", stdin="maria\n")["plan"] == shown["plan"]
    assert memvault("show", memory_id).exit_code == 0


def test_an_unknown_name_has_a_plan_of_the_same_shape_and_nothing_to_erase(
    memvault: Memvault, memory_id: str
) -> None:
    known, unknown = memvault.json("erase", "maria"), memvault.json("erase", "nobody")
    assert known.keys() == unknown.keys()
    assert not unknown["found"]
    told = memvault("erase", "nobody")
    assert told.stderr.endswith("nothing here belongs to that name\n")
    assert memvault("erase", "nobody", "--confirm", unknown["plan"]).exit_code == 6


def test_a_confirmed_erasure_writes_a_certificate_that_is_verified_without_the_vault(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    file, key = erased(memvault, tmp_path)
    assert memvault("show", memory_id).exit_code == 6
    found = verify_certificate(file.read_bytes(), Trust((VerifierKey.parse(key),)))
    assert found.certificate.matched["memories"] == 4
    told = memvault("certificate", "verify", str(file), "--key", key)
    assert told.exit_code == 0
    assert told.stdout.splitlines() == describe_erasure(found)
    assert memvault("audit", "verify", str(file), "--key", key).stdout == told.stdout
    shown = memvault.json("certificate", "verify", str(file), "--key", key)
    assert (shown["passed"], shown["matched"]["memories"], shown["tests"]["bytes"]) == (True, 4, "passed")
    assert memvault.json("audit", "verify", str(file), "--key", key) == shown
    assert memvault("audit", "verify").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_was_changed_or_is_none_is_refused(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    file, key = erased(memvault, tmp_path)
    whole = json.loads(file.read_text())
    whole["certificate"]["matched"]["memories"] = 5
    file.write_text(json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")
    told = memvault("certificate", "verify", str(file), "--key", key)
    assert told.exit_code == 3
    assert "certificate digest" in told.stderr
    file.write_text("{}")
    assert memvault("certificate", "verify", str(file), "--key", key).exit_code == 9
    assert memvault("certificate", "verify", str(tmp_path / "none"), "--key", key).exit_code == 9
    memvault("audit", "prove", "0", "-o", str(tmp_path / "entry.tlog-proof"))
    other = memvault("certificate", "verify", str(tmp_path / "entry.tlog-proof"), "--key", key)
    assert (other.exit_code, "other evidence" in other.stderr) == (9, True)


def test_the_printed_page_loads_nothing_and_runs_nothing(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    _, key = erased(memvault, tmp_path)
    text = (tmp_path / "maria.html").read_text()
    page = Page(text)
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "form", "a"})
    assert page.links == []
    assert "url(" not in text
    assert key in text
    assert "maria" not in text
    assert "memories</td>" in text


def test_done_twice_it_says_so_and_gives_the_certificate_again(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    file, key = erased(memvault, tmp_path)
    plan = memvault.json("erase", "maria")
    assert plan["erasure"] is not None
    told = memvault("erase", "maria", "--confirm", plan["plan"])
    assert (told.exit_code, "since before" in told.stdout) == (0, True)
    again = tmp_path / "again.json"
    assert memvault("certificate", "show", "maria", "-o", str(again)).exit_code == 0
    printed = memvault("certificate", "show", "maria").stdout
    assert json.loads(printed)["certificate"] == json.loads(file.read_text())["certificate"]
    assert memvault("certificate", "verify", str(again), "--key", key).exit_code == 0
    page = memvault.json("certificate", "show", "maria", "--html", "-o", str(tmp_path / "page.html"))
    assert page["again"]
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert memvault("certificate", "show", "nobody").exit_code == 6
    assert memvault("certificate", "show", "maria", "-o", str(again)).exit_code == 7, "it is not overwritten"


def test_another_plan_another_role_and_a_wrong_use_are_refused(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    assert memvault("erase", "maria", "--confirm", "0" * 64).exit_code == 7
    assert memvault("erase", "maria", "--role", "administrator").exit_code == 4
    assert memvault("erase", "maria", "--purpose", "operations").exit_code == 4
    assert memvault("erase", "--resume", "--role", "administrator").exit_code == 4
    for wrong in (
        ("erase",),
        ("erase", "maria", "--plan", "--confirm", "0"),
        ("erase", "maria", "--resume"),
        ("erase", "maria", "-o", str(tmp_path / "file")),
    ):
        assert memvault(*wrong).exit_code == 2, wrong
    assert memvault("show", memory_id).exit_code == 0


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_file_that_cannot_be_made_is_told_before_anything_is_erased(
    memvault: Memvault, memory_id: str, tmp_path: Path, option: str
) -> None:
    there = tmp_path / "there"
    there.write_text("somebody's")
    plan = memvault.json("erase", "maria")["plan"]
    assert memvault("erase", "maria", "--confirm", plan, option, str(there)).exit_code == 7
    assert memvault("erase", "maria", "--confirm", plan, option, str(tmp_path / "no" / "file")).exit_code == 1
    assert there.read_text() == "somebody's"
    assert memvault("show", memory_id).exit_code == 0
    assert memvault("erase", "maria", "--confirm", "0" * 64, option, str(tmp_path / "new")).exit_code == 7
    assert not (tmp_path / "new").exists()
    assert memvault("erase", "maria", "--confirm", plan, option, str(tmp_path / "new")).exit_code == 0
    assert (tmp_path / "new").stat().st_size


def test_what_was_interrupted_is_finished_on_demand(memvault: Memvault, memory_id: str) -> None:
    assert memvault.json("erase", "--resume") == {"erasures": []}
    assert memvault("erase", "--resume").stderr == "no erasure is left unfinished\n"


def test_the_backup_horizon_is_a_setting() -> None:
    assert vault_options(read_settings({"MEMVAULT_BACKUP_HORIZON_DAYS": "30"})).backup_horizon_days == 30
    assert vault_options(read_settings({})).backup_horizon_days is None
