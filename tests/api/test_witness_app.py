"""A standalone witness at the edge: one route, bounded, and nothing of a vault in its process."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.cli.main import app as commands
from api.settings import WitnessSettings
from api.witness_app import create_witness_app
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey, WitnessVerifierKey, parse_cosignatures, verify_cosignatures
from audit.merkle import leaf_hash
from audit.note import Note, parse_note
from audit.signing import SignerKey
from audit.witness import MAX_BODY_SIZE, SIZE_TYPE, Submission
from audit.witness_files import WitnessDirectory
from tests.conftest import REPOSITORY
from tests.simulators.plain_tree import PlainTree

LOG = SignerKey("memos-vault/ward-1/clinic-a", bytes(range(32)))
DEPLOYMENT = SignerKey.for_deployment("ward-1", bytes(range(32)))
TREE = PlainTree(leaf_hash(str(nth).encode()) for nth in range(20))
ENVIRONMENT = {"MEMWITNESS_DIRECTORY": None}


def submission(old: int, size: int) -> bytes:
    note = sign_checkpoint(Checkpoint(LOG.name, size, TREE.root(size)), [LOG]).note
    proof = tuple(TREE.consistency_proof(old, size)) if 0 < old < size else ()
    return Submission(old, proof, note).encode()


@pytest.fixture
def place(tmp_path: Path) -> WitnessDirectory:
    made = WitnessDirectory(tmp_path / "witness")
    made.create(WitnessSignerKey("witness.example/w1", bytes(32)))
    made.trust(DEPLOYMENT.verifier, deployment=True)
    return made


@pytest.fixture
def client(place: WitnessDirectory) -> Iterator[TestClient]:
    app = create_witness_app(place.open(lambda: int(time.time())), WitnessSettings(request_seconds=1))
    with TestClient(app) as opened:
        yield opened


def test_a_submission_is_answered_as_the_protocol_says(client: TestClient, place: WitnessDirectory) -> None:
    answer = client.post("/add-checkpoint", content=submission(0, 8))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    text = parse_note(Submission(0, (), submission(0, 8).partition(b"\n\n")[2]).note).text
    signed = Note(text, parse_cosignatures(answer.content))
    assert len(verify_cosignatures(signed, [place.load_key().verifier])) == 1
    conflict = client.post("/add-checkpoint", content=submission(3, 12))
    assert (conflict.status_code, conflict.headers["content-type"], conflict.text) == (409, SIZE_TYPE, "8\n")
    assert client.post("/add-checkpoint", content=submission(8, 12)).status_code == 200
    assert client.post("/add-checkpoint", content=b"noise").status_code == 400


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/add-checkpoint/", "/livez", "/add-checkpoint%0A"]
)
def test_nothing_else_is_served_and_that_is_said_in_text(
    client: TestClient, place: WitnessDirectory, path: str
) -> None:
    answer = client.post(path, content=submission(0, 8))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert answer.text == "there is nothing here but POST /add-checkpoint\n"
    assert place.open(lambda: 0).store.logs() == []


def test_another_method_is_told_the_right_one_in_text(client: TestClient) -> None:
    answer = client.get("/add-checkpoint")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "text/plain; charset=utf-8")
    assert answer.headers["allow"] == "POST"


def test_a_body_beyond_the_bound_is_refused(client: TestClient, place: WitnessDirectory) -> None:
    assert client.post("/add-checkpoint", content=bytes(MAX_BODY_SIZE + 1)).status_code == 413
    assert place.open(lambda: 0).store.logs() == []


def test_a_witness_that_cannot_remember_does_not_cosign(client: TestClient, place: WitnessDirectory) -> None:
    place.state.unlink()
    answer = client.post("/add-checkpoint", content=submission(0, 8))
    assert (answer.status_code, "—" in answer.text) == (503, False)


def test_the_process_of_a_witness_loads_no_storage_and_no_crypto_of_a_vault() -> None:
    program = (
        "import sys\n"
        "import api.cli.main, api.cli.witness, api.cli.witness_view, api.witness_app, api.serving\n"
        "import audit.witness_files, audit.anchor\n"
        "walled = ('vault.storage', 'vault.crypto', 'vault.opening', 'sqlalchemy', 'casbin')\n"
        "print([name for name in sys.modules if name.startswith(walled)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        timeout=120,
    )
    assert done.stdout.strip() == "[]"


def test_the_commands_make_a_witness_and_trust_a_log(tmp_path: Path) -> None:
    shell, folder = CliRunner(env=ENVIRONMENT), str(tmp_path / "w")
    made = shell.invoke(commands, ["witness", "init", "witness.example/w1", "--directory", folder])
    assert made.exit_code == 0, made.output
    key = WitnessVerifierKey.parse(made.stdout.strip())
    assert key.name == "witness.example/w1"
    assert "PRIVATE" not in made.output
    trusted = shell.invoke(
        commands, ["witness", "trust", str(DEPLOYMENT.verifier), "--deployment", "--directory", folder]
    )
    assert trusted.stdout == f"deployment {DEPLOYMENT.verifier}\n"
    shown = shell.invoke(commands, ["witness", "trust", str(LOG.verifier), "--directory", folder, "--json"])
    assert f'"log {LOG.verifier}"' in shown.stdout
    again = shell.invoke(commands, ["witness", "init", "w2", "--directory", folder, "--json"])
    assert again.exit_code == 1


def test_the_evidence_is_shown_with_both_notes_and_who_signed_them(
    client: TestClient, place: WitnessDirectory
) -> None:
    command = ["witness", "evidence", "--directory", str(place.path)]
    shell = CliRunner(env=ENVIRONMENT)
    client.post("/add-checkpoint", content=submission(0, 8))
    assert json.loads(shell.invoke(commands, [*command, "--json"]).stdout) == {
        "forks": [],
        "refused": [],
    }
    other = SignerKey(LOG.name, bytes(range(32)))
    note = sign_checkpoint(Checkpoint(LOG.name, 8, bytes(32)), [other]).note
    assert client.post("/add-checkpoint", content=Submission(8, (), note).encode()).status_code == 409
    (fork,) = json.loads(shell.invoke(commands, [*command, "--json"]).stdout)["forks"]
    assert (fork["log"], fork["size"], fork["signed"]) == (LOG.name, 8, True)
    assert fork["shown"].encode() == note
    table = shell.invoke(commands, command).stdout
    assert table.count("\n") == 2
    assert fork["seen_root"] in table
    assert fork["shown_root"] in table
    place.trusted.write_text("")
    assert "\nNO " in shell.invoke(commands, command).stdout


def test_a_refused_note_is_shown_apart_and_said_to_prove_nothing(
    client: TestClient, place: WitnessDirectory
) -> None:
    command = ["witness", "evidence", "--directory", str(place.path)]
    shell = CliRunner(env=ENVIRONMENT)
    client.post("/add-checkpoint", content=submission(0, 8))
    note = sign_checkpoint(Checkpoint(LOG.name, 12, bytes(32)), [LOG]).note
    assert (
        client.post("/add-checkpoint", content=Submission(8, (bytes(32),), note).encode()).status_code == 422
    )
    shown = json.loads(shell.invoke(commands, [*command, "--json"]).stdout)
    assert shown["forks"] == []
    (one,) = shown["refused"]
    assert (one["log"], one["size"], one["seen"], one["reason"], one["signed"]) == (
        LOG.name,
        12,
        8,
        "proof",
        True,
    )
    assert one["note"].encode() == note
    table = shell.invoke(commands, command).stdout.splitlines()
    assert table[1].startswith("refused, proves nothing by itself")
    assert one["root"] in table[2]
    place.trusted.write_text("")
    assert "\nNO " in shell.invoke(commands, command).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["init", "w1"], 2),
        (["init", "two words", "--directory", "{}"], 2),
        (["trust", "no key", "--directory", "{}"], 2),
        (["serve", "--directory", "{}/nowhere"], 1),
        (["evidence", "--directory", "{}/nowhere"], 1),
        (["serve", "--directory", "{}", "--host", "192.0.2.1"], 2),
    ],
)
def test_what_is_wrong_ends_with_a_reason(
    arguments: list[str], code: int, tmp_path: Path, place: WitnessDirectory
) -> None:
    chosen = str(tmp_path / "new") if arguments[0] == "init" else str(place.path)
    done = CliRunner(env=ENVIRONMENT).invoke(
        commands, ["witness", *(word.replace("{}", chosen) for word in arguments)]
    )
    assert done.exit_code == code, done.output
