"""The demonstration as one HTML page that opens without a network: no script, no link outside, own style."""

from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from api.demo.run import Played
from vault.privacy.tokens import TOKEN


def write_report(played: Played, path: Path, made: datetime) -> None:
    """Write the report; everything in it that came from the conversation is escaped."""
    environment = Environment(
        loader=PackageLoader("api.demo", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tokens"] = _marked
    environment.filters["thousands"] = lambda number: f"{number:,}"
    page = environment.get_template("report.html").render(played=played, made=made)
    path.write_text(page, encoding="utf-8")


def _marked(text: str) -> Markup:
    """Escape a masked text and set its tokens apart."""
    pieces, end = [Markup()], 0
    for match in TOKEN.finditer(text):
        pieces += [escape(text[end : match.start()]), Markup("<mark>{}</mark>").format(match.group())]
        end = match.end()
    return Markup().join([*pieces, escape(text[end:])])
