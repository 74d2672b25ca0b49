"""Entries in four formats, each held against its own specification by code that is not ours."""

import csv
import io
import json
import re
from hashlib import sha256
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit.event import EventType, Outcome
from audit.siem.formats import MEDIA_TYPES, Format, formatter_of, head_of
from audit.siem.item import LogItem
from audit.siem.ocsf import ACTIVITIES, OCSF_VERSION, ocsf_event
from audit.siem.syslog import MAX_MESSAGE, escaped, syslog_frame, syslog_message
from audit.siem.table import COLUMNS, neutral_cell, plain_cell
from tests.audit.siem.conftest import Items

SYSLOG = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S+) memvault - (\S{1,32}) "
    rb'\[memvault@32473((?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+)\] (.*)'
)
HOSTILE = "=cmd|'/c calc'!A1\r\n<1>1 - forged\x1b[2J\u2028"


class Schemas:
    """The schema of OCSF's own project, by class; compiled once."""

    def __init__(self) -> None:
        self._source = OcsfJsonSchemaEmbedded(get_ocsf_schema(OCSF_VERSION))
        self._made: dict[int, Draft202012Validator] = {}

    def of(self, class_uid: int) -> Draft202012Validator:
        if class_uid not in self._made:
            name = self._source.lookup_class_name_from_uid(class_uid)
            self._made[class_uid] = Draft202012Validator(self._source.get_class_schema(name))
        return self._made[class_uid]


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas()


def lines(items: list[LogItem], chosen: Format) -> list[Any]:
    write = formatter_of(chosen)
    return [json.loads(write(item)) for item in items]


def test_every_event_of_the_log_has_an_ocsf_class_of_its_own_choosing() -> None:
    assert set(ACTIVITIES) == {event.value for event in EventType}


def test_every_ocsf_event_is_valid_under_the_schema_of_its_class(
    every: list[LogItem], schemas: Schemas
) -> None:
    seen = set()
    for event in lines(every, Format.OCSF):
        faults = [
            f"{'/'.join(map(str, fault.path))}: {fault.message}"
            for fault in schemas.of(event["class_uid"]).iter_errors(event)
        ]
        assert faults == [], event["metadata"]["event_code"]
        seen.add(event["class_uid"])
    assert seen == {1008, 3001, 3002, 3004, 6002, 6003, 6005}


def test_the_schema_refuses_what_is_no_ocsf_event(items: Items, schemas: Schemas) -> None:
    event = ocsf_event(items())
    for damage in ({"activity_id": 77}, {"actor": "agent-7"}, {"colour": "red"}, {"time": "today"}):
        assert list(schemas.of(6005).iter_errors(event | damage)), damage
    del event["src_endpoint"]
    assert list(schemas.of(6005).iter_errors(event))


def test_ocsf_activities_and_types_are_named_as_the_schema_names_them(
    every: list[LogItem],
) -> None:
    classes = get_ocsf_schema(OCSF_VERSION)["classes"]
    by_uid = {one["uid"]: one for one in classes.values() if "uid" in one}
    for event in lines(every, Format.OCSF):
        kind = by_uid[event["class_uid"]]
        assert event["class_name"] == kind["caption"]
        assert event["category_name"] == kind["category_name"]
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        if event["activity_id"] != 99:
            known = kind["attributes"]["activity_id"]["enum"][str(event["activity_id"])]
            assert event["activity_name"] == known["caption"]


def test_what_failed_is_told_apart_from_what_went_well(items: Items) -> None:
    well = ocsf_event(items())
    denied = ocsf_event(items(outcome=Outcome.DENIED))
    assert (well["status_id"], well["severity_id"], well["status_code"]) == (1, 1, "ok")
    assert (denied["status_id"], denied["severity_id"], denied["status_code"]) == (2, 3, "denied")


def test_an_account_change_names_whose_credential_it_is(items: Items) -> None:
    made = items(EventType.PRINCIPAL_CREATE, resource="cred_01kq5xw9", payload={"principal": "dr-a"})
    assert ocsf_event(made)["user"] == {"type_id": 0, "uid": "dr-a", "credential_uid": "cred_01kq5xw9"}
    login = items(EventType.PRINCIPAL_LOGIN, resource=None, payload={"principal": "dr-a"})
    assert ocsf_event(login)["user"] == {"type_id": 0, "uid": "agent-7"}


def test_every_cloud_event_is_read_by_the_sdk_and_says_where_it_stands(every: list[LogItem]) -> None:
    write = formatter_of(Format.CLOUDEVENTS)
    for item in every:
        event = JSONFormat().read(None, write(item))
        assert event.get_specversion() == "1.0"
        assert event.get_id() == "17"
        assert event.get_source() == "urn:memvault:log:memos-vault/ward-1/clinic-a"
        assert event.get_type() == f"memvault.{item.header.event}.v1"
        assert event.get_subject() == item.header.resource
        assert event.get_time() == item.header.time
        assert event.get_extension("leafhash") == item.leaf_hash.hex()
        assert event.get_extension("treesize") == "20"


def test_every_syslog_message_is_of_the_form_of_rfc_5424_and_counts_its_octets(every: list[LogItem]) -> None:
    for item in every:
        message = syslog_message(item, "ward-1")
        found = SYSLOG.fullmatch(message)
        assert found is not None, message
        facility, severity = divmod(int(found[1]), 8)
        assert (facility, severity <= 6) == (13, True)
        assert found[2].decode() == item.time
        assert found[3] == b"ward-1"
        assert found[4].decode() == item.header.event.value
        assert b' leafHash="%b"' % item.leaf_hash.hex().encode() in found[5]
        assert found[6].decode() == item.leaf
        assert syslog_frame(item, "ward-1") == b"%d %b" % (len(message), message)


def test_a_machine_whose_name_does_not_fit_is_not_named(items: Items) -> None:
    for host in ("", "two words", "x" * 256, "söder", "a\nb"):
        assert SYSLOG.fullmatch(syslog_message(items(), host))[3] == b"-"  # type: ignore[index]  # it matches


def test_a_payload_that_does_not_fit_into_a_message_is_left_out_and_counted(items: Items) -> None:
    long = items(payload={"memories": [f"mem_{nth:08d}a" for nth in range(800)], "count": 800})
    message = syslog_message(long)
    assert len(message) <= MAX_MESSAGE
    assert b'withheld="2"' in message
    assert b"payload=" not in message
    assert json.loads(formatter_of(Format.OCSF)(long))["unmapped"]["memvault"]["payload"]["count"] == 800


@given(st.text())
def test_structured_data_is_escaped_so_that_it_ends_where_it_ends(text: str) -> None:
    value = escaped(text)
    assert re.fullmatch(r'(?:[^"\\\]]|\\["\\\]])*', value)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", value)
    printable = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "\ufffd", text)
    assert re.sub(r'\\(["\\\]])', r"\1", value) == printable


def test_a_hostile_origin_neither_breaks_a_line_nor_runs_in_a_spreadsheet(items: Items) -> None:
    from dataclasses import replace  # noqa: PLC0415  # of this test alone

    hostile = replace(items(), origin=HOSTILE)
    for chosen in Format:
        line = formatter_of(chosen)(hostile)
        assert b"\x1b" not in line or chosen is Format.CSV
        if chosen is not Format.CSV:
            assert line.count(b"\n") == 1
            assert line.endswith(b"\n")
    framed = formatter_of(Format.SYSLOG, framed=True)(hostile)
    size, _, rest = framed.partition(b" ")
    assert int(size) == len(rest)
    assert not re.search(rb"[\x00-\x1f]", rest)
    (row,) = csv.reader(io.StringIO(formatter_of(Format.CSV)(hostile).decode(), newline=""))
    assert row[0] == "'" + HOSTILE


def test_a_table_comes_back_as_it_was(every: list[LogItem]) -> None:
    write = formatter_of(Format.CSV)
    text = (head_of(Format.CSV) + b"".join(map(write, every))).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(every)
    for row, item in zip(rows, every, strict=True):
        assert plain_cell(row["leaf"]) == item.leaf
        assert row["index"] == str(item.index)
        assert row["payload"] == (item.payload_text() or "")
        assert row["erased_by"] == ("" if item.erased_by is None else str(item.erased_by))


@given(st.text())
def test_a_neutral_cell_gives_back_what_it_was_given(text: str) -> None:
    assert plain_cell(neutral_cell(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "＋1",
        "－1",
        "＠1",
        " =1",
        "\xa0=1",
        "\u200b=1",
        "\ufeff=1",
        "\x00=1",
        "'=1",
        "|calc",
        "%0a=1",
        "−1",
    ],
)
def test_what_a_spreadsheet_could_run_begins_with_an_apostrophe(text: str) -> None:
    assert neutral_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "mem_01kq", '{"a":"=1"}', "2026-11-22", "a=1", " a"])
def test_what_no_spreadsheet_runs_stays_as_it_is(text: str) -> None:
    assert neutral_cell(text) == text


def test_each_item_can_be_held_against_the_log_by_its_own_leaf(every: list[LogItem]) -> None:
    for item in every:
        event = json.loads(formatter_of(Format.OCSF)(item))
        again = sha256(b"\x00" + event["raw_data"].encode()).hexdigest()
        assert again == event["raw_data_hash"]["value"] == event["unmapped"]["memvault"]["leaf_hash"]
        assert event["metadata"]["uid"] == "memos-vault/ward-1/clinic-a#17"


def test_an_erased_payload_is_said_to_be_erased_and_by_what(items: Items) -> None:
    erased = items(payload={"count": 1}, erased_by=19)
    own = json.loads(formatter_of(Format.OCSF)(erased))["unmapped"]["memvault"]
    assert own["erased_by"] == 19
    assert "payload" not in own
    assert json.loads(formatter_of(Format.CLOUDEVENTS)(erased))["data"]["erased_by"] == 19
    assert b'erasedBy="19"' in formatter_of(Format.SYSLOG)(erased)


def test_every_format_has_a_media_type_and_only_a_table_has_a_head() -> None:
    assert set(MEDIA_TYPES) == set(Format)
    assert [head_of(chosen) != b"" for chosen in Format] == [False, False, False, True]
