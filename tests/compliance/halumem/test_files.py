"""HaluMem's JSONL: read within bounds, refused by line, and never quoted."""

import json
from pathlib import Path
from typing import Any

import pytest

from compliance.halumem.errors import DatasetInvalidError
from compliance.halumem.files import file_digest, read_users, write_users
from compliance.halumem.generator import SMALL, generate
from compliance.halumem.slots import Split

POINT = {
    "index": 1,
    "memory_content": "Ann Bee has a home in Oslo",
    "memory_type": "Persona Memory",
    "memory_source": "primary",
    "is_update": "False",
    "original_memories": [],
    "importance": 0.75,
    "timestamp": "May 03, 2027, 09:30:00",
}


def line(**session: object) -> str:
    turn = {
        "role": "user",
        "content": "I live in Oslo.",
        "timestamp": "May 03, 2027, 09:30:00",
        "dialogue_turn": 0,
    }
    one = {
        "start_time": "May 03, 2027, 09:30:00",
        "dialogue": [turn],
        "memory_points": [POINT],
        "unused": 1,
        **session,
    }
    return json.dumps(
        {"uuid": "u1", "persona_info": "Name: Ann Bee; Gender: Female", "sessions": [one], "token_cost": {}}
    )


def test_what_is_written_is_read_again_and_a_file_is_never_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "users.jsonl"
    users = list(generate(1, Split.DEV, SMALL))
    digest = write_users(place, users)
    assert list(read_users(place)) == users
    assert file_digest(place) == digest
    with pytest.raises(FileExistsError):
        write_users(place, [])
    assert file_digest(place) == digest


def test_a_line_in_the_published_form_is_read(tmp_path: Path) -> None:
    place = tmp_path / "users.jsonl"
    place.write_text(line() + "\n\n", encoding="utf-8")
    (user,) = read_users(place)
    assert user.name == "Ann Bee"
    assert user.sessions[0].started is not None
    assert not user.sessions[0].memory_points[0].updates
    place.write_text(line(start_time="yesterday").replace("Name: ", "Who: "), encoding="utf-8")
    (user,) = read_users(place)
    assert (user.name, user.sessions[0].started) == ("", None)


@pytest.mark.parametrize(
    "session",
    [
        {"memory_points": [{**POINT, "memory_source": "rumour"}]},
        {"memory_points": [{**POINT, "is_update": True}]},
        {"memory_points": [{**POINT, "importance": 1.5}]},
        {"memory_points": [{**POINT, "importance": "0.5"}]},
        {"memory_points": [{**POINT, "memory_content": ""}]},
        {"memory_points": [POINT] * 1_001},
        {"dialogue": "none"},
        {"dialogue": [{"role": "system", "content": "x", "timestamp": "now"}]},
        {"questions": [{"question": "q", "answer": "a", "difficulty": "easy", "question_type": "Riddle"}]},
    ],
    ids=repr,
)
def test_a_wrong_field_is_refused_by_line_and_place(tmp_path: Path, session: dict[str, Any]) -> None:
    place = tmp_path / "users.jsonl"
    place.write_text(line().replace("u1", "u0") + "\n" + line(**session), encoding="utf-8")
    with pytest.raises(DatasetInvalidError, match=r"line 2: .*sessions\.0\.") as refused:
        list(read_users(place))
    assert refused.value.line == 2
    assert "Oslo" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("content", [b"{", b"[]", b'"text"', b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_not_a_user_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "users.jsonl"
    place.write_bytes(content)
    with pytest.raises(DatasetInvalidError, match="line 1"):
        list(read_users(place))


def test_bounds_hold(tmp_path: Path) -> None:
    place = tmp_path / "users.jsonl"
    place.write_text(line() + "\n" + line().replace("u1", "u2"), encoding="utf-8")
    assert len(list(read_users(place))) == 2
    with pytest.raises(DatasetInvalidError, match="line 2: expected at most 1 users"):
        list(read_users(place, max_users=1))
    with pytest.raises(DatasetInvalidError, match="line 1: expected at most 100 bytes"):
        list(read_users(place, max_line=100))
    place.write_text(line() + "\n" + line(), encoding="utf-8")
    with pytest.raises(DatasetInvalidError, match="line 2: expected each user once"):
        list(read_users(place))


def test_an_absent_or_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="FileNotFoundError"):
        list(read_users(tmp_path / "none"))
    with pytest.raises(DatasetInvalidError, match="FileNotFoundError"):
        file_digest(tmp_path / "none")
    for odd in (Path("/dev/zero"), tmp_path):
        with pytest.raises(DatasetInvalidError, match="regular file"):
            file_digest(odd)
        with pytest.raises(DatasetInvalidError, match="regular file"):
            list(read_users(odd))
    (tmp_path / "empty").write_bytes(b"\n")
    with pytest.raises(DatasetInvalidError, match="at least one user"):
        list(read_users(tmp_path / "empty"))


@pytest.mark.parametrize("uuid", ["../x", "a/b", "", "x" * 65])
def test_a_user_id_that_is_no_file_name_is_refused(tmp_path: Path, uuid: str) -> None:
    (tmp_path / "users.jsonl").write_text(line().replace("u1", uuid), encoding="utf-8")
    with pytest.raises(DatasetInvalidError, match="line 1"):
        list(read_users(tmp_path / "users.jsonl"))
