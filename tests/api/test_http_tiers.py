"""The context block, the memory tiers and work that is put off, over HTTP."""

import pytest

from policies.model import Role
from tests.api.conftest import MakeCaller
from vault.opening import Vault
from vault.queueing.queue import Queue
from vault.queueing.task import QueueLimits


def test_a_context_block_is_the_same_for_the_same_questions(caller: MakeCaller) -> None:
    owner = caller(Role.OWNER_AGENT)
    said = {"document": {"text": "My left knee hurts since Monday."}, "subject": "maria"}
    owner.client.post("/v1/extract", headers=owner.headers("treatment"), json=said)
    asked = {"query": "knee", "tokens": 400, "window": "visit 12"}
    first, second = (
        owner.client.post("/v1/context", headers=owner.headers("treatment"), json=asked) for _ in range(2)
    )
    assert first.status_code == 200, first.text
    block = first.json()
    assert block["text"] == second.json()["text"]
    assert (block["reused"], second.json()["reused"] > 0) == (0, True)
    assert block["tokens"] <= 400
    assert first.headers["memvault-receipt"]
    admin = caller(Role.ADMINISTRATOR, name="admin-1")
    tiers = admin.client.get("/v1/tiers", headers=admin.headers("operations")).json()
    assert {one["tier"]: one["memories"] for one in tiers["tiers"]}["plaintext"] == 1
    assert tiers["context"]["reused"] > 0
    assert "knee" not in str(tiers)


@pytest.mark.parametrize(
    "body",
    [
        {"query": "knee", "tokens": 1},
        {"query": "knee", "tokens": "many"},
        {"query": "knee", "k": 0},
        {"query": "knee", "window": "x" * 65},
        {"query": ""},
        {"query": "knee", "count": "mine"},
    ],
)
def test_a_budget_a_window_or_a_field_that_is_none_is_refused(
    caller: MakeCaller, body: dict[str, object]
) -> None:
    owner = caller(Role.OWNER_AGENT)
    answer = owner.client.post("/v1/context", headers=owner.headers("treatment"), json=body)
    assert answer.status_code == 422


def test_work_is_put_off_once_and_refused_where_too_much_waits(
    caller: MakeCaller, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.queueing.view.Queue", lambda parts: Queue(parts, QueueLimits(depth=1)))
    owner = caller(Role.OWNER_AGENT)

    def put(subject: str) -> tuple[int, dict[str, object], str | None]:
        body = {"subject": subject, "key": "visit 12", "priority": "high"}
        answer = owner.client.post("/v1/tasks", headers=owner.headers("treatment"), json=body)
        return answer.status_code, answer.json(), answer.headers.get("retry-after")

    status, first, _ = put("maria")
    assert status == 202
    assert put("maria")[1]["task"] == first["task"]
    body = {"subject": "anna", "key": "another"}
    full = owner.client.post("/v1/tasks", headers=owner.headers("treatment"), json=body)
    assert (full.status_code, full.json()["type"]) == (429, "urn:memvault:problem:queue-full")
    assert int(full.headers["retry-after"]) >= 1
    assert vault.parts.store.tenants()
