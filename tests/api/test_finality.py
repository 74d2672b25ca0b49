"""What a receipt is worth, at the edge; and what the doctor makes of anchor and witnesses."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest

from api.cli.diagnosis import Status, outside_of
from policies.model import Role
from tests.api.conftest import Caller, MakeCaller, Memvault
from vault.assurance import AnchorStatus, AssuranceStatus
from vault.time_stamping import TimeStampStatus
from vault.witnessing import Standing, WitnessStatus

PATH = "/v1/audit/finality"


@pytest.fixture
def owner(caller: MakeCaller) -> Caller:
    return caller(Role.OWNER_AGENT)


def receipt_of(owner: Caller) -> dict[str, object]:
    body = {"purpose": "treatment", "document": {"text": "the left knee hurts"}}
    answer = owner.client.post("/v1/extract", headers=owner.headers(), json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()["receipt"]
    return found


def test_a_receipt_is_pending_and_then_signed_where_nothing_outside_holds_it(
    owner: Caller, caller: MakeCaller
) -> None:
    receipt = receipt_of(owner)
    asked = {"leaf_index": str(receipt["leaf_index"]), "leaf_hash": str(receipt["leaf_hash"])}
    headers = owner.headers("treatment")
    first = owner.client.get(PATH, headers=headers, params=asked).json()
    assert first == {
        "state": "pending",
        "cosignatures": 0,
        "required": 0,
        "anchored": False,
        "tree_size": None,
        "reasons": ["no signed checkpoint covers the entry yet"],
    }
    auditor = caller(Role.AUDITOR, name="auditor-1")
    assert owner.client.get("/v1/audit/checkpoint", headers=auditor.headers("audit")).status_code == 200
    second = owner.client.get(PATH, headers=headers, params=asked).json()
    assert (second["state"], second["reasons"]) == (
        "signed",
        ["nothing outside the database holds it: no anchor, no witness"],
    )
    assert second["tree_size"] > int(str(receipt["leaf_index"]))


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422),
        ({"leaf_index": "-1", "leaf_hash": b64encode(bytes(32)).decode()}, 422),
        ({"leaf_index": "0", "leaf_hash": "AAAA"}, 422),
        ({"leaf_index": "0", "leaf_hash": "!" * 44}, 422),
        ({"leaf_index": "0", "leaf_hash": b64encode(bytes(32)).decode()}, 404),
        ({"leaf_index": "99999", "leaf_hash": b64encode(bytes(32)).decode()}, 404),
    ],
)
def test_what_is_no_receipt_is_refused(owner: Caller, params: dict[str, str], status: int) -> None:
    assert owner.client.get(PATH, headers=owner.headers("audit"), params=params).status_code == status


def test_nobody_without_a_key_asks(owner: Caller) -> None:
    params = {"leaf_index": "0", "leaf_hash": b64encode(bytes(32)).decode()}
    assert owner.client.get(PATH, params=params).status_code == 401


def test_the_command_tells_what_a_receipt_is_worth(memvault: Memvault, chat: str) -> None:
    receipt = memvault.json("extract", chat, "--subject", "maria")["sources"][0]["receipt"]
    place = str(receipt["leaf_index"]), receipt["leaf_hash"]
    told = memvault("audit", "finality", *place)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[0] == "signed: 0 of 0 cosignatures", "signed at the last closing"
    assert memvault.json("audit", "finality", *place)["state"] == "signed"
    assert memvault("audit", "finality", place[0], "no base64").exit_code == 2
    assert memvault("audit", "finality", "0", place[1]).exit_code == 6


def judged(stands: AssuranceStatus) -> dict[str, Status]:
    return {check.check: Status(check.status) for check in outside_of(stands)}


@pytest.mark.parametrize(
    ("anchor", "status"),
    [
        (AnchorStatus(configured=False), Status.WARNING),
        (AnchorStatus(configured=True, usable=True), Status.OK),
        (AnchorStatus(configured=True, usable=True, damaged=1), Status.WARNING),
        (AnchorStatus(configured=True, usable=False, reason="the anchor is gone"), Status.FAILED),
    ],
)
def test_the_doctor_judges_the_anchor(anchor: AnchorStatus, status: Status) -> None:
    assert judged(AssuranceStatus(anchor, (), 0)) == {"anchor": status}


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        (Standing.UNASKED, Status.WARNING),
        (Standing.COSIGNS, Status.OK),
        (Standing.UNREACHABLE, Status.UNCHECKED),
        (Standing.REFUSES, Status.FAILED),
        (Standing.CONTRADICTS, Status.FAILED),
    ],
)
def test_the_doctor_judges_witnesses(standing: Standing, status: Status) -> None:
    stands = AssuranceStatus(AnchorStatus(configured=False), (WitnessStatus("w1", standing, "why"),), 1)
    assert judged(stands)["log witness w1"] is status


@pytest.mark.parametrize(
    ("stamps", "status"),
    [
        (TimeStampStatus(), Status.OK),
        (TimeStampStatus(7, datetime(2026, 11, 22, tzinfo=UTC)), Status.OK),
        (TimeStampStatus(reason="connection refused", failures=1), Status.UNCHECKED),
    ],
)
def test_the_doctor_judges_time_stamps(stamps: TimeStampStatus, status: Status) -> None:
    assert judged(AssuranceStatus(AnchorStatus(configured=False), (), 0, stamps))["time stamps"] is status


def test_the_doctor_warns_of_what_held_the_log_before_and_does_no_more() -> None:
    stands = AssuranceStatus(
        AnchorStatus(configured=False),
        (),
        0,
        missing=("an earlier opening had an anchor, this one has none",),
    )
    assert judged(stands) == {"anchor": Status.WARNING, "outside": Status.WARNING}
