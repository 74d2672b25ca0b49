"""Restriction and objection: kept, and used for nothing, or not for a purpose; and nothing hints at it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import true

from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    CLINICIAN,
    OFFICER,
    OTHER_OWNER,
    OWNER,
    Clinic,
    make_template,
)
from vault.erasure import Erasures
from vault.errors import ConflictError, IdentifierInvalidError, InputInvalidError, NotFoundError
from vault.memos import MemOS
from vault.model import Answer, Chat, Turn
from vault.restrictions import Restrictions
from vault.storage.restricting import RestrictionKind


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault of its own."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()


def restrictions(clinic: Clinic) -> Restrictions:
    return Restrictions(clinic.vault.parts)


def write(clinic: Clinic, *texts: str, subject: str | tuple[str, ...] = "anna") -> tuple[str, ...]:
    said = Chat(tuple(Turn("Maria Keller", text) for text in texts))
    return clinic.mem(OWNER).extract(said, subject=subject).memory_ids


def found(memory: MemOS, query: str = "knee", subject: str | None = None) -> set[str]:
    return {hit.memory.id for hit in memory.retrieve(query, k=50, subject=subject).hits}


def shape(answer: Answer) -> list[tuple[str, float, dict[str, float]]]:
    """All that an answer tells, but its receipt; vectors are kept in half precision."""
    return [
        (hit.memory.text, round(hit.score, 3), {sign: round(part, 3) for sign, part in hit.why.items()})
        for hit in answer.hits
    ]


def test_nothing_of_a_restricted_person_is_found_read_revealed_updated_or_organized(clinic: Clinic) -> None:
    (mine,) = write(clinic, "the knee hurts")
    (joint,) = write(clinic, "the knee of both hurts", subject=("anna", "bob"))
    (bobs,) = write(clinic, "bob's knee is well", subject="bob")
    restrictions(clinic).restrict(OFFICER, "anna")
    (later,) = write(clinic, "the knee hurts again")
    owner, clinician = clinic.mem(OWNER), clinic.mem(CLINICIAN)
    for memory in (owner, clinician):
        assert found(memory) == {bobs}
        assert found(memory, subject="anna") == set()
    for one in (mine, joint, later):
        calls: list[Callable[[], object]] = [
            lambda one=one: owner.get(one),  # type: ignore[misc]  # bound now
            lambda one=one: owner.reveal(one),  # type: ignore[misc]
            lambda one=one: owner.update(one, "better"),  # type: ignore[misc]
        ]
        for call in calls:
            with pytest.raises(NotFoundError):
                call()
            assert clinic.last().decision == "denied"
    assert owner.organize(subject="anna").examined == 0
    assert clinic.state()["memory"] == 4, "it is kept"


def test_lifting_restores_all_and_after_a_reopening_it_is_as_before(clinic: Clinic) -> None:
    written = set(write(clinic, "the knee hurts", "the other knee, too"))
    clinic.vault.wait(20)
    before = shape(clinic.mem(OWNER).retrieve("knee"))
    restrictions(clinic).restrict(OFFICER, "anna")
    clinic.reopen()
    assert found(clinic.mem(OWNER)) == set()
    restrictions(clinic).lift(OFFICER, "anna")
    assert found(clinic.mem(OWNER)) == written
    assert shape(clinic.mem(OWNER).retrieve("knee")) == before
    assert clinic.count("restriction") == 0


def test_an_answer_is_to_the_last_figure_that_of_a_vault_without_the_restricted_person(
    template: Path, tmp_path: Path
) -> None:
    """Nothing hints: not the scores, which count rarities, and not the number of hits."""
    answers = []
    for nth, known in enumerate((True, False)):
        clinic = Clinic(template, tmp_path / str(nth))
        try:
            write(clinic, "bob's knee is well", "the lake was cold", subject="bob")
            if known:
                write(clinic, "the knee hurts", "knee knee knee", "the cold knee")
                restrictions(clinic).restrict(OFFICER, "anna")
            clinic.vault.wait(20)
            answers.append(
                [
                    shape(clinic.mem(who).retrieve(query, k=20))
                    for who in (OWNER, CLINICIAN)
                    for query in ("knee", "cold lake", "anna")
                ]
            )
        finally:
            clinic.close()
    assert answers[0] == answers[1]


def test_a_query_about_a_restricted_person_shows_the_tokens_of_nobody(clinic: Clinic) -> None:
    write(clinic, "Anna Schmidt has a knee")
    before = clinic.mem(OWNER).retrieve("Anna Schmidt", subject="anna").masked_query
    restrictions(clinic).restrict(OFFICER, "anna")
    after = clinic.mem(OWNER).retrieve("Anna Schmidt", subject="anna").masked_query
    unknown = clinic.mem(OWNER).retrieve("Anna Schmidt", subject="nobody here").masked_query
    assert before != after == unknown


def test_an_objection_bars_one_purpose_and_no_other(clinic: Clinic) -> None:
    (mine,) = write(clinic, "the knee hurts")
    restrictions(clinic).object_to(OFFICER, "anna", Purpose.RESEARCH)
    assert found(clinic.mem(OWNER)) == {mine}
    research = clinic.mem(OWNER, Purpose.RESEARCH)
    assert found(research) == set()
    with pytest.raises(NotFoundError):
        research.get(mine)
    restrictions(clinic).object_to(OFFICER, "anna", Purpose.SERVICE)
    assert found(clinic.mem(OWNER, Purpose.SERVICE)) == set()
    restrictions(clinic).lift(OFFICER, "anna", Purpose.RESEARCH)
    assert found(research) == {mine}
    assert found(clinic.mem(OWNER, Purpose.SERVICE)) == set()


def test_for_legal_claims_what_is_restricted_is_used_still_and_the_officer_corrects_it(
    clinic: Clinic,
) -> None:
    (mine,) = write(clinic, "the knee hurts")
    restrictions(clinic).restrict(OFFICER, "anna")
    legal = clinic.mem(OWNER, Purpose.LEGAL)
    assert found(legal) == {mine}
    assert legal.get(mine).text == "the knee hurts"
    clinic.mem(OFFICER, Purpose.LEGAL).update(mine, "the left knee hurts")
    assert legal.get(mine).text == "the left knee hurts"
    assert found(clinic.mem(OWNER)) == set(), "its new version is restricted, too"


def test_a_restricted_person_is_erased_and_the_restriction_goes_with_them(clinic: Clinic) -> None:
    write(clinic, "the knee hurts")
    restrictions(clinic).restrict(OFFICER, "anna")
    erasures = Erasures(clinic.vault.parts)
    erasures.erase(OFFICER, "anna", erasures.plan(OFFICER, "anna").digest)
    assert (clinic.state()["memory"], clinic.count("restriction")) == (0, 0)


def test_what_stands_is_told_to_the_officer_and_each_step_is_an_entry(clinic: Clinic) -> None:
    made = restrictions(clinic)
    made.restrict(OFFICER, "anna")
    assert clinic.last().event == "subject.restrict"
    assert clinic.last().payload["step"] == "set"
    made.object_to(OFFICER, "anna", Purpose.RESEARCH)
    assert clinic.last().payload["purposes"] == ["research"]
    stands = made.standing(OFFICER, "anna")
    assert [(one.kind, one.purpose) for one in stands] == [
        (RestrictionKind.RESTRICTION, None),
        (RestrictionKind.OBJECTION, Purpose.RESEARCH),
    ]
    assert clinic.last().event == "vault.read"
    made.lift(OFFICER, "anna")
    assert clinic.last().payload["step"] == "lifted"
    assert len(made.standing(OFFICER, "anna")) == 1
    text = str(clinic.sql("SELECT header, payload FROM audit_leaf"))
    assert "anna" not in text


def test_what_stands_already_or_does_not_is_refused_and_logged(clinic: Clinic) -> None:
    made = restrictions(clinic)
    with pytest.raises(ConflictError):
        made.lift(OFFICER, "anna")
    assert clinic.last().outcome == "refused"
    made.restrict(OFFICER, "anna")
    with pytest.raises(ConflictError):
        made.restrict(OFFICER, "anna")
    assert clinic.last().outcome == "refused"
    with pytest.raises(InputInvalidError):
        made.object_to(OFFICER, "anna", Purpose.LEGAL)
    with pytest.raises(IdentifierInvalidError):
        made.restrict(OFFICER, "")
    assert clinic.count("restriction") == 1


@pytest.mark.parametrize("who", [OWNER, CLINICIAN, ADMINISTRATOR])
def test_nobody_but_a_privacy_officer_restricts_or_looks(clinic: Clinic, who: Principal) -> None:
    made = restrictions(clinic)
    calls: list[Callable[[], object]] = [
        lambda: made.restrict(who, "anna"),
        lambda: made.object_to(who, "anna", Purpose.RESEARCH),
        lambda: made.lift(who, "anna"),
        lambda: made.standing(who, "anna"),
    ]
    for call in calls:
        with pytest.raises(DeniedError):
            call()
        assert clinic.last().decision == "denied"
    assert clinic.count("restriction") == 0


def test_a_restriction_at_one_tenant_bars_nothing_at_another(clinic: Clinic) -> None:
    (mine,) = write(clinic, "the knee hurts")
    subject = clinic.vault.parts.sealers.subject_ids(CLINIC, ["anna"])[0]
    clinic.sql("INSERT INTO restriction VALUES ('bank', ?, 'restriction', '', 1, 0)", subject)
    clinic.reopen()
    assert found(clinic.mem(OWNER)) == {mine}


# -- walls, each removed in turn ---------------------------------------------------------------------------------


def test_without_the_condition_in_the_statements_the_index_still_finds_nothing_but_an_id_would_be_read(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine,) = write(clinic, "the knee hurts")
    restrictions(clinic).restrict(OFFICER, "anna")
    for module in ("found", "read_unit"):
        monkeypatch.setattr(f"vault.storage.{module}.usable", lambda *_, **__: true())
    _forget_statements()
    try:
        assert found(clinic.mem(OWNER)) == set()
        assert clinic.mem(OWNER).get(mine).id == mine, "so the tests above can fail"
    finally:
        monkeypatch.undo()
        _forget_statements()


def test_without_the_index_the_statements_still_return_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(clinic, "the knee hurts")
    monkeypatch.setattr("vault.openness.barred", lambda *_: {})
    restrictions(clinic).restrict(OFFICER, "anna")
    assert found(clinic.mem(OWNER)) == set()
    assert found(clinic.mem(OTHER_OWNER)) == set()


def _forget_statements() -> None:
    from vault.storage import found as of_answers  # noqa: PLC0415  # its caches alone
    from vault.storage import read_unit  # noqa: PLC0415

    for cached in (of_answers._statement, read_unit._memories_within, read_unit._about_within):
        cached.cache_clear()
