"""Entries: a canonical header without personal data, a salted commitment, an erasable payload."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import JsonValue
from audit.errors import EntryInvalidError, HeaderMalformedError, VerificationError
from audit.event import (
    COMMITMENT_DOMAIN,
    MAX_PAYLOAD_SIZE,
    EntryDraft,
    EventType,
    Outcome,
    Verdict,
    commit_payload,
    encode_entry,
    parse_header,
    time_in_microseconds,
    verify_payload,
)
from audit.merkle import leaf_hash
from tests.simulators.small_deployment import POLICY, START, draft

SALT = bytes(range(32))
HEADER = encode_entry(draft(resource="mem_k7f2qah4"), SALT).header

ids = st.from_regex(r"[a-z][a-z0-9]{0,8}([._-][a-z]{1,6}){0,3}", fullmatch=True)
words = st.from_regex(r"[a-z]{1,10}([.-][a-z]{1,8}){0,2}", fullmatch=True)
vault_ids = st.from_regex(r"[a-z]{2,12}_[a-z0-9]{8,64}", fullmatch=True)
drafts = st.builds(
    EntryDraft,
    event=st.sampled_from(EventType),
    time=st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds it
    principal=ids,
    tenant=ids,
    action=words,
    decision=st.sampled_from(Verdict),
    policy=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    outcome=st.sampled_from(Outcome),
    resource=st.none() | vault_ids | ids,
    purpose=st.none() | words,
    payload=st.dictionaries(
        st.text("abc_", min_size=1), st.text("xyz\u00e9", max_size=5) | st.integers(0, 9)
    ),
)


@given(drafts, st.binary(min_size=32, max_size=32))
def test_a_header_is_the_reference_encoding_of_its_fields_and_reads_back(
    made: EntryDraft, salt: bytes
) -> None:
    entry = encode_entry(made, salt)
    payload = rfc8785.dumps(dict(made.payload))
    commitment = sha256(COMMITMENT_DOMAIN + salt + payload).hexdigest()
    expected: dict[str, JsonValue] = {
        "action": made.action,
        "commitment": commitment,
        "decision": str(made.decision),
        "event": str(made.event),
        "outcome": str(made.outcome),
        "policy": made.policy,
        "principal": made.principal,
        "purpose": made.purpose,
        "resource": made.resource,
        "tenant": made.tenant,
        "time": made.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0"),
        "v": 1,
    }
    assert entry.header.encode() == rfc8785.dumps(expected)
    assert entry.payload.encode() == payload
    assert entry.leaf_hash == leaf_hash(entry.header.encode())
    read = parse_header(entry.header)
    assert (read.time, read.commitment) == (made.time, commitment)
    for name in (
        "action",
        "decision",
        "event",
        "outcome",
        "policy",
        "principal",
        "purpose",
        "resource",
        "tenant",
    ):
        assert getattr(read, name) == getattr(made, name)
    verify_payload(read.commitment, salt, entry.payload)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("principal", "anna@example.org"),
        ("principal", "Anna Meier"),
        ("principal", "agent 7"),
        ("principal", ""),
        ("principal", "a" * 65),
        ("principal", "4111111111111111"),
        ("principal", "4111-1111-1111-1111"),
        ("principal", "tel.0791234567"),
        ("principal", "agent-7\n"),
        ("principal", "-a"),
        ("principal", "a--b"),
        ("principal", "ägent"),
        ("principal", 'a","purpose":"x'),
        ("tenant", "clinic a"),
        ("tenant", "1234567"),
        ("action", "write 5 memories"),
        ("action", "a" * 33),
        ("action", "mrn12345"),
        ("purpose", "because Anna asked"),
        ("purpose", ""),
        ("resource", "anna@example.org"),
        ("resource", "078-05-1120"),
        ("resource", "Meier_12345678"),
        ("resource", "mem_" + "a" * 65),
        ("policy", ""),
        ("policy", "sha256:" + "A" * 64),
        ("policy", "sha256:" + "a" * 63),
        ("event", "memory.forget"),
        ("decision", "maybe"),
        ("outcome", "fine"),
    ],
)
def test_what_could_carry_personal_data_does_not_fit_a_header_and_is_not_named(
    field: str, value: str
) -> None:
    with pytest.raises(EntryInvalidError, match=f"got a bad {field}") as caught:
        encode_entry(replace(draft(), **{field: value}), SALT)  # type: ignore[arg-type]
    assert len(value) < 4 or value not in str(caught.value)


def test_a_random_vault_id_may_have_any_run_of_digits() -> None:
    assert (
        parse_header(encode_entry(draft(resource="mem_01234567890"), SALT).header).resource
        == "mem_01234567890"
    )


def test_times_are_utc_or_refused() -> None:
    zurich = timezone(timedelta(hours=1))
    for time in (START.replace(tzinfo=None), START.astimezone(zurich)):
        with pytest.raises(EntryInvalidError, match="a time in UTC"):
            encode_entry(draft(time=time), SALT)
    other_utc = START.astimezone(timezone(timedelta(0), "also UTC"))
    assert encode_entry(draft(time=other_utc), SALT) == encode_entry(draft(), SALT)


def test_microseconds_are_exact() -> None:
    late = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert time_in_microseconds(late) == 253_402_300_799_999_999
    assert time_in_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_salt_of_another_size_is_refused_in_making_and_in_verifying(size: int) -> None:
    with pytest.raises(EntryInvalidError, match="salt of 32 bytes"):
        encode_entry(draft(), bytes(size))
    with pytest.raises(VerificationError, match="payload salt"):
        verify_payload(commit_payload(bytes(size), b"{}"), bytes(size), "{}")


def test_moving_a_byte_between_salt_and_payload_does_not_keep_the_commitment() -> None:
    commitment = commit_payload(SALT, b"{}")
    with pytest.raises(VerificationError, match="payload salt"):
        verify_payload(commitment, SALT[:-1], chr(SALT[-1]) + "{}")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"text": "\ud800"}, "lone surrogates"),
        ({"text": "x" * MAX_PAYLOAD_SIZE}, "at most 1048576 bytes"),
        ({"score": 0.5}, "without fractions"),
        ([1], "a payload object"),
    ],
)
def test_a_payload_that_cannot_stand_is_refused(payload: dict[str, JsonValue], message: str) -> None:
    with pytest.raises(EntryInvalidError, match=message):
        encode_entry(draft(payload=payload), SALT)


def test_a_lone_surrogate_in_a_stored_payload_fails_to_verify_instead_of_breaking() -> None:
    with pytest.raises(VerificationError, match="payload commitment"):
        verify_payload("00" * 32, SALT, '{"a":"\ud800"}')


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{}",
        HEADER + " ",
        HEADER + "\n",
        " " + HEADER,
        HEADER.replace('"v":1', '"v":2'),
        HEADER.replace('"v":1', '"v":1,"w":1'),
        HEADER.replace(":", ": ", 1),
        HEADER.replace("write", "wr\\u0069te"),
        HEADER.replace("2026-11-22", "2026-02-30"),
        HEADER.replace("2026", "0000"),
        HEADER.replace("Z", "+00:00"),
        HEADER.replace("2026", "２０２６"),
        HEADER.replace("memory.write", "memory.forget"),
        HEADER.replace('"resource":"mem_k7f2qah4"', '"resource":"null'),
        json.dumps(dict(reversed(json.loads(HEADER).items())), separators=(",", ":")),
        HEADER.replace("agent-7", "a" * 3000),
    ],
)
def test_a_header_in_any_other_form_is_refused(header: str) -> None:
    assert parse_header(HEADER).policy == POLICY
    with pytest.raises(HeaderMalformedError, match="expected a header"):
        parse_header(header)


@given(st.integers(0, len(HEADER) - 1), st.characters())
def test_a_header_with_one_character_changed_is_refused_or_says_something_else(
    at: int, character: str
) -> None:
    changed = HEADER[:at] + character + HEADER[at + 1 :]
    try:
        read = parse_header(changed)
    except HeaderMalformedError:
        return
    assert (read == parse_header(HEADER)) == (changed == HEADER)


def test_a_draft_does_not_show_its_payload() -> None:
    assert "secret" not in repr(draft(payload={"text": "secret"}))
