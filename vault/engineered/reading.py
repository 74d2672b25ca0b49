"""Pipelines in YAML, read strictly: each key once and known, no aliases, no fractions, every refusal with its place.

    pipeline: triage
    version: 1
    purpose: treatment
    about: Keep a note and say what is known.
    inputs:
      note: text
      patient: subject
      since: time, optional
    steps:
      - step: keep
        operator: extract-text/1
        with: {text: $note, subject: $patient}
      - step: known
        operator: retrieve/1
        with: {query: allergies, subject: $patient}
        seconds: 20
    outputs:
      memories: $known.memories

`$name` is an input, `$step.name` a field of what a step gave; a text that begins with a dollar is written `$$`.

Owns the form. Whether the parts fit is `vault.engineered.checking`'s.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import yaml

from audit.canonical import JsonValue
from policies.model import Purpose
from policies.strict_yaml import PlainLoader
from vault.engineered.declared import (
    DEFAULT_SECONDS,
    MAX_INPUTS,
    MAX_STEPS,
    Argument,
    From,
    Input,
    Literal,
    Pipeline,
    Place,
    Step,
)
from vault.errors import PipelineInvalidError

MAX_CHARACTERS: Final = 100_000
READY: Final = Path(__file__).parent / "ready"
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,23}(?:[-_][a-z0-9]{1,24}){0,3}", re.ASCII)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
_TAG: Final = "tag:yaml.org,2002:"
_Part = TypeVar("_Part")


def ready_pipelines() -> tuple[str, ...]:
    """Return the names of the pipelines that come with the vault."""
    return tuple(sorted(path.stem for path in READY.glob("*.yaml")))


def ready_pipeline(name: str) -> Pipeline:
    """Return a pipeline that comes with the vault.

    Raises:
        PipelineInvalidError: there is none of this name.
    """
    if name not in ready_pipelines():
        raise PipelineInvalidError(f"expected a ready pipeline: one of {', '.join(ready_pipelines())}")
    return read_pipeline_file(READY / f"{name}.yaml")


def read_pipeline_file(path: Path) -> Pipeline:
    """Read a pipeline from a file.

    Raises:
        PipelineInvalidError: it cannot be read, or is none; with its place.
    """
    try:
        if not path.is_file():  # a device or a pipe has no end
            raise PipelineInvalidError(f"{path.name}: expected a file")
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
        return read_pipeline(content.decode(), path.name)
    except OSError as error:
        raise PipelineInvalidError(f"{path.name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PipelineInvalidError(f"{path.name}: expected UTF-8") from None


def read_pipeline(text: str, file: str) -> Pipeline:
    """Read a pipeline from YAML.

    Args:
        text: The YAML.
        file: Name that stands in messages.

    Raises:
        PipelineInvalidError: it is none; with its place.
    """
    if len(text) > MAX_CHARACTERS:
        raise PipelineInvalidError(f"{file}: expected at most {MAX_CHARACTERS} characters")
    try:
        node = yaml.compose(text, Loader=PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)
        raise PipelineInvalidError(f"{place}: expected YAML without aliases") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise PipelineInvalidError(f"{file}: expected YAML") from None
    if node is None:
        raise PipelineInvalidError(f"{file}:1:1: expected a pipeline, got nothing")
    return _Reader(file).pipeline(node)


class _Reader:
    """Turns nodes into values, and keeps where each stood."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._places: dict[tuple[str, ...], Place] = {}

    def pipeline(self, node: yaml.Node) -> Pipeline:
        known = ("pipeline", "version", "purpose", "about", "inputs", "steps", "outputs")
        parts = self._mapping(node, (), known, ("pipeline", "version", "purpose", "steps"))
        name = self._name(parts["pipeline"])
        self._note(("version",), parts["version"])
        return Pipeline(
            name=name,
            version=self._integer(parts["version"]),
            purpose=self._purpose(parts["purpose"]),
            about=self._text(parts["about"]) if "about" in parts else "",
            inputs=self._named(parts.get("inputs"), ("inputs",), self._input),
            steps=self._steps(parts["steps"]),
            outputs=self._named(parts.get("outputs"), ("outputs",), self._reference),
            places=self._places,
        )

    def _steps(self, node: yaml.Node) -> tuple[Step, ...]:
        if not isinstance(node, yaml.SequenceNode) or not 1 <= len(node.value) <= MAX_STEPS:
            self._refuse(node, f"expected a list of 1 to {MAX_STEPS} steps")
        steps: list[Step] = []
        for one in node.value:
            step = self._step(one)
            if any(step.name == other.name for other in steps):
                self._refuse(one, f"expected each step's name once, got {step.name} twice")
            steps.append(step)
        return tuple(steps)

    def _step(self, node: yaml.Node) -> Step:
        parts = self._mapping(node, None, ("step", "operator", "with", "seconds"), ("step", "operator"))
        name = self._name(parts["step"])
        here = ("steps", name)
        self._note(here, node)
        self._note((*here, "operator"), parts["operator"])
        if "seconds" in parts:
            self._note((*here, "seconds"), parts["seconds"])
        return Step(
            name=name,
            operator=self._text(parts["operator"]),
            arguments=self._named(parts.get("with"), (*here, "with"), self._argument),
            seconds=self._integer(parts["seconds"]) if "seconds" in parts else DEFAULT_SECONDS,
        )

    def _named(
        self, node: yaml.Node | None, path: tuple[str, ...], read: Callable[[yaml.Node], _Part]
    ) -> Mapping[str, _Part]:
        if node is None:
            return {}
        parts = self._mapping(node, path)
        for name, value in parts.items():
            if not _NAME.fullmatch(name):
                self._refuse(value, "expected a name of lower-case letters and digits, joined by - or _")
            self._note((*path, name), value)
        return {name: read(value) for name, value in parts.items()}

    def _mapping(
        self,
        node: yaml.Node,
        path: tuple[str, ...] | None,
        known: Sequence[str] | None = None,
        needed: Sequence[str] = (),
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode) or (known is None and len(node.value) > MAX_INPUTS):
            self._refuse(node, f"expected names with values, at most {MAX_INPUTS}")
        if path is not None:
            self._note(path, node)
        parts: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key)
            if known is not None and name not in known:
                self._refuse(key, f"expected one of {', '.join(known)}")
            if name in parts:
                self._refuse(key, "expected each key once")
            parts[name] = value
        for name in needed:
            if name not in parts:
                self._refuse(node, f"expected {name}")
        return parts

    def _input(self, node: yaml.Node) -> Input:
        name, comma, more = self._text(node).partition(",")
        if comma and more.strip() != "optional":
            self._refuse(node, "expected a type, and `, optional` where it may be left out")
        return Input(name.strip(), optional=bool(comma))

    def _reference(self, node: yaml.Node) -> From:
        argument = self._argument(node)
        if not isinstance(argument, From):
            self._refuse(node, "expected $step.name")
        return argument

    def _argument(self, node: yaml.Node) -> Argument:
        if isinstance(node, yaml.SequenceNode):
            return Literal(tuple(self._literal(one) for one in node.value))
        value = self._literal(node)
        if not isinstance(value, str) or not value.startswith("$"):
            return Literal(value)
        if value.startswith("$$"):
            return Literal(value[1:])
        first, dot, second = value[1:].partition(".")
        if not _NAME.fullmatch(first) or (dot and not _NAME.fullmatch(second)):
            self._refuse(node, "expected $input, $step.name, or $$ before a text that begins with a dollar")
        return From(first, second) if dot else From(None, first)

    def _literal(self, node: yaml.Node) -> JsonValue:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, "expected a text, a whole number, a truth, or a list of these")
        text = str(node.value)
        if node.tag == f"{_TAG}null":
            return None
        if node.tag == f"{_TAG}bool" and text in {"true", "false"}:
            return text == "true"
        if node.tag == f"{_TAG}int" and _INTEGER.fullmatch(text):
            return int(text)
        if node.tag not in {f"{_TAG}str", f"{_TAG}timestamp"}:
            self._refuse(node, "expected a text, a whole decimal number, true, false or null")
        return text

    def _text(self, node: yaml.Node) -> str:
        value = self._literal(node)
        if not isinstance(value, str):
            self._refuse(node, "expected a text")
        return value

    def _integer(self, node: yaml.Node) -> int:
        value = self._literal(node)
        if type(value) is not int:
            self._refuse(node, "expected a whole number")
        return value

    def _name(self, node: yaml.Node) -> str:
        name = self._text(node)
        if not _NAME.fullmatch(name) or "_" in name:
            self._refuse(node, "expected a name of lower-case letters and digits, joined by -")
        self._note((), node)
        return name

    def _purpose(self, node: yaml.Node) -> Purpose:
        try:
            return Purpose(self._text(node))
        except ValueError:
            self._refuse(node, f"expected a purpose: one of {', '.join(Purpose)}")

    def _note(self, path: tuple[str, ...], node: yaml.Node) -> None:
        self._places.setdefault(path, self._place(node))

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _refuse(self, node: yaml.Node, what: str) -> NoReturn:
        raise PipelineInvalidError(f"{self._place(node)}: {what}")
