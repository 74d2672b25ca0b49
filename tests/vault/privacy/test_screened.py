"""Screened text is made by the gate and by what passed it before: nobody else can make one by accident."""

import ast
import copy
import dataclasses
import pickle
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from policies.privacy import default_privacy_rules
from tests.simulators.fakes import KeywordDetector
from vault.content import MaskedField
from vault.model import SCREENED_ISSUER, Screened, expect_screened
from vault.privacy.gate import PrivacyGate
from vault.privacy.tokens import SubjectTokens
from vault.search.lexical import TermHasher, embedding_text, prepare_query

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


def test_no_class_can_be_derived_that_skips_the_check() -> None:
    skipping = {"__slots__": (), "__post_init__": lambda *_given: None}
    for bases in ((Screened,), (str, Screened), (Screened, dict)):
        with pytest.raises(TypeError):
            types.new_class("Loose", bases, exec_body=lambda space: space.update(skipping))


def test_a_class_whose_first_parent_hides_the_refusal_is_taken_by_nothing() -> None:
    class Hiding:
        __slots__ = ()

        def __init_subclass__(cls) -> None:
            """Leave out what the next class says."""

    skipping = {"__slots__": (), "__post_init__": lambda *_given: None}
    loose = types.new_class("Loose", (Hiding, Screened), exec_body=lambda space: space.update(skipping))
    forged = loose("Maria Keller", (), "mine", object())
    object.__setattr__(forged, "_issuer", SCREENED_ISSUER)
    with pytest.raises(TypeError, match="expected screened text"):
        MaskedField.of(forged)


@pytest.mark.parametrize(
    "way",
    [
        lambda made: made.__setstate__(["Maria Keller", (), "mine"]),
        lambda made: made.__getstate__(),
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda made: pickle.dumps([made], protocol=0),
    ],
)
def test_no_state_goes_into_screened_text_or_out_of_it(way: Callable[[Screened], object]) -> None:
    made = screened()
    before = made.text
    with pytest.raises(TypeError, match="issuer alone"):
        way(made)
    assert made.text == before


def test_an_instance_that_no_constructor_made_is_taken_by_nothing() -> None:
    """`object.__new__` cannot be forbidden; sealing, hashing and embedding see what came of it."""

    class LookAlike:
        text, replacements, detector = "Maria Keller", (), "mine"

    empty, filled = object.__new__(Screened), object.__new__(Screened)
    for name, value in (("text", "Maria Keller"), ("replacements", ()), ("detector", "mine")):
        object.__setattr__(filled, name, value)
    hasher = TermHasher(bytes(32))
    takers: list[Callable[[Screened], object]] = [
        expect_screened,
        MaskedField.of,
        embedding_text,
        hasher.record,
        lambda given: hasher.record(screened(), speaker=given),
        lambda given: prepare_query(hasher, given),
    ]
    for forged in (empty, filled, LookAlike(), "Maria Keller"):
        for take in takers:
            with pytest.raises(TypeError, match="expected screened text"):
                take(forged)  # type: ignore[arg-type]  # that is the test
    for take in takers:
        take(screened())


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
    assert naming == {"vault/model.py", "vault/opened.py", "vault/sealing.py", *gate, *measures}


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
