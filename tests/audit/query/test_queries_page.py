"""The page about queries names every field and limit, and each of its examples is what it says."""

import re
from datetime import UTC, datetime

import pytest

from audit.query.parse import MAX_DEPTH, MAX_LENGTH, MAX_SEARCHED, MAX_TEXTS, MAX_VALUES, parse_query
from audit.query.schema import SEGMENT_ENTRIES
from audit.query.syntax import write_query
from audit.query.words import FIELDS, SYNONYMS, TIERS
from tests.conftest import REPOSITORY
from vault.log_indexes import QUERY_SECONDS
from vault.log_queries import ANSWER_SECONDS, MAX_PAGE, MAX_SCAN

PAGE = (REPOSITORY / "docs" / "log" / "queries.md").read_text("utf-8")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    table = re.search(r"\n\|[^\n]*\n\|[-|]*\n((?:\|[^\n]*\n)+)", PAGE.partition(f"## {heading}\n")[2])
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def code(cell: str) -> str:
    """Return what stands between backticks."""
    return cell.strip().strip("`")


EXAMPLES = [(code(row[0]), code(row[1])) for row in rows_of("Examples")]


@pytest.mark.parametrize(("query", "canonical"), EXAMPLES)
def test_each_example_reads_as_the_page_says(query: str, canonical: str) -> None:
    assert write_query(parse_query(query, now=NOON)) == canonical
    assert write_query(parse_query(canonical, now=NOON)) == canonical


def test_words_that_people_use_ask_for_what_the_page_says() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ", PAGE, re.MULTILINE)
    synonyms = [row for row in rows if ":" in row[0] and ":" in row[1]]
    assert ("outcome:allowed", "decision:allowed") in synonyms
    for written, meant in synonyms:
        assert parse_query(written, now=NOON) == parse_query(meant, now=NOON)


def test_every_field_is_described_and_no_other() -> None:
    assert [code(row[0]) for row in rows_of("Fields")] == list(FIELDS)
    for name in (*SYNONYMS, *TIERS):
        assert f"`{name}`" in PAGE


def test_limits_are_those_of_the_code() -> None:
    flat = " ".join(PAGE.split())
    assert (
        f"at most {MAX_LENGTH:,} characters, {MAX_VALUES} values, {MAX_TEXTS} texts and {MAX_DEPTH} levels"
        in flat
    )
    assert f"at most {MAX_SEARCHED} searches" in flat
    assert f"a question works for {ANSWER_SECONDS:g} seconds at most" in flat
    assert f"At most {MAX_PAGE:,} entries a page" in flat
    assert f"after {QUERY_SECONDS:.0f} seconds, up to {MAX_SCAN:,} entries" in flat
    decision = (REPOSITORY / "docs" / "adr" / "0014-index-of-the-log.md").read_text("utf-8")
    assert f"{SEGMENT_ENTRIES:,} entries" in decision
