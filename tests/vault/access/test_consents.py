"""Consent: for the purposes that need it, nothing of anybody who did not say yes is used, counted or hinted at."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from policies.bundle import PRIVACY_RULES, Bundle
from policies.errors import DeniedError, PolicyInvalidError
from policies.model import Purpose
from policies.privacy import parse_privacy_rules
from tests.simulators.clinic import ADMINISTRATOR, CLINICIAN, OFFICER, OWNER, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.consents import Consents
from vault.disclosure import DisclosureTerms
from vault.disclosure_json import json_pieces
from vault.errors import ConflictError, IdentifierInvalidError, NotFoundError
from vault.memos import MemOS
from vault.restrictions import Restrictions
from vault.subject_rights import SubjectRights


def needing(*purposes: Purpose) -> Bundle:
    files = dict(Bundle.read().files)
    line = f"consent: [{', '.join(purposes)}]\n".encode()
    files[PRIVACY_RULES] += line
    return Bundle(files)


@pytest.fixture
def study(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault in which research needs consent."""
    options = fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)))
    made = Clinic(template, tmp_path / "study", replace(options, bundle=needing(Purpose.RESEARCH)))
    yield made
    made.close()


def consents(clinic: Clinic) -> Consents:
    return Consents(clinic.vault.parts)


def write(clinic: Clinic, text: str, *subjects: str) -> str:
    (one,) = clinic.mem(OWNER).extract(text, subject=subjects).memory_ids
    return one


def found(memory: MemOS, query: str = "knee") -> set[str]:
    return {hit.memory.id for hit in memory.retrieve(query, k=50).hits}


def test_without_consent_nothing_is_found_or_read_for_that_purpose_and_all_for_others(
    study: Clinic,
) -> None:
    annas, bobs = write(study, "anna's knee", "anna"), write(study, "bob's knee", "bob")
    joint = write(study, "their knee", "anna", "bob")
    research = study.mem(OWNER, Purpose.RESEARCH)
    assert found(research) == set()
    assert found(study.mem(OWNER)) == {annas, bobs, joint}
    with pytest.raises(NotFoundError):
        research.get(annas)
    consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    assert found(research) == {annas}, "the joint one needs both"
    assert research.get(annas).id == annas
    for closed in (bobs, joint):
        with pytest.raises(NotFoundError):
            research.get(closed)
    consents(study).give(OFFICER, "bob", Purpose.RESEARCH)
    assert found(research) == {annas, bobs, joint}
    study.reopen()
    assert found(study.mem(OWNER, Purpose.RESEARCH)) == {annas, bobs, joint}


def test_a_consent_that_is_taken_back_ends_at_once_and_holds_for_what_is_written_later(
    study: Clinic,
) -> None:
    annas = write(study, "anna's knee", "anna")
    consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    later = write(study, "anna's other knee", "anna")
    research = study.mem(OWNER, Purpose.RESEARCH)
    assert found(research) == {annas, later}
    consents(study).withdraw(OFFICER, "anna", Purpose.RESEARCH)
    last = write(study, "anna's knees", "anna")
    assert found(research) == set()
    for one in (annas, later, last):
        with pytest.raises(NotFoundError):
            research.get(one)
        assert study.mem(OWNER).get(one).id == one
    steps = [one.payload["step"] for one in study.log() if one.event == "subject.consent"]
    assert steps == ["given", "withdrawn"]
    assert study.audit().verify().passed


def test_a_consent_opens_nothing_that_a_restriction_or_the_rules_close(study: Clinic) -> None:
    write(study, "anna's knee", "anna")
    consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    Restrictions(study.vault.parts).restrict(OFFICER, "anna")
    assert found(study.mem(OWNER, Purpose.RESEARCH)) == set()
    with pytest.raises(DeniedError):
        study.mem(CLINICIAN, Purpose.RESEARCH).retrieve("knee")


def test_without_the_statements_the_index_holds_and_the_other_way_round(
    study: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(study, "anna's knee", "anna")
    monkeypatch.setattr("vault.indexes._opens", lambda *_: True)
    assert found(study.mem(OWNER, Purpose.RESEARCH)) == set(), "by the statements"
    monkeypatch.undo()
    state = study.vault.parts.indexes._state("clinic")
    assert {scope.barred for scope in state.scopes} == {("research",)}
    study.sql("DELETE FROM memory_subject WHERE memory_id = ?", one)
    with pytest.raises(NotFoundError):
        study.mem(OWNER, Purpose.RESEARCH).get(one)


def test_who_may_not_and_what_stands_already_changes_nothing(study: Clinic) -> None:
    for who in (OWNER, CLINICIAN, ADMINISTRATOR):
        with pytest.raises(DeniedError):
            consents(study).give(who, "anna", Purpose.RESEARCH)
        assert (study.last().event, study.last().decision) == ("subject.consent", "denied")
    with pytest.raises(ConflictError):
        consents(study).withdraw(OFFICER, "anna", Purpose.RESEARCH)
    assert study.last().outcome == "refused"
    with pytest.raises(IdentifierInvalidError):
        consents(study).give(OFFICER, "", Purpose.RESEARCH)
    consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    with pytest.raises(ConflictError):
        consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    assert list(consents(study).given(OFFICER, "Anna")) == [Purpose.RESEARCH]
    assert study.count("consent") == 1


def test_the_shipped_rules_need_no_consent_and_screening_does_not_depend_on_it(clinic: Clinic) -> None:
    assert clinic.vault.parts.policy.consent == frozenset()
    shipped = Bundle.read().text(PRIVACY_RULES)
    with_consent = parse_privacy_rules(shipped + "consent: [research, service]\n")
    assert with_consent.consent == (Purpose.RESEARCH, Purpose.SERVICE)
    assert with_consent.digest == parse_privacy_rules(shipped).digest


@pytest.mark.parametrize("bad", ["[marketing]", "research", "[research, research]", "[1]", "{research: yes}"])
def test_what_is_no_list_of_purposes_is_refused(bad: str) -> None:
    with pytest.raises(PolicyInvalidError, match="consent"):
        parse_privacy_rules(Bundle.read().text(PRIVACY_RULES) + f"consent: {bad}\n")


def test_a_person_is_told_what_they_consented_to(study: Clinic) -> None:
    write(study, "anna's knee", "anna")
    consents(study).give(OFFICER, "anna", Purpose.RESEARCH)
    rights = SubjectRights(study.vault.parts)
    with rights.disclosing(OFFICER, "anna", DisclosureTerms(readers=False)) as told:
        told_as_json = json.loads("".join(json_pieces(told)))
        assert [one["purpose"] for one in told_as_json["consents"]] == ["research"]
        assert told_as_json["counts"]["consents"] == 1
