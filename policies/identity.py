"""What a bundle is called, and which version of it this is: the small file `bundle.yaml`, parsed strictly.

Owns its form, and where in the file name and version stand: a refusal because of them says so. It leaves what a
version is held against to `vault.bundles`. Pure.

    name: hipaa
    version: 3
    description: A covered entity under 45 CFR 160 and 164.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import yaml

from policies.errors import PolicyInvalidError

IDENTITY: Final = "bundle.yaml"
MAX_VERSION: Final = 999_999_999_999
MAX_DESCRIPTION: Final = 500
# It stands in entries of the log, where nothing stands that could be a number of a person.
_NAME: Final = re.compile(r"(?!.*(?:[0-9]-?){7})(?=.{1,64}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_WHOLE: Final = re.compile(rf"[1-9][0-9]{{0,{len(str(MAX_VERSION)) - 1}}}", re.ASCII)
_NEEDED: Final = ("name", "version")
_KEYS: Final = (*_NEEDED, "description")


class Place(NamedTuple):
    """Where something stands in the file."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""


START: Final = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Name and version of a bundle."""

    name: str
    version: int
    """Whoever changes a bundle raises it."""
    description: str = ""
    name_at: Place = field(default=START, compare=False)
    version_at: Place = field(default=START, compare=False)


def parse_identity(text: str) -> Identity:
    """Read a `bundle.yaml`.

    Raises:
        PolicyInvalidError: with line and column: no YAML, a key unknown, twice or missing, or a value not of its form.
    """
    found = _scalars(text)
    missing = [key for key in _NEEDED if key not in found]
    if missing:
        raise _invalid(f"expected the keys {', '.join(_NEEDED)}: missing {', '.join(missing)}", START)
    name, version = found["name"], found["version"]
    if not _is_text(name) or _NAME.fullmatch(name.value) is None:
        raise _invalid("expected a name of lower-case words joined by -", _place(name))
    if not version.tag.endswith(":int") or _WHOLE.fullmatch(version.value) is None:
        raise _invalid(f"expected a whole version from 1 to {MAX_VERSION}", _place(version))
    described = found.get("description")
    if described is not None and not (
        _is_text(described) and described.value.isprintable() and len(described.value) <= MAX_DESCRIPTION
    ):
        raise _invalid(f"expected a description of at most {MAX_DESCRIPTION} characters", _place(described))
    return Identity(
        name.value,
        int(version.value),
        "" if described is None else described.value,
        _place(name),
        _place(version),
    )


def _scalars(text: str) -> dict[str, yaml.ScalarNode]:
    """Return the values by their keys, each key once; nothing is made of them yet, so each still has its place."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = START if mark is None else Place(mark.line + 1, mark.column + 1)
        raise _invalid("expected YAML", at) from None
    except (yaml.YAMLError, RecursionError):
        raise _invalid("expected YAML", START) from None
    if not isinstance(root, yaml.MappingNode):
        raise _invalid("expected a mapping", START)
    found: dict[str, yaml.ScalarNode] = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode) or key.value not in _KEYS:
            raise _invalid(f"expected known keys: {', '.join(_KEYS)}", _place(key))
        if key.value in found:
            raise _invalid("expected each key once", _place(key))
        if not isinstance(value, yaml.ScalarNode):
            raise _invalid(f"expected one value of {key.value}", _place(value))
        found[key.value] = value
    return found


def _is_text(node: yaml.ScalarNode) -> bool:
    return bool(node.tag.endswith(":str"))


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _invalid(reason: str, at: Place) -> PolicyInvalidError:
    return PolicyInvalidError(reason, file=IDENTITY, line=at.line, column=at.column, code="bundle-invalid")
