"""What one owner writes about a subject must tell nothing of, and do nothing to, another owner's memories."""

import re
from dataclasses import replace
from functools import partial

import pytest

from policies.access import AccessPolicy
from policies.bundle import Bundle
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from vault.errors import ConflictError, IdentifierInvalidError
from vault.grant import EVERY_MEMORY, authorise
from vault.memos import MemOS
from vault.model import Chat, SpeakerRole, TrustState, Turn
from vault.opening import Vault
from vault.storage.write_unit import WriteUnit

TENANT = "clinic-a"
SUBJECT = "maria"
TOKEN = re.compile(r"\[PHONE-[a-z2-7]{6}\]")
NUMBER = "+49 170 5550142"


@pytest.fixture
def vault(tmp_path: object) -> Vault:
    return Vault.create(tmp_path / "vault", tenant=TENANT, options=fake_options())  # type: ignore[operator]


def _token(text: str) -> str:
    found = TOKEN.search(text)
    assert found is not None
    return found.group()


def _revoke(unit: WriteUnit, memory_id: str) -> None:
    unit.set_trust(memory_id, 1, TrustState.REVOKED)
    unit.commit()


def _owner(name: str, role: Role = Role.OWNER_AGENT) -> Principal:
    return Principal(name, TENANT, frozenset({role}))


@pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
def test_a_dictionary_of_guesses_unmasks_nobody_elses_tokens(vault: Vault) -> None:
    with vault:
        member = MemOS(vault, principal=_owner("front-desk", Role.MEMBER))
        shared = member.extract(
            f"call back on {NUMBER}", subject=SUBJECT, access_tier=AccessTier.INSTITUTIONAL
        )
        again = member.extract(f"again: {NUMBER}", subject=SUBJECT, access_tier=AccessTier.INSTITUTIONAL)
        attacker = MemOS(vault, principal=_owner("agent-1"))
        guesses = attacker.extract(f"is it {NUMBER}?", subject=SUBJECT)
        seen = _token(attacker.get(shared.memory_ids[0]).text)
        same = _token(attacker.get(again.memory_ids[0]).text)
        guessed = _token(attacker.get(guesses.memory_ids[0]).text)
        asked = _token(attacker.retrieve(f"who has {NUMBER}", subject=SUBJECT).masked_query)
        assert seen == same, "equal values of one owner's memories have equal tokens"
        assert seen not in {guessed, asked}
        assert asked == guessed, "a question meets the asker's own tokens"


@pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
def test_organizing_lets_no_owner_verify_or_dispute_anothers_memory(vault: Vault) -> None:
    with vault:
        one, two = (MemOS(vault, principal=_owner(name)) for name in ("agent-1", "agent-2"))
        claim = "The patient is allergic to penicillin and to walnuts."
        kept = one.extract(Chat((Turn("assistant", claim, SpeakerRole.ASSISTANT),)), subject=SUBJECT)
        two.extract(Chat((Turn("user", claim, SpeakerRole.USER),)), subject=SUBJECT)
        two.extract(
            Chat(
                (
                    Turn(
                        "user", "Actually no, not allergic to penicillin or walnuts at all.", SpeakerRole.USER
                    ),
                )
            ),
            subject=SUBJECT,
        )
        service = MemOS(vault, principal=_owner("nightly", Role.SERVICE), purpose=Purpose.OPERATIONS)
        organized = service.organize(subject=SUBJECT)
        assert organized.examined == 3
        assert one.get(kept.memory_ids[0]).trust is TrustState.CANDIDATE
        assert not any(kept.memory_ids[0] in (link.source, link.target) for link in organized.links)


@pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
def test_nobody_writes_under_another_principals_own_subject(vault: Vault) -> None:
    with vault:
        memory = MemOS(vault, principal=_owner("agent-1"))
        for name in ("self:agent-2", " SELF:agent-2", "ｓelf:agent-2"):
            with pytest.raises(IdentifierInvalidError):
                memory.extract("a note", subject=name)
        assert memory.extract("a note", subject="self:agent-1").memory_ids


@pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
def test_a_unit_of_work_does_only_what_its_grant_is_for_and_only_within_reach(vault: Vault) -> None:
    policy = AccessPolicy.load(Bundle.read())
    with vault:
        owner, other = _owner("agent-1"), _owner("agent-2")
        memory_id = MemOS(vault, principal=owner).extract("the knee hurts").memory_ids[0]
        for principal, action in ((owner, Action.SEARCH), (other, Action.ORGANIZE), (owner, Action.UPDATE)):
            grant = authorise(policy, principal, action, Purpose.OPERATIONS, over=EVERY_MEMORY)
            unit = vault.parts.store.write(grant)
            unit.entry(vault.parts.journal.allowed(replace(grant), {}))
            with pytest.raises(ConflictError if principal is other else DeniedError):
                _revoke(unit, memory_id)
        assert MemOS(vault, principal=owner).get(memory_id).trust is not TrustState.REVOKED


@pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
def test_what_a_unit_of_work_adds_late_needs_its_grant_and_an_entry_as_well(vault: Vault) -> None:
    policy, owner = AccessPolicy.load(Bundle.read()), _owner("agent-1")
    with vault:
        parts = vault.parts
        memory_id = MemOS(vault, principal=owner).extract("the knee hurts").memory_ids[0]
        grant = authorise(policy, owner, Action.READ, Purpose.OPERATIONS, over=EVERY_MEMORY)
        before = _log_size(vault, owner.tenant)
        finished: list[str] = []
        unit = parts.store.write(grant)
        with pytest.raises(ConflictError, match="entry"):
            unit.commit(prepare=lambda: None, finish=lambda: finished.append("unlogged"))
        late = parts.store.write(grant)
        with pytest.raises(DeniedError):
            late.commit(prepare=partial(_revoke, late, memory_id))
        assert not finished
        assert _log_size(vault, owner.tenant) == before


def _log_size(vault: Vault, tenant: str) -> int:
    with vault.parts.store.log_connection(tenant) as connection:
        return vault.parts.log.head(connection, tenant).size
