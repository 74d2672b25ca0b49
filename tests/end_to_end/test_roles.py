"""Each role writes, reads and reveals what its rules allow, and every attempt leaves its entry."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product

import pytest

from policies.errors import DeniedError
from policies.model import AccessTier, Principal, Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    ADVISER,
    AUDITOR,
    BANK,
    BANK_AUDITOR,
    CLINICIAN,
    MEMBER,
    OTHER_OWNER,
    OWNER,
    SERVICE,
    STRANGER,
    Clinic,
)
from vault.errors import ConflictError, NotFoundError
from vault.memos import MemOS
from vault.model import Chat, SpeakerRole, Turn

KNEE = "Maria Keller hurt her knee, mail maria@example.com"
CHAT = Chat(
    (
        Turn("Maria Keller", KNEE, SpeakerRole.USER),
        Turn("assistant", "Noted, the knee of Maria", SpeakerRole.ASSISTANT),
    ),
    started=datetime(2026, 5, 1, tzinfo=UTC),
    title="Visit of Maria",
    tags=("orthopaedics",),
    metadata={"ward": "Keller wing"},
)
LOOKS: tuple[Callable[[MemOS, str], object], ...] = (
    lambda view, memory_id: view.get(memory_id),
    lambda view, memory_id: view.reveal(memory_id),
    lambda view, _memory_id: view.retrieve("knee"),
    lambda view, _memory_id: view.retrieve("knee", reveal=True),
    lambda view, _memory_id: view.organize(subject="maria"),
)
EVERYBODY = (OWNER, OTHER_OWNER, MEMBER, CLINICIAN, ADVISER, AUDITOR, ADMINISTRATOR, SERVICE)


def private_memory(clinic: Clinic) -> str:
    """Write a chat as the owner and return its first memory's id."""
    return clinic.mem(OWNER).extract(CHAT, subject="maria").memory_ids[0]


def shared_memory(clinic: Clinic) -> str:
    """Write a shared text as a member and return its id."""
    receipt = clinic.mem(MEMBER).extract(KNEE, subject="maria", access_tier=AccessTier.INSTITUTIONAL)
    return receipt.memory_ids[0]


def test_an_owner_writes_reads_reveals_and_updates_its_own_and_each_step_is_one_entry(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    memory.extract("her key is made", subject="maria")
    before = len(clinic.log())
    receipt = memory.extract(CHAT, subject="maria")
    first = receipt.memory_ids[0]
    assert memory.get(first).text.startswith("[PERSON-")
    assert memory.reveal(first).text == KNEE
    assert memory.retrieve("knee", subject="maria").hits[0].memory.revealed is False
    changed = memory.update(first, "Maria Keller hurt her hip")
    entries = clinic.log()[before:]
    assert [entry.event for entry in entries] == [
        "memory.write",
        "memory.read",
        "memory.reveal",
        "memory.search",
        "memory.update",
    ]
    assert {(entry.decision, entry.outcome, entry.principal) for entry in entries} == {
        ("allowed", "ok", OWNER.id)
    }
    assert [entry.index for entry in entries] == list(range(before, before + 5))
    assert (receipt.leaf_index, changed.leaf_index) == (before, before + 4)
    assert entries[0].payload["written"] == list(receipt.memory_ids)
    assert clinic.count("memory") == 4
    assert clinic.count("memory", "is_current = 1") == 3


def test_a_memory_comes_back_with_its_provenance_masked(clinic: Clinic) -> None:
    found = clinic.mem(OWNER).get(private_memory(clinic))
    assert found.provenance.position == 0
    assert found.provenance.source.start == 0
    assert found.provenance.source.end == len(KNEE)
    assert found.provenance.role is SpeakerRole.USER
    assert found.provenance.at == CHAT.started
    assert found.tags == ("orthopaedics",)
    shown = [found.provenance.speaker, found.provenance.title, *found.metadata.values(), found.text]
    assert all("Maria" not in text and "Keller" not in text for text in shown)
    assert all("[PERSON-" in text for text in shown)


def test_one_person_has_one_token_in_text_speaker_and_title_of_a_subject(clinic: Clinic) -> None:
    found = clinic.mem(OWNER).get(private_memory(clinic))
    assert found.text.split(" ", 1)[0] == found.provenance.speaker
    other = clinic.mem(OWNER).extract(KNEE, subject="another person").memory_ids[0]
    assert clinic.mem(OWNER).get(other).text.split(" ", 1)[0] != found.provenance.speaker


@pytest.mark.parametrize("principal", [OTHER_OWNER, MEMBER], ids=lambda one: one.id)
@pytest.mark.parametrize("purpose", [Purpose.TREATMENT, Purpose.OPERATIONS])
def test_a_private_memory_is_to_others_as_if_it_were_not_there(
    clinic: Clinic, principal: Principal, purpose: Purpose
) -> None:
    memory_id = private_memory(clinic)
    never = memory_id[:-6] + "000000"
    view = clinic.mem(principal, purpose)
    errors = []
    for wanted in (memory_id, never):
        with pytest.raises(NotFoundError) as caught:
            view.get(wanted)
        errors.append(str(caught.value))
        entry = clinic.last()
        assert (entry.event, entry.decision, entry.outcome, entry.resource, entry.payload) == (
            "memory.read",
            "denied",
            "denied",
            wanted,
            {},
        )
    assert errors[0] == errors[1]
    with pytest.raises(NotFoundError):
        view.update(memory_id, "mine now") if principal is OTHER_OWNER else view.get(memory_id)
    answer = view.retrieve("knee Maria Keller")
    assert answer.hits == ()
    assert clinic.last().payload["count"] == 0
    assert clinic.mem(OWNER).get(memory_id).version == 1


def test_an_owner_cannot_reveal_what_the_institution_shares(clinic: Clinic) -> None:
    memory_id = shared_memory(clinic)
    view = clinic.mem(OWNER)
    assert "[EMAIL-" in view.get(memory_id).text
    with pytest.raises(NotFoundError):
        view.reveal(memory_id)
    assert (clinic.last().event, clinic.last().outcome) == ("memory.reveal", "denied")
    hits = view.retrieve("knee", reveal=True).hits
    assert [hit.memory.revealed for hit in hits] == [False]
    assert "[EMAIL-" in hits[0].memory.text
    assert clinic.last().event == "memory.reveal"
    assert clinic.last().payload == {"count": 0, "memories": []}


def test_a_member_shares_and_updates_its_own_and_reveals_nothing(clinic: Clinic) -> None:
    view, memory_id = clinic.mem(MEMBER), shared_memory(clinic)
    with pytest.raises(DeniedError):
        view.reveal(memory_id)
    assert (clinic.last().event, clinic.last().decision) == ("memory.reveal", "denied")
    with pytest.raises(DeniedError):
        view.retrieve("knee", reveal=True)
    assert clinic.last().decision == "denied"
    view.update(memory_id, "Keller walks again")
    assert view.get(memory_id).version == 2
    assert clinic.vault.wait(5)
    state = clinic.state()
    with pytest.raises(DeniedError):
        view.extract("a private note", access_tier=AccessTier.PRIVATE)
    assert (clinic.last().event, clinic.last().decision) == ("memory.write", "denied")
    assert clinic.state() == state


def test_a_member_does_not_update_what_another_shared(clinic: Clinic) -> None:
    receipt = clinic.mem(SERVICE, Purpose.OPERATIONS).extract(KNEE, access_tier=AccessTier.INSTITUTIONAL)
    with pytest.raises(NotFoundError):
        clinic.mem(MEMBER).update(receipt.memory_ids[0], "changed")
    assert clinic.count("memory") == 1
    assert clinic.last().outcome == "denied"


@pytest.mark.parametrize(
    ("principal", "purpose"),
    [(CLINICIAN, Purpose.TREATMENT), (ADVISER, Purpose.SERVICE)],
    ids=["dr", "adviser"],
)
def test_who_treats_or_serves_sees_across_owners_and_reveals_for_that_purpose(
    clinic: Clinic, principal: Principal, purpose: Purpose
) -> None:
    memory_id = private_memory(clinic)
    view = clinic.mem(principal, purpose)
    assert "Maria" not in view.get(memory_id).text
    revealed = view.reveal(memory_id)
    assert revealed.text == KNEE
    assert revealed.provenance.speaker == "Maria Keller"
    assert (clinic.last().event, clinic.last().purpose, clinic.last().payload["count"]) == (
        "memory.reveal",
        purpose.value,
        1,
    )
    hits = view.retrieve("knee", reveal=True).hits
    assert {hit.memory.revealed for hit in hits} == {True}
    assert clinic.last().event == "memory.reveal"
    assert sorted(clinic.last().payload["memories"]) == sorted(hit.memory.id for hit in hits)  # type: ignore[call-overload]


@pytest.mark.parametrize("principal", [CLINICIAN, ADVISER], ids=lambda one: one.id)
def test_the_wrong_purpose_opens_nothing_and_is_logged(clinic: Clinic, principal: Principal) -> None:
    memory_id = private_memory(clinic)
    for purpose, attempt in product((Purpose.RESEARCH, Purpose.PAYMENT, Purpose.LEGAL, Purpose.AUDIT), LOOKS):
        view = clinic.mem(principal, purpose)
        before = len(clinic.log())
        with pytest.raises(DeniedError) as caught:
            attempt(view, memory_id)
        assert memory_id not in str(caught.value)
        assert len(clinic.log()) == before + 1
        assert (clinic.last().decision, clinic.last().purpose) == ("denied", purpose.value)


@pytest.mark.parametrize("principal", [CLINICIAN, ADVISER, AUDITOR, ADMINISTRATOR], ids=lambda one: one.id)
def test_who_only_looks_never_writes(clinic: Clinic, principal: Principal) -> None:
    memory_id = private_memory(clinic)
    assert clinic.vault.wait(5)
    state, size = clinic.state(), len(clinic.log())
    for purpose in Purpose:
        view = clinic.mem(principal, purpose)
        for tier in AccessTier:
            with pytest.raises(DeniedError):
                view.extract("note", access_tier=tier)
        with pytest.raises(DeniedError):
            view.update(memory_id, "changed")
        with pytest.raises(DeniedError):
            view.organize(subject="maria")
    assert [entry.decision for entry in clinic.log()[size:]] == ["denied"] * 5 * len(Purpose)
    assert clinic.state() == state


@pytest.mark.parametrize("principal", [AUDITOR, ADMINISTRATOR], ids=lambda one: one.id)
def test_who_watches_or_runs_the_vault_sees_no_content_for_any_purpose(
    clinic: Clinic, principal: Principal
) -> None:
    memory_id = private_memory(clinic)
    for purpose, attempt in product(Purpose, LOOKS):
        before = len(clinic.log())
        with pytest.raises(DeniedError):
            attempt(clinic.mem(principal, purpose), memory_id)
        assert len(clinic.log()) == before + 1
        assert clinic.last().principal == principal.id


def test_an_auditor_sees_entries_without_content_and_looking_is_an_entry(clinic: Clinic) -> None:
    private_memory(clinic)
    entries = clinic.audit().entries(start=0)
    assert entries[-1].header.event == "memory.write"
    assert "knee" not in str(entries)
    assert "Maria" not in str(entries)
    assert (clinic.last().event, clinic.last().principal) == ("audit.read", AUDITOR.id)
    assert clinic.last().payload == {"start": 0, "count": len(entries)}


@pytest.mark.parametrize(
    "principal", [one for one in EVERYBODY if one is not AUDITOR], ids=lambda one: one.id
)
def test_nobody_but_an_auditor_reads_the_log(clinic: Clinic, principal: Principal) -> None:
    view = clinic.mem(principal, Purpose.AUDIT)
    for attempt in (view.entries, view.checkpoint, view.verify):
        with pytest.raises(DeniedError):
            attempt()
        assert (clinic.last().event, clinic.last().decision, clinic.last().principal) == (
            "audit.read",
            "denied",
            principal.id,
        )


def test_a_service_writes_as_itself_and_organizes_everywhere_and_reads_nothing(clinic: Clinic) -> None:
    private_memory(clinic)
    view = clinic.mem(SERVICE, Purpose.OPERATIONS)
    own = view.extract(KNEE, subject="maria").memory_ids[0]
    view.update(own, "the job has run")
    assert view.organize(subject="maria").examined == 3
    assert clinic.last().event == "memory.organize"
    for attempt in (lambda: view.get(own), lambda: view.reveal(own), lambda: view.retrieve("job")):
        with pytest.raises(DeniedError):
            attempt()
        assert clinic.last().decision == "denied"


def test_another_tenant_sees_nothing_whatever_its_roles(clinic: Clinic) -> None:
    memory_id = private_memory(clinic)
    clinic_log = len(clinic.log())
    view = clinic.mem(STRANGER)
    for attempt in (
        lambda: view.get(memory_id),
        lambda: view.reveal(memory_id),
        lambda: view.update(memory_id, "mine"),
    ):
        with pytest.raises(NotFoundError):
            attempt()
        assert clinic.last(BANK).outcome == "denied"
    assert view.retrieve("knee Maria Keller").hits == ()
    assert view.organize(subject="maria").examined == 0
    assert len(clinic.log()) == clinic_log
    entries = clinic.mem(BANK_AUDITOR, Purpose.AUDIT).entries(start=0)
    assert {entry.header.tenant for entry in entries} == {BANK}


def test_a_read_leaves_only_after_its_entry_is_durable(clinic: Clinic) -> None:
    memory_id = private_memory(clinic)
    assert clinic.vault.wait(5)
    clinic.sql("CREATE TRIGGER no_log BEFORE INSERT ON audit_leaf BEGIN SELECT RAISE(ABORT, 'no'); END")
    view, size = clinic.mem(OWNER), len(clinic.log())
    for attempt in (
        lambda: view.get(memory_id),
        lambda: view.reveal(memory_id),
        lambda: view.retrieve("knee"),
        lambda: view.get(memory_id[:-6] + "000000"),
        lambda: clinic.mem(OTHER_OWNER).get(memory_id),
        lambda: clinic.mem(AUDITOR).retrieve("knee"),
        lambda: clinic.audit().entries(),
    ):
        with pytest.raises(ConflictError):
            attempt()
    assert len(clinic.log()) == size
    clinic.sql("DROP TRIGGER no_log")
    assert view.reveal(memory_id).text == KNEE
    assert clinic.last().event == "memory.reveal"
