"""The demo's conversation is what its key says: planted where it says, invented, and readable by the vault."""

import ipaddress
import json
import re
from collections import Counter
from typing import TypedDict

import pytest

from tests.api.demo.write_demo import DEMO, HERE, Planted, Question, rendered
from vault.model import Chat, SourceKind, SpeakerRole, TrustState
from vault.pipeline.chats import read_chats
from vault.pipeline.guard import first_trust
from vault.pipeline.limits import InputLimits
from vault.pipeline.organize import Remembered, TrustChange, propose


class Key(TypedDict):
    """The file `planted.json`."""

    about: str
    planted: list[Planted]
    questions: list[Question]


@pytest.fixture(scope="module")
def chats() -> tuple[Chat, ...]:
    return read_chats((DEMO / "conversation.json").read_bytes(), InputLimits())


@pytest.fixture(scope="module")
def key() -> Key:
    loaded: Key = json.loads((DEMO / "planted.json").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def planted(key: Key) -> list[Planted]:
    return key["planted"]


def _values(planted: list[Planted], kind: str) -> set[str]:
    return {datum["value"] for datum in planted if datum["kind"] == kind}


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value)


def test_the_shipped_files_are_what_the_marked_text_says() -> None:
    conversation, key = rendered((HERE / "conversation.txt").read_text("utf-8"))
    assert (DEMO / "conversation.json").read_text("utf-8") == conversation
    assert (DEMO / "planted.json").read_text("utf-8") == key


def test_the_conversation_runs_over_at_least_12_sessions_200_turns_and_six_months(
    chats: tuple[Chat, ...],
) -> None:
    starts = [chat.started for chat in chats if chat.started]
    assert len(starts) == len(chats) >= 12
    assert starts == sorted(starts)
    assert (starts[-1] - starts[0]).days > 180
    assert sum(len(chat.turns) for chat in chats) >= 200
    assert {turn.role for chat in chats for turn in chat.turns} == {SpeakerRole.USER, SpeakerRole.ASSISTANT}


def test_every_ref_names_its_session_and_turn(chats: tuple[Chat, ...]) -> None:
    for session, chat in enumerate(chats, start=1):
        assert [turn.ref for turn in chat.turns] == [
            f"D{session}:{place}" for place in range(1, len(chat.turns) + 1)
        ]


def test_every_planted_value_stands_where_the_key_says(
    chats: tuple[Chat, ...], planted: list[Planted]
) -> None:
    for datum in planted:
        turn = chats[datum["session"] - 1].turns[datum["turn"] - 1]
        assert turn.ref == datum["ref"]
        assert turn.text[datum["start"] : datum["end"]] == datum["value"]
        assert datum["value"] == datum["value"].strip() != ""


def test_no_planted_value_stands_anywhere_else_unplanted(
    chats: tuple[Chat, ...], planted: list[Planted]
) -> None:
    known = {(datum["ref"], place) for datum in planted for place in range(datum["start"], datum["end"])}
    for value in {datum["value"] for datum in planted}:
        pattern = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")
        for chat in chats:
            for turn in chat.turns:
                assert all((turn.ref, found.start()) in known for found in pattern.finditer(turn.text)), (
                    turn.ref
                )


def test_at_least_60_values_of_at_least_15_kinds_are_planted_some_of_them_hard(
    planted: list[Planted],
) -> None:
    values = {(datum["kind"], datum["value"]) for datum in planted}
    kinds = Counter(kind for kind, _ in values)
    assert len(values) - kinds["TITLE"] >= 60
    assert len(kinds.keys() - {"TITLE"}) >= 15
    assert sum(datum["hard"] != "" for datum in planted) >= 8


def test_cards_and_ibans_and_the_national_id_have_valid_checksums(planted: list[Planted]) -> None:
    for card in map(_digits, _values(planted, "CREDIT_CARD")):
        doubled = [
            int(digit) * (2 - place % 2)
            for place, digit in enumerate(reversed(card), start=1)
            if not place % 2
        ]
        plain = [int(digit) for place, digit in enumerate(reversed(card), start=1) if place % 2]
        assert (sum(sum(divmod(number, 10)) for number in doubled) + sum(plain)) % 10 == 0
    for iban in (value.replace(" ", "") for value in _values(planted, "IBAN_CODE")):
        assert int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1
    for person in _values(planted, "NATIONAL_ID"):
        assert "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(person[:6] + person[7:10]) % 31] == person[10]


def test_cards_accounts_and_passports_are_published_specimens(planted: list[Planted]) -> None:
    assert {_digits(card) for card in _values(planted, "CREDIT_CARD")} == {
        "4000056655665556",
        "5200828282828210",
    }, "a payment provider's test cards"
    assert _values(planted, "IBAN_CODE") == {"FI21 1234 5600 0007 85"}, "the IBAN registry's example"
    assert _values(planted, "PASSPORT") == {"L898902C3"}, "the specimen of ICAO 9303"
    assert {_digits(number) for number in _values(planted, "US_SSN")} == {"468288779", "306302348"}, (
        "voided: printed in advertisements"
    )
    assert all(person[7] == "9" for person in _values(planted, "NATIONAL_ID")), (
        "individual numbers from 900 are given to nobody"
    )


def test_phones_are_of_the_range_kept_for_fiction(planted: list[Planted]) -> None:
    words = ["oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    spelled = {word: str(digit) for digit, word in enumerate(words)}
    for phone in _values(planted, "PHONE_NUMBER"):
        digits = _digits(phone) or "".join(spelled[word] for word in re.findall(r"\w+", phone))
        assert re.fullmatch(r"21855501\d\d", digits)


def test_addresses_in_networks_are_kept_for_documentation(planted: list[Planted]) -> None:
    for address in _values(planted, "IP_ADDRESS"):
        assert ipaddress.ip_address(address) in ipaddress.ip_network("203.0.113.0/24")
    for value in _values(planted, "EMAIL_ADDRESS") | _values(planted, "URL"):
        assert re.search(r"(?:@|[./]|\bat |\bdot )example\b", value)


def test_no_number_like_a_phone_a_card_or_an_id_is_left_unplanted(
    chats: tuple[Chat, ...], planted: list[Planted]
) -> None:
    known = {(datum["ref"], place) for datum in planted for place in range(datum["start"], datum["end"])}
    for chat in chats:
        for turn in chat.turns:
            for found in re.finditer(r"\d(?:[ .()-]?\d){5,}|\S+@\S+|https?://\S+", turn.text):
                assert (turn.ref, found.start()) in known, turn.ref


def test_the_questions_cover_what_the_demo_shows_and_point_at_turns_that_exist(
    chats: tuple[Chat, ...], key: Key
) -> None:
    asked = Counter(question["asks"] for question in key["questions"])
    assert asked["masked-value"] >= 2
    assert {"exact-name", "temporal", "corrected", "false-claim", "contradiction", "plain"} <= set(asked)
    assert len(key["questions"]) >= 12
    refs = {turn.ref for chat in chats for turn in chat.turns}
    assert all(question["evidence"] and set(question["evidence"]) <= refs for question in key["questions"])


def test_the_patient_s_corrections_confirmations_and_denials_are_found_by_rule(
    chats: tuple[Chat, ...],
) -> None:
    memories = [
        Remembered(
            turn.ref or "", turn.text, turn.role, first_trust(turn.role, SourceKind.CHAT), f"{session}", place
        )
        for session, chat in enumerate(chats)
        for place, turn in enumerate(chat.turns)
    ]
    assert {
        change.memory: change.trust for change in propose(memories) if isinstance(change, TrustChange)
    } == {
        "D1:7": TrustState.DISPUTED,
        "D1:10": TrustState.DISPUTED,
        "D1:13": TrustState.DISPUTED,
        "D4:3": TrustState.DISPUTED,
        "D6:2": TrustState.DISPUTED,
        "D8:6": TrustState.VERIFIED,
    }


def test_the_uncorrected_false_claim_is_the_assistant_s_alone(chats: tuple[Chat, ...]) -> None:
    said = [turn.role for chat in chats for turn in chat.turns if "gallbladder" in turn.text]
    assert said == [SpeakerRole.ASSISTANT]
