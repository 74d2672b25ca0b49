"""What of a payload may leave the vault."""

import pytest

from audit.canonical import JsonValue
from audit.payload_keys import PAYLOAD_KEYS, is_identifying, outgoing


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        7,
        "",
        "mem_01kq5xw9",
        "sub_" + "a2" * 13,
        "owner-agent",
        "memory.write",
        "5f" * 16,
        "sha256:" + "9a" * 32,
        "memos-vault/ward-1/clinic-a",
        ["mem_01kq5xw9", 3],
        [["links", "mem_01kq5xw9"]],
    ],
)
def test_ids_numbers_words_and_hashes_may_leave(value: JsonValue) -> None:
    assert is_identifying(value)


@pytest.mark.parametrize(
    "value",
    [
        "Maria Keller",
        "maria@example.org",
        "212-555-0147",
        "4111111111111111",
        "4111-1111-1111-1111",
        "x\n",
        "ü",
        " ",
        "a b",
        {"name": "maria"},
        [{"a": 1}],
        [[[["deep"]]]],
        "a" * 161,
        "0x" + "5F" * 16,
    ],
)
def test_anything_else_stays(value: JsonValue) -> None:
    assert not is_identifying(value)


def test_unknown_keys_and_values_of_other_forms_are_withheld_and_counted() -> None:
    assert outgoing({"count": 1, "nickname": "anna", "reason": "Anna called"}) == ({"count": 1}, 2)
    assert outgoing({}) == ({}, 0)


def test_every_key_says_what_it_holds() -> None:
    assert all(key.replace("_", "").isalpha() and said for key, said in PAYLOAD_KEYS.items())
