"""A candidate bundle decides beside the active one: the log says where both differ, and nobody's answer changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.event import EntryDraft, EventType, Verdict
from audit.log import Leaf
from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, Bundle
from policies.errors import DeniedError, PolicyInvalidError
from policies.model import AccessTier, Action, Decision, Principal, Purpose, Relation, Request
from tests.simulators.clinic import AUDITOR, CLINIC, CLINICIAN, MEMBER, Clinic
from tests.simulators.fakes import fake_options
from vault import shadow
from vault.decision_log import DecisionLog
from vault.errors import StorageError
from vault.journal import Journal
from vault.log_stream import checked
from vault.shadow import MAX_DIFFERENCES, Trial, under_trial

ACTIVE = Bundle.read()


def candidate(more: str = "", *, without: str = "") -> Bundle:
    lines = ACTIVE.text(ACCESS_RULES).splitlines()
    kept = [line for line in lines if not (without and line.startswith(f"p, {without},"))]
    assert len(kept) == len(lines) - bool(without)
    return Bundle({**ACTIVE.files, ACCESS_RULES: "\n".join([*kept, more, ""]).encode()})


NARROWER = candidate(without="clinician-treats")


def told(clinic: Clinic) -> list[tuple[str | None, dict[str, Any]]]:
    """Return purpose and payload of every entry of a trial."""
    parts = clinic.vault.parts
    with parts.store.log_connection(CLINIC) as connection:
        size = parts.log.head(connection, CLINIC).size
        found = list(parts.log.entries(connection, CLINIC, 0, size))
    read = [checked(one, one.index, CLINIC) for one in found]
    return [
        (header.purpose, dict(payload or {}))
        for header, payload in read
        if header.event is EventType.POLICY_SHADOW
    ]


def reading(who: Principal = CLINICIAN) -> Request:
    return Request(who, CLINIC, AccessTier.PRIVATE, Relation.CARE_TEAM, Action.READ, Purpose.TREATMENT)


def on_trial(clinic: Clinic, bundle: Bundle = NARROWER) -> Clinic:
    return clinic.reopen(replace(clinic.options, candidate=bundle))


def test_a_trial_changes_no_answer_and_tells_whom_it_would_have_refused(clinic: Clinic) -> None:
    on_trial(clinic)
    for _ in range(3):
        assert clinic.mem(CLINICIAN).retrieve("a knee").hits == ()
    clinic.reopen(replace(clinic.options, candidate=None))
    (_, began), (purpose, differs), (_, ended) = told(clinic)
    assert began == {"kind": "began", "candidate": NARROWER.digest}
    assert ended == {"kind": "ended", "candidate": NARROWER.digest, "count": 0}
    assert purpose == "treatment"
    assert differs == {
        "kind": "differs",
        "candidate": NARROWER.digest,
        "principal": "dr-a",
        "asked": "clinician:single:none:search:memories:1ff",
        "count": 3,
    }


def test_what_a_candidate_would_allow_stays_denied(clinic: Clinic) -> None:
    wider = candidate("p, member-treats, institution-member, private, *, *, *, search, audit, allow")
    on_trial(clinic, wider)
    with pytest.raises(DeniedError):
        clinic.mem(MEMBER, Purpose.AUDIT).retrieve("a knee")
    clinic.reopen(replace(clinic.options, candidate=None))
    assert [one["asked"].rpartition(":")[2] for _, one in told(clinic) if one["kind"] == "differs"] == ["0"]


def test_a_trial_under_the_same_rules_tells_its_begin_and_end_alone(clinic: Clinic) -> None:
    on_trial(clinic, ACTIVE)
    clinic.mem(CLINICIAN).retrieve("a knee")
    clinic.reopen(replace(clinic.options, candidate=None))
    assert [one["kind"] for _, one in told(clinic)] == ["began", "ended"]


def test_entries_of_a_trial_are_no_decisions_that_a_replay_would_count(clinic: Clinic) -> None:
    on_trial(clinic)
    clinic.mem(CLINICIAN).retrieve("a knee")
    clinic.reopen(replace(clinic.options, candidate=None))
    found = list(DecisionLog(clinic.vault.parts).read(AUDITOR, Purpose.AUDIT))
    assert [(one.principal, one.asked) for one in found] == [
        ("dr-a", "clinician:single:none:search:memories:1ff:clinician-treats")
    ]


def test_a_candidate_that_is_no_bundle_begins_no_trial(template: Path, tmp_path: Path) -> None:
    broken = candidate("p, x, doctor, private, *, *, *, read, treatment, allow")
    with pytest.raises(PolicyInvalidError):
        Clinic(template, tmp_path / "vault", replace(fake_options(), candidate=broken))
    clinic = Clinic(template, tmp_path / "again")
    assert told(clinic) == []
    clinic.close()


class _Breaks:
    """A candidate that breaks in the middle of a trial."""

    digest = NARROWER.digest

    def decide(self, _request: Request) -> Decision:
        raise PolicyInvalidError("a candidate that breaks")


def test_a_candidate_that_breaks_fails_no_call_and_is_counted() -> None:
    trial = Trial(AccessPolicy.load(ACTIVE), _Breaks())  # type: ignore[arg-type]  # for the test
    assert trial.decide(reading()).allowed
    assert (trial.untold(), trial.untold()) == (1, 0)


def test_differences_are_counted_up_to_a_bound_and_the_rest_as_untold(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_DIFFERENCES == 10_000
    monkeypatch.setattr(shadow, "MAX_DIFFERENCES", 2)
    trial = under_trial(AccessPolicy.load(ACTIVE), NARROWER)
    assert isinstance(trial, Trial)
    for name in ("dr-a", "dr-b", "dr-c", "dr-a"):
        assert trial.decide(reading(replace(CLINICIAN, id=name))).allowed
    drafts = trial.drafts(clinic.vault.parts.journal)
    assert [(draft.payload["principal"], draft.payload["count"]) for draft in drafts] == [
        ("dr-a", 2),
        ("dr-b", 1),
    ]
    assert {draft.decision for draft in drafts} == {Verdict.ALLOWED}
    assert trial.untold() == 1
    assert trial.drafts(clinic.vault.parts.journal) == []


def test_a_trial_that_cannot_be_told_of_lets_the_vault_close(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_trial(clinic)
    clinic.mem(CLINICIAN).retrieve("a knee")
    write = Journal.write

    def full(self: Journal, drafts: list[EntryDraft]) -> list[Leaf]:
        if any(draft.event is EventType.POLICY_SHADOW for draft in drafts):
            raise StorageError("full")
        return write(self, drafts)

    monkeypatch.setattr(Journal, "write", full)
    clinic.vault.close()
    monkeypatch.undo()
    clinic.reopen(replace(clinic.options, candidate=None))
    assert [one["kind"] for _, one in told(clinic)] == ["began"]


def test_what_decides_without_a_candidate_is_the_policy_itself() -> None:
    active = AccessPolicy.load(ACTIVE)
    assert under_trial(active, None) is active
