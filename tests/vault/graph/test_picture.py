"""The picture of what bears out a draft: well-formed whatever is said, alone, and complete."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from vault.graph.picture import picture
from vault.guarding.grounding import Missing
from vault.guarding.supporting import Supported
from vault.model import Span

SVG = "{http://www.w3.org/2000/svg}"


def said(text: str, memory: str | None = None, start: int = 3, end: int = 9) -> Supported:
    source = Span(start, end) if memory else None
    return Supported(Span(0, len(text)), text, memory, source, () if memory else (next(iter(Missing)),))


def texts(drawn: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314  # our own output


def test_each_statement_is_tied_to_the_span_that_bears_it_out() -> None:
    drawn = picture([said("The knee hurts.", "mem_1"), said("She is ill.")])
    assert {"The knee hurts.", "mem_1", "3-9", "borne out", "She is ill."} <= set(texts(drawn))
    assert f"unsupported: {next(iter(Missing)).value}" in texts(drawn)
    assert drawn.count("<line ") == 1


def test_a_memory_that_bears_out_two_statements_stands_there_once() -> None:
    drawn = picture([said("One.", "mem_1"), said("Two.", "mem_1", 10, 14)])
    assert texts(drawn).count("mem_1") == 1
    assert drawn.count("<line ") == 2
    assert {"3-9", "10-14"} <= set(texts(drawn))


def test_markup_in_a_statement_is_drawn_as_characters() -> None:
    hostile = "</text><script>alert(1)</script>"
    drawn = picture([said(hostile)])
    assert hostile in texts(drawn)
    assert "<script" not in drawn


def test_what_turns_the_direction_of_writing_is_not_drawn() -> None:
    assert "\u202e" not in picture([said("40 \u202egm 04")])


def test_a_draft_of_questions_alone_gives_an_empty_picture() -> None:
    assert texts(picture([])) == []


@given(st.lists(st.tuples(st.text(st.characters()), st.sampled_from([None, "mem_1", "mem_2"])), max_size=6))
def test_whatever_is_said_gives_one_picture_of_nothing_but_shapes(rows: list[tuple[str, str | None]]) -> None:
    statements = [said(text, memory) for text, memory in rows]
    drawn = picture(statements)
    root = ET.fromstring(drawn)  # noqa: S314  # as above
    assert {one.tag for one in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "text", "line")
    }
    names = {name for one in root.iter() for name in one.attrib}
    assert not any(name.startswith("on") or "href" in name or name == "style" for name in names)
    assert drawn.count("<line ") == sum(1 for _, memory in rows if memory)
    assert drawn == picture(statements)


def test_every_reason_is_named_whole() -> None:
    drawn = picture([Supported(Span(0, 4), "Six.", None, None, tuple(Missing))])
    assert f"unsupported: {', '.join(Missing)}" in texts(drawn)


def test_a_long_statement_is_cut_and_says_so() -> None:
    (first, *_) = texts(picture([said("膝" * 100)]))
    assert first == "膝" * 22 + "…"
