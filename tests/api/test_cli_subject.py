"""The rights of a person through the command line: files, pages and how commands end."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from api.cli import subject
from tests.api.conftest import Memvault
from tests.conftest import REPOSITORY
from vault.subject_rights import RectificationReason

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text'"


@pytest.fixture
def annas(memvault: Memvault) -> str:
    """A memory of Anna's, with text that a page must escape."""
    written = memvault.json(
        "extract", "-", "--subject", "Anna <b>Keller</b>", "--no-wait", stdin=f"{HOSTILE} and a sore knee"
    )
    return str(written["sources"][0]["memory_ids"][0])


NAME = "Anna <b>Keller</b>"


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_words_of_the_options_are_those_of_the_vault() -> None:
    assert list(subject._REASONS) == list(RectificationReason)


def test_a_report_for_people_is_one_page_that_loads_nothing_and_escapes_all(
    memvault: Memvault, annas: str, tmp_path: Path
) -> None:
    memvault("show", annas)
    out = tmp_path / "anna.html"
    done = memvault.json("subject", "report", NAME, "-o", str(out), "--originals", "--tell-holds")
    assert (done["memories"], done["unreadable"], oct(out.stat().st_mode & 0o777)) == (1, [], "0o600")
    page = out.read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert {"script", "b", "img", "link", "iframe"}.isdisjoint(tag for tag, _ in tags.seen)
    assert all(not {"src", "href", "onclick"} & attributes.keys() for _, attributes in tags.seen)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "&lt;script&gt;" in page
    assert "local-agent" in page
    again = memvault("subject", "report", NAME, "-o", str(out))
    assert (again.exit_code, out.read_text("utf-8")) == (7, page)


def test_a_report_and_an_export_for_programs_are_of_the_published_schema(
    memvault: Memvault, annas: str, tmp_path: Path
) -> None:
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "subject-report.schema.json").read_text("utf-8"))
    for arguments, kind in (
        (("report", "-", "-o", "-", "--format", "json"), "report"),
        (("export", "-", "-o", "-"), "export"),
    ):
        shown = memvault("subject", *arguments, stdin=NAME)
        assert shown.exit_code == 0, shown.stderr
        found = json.loads(shown.stdout)
        Draft202012Validator(schema).validate(found)
        assert (found["kind"], [one["id"] for one in found["memories"]]) == (kind, [annas])
        assert HOSTILE in found["memories"][0]["versions"][0]["text"]
    file = tmp_path / "anna.json"
    assert memvault("subject", "export", NAME, "-o", str(file)).exit_code == 0
    assert json.loads(file.read_text("utf-8"))["told"] == 1
    assert memvault.json("audit", "intents")["intents"] == []


def test_what_is_wrong_is_put_right_with_a_reason(memvault: Memvault, annas: str) -> None:
    done = memvault.json("subject", "rectify", annas, "the right knee", "--reason-code", "inaccurate")
    assert done["memory_ids"] == [annas]
    assert "the right knee" in memvault("show", annas).stdout
    wrong = memvault("subject", "rectify", annas, "x", "--reason-code", "spite")
    assert wrong.exit_code == 2
    stale = memvault("subject", "rectify", annas, "x", "--reason-code", "outdated", "--version", "1")
    assert stale.exit_code == 7


def test_what_is_restricted_is_found_no_more_until_it_is_lifted(memvault: Memvault, annas: str) -> None:
    def hits(*purpose: str) -> int:
        return len(memvault.json("retrieve", "sore knee", *purpose)["hits"])

    before = hits()
    assert memvault.json("subject", "restrict", NAME)["done"] == "restricted"
    assert hits() == before - 1
    assert memvault("show", annas).exit_code == 6
    assert memvault("subject", "restrict", NAME).exit_code == 7
    assert memvault("subject", "lift", NAME).stdout == "lifted\n"
    assert hits() == before
    assert memvault("subject", "object", NAME, "--against", "research").exit_code == 0
    (stands,) = memvault.json("subject", "restrictions", NAME)["restrictions"]
    assert (stands["kind"], stands["purpose"]) == ("objection", "research")
    assert "objection  research" in memvault("subject", "restrictions", "-", stdin=NAME).stdout
    assert (hits(), hits("--purpose", "research")) == (before, before - 1)
    assert memvault("subject", "lift", NAME, "--against", "research").exit_code == 0
    assert memvault("subject", "object", NAME, "--against", "legal").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "anna", "-o", "-"),
        ("export", "anna", "-o", "-"),
        ("restrict", "anna"),
        ("object", "anna", "--against", "research"),
        ("lift", "anna"),
        ("restrictions", "anna"),
    ],
)
def test_an_administrator_is_denied_and_gets_nothing(memvault: Memvault, arguments: tuple[str, ...]) -> None:
    ended = memvault("subject", *arguments, "--role", "administrator")
    assert (ended.exit_code, ended.stdout) == (4, "")
