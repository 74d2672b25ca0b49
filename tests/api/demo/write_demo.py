"""Write the demo's conversation and its key from the marked-up text beside this module.

In `conversation.txt` a session begins with `## start | title`; a turn with `P: ` for the patient or
`A: ` for the assistant; a planted value is `[[KIND:value]]`, a hard one `[[KIND!:value]]` with the
reason in brackets at the end of its line. Lines that begin with `? ` are questions.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict

HERE: Final = Path(__file__).parent
DEMO: Final = HERE.parents[2] / "api" / "demo"
_MARK: Final = re.compile(r"\[\[(?P<kind>[A-Z_]+)(?P<hard>!?):(?P<value>.+?)\]\]")
_REASON: Final = re.compile(r" \((?P<reason>[^()]+)\)$")
_SPEAKERS: Final = {"P": ("Noor Lindqvist", "user"), "A": ("Wren", "assistant")}


class Turn(TypedDict):
    """One turn of the chat format that `vault.pipeline.chats` reads."""

    speaker: str
    role: str
    text: str
    ref: str


class Session(TypedDict):
    """One session of that format."""

    started: str
    title: str
    turns: list[Turn]


class Planted(TypedDict):
    """One personal datum and where it stands in the text of its turn."""

    session: int
    turn: int
    ref: str
    start: int
    end: int
    kind: str
    value: str
    hard: str


class Question(TypedDict):
    """One question to the demo, with the turns that answer it."""

    asks: str
    question: str
    answer: str
    evidence: list[str]


def read_sessions(marked: str) -> tuple[list[Session], list[Planted]]:
    """Return the sessions of the marked text and everything that is planted in them."""
    sessions: list[Session] = []
    planted: list[Planted] = []
    for line in marked.splitlines():
        if line.startswith("## 2"):
            started, title = line.removeprefix("## ").split(" | ")
            sessions.append(Session(started=started, title=title, turns=[]))
        elif line[:3] in ("P: ", "A: "):
            turns = sessions[-1]["turns"]
            speaker, role = _SPEAKERS[line[0]]
            turn = Turn(speaker=speaker, role=role, text="", ref=f"D{len(sessions)}:{len(turns) + 1}")
            turns.append(turn)
            planted += _fill(turn, line[3:], len(sessions), len(turns))
    return sessions, planted


def _fill(turn: Turn, marked: str, session: int, place: int) -> Iterator[Planted]:
    """Write the turn's text without its marks, and yield what they said."""
    reason = _REASON.search(marked) if "!:" in marked else None
    marked = marked[: reason.start()] if reason else marked
    end = 0
    for mark in _MARK.finditer(marked):
        turn["text"] += marked[end : mark.start()]
        start = len(turn["text"])
        turn["text"] += mark["value"]
        end = mark.end()
        hard = reason["reason"] if reason and mark["hard"] else ""
        yield Planted(
            session=session, turn=place, ref=turn["ref"], start=start, end=start + len(mark["value"]),
            kind=mark["kind"], value=mark["value"], hard=hard,
        )  # fmt: skip
    turn["text"] += marked[end:]


def read_questions(marked: str, sessions: list[Session]) -> Iterator[Question]:
    """Yield the questions, their evidence found by words that stand in one turn alone.

    Raises:
        ValueError: the words stand in no turn, or in several.
    """
    for line in marked.splitlines():
        if not line.startswith("? "):
            continue
        asks, question, answer, evidence = line.removeprefix("? ").split(" | ")
        yield Question(
            asks=asks,
            question=question,
            answer=answer,
            evidence=[_ref(words, sessions) for words in evidence.split(" ; ")],
        )


def _ref(words: str, sessions: list[Session]) -> str:
    refs = [turn["ref"] for session in sessions for turn in session["turns"] if words in turn["text"]]
    if len(refs) != 1:
        raise ValueError(f"expected one turn with {words!r}, got {len(refs)}")
    return refs[0]


def rendered(marked: str) -> tuple[str, str]:
    """Return the text of `conversation.json` and of `planted.json`."""
    sessions, planted = read_sessions(marked)
    about = (
        "What is planted in conversation.json. Sessions and turns count from 1, as in ref; start and end are "
        "half-open code points of the turn's text. hard says why a value is hard to find; empty where it is not."
    )
    key = {"about": about, "planted": planted, "questions": list(read_questions(marked, sessions))}
    return json.dumps({"sessions": sessions}, ensure_ascii=False, indent=1) + "\n", json.dumps(
        key, ensure_ascii=False, indent=1
    ) + "\n"


if __name__ == "__main__":
    conversation, key = rendered((HERE / "conversation.txt").read_text("utf-8"))
    (DEMO / "conversation.json").write_text(conversation, "utf-8")
    (DEMO / "planted.json").write_text(key, "utf-8")
