"""The HTTP slice from end to end, over a vault with fake models."""

import base64
import json
from typing import Literal

import pytest
from starlette.testclient import TestClient

from api.app import AppOptions, create_app
from api.settings import Settings, read_settings
from audit.checkpoint import verify_checkpoint
from audit.signing import VerifierKey
from policies.model import Role
from tests.api.conftest import CHEAP, Caller, MakeCaller
from vault.errors import StorageFullError
from vault.opening import Vault

CHAT = {
    "subject": "maria",
    "purpose": "treatment",
    "chat": {
        "started": "2026-01-05T09:00:00+00:00",
        "title": "Intake",
        "tags": ["knee"],
        "metadata": {"ward": "7"},
        "turns": [
            {"speaker": "Maria Keller", "text": "My phone is 212-555-0147.", "ref": "1:0"},
            {"speaker": "Assistant", "role": "assistant", "text": "Your left knee hurts."},
            {"speaker": "Maria Keller", "text": "Actually it is the right knee."},
        ],
    },
}


@pytest.fixture
def owner(caller: MakeCaller) -> Caller:
    return caller(Role.OWNER_AGENT)


@pytest.fixture
def auditor(caller: MakeCaller) -> Caller:
    return caller(Role.AUDITOR, name="auditor-1")


def _extract(owner: Caller) -> list[str]:
    answer = owner.client.post("/v1/extract", headers=owner.headers(), json=CHAT)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["memory_ids"])


def test_a_chat_is_written_found_read_revealed_changed_and_organized(owner: Caller) -> None:
    ids = _extract(owner)
    assert len(ids) == 3
    found = owner.client.post(
        "/v1/retrieve", headers=owner.headers("treatment"), json={"query": "phone", "k": 1}
    ).json()
    assert found["hits"][0]["memory"]["id"] == ids[0]
    assert "212-555-0147" not in json.dumps(found)
    read = owner.client.get(f"/v1/memories/{ids[0]}", headers=owner.headers("treatment")).json()
    assert read["text"].startswith("My phone is [PHONE-")
    assert read["provenance"]["ref"] == "1:0"
    assert read["tags"] == ["knee"]
    assert read["metadata"] == {"ward": "7"}
    revealed = owner.client.post(
        f"/v1/memories/{ids[0]}/reveal", headers=owner.headers(), json={"purpose": "treatment"}
    ).json()
    assert revealed["text"] == "My phone is 212-555-0147."
    assert revealed["revealed"]
    changed = owner.client.patch(
        f"/v1/memories/{ids[0]}",
        headers=owner.headers("treatment"),
        json={"text": read["text"].replace("My", "The"), "expected_version": 1},
    )
    assert changed.status_code == 200
    again = owner.client.post(
        f"/v1/memories/{ids[0]}/reveal", headers=owner.headers("treatment"), json={}
    ).json()
    assert (again["text"], again["version"]) == ("The phone is 212-555-0147.", 2)
    organized = owner.client.post(
        "/v1/organize", headers=owner.headers("treatment"), json={"subject": "maria"}
    )
    assert organized.json()["links"][0]["kind"] == "supersedes"


def test_receipts_stand_in_body_and_header_and_name_entries_of_the_log(
    owner: Caller, auditor: Caller
) -> None:
    answer = owner.client.post("/v1/extract", headers=owner.headers(), json=CHAT)
    receipt = answer.json()["receipt"]
    assert answer.headers["memvault-receipt"] == (
        f'log="{receipt["log"]}", index={receipt["leaf_index"]}, hash=:{receipt["leaf_hash"]}:'
    )
    assert len(base64.b64decode(receipt["leaf_hash"])) == 32
    read = owner.client.post("/v1/retrieve", headers=owner.headers("treatment"), json={"query": "knee"})
    reading = read.json()["receipt"]
    assert read.headers["memvault-receipt"] == (
        f'log="{receipt["log"]}", index={reading["leaf_index"]}, hash=:{reading["leaf_hash"]}:'
    )
    one = f"/v1/memories/{answer.json()['memory_ids'][0]}"
    shown = owner.client.get(one, headers=owner.headers("treatment"))
    revealed = owner.client.post(f"{one}/reveal", headers=owner.headers("treatment"))
    for response in (shown, revealed):
        assert response.json()["receipt"]["leaf_hash"] in response.headers["memvault-receipt"]
    entries = auditor.client.get(
        "/v1/audit/entries", headers=auditor.headers("audit"), params={"start": 0, "limit": 1000}
    ).json()["entries"]
    by_index = {entry["index"]: entry["event"] for entry in entries}
    assert by_index[receipt["leaf_index"]] == "memory.write"
    assert by_index[reading["leaf_index"]] == "memory.search"
    assert by_index[shown.json()["receipt"]["leaf_index"]] == "memory.read"
    assert by_index[revealed.json()["receipt"]["leaf_index"]] == "memory.reveal"


def test_a_checkpoint_verifies_with_the_deployments_key(vault: Vault, auditor: Caller) -> None:
    shown = auditor.client.get("/v1/audit/checkpoint", headers=auditor.headers("audit")).json()
    key = VerifierKey.parse(shown["verifier_key"]).for_log("clinic")
    checkpoint = verify_checkpoint(shown["note"].encode(), key)
    assert (checkpoint.size, base64.b64encode(checkpoint.root).decode()) == (shown["size"], shown["root"])
    assert shown["verifier_key"] == str(vault.parts.verifier_key)


def test_entries_are_paged_by_index(owner: Caller, auditor: Caller) -> None:
    _extract(owner)
    page = auditor.client.get(
        "/v1/audit/entries", headers=auditor.headers("audit"), params={"start": 1, "limit": 2}
    ).json()["entries"]
    assert [entry["index"] for entry in page] == [1, 2]


def test_a_document_is_written_for_several_subjects(owner: Caller) -> None:
    body = {
        "subject": ["maria", "john"],
        "document": {
            "text": "# Plan\n\nWalk daily.",
            "kind": "markdown",
            "name": "plan.md",
            "written": "2026-01-05",
        },
    }
    answer = owner.client.post("/v1/extract", headers=owner.headers("treatment"), json=body)
    assert answer.status_code == 201
    for subject in ("maria", "john"):
        found = owner.client.post(
            "/v1/retrieve", headers=owner.headers("treatment"), json={"query": "walk", "subject": subject}
        ).json()
        assert {hit["memory"]["id"] for hit in found["hits"]} == set(answer.json()["memory_ids"])


def test_a_purpose_is_needed_once(owner: Caller) -> None:
    for headers, body in (
        (owner.headers(), {"query": "x"}),
        (owner.headers("treatment"), {"query": "x", "purpose": "payment"}),
    ):
        answer = owner.client.post("/v1/retrieve", headers=headers, json=body)
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:memvault:problem:purpose-missing"
    same = owner.client.post(
        "/v1/retrieve", headers=owner.headers("treatment"), json={"query": "x", "purpose": "treatment"}
    )
    assert same.status_code == 200


def test_an_unknown_purpose_is_a_field_at_fault(owner: Caller) -> None:
    answer = owner.client.get(f"/v1/memories/mem_{'0' * 26}", headers=owner.headers("curiosity"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.Memvault-Purpose"
    assert "curiosity" not in answer.text


def test_an_update_of_an_overtaken_version_is_a_conflict(owner: Caller) -> None:
    (first, *_) = _extract(owner)
    body = {"text": "new", "expected_version": 7}
    answer = owner.client.patch(f"/v1/memories/{first}", headers=owner.headers("treatment"), json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:memvault:problem:conflict")
    read = owner.client.get(f"/v1/memories/{first}", headers=owner.headers("treatment")).json()
    assert read["version"] == 1


def test_every_answer_has_a_request_id_and_is_not_kept(owner: Caller) -> None:
    ids = set()
    for answer in (
        owner.client.get("/livez"),
        owner.client.get("/nothing"),
        owner.client.get("/v1/nothing"),
        owner.client.post("/v1/extract", headers=owner.headers(), json=CHAT),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        ids.add(answer.headers["memvault-request"])
        if answer.status_code >= 400:
            assert answer.json()["instance"] == f"urn:memvault:request:{answer.headers['memvault-request']}"
    assert len(ids) == 4


def test_unknown_paths_and_methods_are_problems(owner: Caller) -> None:
    unknown = owner.client.get("/v1/nothing", headers=owner.headers())
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:memvault:problem:route-unknown")
    wrong = owner.client.delete("/v1/extract", headers=owner.headers())
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:memvault:problem:method-unsupported")
    assert wrong.headers["allow"] == "POST"


def test_health_needs_no_key_and_gives_no_figure(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    well = {"store": "ok", "keys": "ok", "root": "ok", "index": "ok", "policy": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "checks": well}


def test_a_part_that_does_not_answer_makes_the_server_not_ready(
    vault: Vault, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> list[str]:
        raise StorageFullError("no space is left")

    monkeypatch.setattr(vault.parts.store, "tenants", full)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:memvault:problem:not-ready")
    assert answer.headers["retry-after"] == "5"
    assert client.get("/livez").status_code == 200


def test_a_defect_is_answered_without_its_message_and_logged_as_an_outline(
    vault: Vault, owner: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choke(*_arguments: object, **_named: object) -> None:
        raise ValueError("Maria Keller, 212-555-0147")

    monkeypatch.setattr(type(vault.parts.gate), "screen", choke)
    answer = owner.client.post("/v1/retrieve", headers=owner.headers("treatment"), json={"query": "x"})
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:memvault:problem:internal"
    assert "Maria" not in answer.text
    assert "builtins.ValueError" in caplog.text
    ours = [record for record in caplog.records if record.name.startswith("api.")]
    assert all("Maria" not in record.getMessage() for record in ours)


def test_wrong_keys_are_answered_429_after_a_few(vault: Vault) -> None:
    app = create_app(vault, read_settings({"MEMVAULT_LOGIN_FAILURES": "2"}), AppOptions(key_cost=CHEAP))
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer mv_{'0' * 26}_{'a' * 52}"}
        answers = [client.get("/v1/audit/entries", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60


def test_openapi_reads_well(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(name.isidentifier() and "_" not in name for name in ids)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            if path.startswith("/v1/"):
                assert operation["security"] == [{"apiKey": []}]
                for status in ("401", "403", "404", "422"):
                    (media,) = operation["responses"][status]["content"]
                    assert media == "application/problem+json"
    assert document["components"]["schemas"]["ExtractBody"]["examples"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_of_the_openapi_document_exists(client: TestClient) -> None:
    document = client.get("/v1/openapi.json").json()
    text = json.dumps(document)
    referred = {piece.split('"')[0] for piece in text.split('"$ref": "')[1:]}
    assert referred
    for reference in referred:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_the_examples_of_the_document_are_accepted(client: TestClient, owner: Caller) -> None:
    schemas = client.get("/v1/openapi.json").json()["components"]["schemas"]
    for path, name in (("/v1/extract", "ExtractBody"), ("/v1/retrieve", "RetrieveBody")):
        for example in schemas[name]["examples"]:
            answer = owner.client.post(path, headers=owner.headers(), json=example)
            assert answer.status_code < 300, answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_no_page_of_third_parties_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_path_with_one_slash_more_is_unknown_and_redirects_nowhere(owner: Caller) -> None:
    answer = owner.client.post(
        "/v1/extract/", headers={**owner.headers(), "Host": "evil.example"}, json=CHAT, follow_redirects=False
    )
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_no_variable_of_the_environment_turns_the_frameworks_telemetry_on(
    vault: Vault, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example")
    app = create_app(vault, settings, AppOptions(key_cost=CHEAP))
    assert {name: app._telemetry[name] for name in _TELEMETRY} == dict.fromkeys(_TELEMETRY, False)
    with TestClient(app) as client:
        assert client.get("/livez").status_code == 200


_TELEMETRY: tuple[Literal["tracing", "metrics", "logs", "operation_spans", "auto_configure"], ...] = (
    "tracing",
    "metrics",
    "logs",
    "operation_spans",
    "auto_configure",
)
