"""Decisions of an evidence bundle are decided anew without a vault; trials of a candidate are told in sentences."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from api import assembly
from policies.bundle import SHIPPED, Bundle
from tests.api.conftest import Memvault

NARROW = (
    "p, owner-keeps-own, owner-agent, private, owner,",
    "p, owner-keeps-own, owner-agent, public, owner,",
)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A bundle under which agents keep nothing of their own: it is for replaying, and would not lint clean."""
    folder = tmp_path / "candidate"
    shutil.copytree(
        SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "bundles", "review")
    )
    rules = folder / "rules" / "policy.csv"
    assert NARROW[0] in rules.read_text("utf-8")
    rules.write_text(rules.read_text("utf-8").replace(*NARROW), "utf-8")
    return folder


@pytest.fixture
def exported(memvault: Memvault, memory_id: str, tmp_path: Path) -> tuple[Path, str]:
    """An export of a log that tells of a memory, and the log's key."""
    assert memvault("show", memory_id).exit_code == 0
    told = memvault.json("audit", "export", str(tmp_path / "evidence"), "--assurance", "mfa")
    return tmp_path / "evidence", told["verifier_key"]


def flips_of(found: dict[str, object]) -> object:
    return [{**one, "last": 0} for one in found["flips"]]  # type: ignore[attr-defined]  # a JSON list


def test_evidence_is_replayed_as_the_log_is_that_it_was_taken_from(
    memvault: Memvault, empty: Memvault, exported: tuple[Path, str], candidate: Path
) -> None:
    file, key = exported
    of_log = memvault.json("policy", "replay", str(candidate))
    of_file = empty.json("policy", "replay", str(candidate), "--evidence", str(file), "--key", key)
    assert of_file["flipped"] == of_log["flipped"] > 0
    assert flips_of(of_file) == flips_of(of_log)
    evidence = of_file["evidence"]
    assert (evidence["state"], evidence["first"], of_log["evidence"]) == ("verified", 0, None)
    assert evidence["stop"] == evidence["size"]
    told = empty("policy", "replay", str(candidate), "--evidence", str(file), "--key", key).stdout
    assert told.startswith(f"evidence verified: the log of {evidence['log']}, entries 0 to ")
    later = empty.json(
        "policy", "replay", str(candidate), "--evidence", str(file), "--key", key, "--since", "2090-01-01"
    )
    assert (later["decided"], later["missing"]) == (0, {})


def test_evidence_without_a_key_is_believed_only_where_that_is_said(
    empty: Memvault, exported: tuple[Path, str], candidate: Path
) -> None:
    file, key = exported
    named = ["policy", "replay", str(candidate), "--evidence", str(file)]
    assert empty(*named).exit_code == 2
    assert empty(*named, "--key", key, "--unverified").exit_code == 2
    assert empty("policy", "replay", str(candidate), "--key", key).exit_code == 2
    believed = empty.json(*named, "--unverified")
    assert believed["evidence"]["state"] == "not verified"
    assert believed["flipped"] == empty.json(*named, "--key", key)["flipped"]
    assert empty(*named, "--unverified").stdout.startswith("evidence not verified: ")


def test_evidence_that_was_altered_or_is_of_another_log_tells_nothing(
    empty: Memvault, exported: tuple[Path, str], candidate: Path, tmp_path: Path
) -> None:
    file, key = exported
    altered = tmp_path / "altered"
    content = file.read_bytes()
    assert b":none:write:" in content
    altered.write_bytes(content.replace(b":none:write:", b":none:erase:", 1))
    for arguments in ([str(altered), "--key", key], [str(file), "--key", _another(key)]):
        refused = empty("policy", "replay", str(candidate), "--evidence", *arguments)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert "verification failed" in refused.stderr
    absent = empty("policy", "replay", str(candidate), "--evidence", str(tmp_path / "none"), "--key", key)
    assert (absent.exit_code, absent.stdout) == (9, "")
    broken = tmp_path / "broken"
    broken.write_bytes(content[:2000])
    assert empty("policy", "replay", str(candidate), "--evidence", str(broken), "--unverified").exit_code != 0


def _another(key: str) -> str:
    """Return the key of a log of the same name that signed nothing here."""
    from audit.signing import VerifierKey  # noqa: PLC0415  # for this alone

    return str(
        VerifierKey(
            VerifierKey.parse(key).name,
            bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        )
    )


def test_payloads_that_an_export_left_out_are_counted_as_left_out(
    memvault: Memvault, empty: Memvault, memory_id: str, candidate: Path, tmp_path: Path
) -> None:
    assert memvault("show", memory_id).exit_code == 0
    file = tmp_path / "evidence"
    told = memvault.json("audit", "export", str(file), "--without-payloads", "--assurance", "mfa")
    found = empty.json(
        "policy", "replay", str(candidate), "--evidence", str(file), "--key", told["verifier_key"]
    )
    assert (found["decided"], found["flips"], found["share_missing"]) == (0, [], 1)
    assert found["missing"].keys() == {"payload left out of the export"}


def test_a_candidate_is_simulated_over_the_log_in_sentences(
    memvault: Memvault, memory_id: str, candidate: Path
) -> None:
    assert memvault("show", memory_id).exit_code == 0
    found = memvault.json("policy", "simulate", str(candidate))
    assert found["replay"]["flipped"] > 0
    assert {one["way"] for one in found["disagreements"]} <= {"gained", "lost"}
    lost = next(one for one in found["disagreements"] if one["way"] == "lost")
    assert lost["sentence"].startswith("owner-agent may no longer ")
    assert lost["principals"]["local-agent"] == lost["count"] > 0
    told = memvault("policy", "simulate", str(candidate)).stdout
    assert lost["sentence"] in told
    assert "cannot be replayed" in told
    assert memvault.json("policy", "simulate", str(SHIPPED))["disagreements"] == []
    assert memvault("policy", "simulate").exit_code == 2


def test_what_a_vault_wrote_of_a_trial_is_told_in_sentences(
    memvault: Memvault, memory_id: str, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert memvault("policy", "simulate", "--report").stdout == "no trial of a candidate is told of\n"
    options = assembly.vault_options
    with monkeypatch.context() as on_trial:
        tried = Bundle.read(candidate)
        on_trial.setattr(assembly, "vault_options", lambda given: replace(options(given), candidate=tried))
        assert memvault("show", memory_id).exit_code == 0
    (trial,) = memvault.json("policy", "simulate", "--report")["trials"]
    assert trial["began"] == trial["ended"] > 0
    assert trial["differing"] > 0
    assert all(one["way"] == "lost" for one in trial["disagreements"])
    told = memvault("policy", "simulate", "--report", str(candidate)).stdout
    assert trial["disagreements"][0]["sentence"] in told
    assert told.startswith(f"candidate {trial['candidate']}: began")
    assert memvault.json("policy", "simulate", "--report", str(SHIPPED)) == {"trials": [], "erased": 0}
    assert memvault.json("policy", "simulate", "--report", "--since", "2090-01-01")["trials"] == []
    assert "by this digest" in memvault("policy", "simulate", "--report", str(SHIPPED)).stdout
    assert json.dumps(trial).count(memory_id) == 0
