"""The catalogue: every operator by its name and version, and their schemas for whoever chooses among them.

    catalogue = built_in().also([MyOperator()])
    catalogue.get("extract/1")    # one version
    catalogue.get("extract")      # the newest

A file of this folder that holds `OPERATOR` is in the catalogue: nothing else has to know of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from policies.model import Action
from vault.errors import ContractError
from vault.pipeline.contracts import AnyOperator, Operator, expect_contracts

_NAME: Final = re.compile(r"[a-z]{2,24}(?:-[a-z]{2,24}){0,3}", re.ASCII)
_MAX_VERSION: Final = 999


class Catalogue:
    """Operators by name and version.

    Raises:
        ContractError: an operator is not of the form of one, or two have one name and version.
    """

    def __init__(self, operators: Iterable[AnyOperator]) -> None:
        self._all: dict[str, AnyOperator] = {}
        for operator in operators:
            _expect_operator(operator)
            if operator.reference in self._all:
                raise ContractError(f"expected one operator {operator.reference}, got two")
            self._all[operator.reference] = operator
        self._newest: dict[str, AnyOperator] = {}
        for operator in self._all.values():
            known = self._newest.get(operator.name)
            if known is None or known.version < operator.version:
                self._newest[operator.name] = operator

    def get(self, reference: str) -> AnyOperator | None:
        """Return an operator by `name/version`, or the newest by `name`; None where there is none."""
        return self._all.get(reference) or self._newest.get(reference)

    def also(self, operators: Iterable[AnyOperator]) -> "Catalogue":
        """Return a catalogue that knows these, too.

        Raises:
            ContractError: as for the constructor.
        """
        return Catalogue([*self, *operators])

    def only(self, references: Iterable[str]) -> "Catalogue":
        """Return a catalogue of these alone; names that it does not know are passed over."""
        wanted = frozenset(references)
        return Catalogue(one for one in self if one.reference in wanted)

    def __iter__(self) -> Iterator[AnyOperator]:
        return iter(self._all[reference] for reference in sorted(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def schema(self) -> list[dict[str, Any]]:
        """Return what a model is shown of each operator: name, purpose, what it does, JSON Schemas."""
        return [
            {
                "operator": one.reference,
                "about": one.about,
                "actions": sorted(one.actions),
                "destructive": one.destructive,
                "input": schema_of(one)["input"],
                "output": schema_of(one)["output"],
            }
            for one in self
        ]


def schema_of(operator: AnyOperator) -> Mapping[str, Any]:
    """Return the JSON Schemas (2020-12) of an operator's input and output."""
    return {
        side: {
            "$schema": GenerateJsonSchema.schema_dialect,
            **contract.model_json_schema(mode=mode),
        }
        for side, contract, mode in (
            ("input", operator.input, "validation"),
            ("output", operator.output, "serialization"),
        )
    }


@cache
def built_in() -> Catalogue:
    """Return the operators of this folder."""
    names = sorted(found.name for found in iter_modules(import_module("vault.operators").__path__))
    modules = [import_module(f"vault.operators.{name}") for name in names]
    return Catalogue(module.OPERATOR for module in modules if hasattr(module, "OPERATOR"))


def _expect_operator(operator: object) -> None:
    if not isinstance(operator, Operator):
        raise ContractError("expected operators, got something else")
    if not _NAME.fullmatch(operator.name) or type(operator.version) is not int:
        raise ContractError(
            "expected an operator's name of lower-case words joined by -, and a whole version"
        )
    if not 1 <= operator.version <= _MAX_VERSION:
        raise ContractError(f"expected a version of {operator.name} from 1 to {_MAX_VERSION}")
    if not all(isinstance(action, Action) for action in operator.actions):
        raise ContractError(f"{operator.reference}: expected actions of the policy's vocabulary")
    expect_contracts(operator)
