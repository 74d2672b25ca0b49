"""Findings of lint as SARIF 2.1.0 (OASIS), the form in which forges show them beside the lines of a change.

Owns the form. The files' places are relative to the bundle; whoever uploads says where that stands.
"""

import json
from collections.abc import Sequence
from typing import Final

from policies.review.lint import CODES, Finding

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(findings: Sequence[Finding], version: str, prefix: str = "") -> str:
    """Return findings as a SARIF log.

    Args:
        findings: In the order in which they are told.
        version: Of this program.
        prefix: Path of the bundle from the root of the repository; empty, or with a `/` at its end.
    """
    codes = sorted(CODES)
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code][1]},
            "defaultConfiguration": {"level": CODES[code][0].value},
        }
        for code in codes
    ]
    driver = {"name": "memvault policy lint", "semanticVersion": version, "rules": rules}
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, codes.index(one.code), prefix) for one in findings],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _result(finding: Finding, index: int, prefix: str) -> dict[str, object]:
    physical: dict[str, object] = {"artifactLocation": {"uri": prefix + finding.file}}
    if finding.line is not None:
        region = {"startLine": finding.line}
        if finding.column is not None:
            region["startColumn"] = finding.column
        physical["region"] = region
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity.value,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": physical}],
    }
