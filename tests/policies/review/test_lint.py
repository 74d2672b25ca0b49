"""Lint finds everything that is wrong with a bundle, each with file, line and column, and never only the first."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.bundle import (
    ACCESS_MODEL,
    ACCESS_RULES,
    ACCESS_TESTS,
    BUNDLE_FILES,
    LOG_RULES,
    MAX_FILE_BYTES,
    PRIVACY_RULES,
    RETENTION_RULES,
    Bundle,
)
from policies.errors import PolicyInvalidError
from policies.review.lint import CODES, MAX_FINDINGS, Finding, Severity, clean, lint
from policies.review.sarif import SCHEMA, sarif
from policies.rule import MAX_RULES
from tests.policies.bundles import every_bundle

BASE = Bundle.read()
RULE = "p, a-rule, clinician, private, owner, single, none, read, treatment, allow\n"
Place = tuple[str, str, int | None, int | None]


def places(**files: bytes) -> list[Place]:
    """Return what is found in the shipped bundle with other files: code, file, line, column."""
    named = {
        "rules": ACCESS_RULES,
        "model": ACCESS_MODEL,
        "tests": ACCESS_TESTS,
        "privacy": PRIVACY_RULES,
        "retention": RETENTION_RULES,
        "log": LOG_RULES,
    }
    found = lint({**BASE.files, **{named[name]: content for name, content in files.items()}})
    return [(one.code, one.file, one.line, one.column) for one in found]


def rules_with(*lines: str) -> bytes:
    return (BASE.text(ACCESS_RULES) + "".join(line + "\n" for line in lines)).encode()


LAST = BASE.text(ACCESS_RULES).count("\n") + 1
"""The line that a line added at the end stands on."""


@pytest.mark.parametrize("bundle", every_bundle())
def test_the_bundles_that_ship_are_clean(bundle: Bundle) -> None:
    assert [str(one) for one in lint(bundle.files) if one.severity is not Severity.NOTE] == []


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        ("g, alice, clinician", "grouping", 1),
        ("g2, alice, clinician, clinic", "grouping", 1),
        ("p, tenant, *, clinician", "tenant-wildcard", 1),
        ("p, a-rule, clinician", "rule-malformed", 1),
        ("q, a-rule", "rule-malformed", 1),
        (RULE.strip() + ", more", "rule-malformed", 1),
        (RULE.strip().replace("clinician", "doctor"), "rule-malformed", 12),
        (RULE.strip().replace("treatment", "fun"), "rule-malformed", 59),
        (RULE.strip().replace("allow", "forbid"), "rule-malformed", 70),
        (RULE.strip().replace("allow", ""), "rule-malformed", None),
        (RULE.strip().replace("a-rule", "A Rule"), "rule-malformed", 4),
        (RULE.strip().replace("a-rule", "clinician-treats"), "rule-doubled", None),
    ],
)
def test_a_line_that_is_no_rule_is_told_with_its_column_and_hides_no_other(
    line: str, code: str, column: int | None
) -> None:
    found = places(rules=rules_with(line, "g, bob, auditor"))
    assert [one[:3] for one in found] == [(code, ACCESS_RULES, LAST), ("grouping", ACCESS_RULES, LAST + 1)]
    if column is not None:
        assert found[0][3] == column


def test_bytes_that_are_no_plain_text_are_told_with_their_place() -> None:
    assert places(rules=b"\xef\xbb\xbf" + RULE.encode()) == [("file-not-plain", ACCESS_RULES, 1, 1)]
    assert places(rules=b"# a\n# b\r\n" + RULE.encode()) == [("file-not-plain", ACCESS_RULES, 2, 4)]
    assert places(privacy=b"a: \x00b") == [("file-not-plain", PRIVACY_RULES, 1, 4)]
    assert places(tests=b"- a\n- \xff") == [("file-not-plain", ACCESS_TESTS, 2, 3)]


def test_large_files_and_very_many_rules_are_refused_with_a_reason() -> None:
    assert places(rules=b"#" * (1 << 20)) == [("file-too-large", ACCESS_RULES, None, None)]
    many = "".join(RULE.replace("a-rule", f"r{nth}") for nth in range(MAX_RULES + 9)).encode()
    assert ("rules-too-many", ACCESS_RULES, MAX_RULES + 1, None) in places(rules=many)
    hundred_thousand = "".join(RULE.replace("a-rule", f"r{nth}") for nth in range(100_000)).encode()
    assert len(hundred_thousand) > MAX_FILE_BYTES
    assert places(rules=hundred_thousand) == [("file-too-large", ACCESS_RULES, None, None)]
    with pytest.raises(PolicyInvalidError, match="larger than"):
        Bundle({**BASE.files, ACCESS_RULES: hundred_thousand})


def test_more_findings_than_anybody_reads_are_cut_and_that_is_said() -> None:
    found = places(rules=b"g,a\n" * (MAX_FINDINGS + 7), tests=b"3")
    assert len(found) <= MAX_RULES + 3
    wild = {f"stray-{nth}.csv": b"" for nth in range(MAX_FINDINGS + 5)}
    told = lint({**BASE.files, **wild})
    assert len(told) == MAX_FINDINGS + 1
    assert sum(one.code == "too-many-findings" for one in told) == 1


def test_an_empty_policy_a_missing_file_and_a_stray_one_are_told() -> None:
    assert places(rules=b"# nothing\n\n")[0] == ("rules-none", ACCESS_RULES, None, None)
    without = {name: content for name, content in BASE.files.items() if name != LOG_RULES}
    assert [one.code for one in lint(without)] == ["file-missing"]
    assert [one.code for one in lint({**BASE.files, "rules/more.csv": b""})] == ["file-unknown"]
    assert {one.code for one in lint({})} == {"file-missing"}
    assert len(lint({})) == len(BUNDLE_FILES)


def test_a_changed_model_is_flagged_as_such_with_its_line() -> None:
    model = BASE.text(ACCESS_MODEL)
    (found,) = lint(
        {**BASE.files, ACCESS_MODEL: model.replace(" && !some(where (p.eft == deny))", "").encode()}
    )
    assert found.code == "model-changed"
    assert found.line == model[: model.index("e = some")].count("\n") + 1
    (shorter,) = lint({**BASE.files, ACCESS_MODEL: b"[request_definition]\n"})
    assert shorter.code == "model-changed"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("privacy", "privacy-invalid"),
        ("retention", "retention-invalid"),
        ("log", "log-invalid"),
        ("tests", "cases-invalid"),
    ],
)
def test_rules_of_other_kinds_that_do_not_load_are_told(file: str, code: str) -> None:
    assert [one[0] for one in places(**{file: b"version: 9"})] == [code]


def codes(*lines: str) -> set[tuple[str, int | None]]:
    return {(one[0], one[2]) for one in places(rules=rules_with(*lines))}


def test_dead_shadowed_and_conflicting_rules_are_told() -> None:
    deny = "p, no-service, service, *, *, *, *, reveal, *, deny"
    dead = "p, service-reveals, service, private, owner, *, *, reveal, legal, allow"
    assert ("rule-dead", LAST + 1) in codes(deny, dead)
    assert ("rule-shadowed", LAST) in codes(
        "p, again, clinician, private, owner, mfa, none, read, treatment, allow"
    )
    half = "p, service-more, service, private, owner, *, *, reveal|search, legal, allow"
    found = codes(deny, half)
    assert ("rule-conflict", LAST) in found
    assert ("rule-dead", LAST + 1) not in found


def test_a_rule_that_denies_is_noted_once_with_all_that_it_meets() -> None:
    deny = "p, no-originals, *, *, *, *, *, reveal, research, deny"
    allowing = [
        f"p, also-{nth}, clinician, private, owner, *, *, reveal|search, research, allow" for nth in range(3)
    ]
    noted = [
        one
        for one in lint({**BASE.files, ACCESS_RULES: rules_with(deny, *allowing)})
        if one.code == "rule-conflict" and one.line == LAST
    ]
    assert [one.message for one in noted] == [
        "no-originals denies some of what others allow: also-0, also-1, also-2"
    ]
    dead = "p, only-originals, clinician, private, owner, *, *, reveal, research, allow"
    assert ("rule-conflict", LAST) not in codes(deny, dead), "a dead rule is told as one"


def test_privileges_that_no_case_asks_about_and_cases_that_fail_are_told() -> None:
    cases = BASE.text(ACCESS_TESTS)
    start = cases.index("- case: an administrator runs the vault\n")
    fewer = cases[:start] + cases[cases.index("- case:", start + 1) :]
    (found,) = lint({**BASE.files, ACCESS_TESTS: fewer.encode()})
    assert found.code == "privilege-untested"
    assert "administrator may administer the vault for operations" in found.message
    failing = cases.replace("expect: allow", "expect: deny", 1)
    (failed,) = lint({**BASE.files, ACCESS_TESTS: failing.encode()})
    assert (failed.code, failed.severity) == ("case-fails", Severity.ERROR)
    assert failed.line is not None
    assert cases.splitlines()[failed.line - 1].startswith("- case:")


def test_only_notes_leave_a_bundle_clean() -> None:
    assert clean([Finding("rule-conflict", "x", ACCESS_RULES)])
    assert not clean([Finding("rule-shadowed", "x", ACCESS_RULES)])
    assert (
        str(Finding("rule-shadowed", "x", ACCESS_RULES, 3, 1))
        == f"{ACCESS_RULES}:3:1: warning: x [rule-shadowed]"
    )
    assert str(Finding("rules-none", "x", ACCESS_RULES)) == f"{ACCESS_RULES}: error: x [rules-none]"


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*BUNDLE_FILES, "stray.csv"]), st.binary(max_size=300)))
def test_whatever_stands_in_the_files_lint_ends_and_says_something(files: dict[str, bytes]) -> None:
    assert not clean(lint(files))


def test_findings_as_sarif_have_what_the_standard_requires() -> None:
    findings = lint({**BASE.files, ACCESS_RULES: rules_with("g, alice, clinician"), "stray.csv": b""})
    log = json.loads(sarif(findings, "1.2.3", "policies/"))
    assert (log["version"], log["$schema"]) == ("2.1.0", SCHEMA)
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("memvault policy lint", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == sorted(CODES)
    assert len(run["results"]) == len(findings) == 2
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
    physical = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert physical[0] == {
        "artifactLocation": {"uri": f"policies/{ACCESS_RULES}"},
        "region": {"startLine": LAST, "startColumn": 1},
    }
    assert physical[1] == {"artifactLocation": {"uri": "policies/stray.csv"}}
    no_column = json.loads(sarif([Finding("rule-doubled", "x", ACCESS_RULES, 4)], "1"))
    region = no_column["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 4}


@pytest.mark.parametrize("name", [name for name in BASE.files if name.endswith(".yaml")])
def test_what_names_itself_again_and_again_is_refused_and_never_built(name: str) -> None:
    levels = "".join(
        f"l{nth}: &l{nth} {{<<: [{', '.join([f'*l{nth - 1}'] * 10)}]}}\n" for nth in range(1, 12)
    )
    bomb = "l0: &l0 {a: 1}\n" + levels
    found = [one for one in lint({**BASE.files, name: bomb.encode()}) if one.file == name]
    assert found
    assert not clean(found)


def test_roles_that_may_declare_emergencies_are_those_that_are_given_minutes() -> None:
    def found(minutes: str) -> list[tuple[str, str]]:
        privacy = BASE.text(PRIVACY_RULES) + f"\nemergency_minutes: {minutes}\n"
        told = lint({**BASE.files, PRIVACY_RULES: privacy.encode()})
        return [(one.code, one.message) for one in told if one.file == PRIVACY_RULES]

    assert found("{institution-member: 60}") == []
    assert found("{clinician: 60}") == [
        (
            "emergency-unbounded",
            "institution-member may declare emergencies by the rules, and has no minutes for them",
        ),
        ("emergency-unused", "no rule lets clinician declare emergencies"),
    ]
    for wrong in (
        "3",
        "{doctor: 5}",
        "{clinician: 0}",
        "{clinician: 481}",
        "{clinician: true}",
        "{clinician: 1.5}",
    ):
        assert [code for code, _ in found(wrong)] == ["privacy-invalid"], wrong
