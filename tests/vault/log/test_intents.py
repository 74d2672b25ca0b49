"""Effects outside the database: told before, told after, and told when nobody knows."""

from pathlib import Path

import pytest

from audit.event import EventType, Outcome
from audit.intent import unmatched_intents
from policies.errors import DeniedError
from policies.model import Action, Purpose, Relation, SystemResource
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, OWNER, Clinic
from vault.errors import ConflictError, NotFoundError, StorageError, TamperedError
from vault.grant import Grant, authorise
from vault.intents import Effect, Effects


def grant_of(clinic: Clinic) -> Grant:
    over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
    return authorise(clinic.vault.parts.policy, AUDITOR, Action.AUDIT, Purpose.AUDIT, over=over)


def effects(clinic: Clinic) -> Effects:
    return Effects(clinic.vault.parts)


def test_an_intent_is_durable_before_the_effect_and_its_outcome_after(clinic: Clinic, tmp_path: Path) -> None:
    file = tmp_path / "made"
    with effects(clinic).intended(grant_of(clinic), "audit.export", "audit-log", {"count": 3}) as effect:
        told = clinic.last()
        assert (told.event, told.outcome, told.resource) == ("effect.intent", "ok", "audit-log")
        assert told.payload == {"count": 3, "kind": "audit.export"}
        assert effect.intent.index == told.index
        file.write_text("made")
        effect.told["digest"] = "5f" * 32
    after = clinic.last()
    assert (after.event, after.outcome, after.index) == ("effect.outcome", "ok", told.index + 1)
    assert after.payload == {"digest": "5f" * 32, "intent": told.index, "kind": "audit.export"}
    assert effects(clinic).unmatched(CLINIC) == ()


def test_an_effect_that_fails_is_told_to_have_failed_and_its_error_stands(clinic: Clinic) -> None:
    along = clinic.vault.parts.journal.event(EventType.KEY_CREATE, CLINIC, {})
    with (  # noqa: PT012  # the effect fails, not its intent
        pytest.raises(FileNotFoundError),
        effects(clinic).intended(grant_of(clinic), "audit.export", None, {}) as effect,
    ):
        effect.also.append(along)
        raise FileNotFoundError
    after = clinic.last()
    assert (after.event, after.outcome) == ("effect.outcome", "failed")
    assert effects(clinic).unmatched(CLINIC) == ()


def test_entries_that_belong_to_an_effect_are_written_with_its_outcome(clinic: Clinic) -> None:
    journal = clinic.vault.parts.journal
    with effects(clinic).intended(grant_of(clinic), "key.create", None, {}) as effect:
        effect.also.append(journal.event(EventType.KEY_CREATE, CLINIC, {"keys": 1}))
    assert [entry.event for entry in clinic.log()[-2:]] == ["effect.outcome", "key.create"]


def test_nothing_is_begun_where_the_intent_cannot_be_made_durable(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_drafts: object) -> None:
        raise StorageError("no space is left")

    begun = []
    grant, size = grant_of(clinic), len(clinic.log())
    monkeypatch.setattr(type(clinic.vault.parts.journal), "write", lambda _self, drafts: full(drafts))
    with pytest.raises(StorageError), effects(clinic).intended(grant, "audit.export", None, {}):
        begun.append(True)
    assert begun == []
    assert len(clinic.log()) == size


@pytest.mark.parametrize("raises", [False, True])
def test_an_outcome_that_cannot_be_written_leaves_the_intent_open(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, *, raises: bool
) -> None:
    def full(_self: object, _drafts: object) -> None:
        raise StorageError("no space is left")

    grant = grant_of(clinic)
    with (  # noqa: PT012  # the second write fails, not the first
        pytest.raises(ZeroDivisionError if raises else StorageError),
        effects(clinic).intended(grant, "audit.export", None, {}),
    ):
        monkeypatch.setattr(type(clinic.vault.parts.journal), "write", full)
        if raises:
            raise ZeroDivisionError
    monkeypatch.undo()
    (left,) = effects(clinic).unmatched(CLINIC)
    assert (left.kind, left.principal) == ("audit.export", AUDITOR.id)


def leave_open(clinic: Clinic) -> int:
    """Write an intent and nothing after it, as a crash would."""
    context = effects(clinic).intended(grant_of(clinic), "audit.export", "audit-log", {})
    effect: Effect = context.__enter__()
    clinic.reopen()
    return effect.intent.index


def test_an_open_intent_is_listed_and_closed_by_who_runs_the_vault(clinic: Clinic) -> None:
    index = leave_open(clinic)
    found = effects(clinic).open_intents(AUDITOR, Purpose.AUDIT)
    assert [intent.index for intent in found] == [index]
    assert clinic.last().payload == {"count": 1, "kind": "intents"}
    leaf = effects(clinic).close(ADMINISTRATOR, Purpose.OPERATIONS, index, Outcome.FAILED)
    told = clinic.last()
    assert (told.index, told.event, told.outcome, told.principal) == (
        leaf.index,
        "effect.outcome",
        "failed",
        ADMINISTRATOR.id,
    )
    assert told.payload == {"intent": index, "kind": "audit.export", "reviewed": True}
    assert effects(clinic).unmatched(CLINIC) == ()
    assert clinic.audit().verify().passed


def test_only_an_open_intent_can_be_closed_and_only_by_who_runs_the_vault(clinic: Clinic) -> None:
    index = leave_open(clinic)
    with pytest.raises(DeniedError):
        effects(clinic).close(AUDITOR, Purpose.AUDIT, index, Outcome.OK)
    assert clinic.last().decision == "denied"
    with pytest.raises(DeniedError):
        effects(clinic).open_intents(OWNER, Purpose.TREATMENT)
    with pytest.raises(NotFoundError):
        effects(clinic).close(ADMINISTRATOR, Purpose.OPERATIONS, 0, Outcome.OK)
    with pytest.raises(ConflictError):
        effects(clinic).close(ADMINISTRATOR, Purpose.OPERATIONS, index, Outcome.DENIED)
    assert [intent.index for intent in effects(clinic).unmatched(CLINIC)] == [index]
    effects(clinic).close(ADMINISTRATOR, Purpose.OPERATIONS, index, Outcome.OK)
    with pytest.raises(ConflictError):
        effects(clinic).close(ADMINISTRATOR, Purpose.OPERATIONS, index, Outcome.OK)


def test_an_intent_that_was_altered_is_no_intent_but_an_alarm(clinic: Clinic) -> None:
    index = leave_open(clinic)
    clinic.sql("DROP TRIGGER audit_leaf_erase")
    clinic.sql('UPDATE audit_leaf SET payload = \'{"kind":"nothing"}\' WHERE leaf_index = ?', index)
    with pytest.raises(TamperedError):
        effects(clinic).unmatched(CLINIC)


def test_a_log_without_effects_has_no_open_intent(clinic: Clinic) -> None:
    assert effects(clinic).unmatched(CLINIC) == unmatched_intents([]) == ()
