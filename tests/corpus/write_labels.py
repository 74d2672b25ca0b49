"""Write `labelled_turns.json` from the marked-up text beside it."""

import json
import re
from pathlib import Path
from typing import Final, TypedDict

FOLDER: Final = Path(__file__).parent
_MARK: Final = re.compile(r"\[\[(?P<optional>\??)(?P<type>[A-Z_]+):(?P<value>.+?)\]\]")


class Label(TypedDict):
    """One labelled run of a turn, half open, in code points."""

    start: int
    end: int
    type: str


class LabelledTurn(TypedDict):
    """One turn with what is to be hidden in it, and what may be."""

    setting: str
    text: str
    spans: list[Label]
    optional: list[Label]


def read_marked(marked: str) -> list[LabelledTurn]:
    """Return the turns of a marked-up text; lines that begin with `## ` name the setting."""
    turns = []
    setting = ""
    for line in filter(None, marked.splitlines()):
        if line.startswith("## "):
            setting = line.removeprefix("## ")
        else:
            turns.append(_turn(setting, line))
    return turns


def _turn(setting: str, line: str) -> LabelledTurn:
    turn = LabelledTurn(setting=setting, text="", spans=[], optional=[])
    end = 0
    for mark in _MARK.finditer(line):
        turn["text"] += line[end : mark.start()]
        start = len(turn["text"])
        labels = turn["optional"] if mark["optional"] else turn["spans"]
        labels.append(Label(start=start, end=start + len(mark["value"]), type=mark["type"]))
        turn["text"] += mark["value"]
        end = mark.end()
    turn["text"] += line[end:]
    return turn


def rendered(marked: str) -> str:
    """Return the JSON file's text: one turn a line."""
    lines = (json.dumps(turn, ensure_ascii=False) for turn in read_marked(marked))
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    source = (FOLDER / "labelled_turns.txt").read_text("utf-8")
    (FOLDER / "labelled_turns.json").write_text(rendered(source), "utf-8")
