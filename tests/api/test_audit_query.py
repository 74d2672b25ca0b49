"""Asking the log over HTTP and on the command line."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from policies.model import Role
from tests.api.conftest import MakeCaller, Memvault


def asked(caller: MakeCaller, path: str, **params: str | int) -> Any:  # noqa: ANN401  # any JSON
    auditor = caller(Role.AUDITOR, name="auditor-1")
    return auditor.client.get(f"/v1/audit/{path}", headers=auditor.headers("audit"), params=params)


def test_a_page_over_http_is_pinned_and_goes_on(caller: MakeCaller) -> None:
    first = asked(caller, "query", q="actor:memvault", limit=2).json()
    assert first["query"] == "actor:memvault"
    assert [entry["principal"] for entry in first["entries"]] == ["memvault", "memvault"]
    assert first["entries"][0]["index"] > first["entries"][1]["index"]
    assert first["entries"][0]["erased_by"] is None
    second = asked(caller, "query", q="actor:memvault", cursor=first["cursor"]).json()
    assert second["tree_size"] == first["tree_size"]
    assert second["entries"][0]["index"] < first["entries"][1]["index"]
    again = asked(caller, "query", q=first["query"], size=first["tree_size"], limit=2).json()
    assert (again["entries"], again["tree_size"]) == (first["entries"], first["tree_size"])
    oldest = asked(caller, "query", size=first["tree_size"], order="oldest", limit=1).json()
    assert oldest["entries"][0]["index"] == 0


def test_counts_over_http_say_whether_they_are_whole(caller: MakeCaller) -> None:
    page = asked(caller, "query", q="actor:memvault").json()
    facets = asked(caller, "facets", q="actor:memvault", size=page["tree_size"]).json()
    assert facets["complete"] is True
    assert facets["counted_size"] == facets["tree_size"] == page["tree_size"]
    assert facets["total"] == len(page["entries"])
    assert facets["fields"]["purpose"] == [{"value": None, "count": facets["total"]}]
    over_time = asked(caller, "histogram", q="actor:memvault", size=page["tree_size"], unit="year").json()
    assert over_time["unit"] == "year"
    assert sum(bucket["count"] for bucket in over_time["buckets"]) == over_time["total"] == facets["total"]


@pytest.mark.parametrize("path", ["query", "facets", "histogram"])
def test_what_is_no_query_is_a_problem_with_its_place(caller: MakeCaller, path: str) -> None:
    answer = asked(caller, path, q="actor:agent-7 decision:maybe")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:memvault:problem:query-invalid"
    assert problem["position"] == 23
    assert problem["expected"] == ["allowed", "denied"]
    assert "maybe" not in answer.text
    assert "expected" not in asked(caller, path, q="actor:@").json()


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "query.limit"),
        ({"limit": 1001}, "query.limit"),
        ({"size": -1}, "query.size"),
        ({"size": 2**60}, "query.size"),
        ({"order": "up"}, "query.order"),
        ({"cursor": "x" * 65}, "query.cursor"),
    ],
)
def test_arguments_out_of_range_are_named(caller: MakeCaller, params: dict[str, str], field: str) -> None:
    answer = asked(caller, "query", **params)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_sizes_and_cursors_that_are_not_this_logs_are_refused(caller: MakeCaller) -> None:
    for params in ({"size": 10**9}, {"cursor": "AQ=="}):
        answer = asked(caller, "query", **params)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:memvault:problem:range-invalid")


def test_hostile_texts_are_answered_in_their_place(caller: MakeCaller) -> None:
    for text in (
        "(" * 5000,
        "%00",
        "\x00",
        '"\x1b[2J"',
        "'; DROP TABLE entry; --",
        '"%_"',
        "index:" + "9" * 10_000,
    ):
        assert asked(caller, "query", q=text).status_code in {200, 422}
    assert asked(caller, "query", q="").json()["tree_size"] > 0


def test_openapi_shows_the_place_of_a_fault(client: TestClient) -> None:
    shape = client.get("/v1/openapi.json").json()["components"]["schemas"]["ProblemView"]
    assert {"position", "expected"} <= shape["properties"].keys()


def test_a_page_on_the_command_line(memvault: Memvault) -> None:
    result = memvault("audit", "query", "actor:memvault", "--limit", "2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["index", "time", "event", "outcome", "actor", "purpose", "resource"]
    assert len(lines) == 3
    assert all("memvault" in line for line in lines[1:])
    assert not any(line.endswith(" ") for line in lines)
    cursor = result.stderr.split("--cursor ")[1].split()[0]
    assert "again, the same rows: --size " in result.stderr
    more = memvault("audit", "query", "actor:memvault", "--limit", "2", "--cursor", cursor)
    assert more.exit_code == 0
    assert more.stdout.splitlines()[1] != lines[1]


def test_a_terminal_gets_colours_and_whole_ids(memvault: Memvault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    result = memvault("audit", "query", "event:principal.create")
    assert "\x1b[1m" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if "principal.create" in line)
    assert "crd_" in row


def test_words_and_a_minus_need_no_quotes(memvault: Memvault) -> None:
    shown = memvault.json("audit", "query", "-actor:memvault", "-outcome:allowed")
    assert shown["query"] == "-actor:memvault -decision:allowed"
    assert shown["entries"] == []
    oldest = memvault.json("audit", "query", "--oldest", "--limit", "1")
    assert oldest["entries"][0]["index"] == 0


def test_a_question_may_come_from_standard_input(memvault: Memvault) -> None:
    result = memvault("audit", "query", "-", "--json", stdin='"Maria Keller"\n')
    assert '\\"maria keller\\"' in result.stdout


def test_nothing_found_prints_no_table(memvault: Memvault) -> None:
    result = memvault("audit", "query", "actor:nobody")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("0 entries of the tree of ")


def test_counts_on_the_command_line(memvault: Memvault) -> None:
    result = memvault("audit", "query", "--facets", "--histogram", "--unit", "year")
    assert result.exit_code == 0
    assert "policy.load" in result.stdout
    assert "█" in result.stdout
    trees = {line.rsplit(" ", 1)[1] for line in result.stderr.splitlines() if "of the tree" in line}
    assert len(trees) == 1
    both = memvault.json("audit", "query", "--facets", "--histogram")
    assert both["facets"]["tree_size"] == both["histogram"]["tree_size"]
    assert memvault.json("audit", "query", "--facets")["complete"] is True
    assert memvault.json("audit", "query", "--histogram")["unit"] == "minute"
    none = memvault("audit", "query", "actor:nobody", "--facets", "--histogram")
    assert (none.exit_code, none.stdout) == (0, "")


def test_many_values_are_told_in_one_line(memvault: Memvault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.cli.audit_query._MANY_VALUES", 1)
    assert " more " in memvault("audit", "query", "actor:memvault", "--facets").stdout


def test_counts_that_are_not_whole_say_so(memvault: Memvault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.log_queries.MAX_SCAN", 1)
    monkeypatch.setattr("vault.log_indexes.FOLDER", "no/such")
    result = memvault("audit", "query", "--facets")
    assert "NOT COMPLETE: only entries below index 0 were counted" in result.stderr
    behind = memvault("audit", "query")
    assert behind.exit_code == 1
    assert "index reaches 0 of" in behind.stderr


def test_a_fault_is_shown_under_its_place_and_the_vault_stays_closed(empty: Memvault) -> None:
    result = empty("audit", "query", "actor:agent-7 foo:bar")
    assert result.exit_code == 2
    place, caret, said = result.stderr.splitlines()
    assert place[caret.index("^") :] == "foo:bar"
    assert said.startswith("memvault: query, column 15: expected a known field")
    told = empty("audit", "query", "actor:agent-7 foo:bar", "--json")
    assert told.exit_code == 2
    assert told.stdout == ""
    assert "query-invalid" in told.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--limt", "5"),
        ("--unit", "day"),
        ("--histogram", "--unit", "decade"),
        ("--facets", "--cursor", "x"),
        ("--limit", "0"),
    ],
)
def test_options_that_are_none_or_do_not_fit_end_with_usage(
    empty: Memvault, arguments: tuple[str, ...]
) -> None:
    assert empty("audit", "query", *arguments).exit_code == 2


def test_only_an_auditor_may_ask_on_the_command_line(memvault: Memvault) -> None:
    assert memvault("audit", "query", "--role", "clinician").exit_code == 4
