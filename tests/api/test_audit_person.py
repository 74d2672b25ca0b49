"""Look-ups, intents and erasures as an operator and a collector use them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from api.assembly import open_vault
from api.cli.audit_lookup import Reason
from api.settings import read_settings
from audit.event import EventType, Outcome
from audit.intent import intent_payload
from policies.model import Action, Principal, Purpose, Relation, Role, SystemResource
from tests.api.conftest import MakeCaller, Memvault
from vault.grant import authorise
from vault.payload_erasure import ErasureReason

NAME = "Zyxwanda Quellmeister"


def entries(memvault: Memvault) -> list[dict[str, object]]:
    found = memvault.json("audit", "tail", "-n", "1000")["entries"]
    assert isinstance(found, list)
    return found


def test_a_value_is_looked_up_from_standard_input_or_a_file_and_never_from_an_argument(
    memvault: Memvault, tmp_path: Path
) -> None:
    memvault("extract", "-", "--subject", NAME, stdin="a note")
    write = next(entry["index"] for entry in entries(memvault) if entry["event"] == "memory.write")
    held = tmp_path / "value.txt"
    held.write_text(NAME + "\n")
    for found in (
        memvault.json("audit", "lookup", stdin=NAME + "\r\n"),
        memvault.json("audit", "lookup", str(held)),
    ):
        assert [one["event"] for one in found["occurrences"]][:3] == [
            "effect.intent",
            "key.create",
            "memory.write",
        ]
        assert found["occurrences"][2] == {"index": write, "event": "memory.write", "forms": ["subject"]}
        assert found["complete"] is True
    shown = memvault("audit", "lookup", str(held))
    assert "subject" in shown.stdout
    assert NAME not in shown.stdout + shown.stderr
    as_argument = memvault("audit", "lookup", NAME)
    assert as_argument.exit_code == 1
    assert NAME not in as_argument.stdout + as_argument.stderr


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"x" * 5_000])
def test_a_value_that_is_none_ends_with_an_error_that_does_not_show_it(
    memvault: Memvault, value: bytes
) -> None:
    refused = memvault("audit", "lookup", stdin=value)
    assert refused.exit_code == 1
    assert "xxx" not in refused.stderr


def test_a_look_up_over_http_is_for_auditors_and_shows_nothing_of_the_value(caller: MakeCaller) -> None:
    owner = caller(Role.OWNER_AGENT, name="agent-1")
    body = {"document": {"text": "a note"}, "subject": NAME, "purpose": "treatment"}
    written = owner.client.post("/v1/extract", json=body, headers=owner.headers()).json()
    auditor = caller(Role.AUDITOR, name="auditor-a")
    asked = {"value": NAME, "purpose": "audit"}
    found = auditor.client.post("/v1/audit/lookup", json=asked, headers=auditor.headers())
    assert found.status_code == 200
    leaf = written["receipt"]["leaf_index"]
    assert found.json()["occurrences"][-1] == {"index": leaf, "event": "memory.write", "forms": ["subject"]}
    assert NAME not in found.text
    denied = owner.client.post("/v1/audit/lookup", json=asked, headers=owner.headers())
    assert denied.status_code == 403
    for wrong in (
        {},
        {"value": 7},
        {"value": "x" * 1_025},
        {"value": NAME, "start": -1},
        {"value": NAME, "q": 1},
    ):
        refused = auditor.client.post("/v1/audit/lookup", json=wrong, headers=auditor.headers("audit"))
        assert refused.status_code == 422
        assert NAME not in refused.text


def test_a_payload_is_erased_with_a_reason_and_shown_as_erased(memvault: Memvault) -> None:
    memvault("extract", "-", stdin="a note")
    write = next(entry["index"] for entry in entries(memvault) if entry["event"] == "memory.write")
    assert memvault("audit", "erase-payload", str(write)).exit_code == 2
    assert memvault("audit", "erase-payload", str(write), "--reason-code", "because").exit_code == 2
    leaf = memvault.json("audit", "erase-payload", str(write), "--reason-code", "retention")
    shown = next(entry for entry in entries(memvault) if entry["index"] == write)
    assert (shown["payload"], shown["erased_by"]) == (None, leaf["leaf_index"])
    assert leaf["bytes_may_remain"] is False
    again = memvault("audit", "erase-payload", str(write), "--reason-code", "retention")
    assert (again.exit_code, "already" in again.stderr) == (7, True)
    denied = memvault("audit", "erase-payload", str(write), "--reason-code", "retention", "--role", "auditor")
    assert denied.exit_code == 4
    assert memvault("audit", "verify").exit_code == 0
    memvault("extract", "-", stdin="another")
    second = entries(memvault)
    last = next(entry["index"] for entry in second if entry["event"] == "memory.write" and entry["payload"])
    done = memvault("audit", "erase-payload", str(last), "--reason-code", "court-order")
    assert "1 payload erased by entry" in done.stderr


def leave_an_intent_open() -> int:
    """Do what a crash leaves behind."""
    auditor = Principal("auditor-a", "clinic", frozenset({Role.AUDITOR}))
    with open_vault(read_settings(os.environ)) as vault:
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
        grant = authorise(vault.parts.policy, auditor, Action.AUDIT, Purpose.AUDIT, over=over)
        drafted = vault.parts.journal.allowed(grant, intent_payload("audit.export", {}), resource="audit-log")
        (leaf,) = vault.parts.journal.write([replace(drafted, event=EventType.EFFECT_INTENT)])
        (intent,) = vault.unmatched_intents()["clinic"]
        assert intent.index == leaf.index
        return leaf.index


def test_an_open_intent_is_told_by_the_doctor_and_by_its_command_until_it_is_closed(
    memvault: Memvault,
) -> None:
    assert "every intent has its outcome" in memvault("audit", "intents").stderr
    index = leave_an_intent_open()
    doctor = memvault("doctor")
    assert doctor.exit_code == 0
    assert f"clinic[{index}] audit.export" in doctor.stdout
    shown = memvault.json("audit", "intents")["intents"]
    assert [(one["index"], one["kind"], one["principal"]) for one in shown] == [
        (index, "audit.export", "auditor-a")
    ]
    assert "audit.export" in memvault("audit", "intents").stdout
    assert memvault("audit", "intents", "close", str(index)).exit_code == 2
    assert memvault("audit", "intents", "close", "0", "--outcome", "ok").exit_code == 6
    assert memvault("audit", "intents", "close", str(index), "--outcome", Outcome.FAILED.value).exit_code == 0
    assert json.loads(memvault("audit", "intents", "--json").stdout) == {"intents": []}
    closed = memvault("audit", "intents", "close", str(index), "--outcome", "ok", "--json")
    assert closed.exit_code == 7
    assert "every effect outside the database has its outcome" in memvault("doctor").stdout
    other = leave_an_intent_open()
    leaf = memvault.json("audit", "intents", "close", str(other), "--outcome", "ok")
    assert leaf["leaf_index"] > other


def test_the_reasons_of_the_command_are_those_of_the_vault() -> None:
    assert [reason.value for reason in Reason] == [reason.value for reason in ErasureReason]
