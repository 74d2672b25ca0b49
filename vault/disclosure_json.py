"""A disclosure as JSON, written piece by piece; its form is docs/schemas/subject-report.schema.json."""

import json
from collections.abc import Iterator

from vault.disclosure import Disclosure


def json_pieces(disclosure: Disclosure) -> Iterator[str]:
    """Yield the JSON text of a disclosure, a memory at a time."""
    head = json.dumps(disclosure.head, indent=1, ensure_ascii=False)
    yield head.removesuffix("\n}") + ',\n "memories": ['
    separator = "\n"
    for memory in disclosure.memories:
        yield separator + json.dumps(memory, ensure_ascii=False)
        separator = ",\n"
    tail = json.dumps(disclosure.tail(), indent=1, ensure_ascii=False)
    yield "\n ],\n" + tail.removeprefix("{\n") + "\n"
