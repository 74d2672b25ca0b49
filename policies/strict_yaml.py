"""YAML as policies are written in it: every key once, plain scalars as keys, bounded.

Owns reading a text into plain values. It leaves what they mean to the rules that ask. Pure.

    >>> read_yaml("a: 1", "some.yaml", max_characters=100)
    {'a': 1}
"""

from collections.abc import Hashable

import yaml

from policies.errors import PolicyInvalidError


class PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases.

    Threat: `<<: [*a, *a, …]`, a few levels deep, copies what it names ten times a level: half a kilobyte takes all memory.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read the next node."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
            raise yaml.constructor.ConstructorError(None, None, "expected no aliases", mark)
        return super().compose_node(parent, index)


class _StrictLoader(PlainLoader):
    """A safe loader that refuses a key written twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002  # PyYAML's signature
        keys = [key.value if isinstance(key, yaml.ScalarNode) else None for key, _ in node.value]
        if None in keys or len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(
                None, None, "expected each key once in a mapping", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str, name: str, *, max_characters: int) -> object:
    """Return what a text says; `name` stands in messages.

    Raises:
        PolicyInvalidError: too long, no YAML, too deep, or a key twice.
    """
    if len(text) > max_characters:
        raise PolicyInvalidError(f"{name}: expected at most {max_characters} characters")
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader that is stricter
    except yaml.constructor.ConstructorError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise PolicyInvalidError(f"{name}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # a date of 31 February is a ValueError
        raise PolicyInvalidError(f"{name}: expected YAML") from None
