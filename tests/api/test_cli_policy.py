"""The commands that review policies, as a reviewer runs them: on folders, on git revisions, on a vault's log."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from policies.bundle import KNOWN_FILES, SHIPPED
from policies.loading import ready
from policies.model import Role
from policies.review.lint import CODES
from tests.api.conftest import Memvault

REPOSITORY = Path(__file__).parents[2]
RULES = "rules/policy.csv"
WAS, NOW = "read|search|reveal, treatment, allow", "read|search|reveal, treatment|research, allow"


def copy_to(folder: Path, was: str = "", now: str = "", name: str = RULES) -> Path:
    """Copy the shipped bundle, with a change."""
    for file in KNOWN_FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / file, folder / file)
    text = (folder / name).read_text("utf-8")
    assert was in text
    (folder / name).write_text(text.replace(was, now, 1), "utf-8")
    return folder


def test_the_shipped_bundle_is_clean_and_tested(empty: Memvault) -> None:
    assert empty("policy", "lint").exit_code == 0
    assert empty.json("policy", "lint", str(SHIPPED)) == {"clean": True, "findings": []}
    found = empty.json("policy", "test")
    assert (found["passed"], found["failed"], found["rules_not_covered"], found["survivors"]) == (
        True,
        [],
        [],
        [],
    )
    assert found["mutants"] > 500
    told = empty("policy", "test", "--no-mutants")
    assert re.fullmatch(r"\d+ cases, 0 fail\n\d+ rules, 0 without a case that needs them\n", told.stdout)


def test_what_is_wrong_is_told_with_its_place_and_ends_with_3(empty: Memvault, tmp_path: Path) -> None:
    bad = copy_to(tmp_path / "bad", "p, clinician-treats, clinician,", "p, clinician-treats, doctor,")
    line = next(nth for nth, text in enumerate((bad / RULES).read_text().splitlines(), 1) if "doctor" in text)
    told = empty("policy", "lint", str(bad))
    assert told.exit_code == 3
    assert told.stdout.startswith(f"{RULES}:{line}:22: error: expected known roles")
    assert told.stderr == "1 finding: it is not loaded\n"
    log = json.loads(empty("policy", "lint", str(bad), "--format", "sarif", "--prefix", "policies/").stdout)
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == f"policies/{RULES}"
    assert empty("policy", "test", str(bad)).exit_code == 1
    assert empty("policy", "lint", str(tmp_path / "nowhere")).exit_code == 1


def test_failing_cases_uncovered_rules_and_survivors_are_told(empty: Memvault, tmp_path: Path) -> None:
    wider = copy_to(tmp_path / "wider", WAS, NOW)
    told = empty("policy", "test", str(wider))
    assert told.exit_code == 3
    assert "FAILS      a clinician does so for nothing else (line" in told.stdout
    assert "not so for: clinician read private (owner) for research" in told.stdout
    more = "\np, new-rule, service, public, owner, mfa, declared, audit, audit, allow\n# Who watches"
    untested = copy_to(tmp_path / "untested", "\n# Who watches", more)
    cases = (untested / "rules/tests.yaml").read_text()
    cases = re.sub(r"- case: services touch(?:.|\n)*?(?=- case)", "", cases)
    cases = cases.replace(
        "given: {roles: [owner-agent, institution-member, clinician, adviser, service], resource: any",
        "given: {roles: [adviser], resource: any",
    )
    (untested / "rules/tests.yaml").write_text(cases)
    found = json.loads(empty("policy", "test", str(untested), "--json").stdout)
    assert not found["passed"]
    assert found["rules_not_covered"] == [] or found["rules_not_covered"] == ["new-rule"]


def test_a_change_is_told_to_whoever_reviews_it(empty: Memvault, tmp_path: Path) -> None:
    head, reviewers = copy_to(tmp_path / "head", WAS, NOW), tmp_path / "reviewers.yaml"
    reviewers.write_text("reviewers:\n  - ask: [privacy-office]\n    when: {actions: [reveal]}\n")
    told = empty("policy", "diff", str(SHIPPED), str(head), "--reviewers", str(reviewers))
    assert told.exit_code == 23
    assert "clinician may now read, search, reveal any memory for research" in told.stdout
    assert "Has to be reviewed by privacy-office.\n" in told.stdout
    shown = empty("policy", "diff", str(SHIPPED), str(head), "--format", "markdown", "--exit-zero")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("## Policy change: 🔴 high\n")
    value = json.loads(empty("policy", "diff", str(SHIPPED), str(head), "--json").stdout)
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "policy-diff.schema.json").read_text("utf-8"))
    jsonschema.validate(value, schema)
    assert empty("policy", "diff", str(SHIPPED), str(SHIPPED)).exit_code == 0
    assert empty("policy", "diff", str(head), str(SHIPPED)).exit_code == 21


def test_what_is_no_bundle_and_no_file_of_reviewers_is_refused(empty: Memvault, tmp_path: Path) -> None:
    assert empty("policy", "diff", str(SHIPPED), "no-such-revision").exit_code == 1
    assert empty("policy", "diff", "--", "--upload-pack=x", str(SHIPPED)).exit_code == 1
    missing = empty("policy", "diff", str(SHIPPED), str(SHIPPED), "--reviewers", str(tmp_path / "none"))
    assert (missing.exit_code, "none: the file of reviewers cannot be read" in missing.stderr) == (1, True)


def test_two_git_revisions_are_compared(
    empty: Memvault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here")
    repository = tmp_path / "repository"

    def git(*words: str) -> None:
        identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(
            ["git", *identity, *words], cwd=repository, check=True, capture_output=True, timeout=60
        )

    copy_to(repository / "rules-of-the-house")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    copy_to(repository / "rules-of-the-house", WAS, NOW)
    (repository / "rules-of-the-house" / "README.md").write_text("beside")
    git("add", ".")
    git("commit", "-q", "-m", "two")
    monkeypatch.chdir(repository)
    told = empty("policy", "diff", "HEAD~1", "HEAD", "--path", "rules-of-the-house/")
    assert told.exit_code == 23
    assert "for research" in told.stdout
    assert empty("policy", "diff", "HEAD~1", "HEAD").exit_code == 1, "there is no such folder in it"


def test_questions_are_answered(empty: Memvault) -> None:
    asked = ["--role", "clinician", "--action", "reveal", "--on", "private", "--purpose"]
    denied = empty("policy", "explain", *asked, "research")
    assert denied.stdout.startswith("denied: no rule allows it\n  nearest: clinician-treats (line ")
    assert "purpose: research is none of treatment" in denied.stdout
    assert empty.json("policy", "explain", *asked, "treatment")["allowed"] is True
    assert "clinician-treats" in empty("policy", "explain", *asked, "treatment").stdout
    assert empty("policy", "explain", *asked[:-3], "--on", "secret", "--purpose", "legal").exit_code == 2
    assert (
        "clinician may reveal private memory for treatment"
        in empty("policy", "who-can", "reveal", "private").stdout
    )
    assert empty("policy", "who-can", "write", "vault").stderr == "nobody\n"
    assert empty.json("policy", "who-can", "write", "vault") == {"together": False, "allowed": []}
    two = empty.json("policy", "what-can", "clinician", "adviser", "--bundle", str(SHIPPED))
    (both,) = two["allowed"]
    assert (two["together"], both["where"]["roles"]) == (True, ["clinician", "adviser"])
    assert both["sentence"].startswith("who is adviser and clinician together may ")
    everybody = empty("policy", "what-can", *Role, "--bundle", str(SHIPPED)).stdout
    assert "everybody" not in everybody
    assert empty("policy", "what-can", "auditor").stdout.startswith("auditor may audit, export the audit log")


def test_the_decisions_of_a_log_are_replayed_and_explained(
    memvault: Memvault, memory_id: str, tmp_path: Path
) -> None:
    assert memvault("show", memory_id).exit_code == 0
    assert memvault("show", memory_id, "--role", "auditor").exit_code == 4
    head = copy_to(
        tmp_path / "head",
        "p, owner-keeps-own, owner-agent, private, owner,",
        "p, owner-keeps-own, owner-agent, public, owner,",
    )
    found = memvault.json("policy", "replay", str(head))
    assert found["flipped"] == sum(one["count"] for one in found["flips"]) > 0
    assert found["flips"][0]["outcome"] == "would be refused"
    assert "local-agent" in found["flips"][0]["principals"]
    told = memvault("policy", "replay", str(head)).stdout
    assert "would be refused: owner-agent (single, emergency none) write for operations" in told
    same = memvault.json("policy", "replay", str(SHIPPED))
    assert (same["flipped"], same["flips"]) == (0, [])
    later = memvault.json("policy", "replay", str(head), "--since", "2090-01-01")
    assert (later["decided"], later["missing"], later["share_missing"]) == (0, {}, 0)
    assert (
        "0 of 0 entries cannot be replayed"
        in memvault("policy", "replay", str(head), "--since", "2090-01-01").stdout
    )
    entries = memvault.json("audit", "tail", "--count", "60")["entries"]
    denied = next(one for one in entries if one["decision"] == "denied")
    shown = memvault.json("policy", "explain-entry", str(denied["index"]))
    assert (shown["allowed"], shown["same_bundle"], shown["unknown"]) == (False, True, None)
    assert shown["why"]["private/owner"]["nearest"]
    assert (
        "denied, auditor:single:none:read:memories:0:default-deny"
        in memvault("policy", "explain-entry", str(denied["index"])).stdout
    )
    other = memvault("policy", "explain-entry", str(denied["index"]), "--bundle", str(head)).stdout
    assert "these are not the rules that decided then" in other
    nobody = next(one for one in entries if one["event"] == "vault.open")
    assert "cannot be explained" in memvault("policy", "explain-entry", str(nobody["index"])).stdout
    assert memvault("policy", "explain-entry", "999999").exit_code == 6


def test_the_page_names_every_code_as_lint_does() -> None:
    page = (REPOSITORY / "docs" / "policies.md").read_text("utf-8")
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|note) \|", page, re.MULTILINE))
    assert table == {code: severity.value for code, (severity, _) in CODES.items()}
    for code, (_, meaning) in CODES.items():
        assert f"| `{code}` |" in page
        assert meaning in page


def test_a_vault_is_made_under_a_profile_and_stays_under_it(empty: Memvault, tmp_path: Path) -> None:
    assert empty("init", "--tenant", "clinic", "--profile", "gdpr").exit_code == 1
    assert not (tmp_path / "vault" / "vault.db").exists()
    assert empty("init", "--tenant", "clinic", "--profile", "hipaa").exit_code == 0
    digest = ready("hipaa").digest
    loads = empty.json("audit", "tail", "--count", "30")["entries"]
    assert {entry["policy"] for entry in loads} == {digest}
    # A clinician of no care team: the shipped rules would let it, these do not.
    assert empty("retrieve", "knee", "--role", "adviser", "--purpose", "service").exit_code == 4
    rules = tmp_path / "vault" / "policies" / RULES
    rules.write_text(
        rules.read_text().replace("adviser-reads-public, adviser", "adviser-reads-public, everybody")
    )
    refused = empty("audit", "tail")
    assert (refused.exit_code, f"{RULES}, line " in refused.stderr) == (1, True)
