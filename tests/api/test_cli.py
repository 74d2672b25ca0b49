"""The command line in this process: what the commands about memories print, and how they end."""

import json
from pathlib import Path

import pytest

from api.cli.options import agent
from api.cli.output import safe
from api.cli.session import session
from audit.signing import VerifierKey
from tests.api.conftest import CHAT, Memvault


def test_init_shows_the_key_once_on_standard_output(empty: Memvault) -> None:
    result = empty("init", "--tenant", "clinic")
    assert result.exit_code == 0
    assert "API key     mv_" in result.stdout
    assert "mv_" not in result.stderr
    assert "root key lies in a file" in result.stderr


def test_init_as_json_has_a_stable_shape(empty: Memvault, tmp_path: Path) -> None:
    made = empty.json("init", "--tenant", "clinic", "--principal", "agent-7", "--role", "service")
    assert made["vault"] == str(tmp_path / "vault")
    assert (made["tenant"], made["principal"], made["roles"]) == ("clinic", "agent-7", ["service"])
    assert made["root_key"] == "file"
    assert VerifierKey.parse(made["verifier_key"]).name == "memos-vault/embedded"


def test_init_without_a_key_makes_none(empty: Memvault) -> None:
    made = empty.json("init", "--no-key")
    assert (made["api_key"], made["principal"]) == (None, None)


def test_init_under_a_passphrase(empty: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pass").write_text("correct horse battery\n")
    (tmp_path / "pass").chmod(0o600)
    monkeypatch.setenv("MEMVAULT_PASSPHRASE_FILE", str(tmp_path / "pass"))
    made = empty("init", "--json")
    assert json.loads(made.stdout)["root_key"] == "passphrase"
    assert "root key lies" not in made.stderr
    assert empty("retrieve", "tea").exit_code == 0
    (tmp_path / "pass").write_text("another passphrase\n")
    wrong = empty("retrieve", "tea")
    assert (wrong.exit_code, wrong.stdout) == (5, "")
    (tmp_path / "pass").unlink()
    assert [empty(*command).exit_code for command in (["retrieve", "tea"], ["serve"])] == [5, 5]
    assert empty("init", "--vault", str(tmp_path / "other")).exit_code == 5
    assert not (tmp_path / "other").exists()
    monkeypatch.delenv("MEMVAULT_PASSPHRASE_FILE")
    assert empty("retrieve", "tea").exit_code == 5


def test_init_where_something_is_already_is_a_conflict(memvault: Memvault) -> None:
    again = memvault("init", "--tenant", "clinic")
    assert (again.exit_code, again.stdout) == (7, "")
    assert memvault("retrieve", "tea").exit_code == 0


def test_init_refuses_ids_that_could_be_personal_data(empty: Memvault) -> None:
    assert empty("init", "--tenant", "maria@example.com").exit_code == 2
    assert empty("init", "--principal", "Maria Keller").exit_code == 2


def test_a_chat_is_written_found_shown_revealed_changed_and_organized(memvault: Memvault, chat: str) -> None:
    written = memvault.json("extract", chat, "--subject", "maria")
    assert (written["memories"], len(written["sources"]), written["embedded"]) == (4, 2, True)
    first = written["sources"][0]["memory_ids"][0]
    found = memvault.json("retrieve", "phone", "--k", "1", "--subject", "maria")
    assert found["hits"][0]["memory"]["id"] == first
    shown = memvault.json("show", first)
    assert shown["text"].startswith("My phone is [PHONE-")
    revealed = memvault.json("reveal", first)
    assert revealed["text"] == "My phone is 212-555-0147."
    assert memvault("update", first, shown["text"].replace("My", "The")).exit_code == 0
    assert memvault.json("reveal", first)["text"] == "The phone is 212-555-0147."
    assert memvault.json("organize", "--subject", "maria")["links"][0]["kind"] == "supersedes"


def test_answers_for_people_hold_the_same(memvault: Memvault, memory_id: str) -> None:
    found = memvault("retrieve", "phone")
    assert "[PHONE-" in found.stdout
    assert memory_id in found.stdout
    assert "searched: phone" in found.stderr
    shown = memvault("show", memory_id)
    assert "tiers       private · plaintext" in shown.stdout
    assert "212-555-0147" not in shown.stdout
    assert "text        My phone is 212-555-0147." in memvault("reveal", memory_id).stdout
    assert memory_id in memvault("update", memory_id, "new words").stdout
    assert "supersedes" in memvault("organize", "--subject", "maria").stdout


def test_documents_are_read_by_their_kind(memvault: Memvault, tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "plain words"),
        ("b.md", "# Head\n\nbody"),
        ("c.json", '{"drug": "aspirin"}'),
    ):
        (tmp_path / name).write_text(content)
    files = [str(tmp_path / name) for name in ("a.txt", "b.md", "c.json")]
    written = memvault.json("extract", *files)
    assert [source["file"] for source in written["sources"]] == files
    assert memvault.json("retrieve", "aspirin")["hits"][0]["memory"]["text"] == "drug: aspirin"


def test_a_locomo_file_is_a_chat(memvault: Memvault, tmp_path: Path) -> None:
    sample = {
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Ben",
            "session_1": [{"speaker": "Ann", "dia_id": "D1:1", "text": "I adopted a cat."}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
        }
    }
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps([sample]))
    memory_id = memvault.json("extract", str(path))["sources"][0]["memory_ids"][0]
    assert memvault.json("show", memory_id)["provenance"]["at"].startswith("2023-05-08")


def test_standard_input_is_a_file_called_dash(memvault: Memvault) -> None:
    assert memvault.json("extract", "-", stdin="tea at four")["memories"] == 1
    assert memvault.json("extract", "-", stdin=json.dumps(CHAT))["memories"] == 4
    assert memvault.json("extract", "-", "--kind", "markdown", stdin="# One\n\ntwo")["memories"] >= 1
    assert memvault.json("retrieve", "-", stdin="tea\n")["hits"][0]["memory"]["text"] == "tea at four"


def test_the_new_text_of_a_memory_comes_from_argument_file_or_standard_input(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text("from a file\n")
    for arguments, stdin, expected in (
        (["from an argument"], None, "from an argument"),
        (["--file", str(tmp_path / "new.txt")], None, "from a file"),
        ([], "from a pipe\n", "from a pipe"),
    ):
        assert memvault("update", memory_id, *arguments, stdin=stdin).exit_code == 0
        assert memvault.json("show", memory_id)["text"] == expected
    assert memvault("update", memory_id, "text", "--file", "x").exit_code == 2


def test_subjects_can_come_from_a_file(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("maria keller\n\n")
    memvault.json("extract", "-", "--subject-file", str(tmp_path / "names"), stdin="tea at four")
    assert len(memvault.json("retrieve", "tea", "--subject", "Maria  KELLER")["hits"]) == 1
    assert memvault.json("retrieve", "tea", "--subject", "john")["hits"] == []


def test_what_was_written_before_an_error_is_told_with_it(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("tea at four")
    (tmp_path / "bad.txt").write_bytes(b"hunter2\xff")
    result = memvault("extract", str(tmp_path / "good.txt"), str(tmp_path / "bad.txt"), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["memories"] == 1
    assert json.loads(result.stderr)["type"] == "urn:memvault:problem:text-invalid"
    assert "hunter2" not in result.stderr


BAD_FILES: dict[str, tuple[str, bytes, int, str]] = {
    "empty": ("a.txt", b"", 1, "text-empty"),
    "white space": ("a.txt", b" \n\t", 1, "text-empty"),
    "NUL": ("a.txt", b"hunter2\0", 1, "text-invalid"),
    "invalid UTF-8": ("a.txt", b"hunter2\xff", 1, "text-invalid"),
    "too large": ("a.txt", b"hunter2 " * 700_000, 1, "input-too-large"),
    "an unknown kind": ("a.exe", b"hunter2", 1, "document-invalid"),
    "broken JSON": ("a.json", b"{hunter2", 1, "document-invalid"),
    "deep JSON": ("a.json", b"[" * 5000, 1, "document-invalid"),
    "a chat with an unknown key": (
        "a.json",
        b'{"sessions":[{"turns":[],"hunter2":1}]}',
        1,
        "document-invalid",
    ),
    "a chat in the year 0": (
        "a.json",
        b'{"sessions":[{"started":"0000-01-01","turns":[{"text":"a"}]}]}',
        1,
        "time-invalid",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_an_error_of_its_own_without_its_content(
    memvault: Memvault, tmp_path: Path, case: str
) -> None:
    name, content, code, slug = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    result = memvault("extract", str(tmp_path / name), "--json")
    problem = json.loads(result.stderr)
    assert (result.exit_code, problem["type"]) == (code, f"urn:memvault:problem:{slug}")
    assert problem["exit"] == code
    assert "hunter2" not in result.output
    assert result.stdout == ""


def test_of_several_files_the_bad_one_is_named_by_its_place_alone(memvault: Memvault, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("tea at four")
    (tmp_path / "maria.txt").write_bytes(b"\xff")
    files = [str(tmp_path / name) for name in ("good.txt", "maria.txt", "good.txt")]
    told = memvault("extract", *files, "--json")
    assert json.loads(told.stderr)["detail"].startswith("file 2 of 3: ")
    assert "maria" not in told.stderr
    assert "memvault: file 2 of 3: " in memvault("extract", *files).stderr
    assert memvault.json("retrieve", "tea")["hits"], "what was written before it stands"
    alone = memvault("extract", files[1], "--json")
    assert not json.loads(alone.stderr)["detail"].startswith("file")


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["retrieve", "x", "--k", "0"],
        ["retrieve", "x", "--role", "king"],
        ["extract", "-", "--kind", "video"],
        ["audit", "verify", "--key", "x"],
        ["nonsense"],
        ["keys", "nonsense"],
        ["bench", "--only", "nonsense"],
    ],
)
def test_with_json_a_usage_error_is_one_json_value_too(empty: Memvault, arguments: list[str]) -> None:
    result = empty(*arguments, "--json")
    problem = json.loads(result.stderr)
    assert set(problem) == {"type", "title", "detail", "exit"}
    assert (problem["type"], problem["exit"]) == ("urn:memvault:problem:usage", 2)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error" in empty(*arguments).stderr, "people get text"


def test_json_behind_two_dashes_is_an_argument(empty: Memvault) -> None:
    result = empty("retrieve", "x", "--k", "0", "--", "--json")
    assert result.exit_code == 2
    assert not result.stderr.startswith("{")


def test_one_is_no_plural(memvault: Memvault) -> None:
    one = memvault("extract", "-", stdin="tea at four")
    assert "1 memory in 1 episode\n" in one.stderr
    assert "1 memory  " in one.stdout
    assert "1 memory; this read" in memvault("retrieve", "tea").stderr
    assert "1 memory examined" in memvault("organize").stderr
    assert "4 memories in 2 episodes\n" in memvault("extract", "-", stdin=json.dumps(CHAT)).stderr


def test_a_missing_file_is_an_error(memvault: Memvault) -> None:
    assert memvault("extract", "/no/such/file.txt").exit_code == 1


def test_a_kind_that_is_none_is_a_usage_error(memvault: Memvault) -> None:
    assert memvault("extract", "-", "--kind", "video").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", f"mem_{'0' * 26}"], 6),
        (["reveal", f"mem_{'0' * 26}"], 6),
        (["update", f"mem_{'0' * 26}", "x"], 6),
        (["show", "nonsense"], 2),
        (["show", "mem_bad"], 2),
        (["principal", "revoke", "crd_bad"], 2),
        (["principal", "revoke", f"crd_{'0' * 26}"], 6),
        (["principal", "revoke", f"crd_{'0' * 26}", "--role", "auditor"], 4),
        (["principal", "list", "--role", "auditor"], 4),
        (["show"], 2),
        (["retrieve", "x", "--k", "0"], 2),
        (["retrieve", "x", "--role", "king"], 2),
        (["retrieve", "x", "--purpose", "curiosity"], 2),
        (["retrieve", "x", "--as", "Not An Id"], 2),
        (["retrieve", "x", "--tenant", "elsewhere"], 6),
        (["retrieve", "x", "--role", "auditor"], 4),
        (["retrieve", "x", "--reveal", "--role", "institution-member"], 4),
        (["retrieve", " "], 1),
        (["extract", "-", "--role", "clinician"], 4),
        (["extract", "-", "--tier", "public"], 4),
        (["audit", "tail", "--role", "owner-agent"], 4),
        (["audit", "verify", "--role", "owner-agent"], 4),
        (["keys", "status", "--role", "auditor"], 4),
        (["nonsense"], 2),
    ],
)
def test_commands_end_as_documented_and_print_nothing_to_standard_output(
    memvault: Memvault, arguments: list[str], code: int
) -> None:
    result = memvault(*arguments, stdin="tea")
    assert result.exit_code == code, result.output
    assert result.stderr
    assert "Traceback" not in result.output
    if arguments[0] != "extract":
        assert result.stdout == ""


def test_an_overtaken_update_is_a_conflict(memvault: Memvault, memory_id: str) -> None:
    assert memvault("update", memory_id, "x", "--expect-version", "3").exit_code == 7
    assert memvault.json("show", memory_id)["version"] == 1


def test_another_owner_does_not_find_it(memvault: Memvault, memory_id: str) -> None:
    assert memvault("show", memory_id, "--as", "agent-2").exit_code == 6
    assert memvault.json("retrieve", "phone", "--as", "agent-2")["hits"] == []


def test_no_vault_is_not_found(empty: Memvault) -> None:
    assert empty("retrieve", "x").exit_code == 6


def test_a_setting_that_is_none_is_a_usage_error(memvault: Memvault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVAULT_LIMIT_TAG", "3")
    result = memvault("retrieve", "x")
    assert result.exit_code == 2
    assert "MEMVAULT_LIMIT_TAG" in result.stderr


def test_the_tenant_must_be_named_where_there_are_several(
    memvault: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path / "vault", agent(None, None, None, None)) as opened:
        opened.vault.add_tenant("bank")
    assert memvault("retrieve", "x").exit_code == 2
    assert memvault("retrieve", "x", "--tenant", "bank").exit_code == 0
    monkeypatch.setenv("MEMVAULT_TENANT", "bank")
    assert memvault("retrieve", "x").exit_code == 0
    checked = {log["log"] for log in memvault.json("audit", "verify", "--tenant", "clinic")["logs"]}
    assert checked == {"system", "clinic"}


def test_a_control_character_in_stored_text_does_not_reach_the_terminal(memvault: Memvault) -> None:
    memvault.json("extract", "-", stdin="red \x1b[31m alert \u200b \x9b2J end")
    found = memvault("retrieve", "alert").stdout
    assert "\x1b" not in found
    assert "\\u001b[31m" in found
    assert memvault("retrieve", "alert", "--json").stdout.isascii()
    assert safe("a\tb\nc") == "a\tb\n    | c"


def test_a_token_is_not_taken_for_markup(memvault: Memvault) -> None:
    memvault.json("extract", "-", stdin="[bold]not bold[/bold] tea")
    assert "[bold]not bold[/bold] tea" in memvault("retrieve", "tea").stdout


def test_every_command_says_what_it_does(empty: Memvault) -> None:
    assert empty("--help").exit_code == 0
    for command in (
        "init",
        "extract",
        "retrieve",
        "show",
        "reveal",
        "update",
        "organize",
        "doctor",
        "serve",
        "audit tail",
        "audit verify",
        "audit checkpoint",
        "audit export",
        "keys status",
        "principal add",
        "principal list",
        "principal revoke",
    ):
        result = empty(*command.split(), "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout
