"""The pages about the edge name what there is, with the figures that it has."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.main import get_command

from api.cli.main import app
from api.problems import INTERNAL, PROBLEMS, Exit

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def api_page() -> str:
    return (DOCS / "api.md").read_text("utf-8")


@pytest.fixture(scope="module")
def cli_page() -> str:
    return (DOCS / "cli.md").read_text("utf-8")


def test_every_problem_stands_in_the_page_with_its_status_and_exit_code(api_page: str) -> None:
    for problem in (*PROBLEMS.values(), INTERNAL):
        row = f"| `{problem.slug}` | {problem.status} | {problem.exit.value} | {problem.title} |"
        assert row in api_page
    rows = [line for line in api_page.splitlines() if line.startswith("| `") and "`/" not in line]
    problems = [row for row in rows if row.count("|") == 5 and row.split("|")[2].strip().isdigit()]
    assert len(problems) == len(PROBLEMS) + 1


def test_every_route_stands_in_the_page_with_its_operation(client: TestClient, api_page: str) -> None:
    for path, methods in client.get("/v1/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            assert f"| `{method.upper()} {path}` | `{operation['operationId']}` |" in api_page


def test_every_command_stands_in_the_page(cli_page: str) -> None:
    root = get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # the root is a group
        inner = getattr(command, "commands", None)
        for full in [name] if inner is None else [f"{name} {part}" for part in inner]:
            assert f"memvault {full}" in cli_page, full


def test_every_exit_code_stands_in_the_page(cli_page: str) -> None:
    for code in Exit:
        assert f"\n| {code.value} | " in cli_page
