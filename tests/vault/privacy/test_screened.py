"""Screened text is made by the gate and by what passed it before: nobody else can make one by accident."""

import ast
import dataclasses
from pathlib import Path

import pytest

from policies.privacy import default_privacy_rules
from tests.simulators.fakes import KeywordDetector
from vault.model import SCREENED_ISSUER, Screened
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens

ROOT = Path(__file__).parents[3]
ISSUER = "SCREENED_ISSUER"


def screened() -> Screened:
    """What the gate makes of a name."""
    gate = PrivacyGate(KeywordDetector(), default_privacy_rules())
    return gate.screen("Maria Keller", SubjectTokens(bytes(32)))


def test_nobody_else_makes_or_changes_screened_text() -> None:
    made = screened()
    with pytest.raises(TypeError, match="privacy gate alone"):
        Screened("Maria Keller", (), "mine", object())
    with pytest.raises(TypeError):
        Screened("Maria Keller", (), "mine")  # type: ignore[call-arg]  # that is the test
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(made, text="Maria Keller")  # type: ignore[call-arg]  # that is the test
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.text = "Maria Keller"  # type: ignore[misc]  # that is the test
    assert "Maria" not in made.text


def test_the_issuer_is_no_part_of_the_value() -> None:
    made = screened()
    again = Screened(made.text, made.replacements, made.detector, SCREENED_ISSUER)
    assert (again, hash(again)) == (made, hash(made))
    assert "issuer" not in repr(made)


def test_only_the_named_modules_issue_screened_text() -> None:
    naming = {
        path.relative_to(ROOT).as_posix()
        for room in ("policies", "audit", "vault", "lifecycle", "compliance", "api")
        for path in (ROOT / room).rglob("*.py")
        if _names_the_issuer(ast.parse(path.read_text(encoding="utf-8")))
    }
    gate = {f"vault/privacy/{name}.py" for name in ("gate", "names", "kept")}
    measures = {"api/bench/made_up.py", "api/bench/search.py"}
    assert naming == {"vault/model.py", "vault/sealing.py", *gate, *measures}


def _names_the_issuer(tree: ast.AST) -> bool:
    """Tell whether a module reaches the issuer by any spelling: its name, an attribute, an import, a string."""
    return any(
        ISSUER
        in (
            getattr(node, "id", None),
            getattr(node, "attr", None),
            getattr(node, "name", None),
            getattr(node, "value", None),
        )
        for node in ast.walk(tree)
    )
