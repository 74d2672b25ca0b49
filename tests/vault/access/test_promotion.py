"""Promotion: one step wider, after a look at the content; and nothing readable of anybody becomes public."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from policies.bundle import PRIVACY_RULES, Bundle
from policies.errors import DeniedError
from policies.model import AccessTier, Purpose
from policies.privacy import EntityType
from tests.simulators.clinic import CLINIC, CLINICIAN, MEMBER, OFFICER, OTHER_OWNER, OWNER, SERVICE, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import ConflictError, InputInvalidError, NotFoundError, ScreeningRefusedError
from vault.model import Chat, Document, SourceKind, Turn
from vault.rescan import Rescan

INSTITUTIONAL, PUBLIC = AccessTier.INSTITUTIONAL, AccessTier.PUBLIC
NAMED = "Maria Keller wrote to maria@example.com about her knee"


@pytest.fixture
def lenient(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault whose rules let e-mail addresses stand readable."""
    files = dict(Bundle.read().files)
    old = b"EMAIL:          {action: tokenize"
    assert old in files[PRIVACY_RULES]
    files[PRIVACY_RULES] = files[PRIVACY_RULES].replace(old, b"EMAIL:          {action: allow   ")
    options = fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)))
    made = Clinic(template, tmp_path / "lenient", replace(options, bundle=Bundle(files)))
    yield made
    made.close()


def write(clinic: Clinic, text: str) -> str:
    said = Chat((Turn("Anna Schmidt", text, ref="D1:1"),), title="Visit of Maria Keller", tags=("Keller",))
    (one,) = clinic.mem(OWNER).extract(said, subject="maria").memory_ids
    return one


def share(clinic: Clinic, memory: str) -> None:
    clinic.mem(OWNER).promote(memory, INSTITUTIONAL)


def publish(clinic: Clinic, memory: str) -> None:
    clinic.mem(OFFICER, Purpose.LEGAL).promote(memory, PUBLIC)


def rows(clinic: Clinic, memory: str) -> list[tuple[object, ...]]:
    asked = "SELECT version, access_tier, is_current FROM memory WHERE memory_id = ? ORDER BY version"
    return clinic.sql(asked, memory)


def test_what_an_owner_shares_is_found_by_the_institution_with_tokens_of_its_own(clinic: Clinic) -> None:
    memory = write(clinic, NAMED)
    before = clinic.mem(OWNER).get(memory)
    with pytest.raises(NotFoundError):
        clinic.mem(MEMBER).get(memory)
    receipt = clinic.mem(OWNER).promote(memory, INSTITUTIONAL, expected_version=1)
    seen = clinic.mem(MEMBER).get(memory)
    assert (seen.version, seen.access_tier, seen.provenance.title, seen.tags) == (2, INSTITUTIONAL, "", ())
    assert "Maria" not in seen.text
    assert "maria@" not in seen.text
    assert seen.text != before.text, "a private token is no name for strangers"
    assert clinic.mem(CLINICIAN).reveal(memory).text == NAMED
    assert [hit.memory.id for hit in clinic.mem(OTHER_OWNER).retrieve("knee").hits] == [memory]
    entry = next(one for one in reversed(clinic.log()) if one.event == "memory.promote")
    assert (entry.index, entry.payload["access_tier"]) == (receipt.leaf_index, "institutional")
    assert rows(clinic, memory) == [(1, "private", 0), (2, "institutional", 1)]
    clinic.reopen()
    assert clinic.mem(MEMBER).get(memory).text == seen.text
    assert clinic.audit().verify().passed


def test_what_is_published_has_neither_originals_nor_tokens(clinic: Clinic) -> None:
    memory = write(clinic, NAMED)
    share(clinic, memory)
    publish(clinic, memory)
    seen = clinic.mem(MEMBER).get(memory)
    assert seen.access_tier is PUBLIC
    assert seen.text == "[PERSON] wrote to [EMAIL] about her knee"
    assert seen.provenance.speaker == "[PERSON]"
    revealed = clinic.mem(CLINICIAN).reveal(memory)
    assert revealed.text == seen.text
    assert rows(clinic, memory)[-1] == (3, "public", 1)
    clinic.vault.wait(20)
    assert [hit.memory.id for hit in clinic.mem(OTHER_OWNER).retrieve("knee").hits] == [memory]
    assert clinic.audit().verify().passed


def test_personal_data_that_the_rules_let_stand_does_not_become_public(lenient: Clinic) -> None:
    memory = write(lenient, NAMED)
    share(lenient, memory)
    assert "maria@example.com" in lenient.mem(MEMBER).get(memory).text
    with pytest.raises(ScreeningRefusedError, match="EMAIL"):
        publish(lenient, memory)
    assert (lenient.last().event, lenient.last().outcome) == ("memory.promote", "refused")
    assert rows(lenient, memory)[-1] == (2, "institutional", 1)
    assert lenient.count("memory", "access_tier = 'public'") == 0


def test_a_direct_write_and_an_update_pass_the_same_check(lenient: Clinic) -> None:
    job = lenient.mem(SERVICE, Purpose.OPERATIONS)
    mail = "write to maria@example.com"
    for source in (
        Document(mail),
        Document("all is well", title=mail),
        Document("all is well", tags=(mail,)),
        Document("all is well", metadata={"to": mail}),
        Document("all is well", SourceKind.TEXT, name=mail),
        Chat((Turn("user", "all is well", ref=mail),)),
    ):
        with pytest.raises(ScreeningRefusedError):
            job.extract(source, access_tier=PUBLIC)
        assert lenient.last().outcome == "refused"
    assert lenient.count("memory") == 0
    (written,) = job.extract("ask Maria Keller about the hours", access_tier=PUBLIC).memory_ids
    assert lenient.mem(MEMBER).get(written).text == "ask [PERSON] about the hours"
    with pytest.raises(ScreeningRefusedError):
        job.update(written, mail)
    job.update(written, "ask Anna Schmidt about the hours")
    assert lenient.mem(CLINICIAN).reveal(written).text == "ask [PERSON] about the hours"
    assert lenient.audit().verify().passed


def test_only_one_step_at_a_time_and_none_back(clinic: Clinic) -> None:
    memory = write(clinic, "the knee is well")
    with pytest.raises(NotFoundError):
        publish(clinic, memory)
    assert (clinic.last().event, clinic.last().decision) == ("memory.promote", "denied")
    with pytest.raises(InputInvalidError):
        clinic.mem(OWNER).promote(memory, AccessTier.PRIVATE)
    share(clinic, memory)
    with pytest.raises(NotFoundError):
        share(clinic, memory)
    assert rows(clinic, memory) == [(1, "private", 0), (2, "institutional", 1)]


def test_who_may_not_promote_opens_nothing(clinic: Clinic) -> None:
    memory = write(clinic, "the knee is well")
    for who, error in ((OTHER_OWNER, NotFoundError), (MEMBER, DeniedError), (CLINICIAN, DeniedError)):
        with pytest.raises(error):
            clinic.mem(who).promote(memory, INSTITUTIONAL)
        assert clinic.last().decision == "denied"
    share(clinic, memory)
    with pytest.raises(DeniedError):
        clinic.mem(OWNER).promote(memory, PUBLIC)
    assert rows(clinic, memory)[-1] == (2, "institutional", 1)


def test_a_version_that_is_not_the_expected_one_stays(clinic: Clinic) -> None:
    memory = write(clinic, "the knee is well")
    with pytest.raises(ConflictError):
        clinic.mem(OWNER).promote(memory, INSTITUTIONAL, expected_version=2)
    assert (clinic.last().event, clinic.last().outcome) == ("memory.promote", "refused")
    assert rows(clinic, memory) == [(1, "private", 1)]


def test_a_change_meanwhile_ends_a_promotion_without_a_trace_in_the_rows(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = write(clinic, "the knee is well")
    sealing = clinic.vault.parts.sealers.of_row

    def slowly(*given: object) -> object:
        monkeypatch.undo()
        clinic.mem(OWNER).update(memory, "the knee is not well")
        return sealing(*given)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(clinic.vault.parts.sealers, "of_row", slowly)
    with pytest.raises(ConflictError):
        share(clinic, memory)
    assert rows(clinic, memory) == [(1, "private", 0), (2, "private", 1)]
    with pytest.raises(NotFoundError):
        clinic.mem(MEMBER).get(memory)


def test_a_row_that_cannot_be_opened_is_told_and_not_promoted(clinic: Clinic) -> None:
    memory = write(clinic, "the knee is well")
    clinic.sql("UPDATE memory SET trust = 'x' WHERE memory_id = ?", memory)
    with pytest.raises(Exception, match="not of the form"):
        share(clinic, memory)
    assert (clinic.last().outcome, clinic.last().payload["unreadable"]) == ("failed", [memory])


def test_what_a_newer_gate_masks_in_public_leaves_no_original(clinic: Clinic) -> None:
    blind = dict.fromkeys((EntityType.SSN, EntityType.SECRET), "never")
    clinic.reopen(fake_options(clock=clinic.options.clock, patterns=blind))
    job = clinic.mem(SERVICE, Purpose.OPERATIONS)
    (written,) = job.extract("ask Maria Keller about the hours", access_tier=PUBLIC).memory_ids
    assert "Maria" in clinic.mem(MEMBER).get(written).text
    clinic.reopen(fake_options(clock=clinic.options.clock))
    clinic.sql("UPDATE memory SET detector = 'older'")
    assert Rescan(clinic.vault.parts).run(CLINIC).masked == 1
    for one in (clinic.mem(MEMBER).get(written), clinic.mem(CLINICIAN).reveal(written)):
        assert one.text == "ask [PERSON] about the hours"
