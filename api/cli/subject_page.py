"""A disclosure as one HTML page for people: no script, nothing loaded, everything escaped, a memory at a time."""

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from vault.disclosure import Disclosure


def page_pieces(disclosure: Disclosure) -> Iterator[str]:
    """Yield the page of a disclosure."""
    environment = Environment(
        loader=PackageLoader("api.cli", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("subject_report.html")
    # The list is filled while the memories are gone through, and looked at behind them.
    yield from template.generate(
        head=disclosure.head, memories=disclosure.memories, unreadable=disclosure.unreadable
    )
