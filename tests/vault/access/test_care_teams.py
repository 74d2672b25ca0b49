"""Care teams: who is on one is nearer, at once and nowhere else, and no candidate shows it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import true

from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, Bundle
from policies.errors import DeniedError, RequestInvalidError
from policies.model import AccessTier, Action, Principal, Purpose, Relation, Role
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    CLINICIAN,
    MEMBER,
    OFFICER,
    OWNER,
    STRANGER,
    Clinic,
    person,
)
from tests.simulators.fakes import FrozenClock, fake_options
from vault.care_teams import CareTeams
from vault.erasure import Erasures
from vault.errors import ConflictError, IdentifierInvalidError, NotFoundError
from vault.grant import EVERY_MEMORY, authorise
from vault.memos import MemOS
from vault.storage.care_rows import teams
from vault.storage.found import _statement

WARD = person("dr-b", Role.CLINICIAN)
BOTH_TEAMS = person("dr-c", Role.CLINICIAN)
OPEN_RULE = "p, clinician-treats, clinician, private|institutional|public, *,"
TEAM_RULE = "p, clinician-treats, clinician, private|institutional|public, care-team,"


def bundle_with(old: str, new: str, file: str = ACCESS_RULES) -> Bundle:
    files = dict(Bundle.read().files)
    text = files[file].decode()
    assert old in text
    files[file] = text.replace(old, new).encode()
    return Bundle(files)


@pytest.fixture
def ward(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault whose clinicians see only what is about those whose care team they are on."""
    options = fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)))
    made = Clinic(template, tmp_path / "ward", replace(options, bundle=bundle_with(OPEN_RULE, TEAM_RULE)))
    yield made
    made.close()


def care(clinic: Clinic) -> CareTeams:
    return CareTeams(clinic.vault.parts)


def write(clinic: Clinic, text: str, *subjects: str, tier: AccessTier = AccessTier.PRIVATE) -> str:
    who = OWNER if tier is AccessTier.PRIVATE else MEMBER
    memory = clinic.mem(who)
    (one,) = memory.extract(text, subject=subjects, access_tier=tier).memory_ids
    return one


def found(memory: MemOS, query: str = "knee") -> set[str]:
    return {hit.memory.id for hit in memory.retrieve(query, k=50).hits}


def test_who_joins_finds_and_reads_at_once_and_who_leaves_does_not(ward: Clinic) -> None:
    annas, bobs = write(ward, "the knee of anna", "anna"), write(ward, "the knee of bob", "bob")
    ward.vault.wait(20)
    doctor = ward.mem(CLINICIAN)
    assert found(doctor) == set()
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    assert found(doctor) == {annas}
    assert (doctor.get(annas).id, doctor.reveal(annas).id) == (annas, annas)
    assert [hit.memory.revealed for hit in doctor.retrieve("knee", reveal=True).hits] == [True]
    with pytest.raises(NotFoundError):
        doctor.get(bobs)
    later = write(ward, "the other knee of anna", "anna")
    assert found(doctor) == {annas, later}
    assert found(ward.mem(WARD)) == set(), "who is on no team"
    ward.reopen()
    assert found(ward.mem(CLINICIAN)) == {annas, later}
    care(ward).leave(ADMINISTRATOR, "anna", CLINICIAN.id)
    doctor = ward.mem(CLINICIAN)
    assert found(doctor) == set()
    for call in (doctor.get, doctor.reveal):
        with pytest.raises(NotFoundError):
            call(annas)
    assert ward.count("care_team") == 0
    changes = [one for one in ward.log() if one.event == "care-team.change"]
    assert [(one.payload["step"], one.payload["principal"]) for one in changes] == [
        ("joined", CLINICIAN.id), ("left", CLINICIAN.id),
    ]  # fmt: skip
    assert ward.audit().verify().passed


def test_of_a_memory_about_several_only_who_is_on_the_team_of_each_is_on_the_team(ward: Clinic) -> None:
    joint = write(ward, "their knee", "anna", "bob")
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    care(ward).join(ADMINISTRATOR, "bob", WARD.id)
    for name in ("anna", "bob"):
        care(ward).join(ADMINISTRATOR, name, BOTH_TEAMS.id)
    for one in (CLINICIAN, WARD):
        assert found(ward.mem(one)) == set()
        with pytest.raises(NotFoundError):
            ward.mem(one).get(joint)
    assert found(ward.mem(BOTH_TEAMS)) == {joint}
    assert ward.mem(BOTH_TEAMS).get(joint).provenance.title == ""


def test_an_answer_is_to_the_last_figure_that_of_a_vault_without_what_is_out_of_reach(
    template: Path, tmp_path: Path
) -> None:
    """Nothing hints: not the scores, which count rarities, and not the number of hits."""
    answers = []
    for nth, more in enumerate((True, False)):
        options = replace(
            fake_options(clock=FrozenClock(step=timedelta(milliseconds=10))),
            bundle=bundle_with(OPEN_RULE, TEAM_RULE),
        )
        clinic = Clinic(template, tmp_path / str(nth), options)
        try:
            write(clinic, "anna's knee is well", "anna")
            if more:
                write(clinic, "the knee hurts", "bob")
                write(clinic, "knee knee knee of the ward", "eve", tier=AccessTier.INSTITUTIONAL)
            care(clinic).join(ADMINISTRATOR, "anna", CLINICIAN.id)
            clinic.vault.wait(20)
            hits = clinic.mem(CLINICIAN).retrieve("knee well", k=20).hits
            answers.append([(hit.memory.text, round(hit.score, 3)) for hit in hits])
        finally:
            clinic.close()
    assert answers[0] == answers[1]
    assert len(answers[0]) == 1


def test_a_rule_for_the_rest_of_the_institution_does_not_reach_the_team(
    template: Path, tmp_path: Path
) -> None:
    others = bundle_with(OPEN_RULE, TEAM_RULE.replace("care-team", "institution"))
    clinic = Clinic(template, tmp_path / "v", replace(fake_options(), bundle=others))
    try:
        one = write(clinic, "the knee", "anna")
        assert found(clinic.mem(CLINICIAN)) == {one}
        care(clinic).join(ADMINISTRATOR, "anna", CLINICIAN.id)
        assert found(clinic.mem(CLINICIAN)) == set()
        with pytest.raises(NotFoundError):
            clinic.mem(CLINICIAN).get(one)
    finally:
        clinic.close()


def test_the_statements_alone_hold_the_wall_where_the_index_has_a_hole(
    ward: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(ward, "the knee", "anna")
    monkeypatch.setattr("vault.indexes._opens", lambda *_: True)
    assert found(ward.mem(CLINICIAN)) == set()
    with pytest.raises(NotFoundError):
        ward.mem(CLINICIAN).get(one)


def test_the_index_alone_holds_the_wall_where_the_statements_have_a_hole(
    ward: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ward, "the knee", "anna")
    monkeypatch.setattr("vault.storage.found.within", lambda *_: true())
    _statement.cache_clear()
    try:
        assert found(ward.mem(CLINICIAN)) == set()
    finally:
        _statement.cache_clear()


def test_who_is_on_the_team_updates_where_a_rule_says_so(template: Path, tmp_path: Path) -> None:
    updating = bundle_with(
        f"{OPEN_RULE} *, *, read|search|reveal,", f"{TEAM_RULE} *, *, read|search|reveal|update,"
    )
    clinic = Clinic(template, tmp_path / "v", replace(fake_options(), bundle=updating))
    try:
        one = write(clinic, "the knee", "anna")
        with pytest.raises(NotFoundError):
            clinic.mem(CLINICIAN).update(one, "the other knee")
        care(clinic).join(ADMINISTRATOR, "anna", CLINICIAN.id)
        clinic.mem(CLINICIAN).update(one, "the other knee")
        assert clinic.mem(OWNER).get(one).text == "the other knee"
        assert clinic.audit().verify().passed
    finally:
        clinic.close()


def test_without_rows_that_say_whom_it_is_about_a_memory_is_nobody_s_team_s(ward: Clinic) -> None:
    one = write(ward, "the knee", "anna")
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    ward.sql("DELETE FROM memory_subject WHERE memory_id = ?", one)
    with pytest.raises(NotFoundError):
        ward.mem(CLINICIAN).get(one)


def test_owner_and_team_exclude_each_other(ward: Clinic) -> None:
    own = person("agent-1", Role.OWNER_AGENT, Role.CLINICIAN)
    one = write(ward, "the knee", "anna")
    care(ward).join(ADMINISTRATOR, "anna", own.id)
    assert ward.mem(own).get(one).id == one, "as the owner"
    policy = ward.vault.parts.policy
    grant = authorise(policy, CLINICIAN, Action.SEARCH, Purpose.TREATMENT, over=EVERY_MEMORY)
    assert {relation for _, relation in grant.reach} == {Relation.CARE_TEAM}
    assert grant.covers(AccessTier.PRIVATE, OWNER.id, (CLINICIAN.id,))
    assert not grant.covers(AccessTier.PRIVATE, CLINICIAN.id, (CLINICIAN.id,))


def test_who_may_not_change_teams_changes_none(ward: Clinic) -> None:
    for who in (OWNER, CLINICIAN, MEMBER, OFFICER):
        with pytest.raises(DeniedError):
            care(ward).join(who, "anna", CLINICIAN.id)
        assert (ward.last().event, ward.last().decision) == ("care-team.change", "denied")
    with pytest.raises(DeniedError):
        care(ward).join(ADMINISTRATOR, "anna", ADMINISTRATOR.id)
    assert ward.last().decision == "denied"
    for member in ("", "Maria Keller", "x@y.z"):
        with pytest.raises(RequestInvalidError):
            care(ward).join(ADMINISTRATOR, "anna", member)
    with pytest.raises(IdentifierInvalidError):
        care(ward).join(ADMINISTRATOR, "Self:agent-1", CLINICIAN.id)
    assert ward.count("care_team") == 0


def test_what_stands_already_or_does_not_is_refused_and_told(ward: Clinic) -> None:
    with pytest.raises(ConflictError):
        care(ward).leave(ADMINISTRATOR, "anna", CLINICIAN.id)
    assert ward.last().outcome == "refused"
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    with pytest.raises(ConflictError):
        care(ward).join(ADMINISTRATOR, "ANNA", CLINICIAN.id)
    assert list(care(ward).team(ADMINISTRATOR, "anna")) == [CLINICIAN.id]
    assert (ward.last().event, ward.last().payload["kind"]) == ("vault.read", "care-team")


def test_a_team_is_of_one_tenant(ward: Clinic) -> None:
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    with ward.vault.parts.store.log_connection("bank") as connection:
        assert teams(connection, "bank") == {}
    there = Principal(CLINICIAN.id, "bank", CLINICIAN.roles)
    theirs = ward.mem(STRANGER).extract("the knee", subject="anna").memory_ids
    assert found(ward.mem(there)) == set()
    assert found(ward.mem(STRANGER)) == set(theirs)


def test_an_erasure_takes_the_team_too(ward: Clinic) -> None:
    write(ward, "the knee", "anna")
    care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    erasures = Erasures(ward.vault.parts)
    plan = erasures.plan(OFFICER, "anna")
    assert plan.counts["care-team"] == 1
    erasures.erase(OFFICER, "anna", plan.digest)
    assert ward.count("care_team") == 0


def test_a_change_that_the_index_cannot_follow_makes_it_stale_and_the_next_search_builds_it_anew(
    ward: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(ward, "the knee", "anna")
    with monkeypatch.context() as broken:
        broken.setattr("vault.rebuilding.reread", lambda *_: 1 / 0)
        care(ward).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    assert ward.vault.parts.indexes.is_stale(CLINIC)
    assert found(ward.mem(CLINICIAN)) == {one}


def test_where_no_rule_tells_a_team_from_the_rest_the_index_has_no_scopes_for_teams(clinic: Clinic) -> None:
    write(clinic, "the knee", "anna")
    care(clinic).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    assert not clinic.vault.parts.policy.tells_teams
    assert {scope.team for scope in clinic.vault.parts.indexes._state(CLINIC).scopes} == {()}
    assert len(found(clinic.mem(CLINICIAN))) == 1


def test_rules_that_come_into_force_and_tell_teams_have_the_index_built_anew(clinic: Clinic) -> None:
    annas = write(clinic, "the knee", "anna")
    write(clinic, "bob's knee", "bob")
    care(clinic).join(ADMINISTRATOR, "anna", CLINICIAN.id)
    telling = AccessPolicy.load(bundle_with(OPEN_RULE, TEAM_RULE))
    clinic.vault.parts = replace(clinic.vault.parts, policy=telling)
    assert found(clinic.mem(CLINICIAN)) == {annas}
    scopes = clinic.vault.parts.indexes._state(CLINIC).scopes
    assert {scope.team for scope in scopes} == {(), (CLINICIAN.id,)}
