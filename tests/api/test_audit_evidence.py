"""Evidence from the command line: exported, proved, and verified without the vault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.__main__ import main
from audit.verify_html import build_page
from tests.api.conftest import Memvault

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def key(memvault: Memvault, memory_id: str, tmp_path: Path) -> str:
    """The log's key, of a vault with a memory; its evidence lies in `tmp_path`."""
    made = memvault.json("audit", "export", str(tmp_path / "log.tar"))
    memvault("audit", "prove", "1", "-o", str(tmp_path / "entry.tlog-proof"))
    return str(made["verifier_key"])


def test_a_proof_is_written_and_verified_alone(memvault: Memvault, key: str, tmp_path: Path) -> None:
    proof = tmp_path / "entry.tlog-proof"
    assert proof.read_text().startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert proof.stat().st_mode & 0o777 == 0o600
    shown = memvault("audit", "verify", str(proof), "--key", key)
    assert shown.exit_code == 0
    assert shown.stdout.endswith("verified\n")
    assert "does not show" in shown.stdout
    told = memvault.json("audit", "verify", str(proof), "--key", key)
    assert (told["passed"], told["index"], told["witnesses"]) == (True, 1, [])


def test_a_proof_carries_its_payload_or_not_and_never_overwrites(
    memvault: Memvault, key: str, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.tlog-proof"
    made = memvault.json("audit", "prove", "1", "-o", str(bare), "--without-payload")
    assert made == {"file": str(bare), "index": 1, "verifier_key": key}
    assert "not carried" in memvault("audit", "verify", str(bare), "--key", key).stdout
    assert memvault("audit", "prove", "1", "-o", str(bare)).exit_code == 7
    assert memvault("audit", "prove", "1").stdout.startswith("c2sp.org/tlog-proof@v1\n")


def test_a_proof_that_was_altered_fails(memvault: Memvault, key: str, tmp_path: Path) -> None:
    proof = tmp_path / "entry.tlog-proof"
    proof.write_text(proof.read_text().replace("\nindex 1\n", "\nindex 0\n"))
    assert memvault("audit", "verify", str(proof), "--key", key).exit_code == 3
    proof.write_text("c2sp.org/tlog-proof@v1\n")
    assert memvault("audit", "verify", str(proof), "--key", key).exit_code == 9


def test_there_is_no_proof_of_what_is_not_there_and_none_for_others(memvault: Memvault, key: str) -> None:
    assert memvault("audit", "prove", "100000").exit_code == 6
    assert memvault("audit", "prove", "1", "--role", "clinician").exit_code == 4


def test_exports_and_proofs_are_entries(memvault: Memvault, key: str) -> None:
    told = memvault.json("audit", "tail", "-n", "20")["entries"]
    exports = [entry for entry in told if entry["event"] == "audit.export"]
    assert len(exports) == 2
    assert {entry["principal"] for entry in exports} == {"local-auditor"}


def test_a_range_says_what_it_is(memvault: Memvault, key: str, tmp_path: Path) -> None:
    bundle = tmp_path / "part.tar"
    assert memvault("audit", "export", str(bundle), "--first", "1", "--stop", "2").exit_code == 0
    shown = memvault("audit", "verify", str(bundle), "--key", key).stdout
    assert "entries: all" in shown, "a range is of whole tiles, and this log fills none"
    for first, stop in (("9000", "9001"), ("2", "1")):
        result = memvault("audit", "export", str(tmp_path / "x.tar"), "--first", first, "--stop", stop)
        assert result.exit_code == 1
        assert not (tmp_path / "x.tar").exists()


def test_payloads_can_be_left_out(memvault: Memvault, key: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bare.tar"
    assert memvault("audit", "export", str(bundle), "--without-payloads").exit_code == 0
    assert b"written" not in bundle.read_bytes()
    assert "without payload" in memvault("audit", "verify", str(bundle), "--key", key).stdout


def test_the_page_is_written_alone_or_beside_a_bundle(memvault: Memvault, key: str, tmp_path: Path) -> None:
    assert memvault("audit", "verifier", str(tmp_path / "page.html")).exit_code == 0
    assert (tmp_path / "page.html").read_bytes() == build_page()
    assert memvault("audit", "verifier", str(tmp_path / "page.html")).exit_code == 7
    assert memvault("audit", "export", str(tmp_path / "again.tar"), "--html").exit_code == 0
    assert (tmp_path / "verify.html").read_bytes() == build_page()
    assert memvault("audit", "export", "-", "--html").exit_code == 2


def test_options_of_a_file_need_one(memvault: Memvault, key: str) -> None:
    assert memvault("audit", "verify", "--required", "1").exit_code == 2


def test_cosignatures_that_are_required_must_be_there(memvault: Memvault, key: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness.vkey"
    witness.write_text("witness.example/w1+d666cf3c+BKUr4wDL\n")
    bundle = str(tmp_path / "log.tar")
    assert memvault("audit", "verify", bundle, "--key", key, "--required", "1").exit_code == 2
    assert memvault("audit", "verify", bundle, "--key", key, "--witness", str(witness)).exit_code == 2


OTHER = "memos-vault/embedded+0e9dbd8e+AQ"


def test_the_verifier_runs_without_the_vault(key: str, tmp_path: Path) -> None:
    """In a process where no room but `audit` can be imported, and from another folder."""
    blocked = "import sys, runpy\n" + "".join(
        f"sys.modules[{name!r}] = None\n"
        for name in (
            "vault",
            "policies",
            "api",
            "lifecycle",
            "compliance",
            "sqlalchemy",
            "sqlmodel",
            "fastapi",
            "typer",
        )
    )
    for name in ("log.tar", "entry.tlog-proof"):
        program = f"{blocked}sys.argv = ['audit', {name!r}, '--key', {key!r}]\nrunpy.run_module('audit', run_name='__main__')"
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.endswith("verified\n")


def test_the_verifier_alone_ends_as_the_command_does(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, proof = tmp_path / "log.tar", tmp_path / "entry.tlog-proof"
    assert main([str(bundle), "--key", key]) == 0
    assert main([str(bundle), "--key", "nonsense"]) == 2
    assert main([str(tmp_path / "none"), "--key", key]) == 9
    assert main([str(proof), "--key", key, "--remembered", str(proof)]) == 9
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"local-agent", b"local-agemt"))
    assert main([str(bundle), "--key", key]) == 3
    assert "FAILED" in capsys.readouterr().out
    proof.write_text(proof.read_text().replace("\nindex 1\n", "\nindex 0\n"))
    assert main([str(proof), "--key", key]) == 3
    bundle.write_bytes(content[:1000])
    assert main([str(bundle), "--key", key]) == 9
    assert "could not check" in capsys.readouterr().err
