"""A model as judge: an option, labelled, strict about replies, and bounded in time and size."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compliance.halumem.__main__ import main
from compliance.halumem.errors import JudgeFailedError
from compliance.halumem.judge import Mark, Verdict
from compliance.halumem.model_judge import MAX_TEXTS, ModelJudge, Program
from compliance.halumem.schema import Question, QuestionType

QUESTION = Question(question="Which?", answer="tea", difficulty="easy", question_type=QuestionType.BASIC)
ECHO = "import json,sys\nfor line in sys.stdin: print(json.dumps({'text': REPLY}), flush=True)"


def replying(*replies: str) -> tuple[Callable[[str], str], list[str]]:
    """Return what answers in turn, and the prompts that it got."""
    prompts: list[str] = []
    left: Iterator[str] = iter(replies)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return next(left)

    return ask, prompts


def program(tmp_path: Path, text: str) -> list[str]:
    place = tmp_path / "ask.py"
    place.write_text(text, encoding="utf-8")
    return [sys.executable, str(place)]


def test_marks_and_verdicts_are_read_from_replies() -> None:
    ask, prompts = replying("2", "Mark: 1.", "Correct", "OMISSION.")
    judge = ModelJudge("tiny", ask)
    assert judge.label.startswith("model: tiny ")
    assert judge.mark("Ann has tea", ['a\n"quote"', *["x"] * 100], "Ann") is Mark.FULLY
    assert judge.grounded("Ann has tea", ["tea"], "Ann") is Mark.PARTLY
    assert judge.answer(QUESTION, "tea", "Ann") is Verdict.CORRECT
    assert judge.answer(QUESTION, "", "Ann") is Verdict.OMISSION
    assert len(json.loads(prompts[0].split("\n", 1)[1])["texts"]) == MAX_TEXTS
    assert judge.mark("Ann has tea", [], "Ann") is Mark.NONE


@pytest.mark.parametrize("reply", ["", "7", "0 or 1", "12", "1.5", "x" * 300 + " 2"])
def test_a_reply_that_is_no_mark_is_asked_for_once_more(reply: str) -> None:
    ask, prompts = replying(reply, "0")
    assert ModelJudge("tiny", ask).mark("gold", ["text"], "Ann") is Mark.NONE
    assert len(prompts) == 2
    ask, _ = replying(reply, reply)
    with pytest.raises(JudgeFailedError):
        ModelJudge("tiny", ask).mark("gold", ["text"], "Ann")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import sys\nsys.stdin.readline(); print('no json', flush=True); input()",
        "import sys\nsys.stdin.readline(); print('[1]', flush=True); input()",
        "import sys\nsys.stdin.readline(); print('x' * 200000, flush=True); input()",
        "import time\ntime.sleep(60)",
    ],
    ids=["ends", "prose", "form", "endless", "slow"],
)
def test_a_program_that_does_not_answer_is_an_error_and_is_ended(tmp_path: Path, text: str) -> None:
    with Program(program(tmp_path, text), seconds=0.5) as asked, pytest.raises(JudgeFailedError):
        asked.ask("x" * 300_000)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(JudgeFailedError):
        Program(["/nowhere/at-all"])


def test_a_run_names_the_model_and_its_folder_is_for_no_other_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = program(tmp_path, ECHO.replace("REPLY", "'correct' if 'one word' in line else '2'"))
    run = ["run", "--systems", "nothing", "--out", str(tmp_path / "out")]
    assert main([*run, "--judge-program", " ".join(words), "--judge-name", "tiny"]) == 0
    assert "judge: model: tiny" in capsys.readouterr().out
    assert "model: tiny" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert main(run) == 1
    with pytest.raises(SystemExit):
        main([*run, "--judge-name", "tiny"])
