"""Breaking the glass: declared, told, over in time, and judged by somebody else."""

import json
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from policies.bundle import PRIVACY_RULES, Bundle
from policies.errors import DeniedError, RequestInvalidError
from policies.model import Assurance, Principal, Purpose, Role
from tests.simulators.clinic import CLINIC, MEMBER, OFFICER, OWNER, SECOND_OFFICER, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.deadlines import Deadlines
from vault.emergencies import Emergencies, end_what_is_over
from vault.emergency_terms import Declared, Declaring, EmergencyReason, EmergencyVerdict
from vault.errors import ConflictError, IdentifierInvalidError, InputInvalidError, NotFoundError
from vault.ids import IdKind, new_id
from vault.memos import MemOS
from vault.notices import FolderNotifier, Notice

NURSE = Principal("nurse-1", CLINIC, frozenset({Role.MEMBER}), Assurance.MFA)
OTHER_NURSE = Principal("nurse-2", CLINIC, frozenset({Role.MEMBER}), Assurance.MFA)
WHY = Declaring(EmergencyReason.UNRESPONSIVE, "case-17", 30)


def glass(clinic: Clinic) -> Emergencies:
    return Emergencies(clinic.vault.parts)


def under(clinic: Clinic, declared: Declared, who: Principal = NURSE) -> MemOS:
    return MemOS(clinic.vault, principal=who, purpose=Purpose.TREATMENT, emergency=declared.emergency_id)


def written(clinic: Clinic) -> str:
    (one,) = clinic.mem(OWNER).extract("Maria Keller is allergic to penicillin", subject="anna").memory_ids
    return one


def clock_of(clinic: Clinic) -> FrozenClock:
    clock = clinic.options.clock
    assert isinstance(clock, FrozenClock)
    return clock


def test_whoever_breaks_the_glass_reads_and_each_entry_names_the_emergency(clinic: Clinic) -> None:
    memory = written(clinic)
    with pytest.raises(NotFoundError):
        clinic.mem(NURSE).get(memory)
    declared = glass(clinic).declare(NURSE, WHY)
    inside = under(clinic, declared)
    assert "Maria" not in inside.get(memory).text
    assert "Maria Keller" in inside.reveal(memory).text
    assert [hit.memory.id for hit in inside.retrieve("penicillin", reveal=True).hits] == [memory]
    done = [entry for entry in clinic.log() if entry.principal == NURSE.id and entry.decision == "allowed"]
    assert [entry.event for entry in done] == [
        "emergency.start", "memory.read", "memory.reveal", "memory.search", "memory.reveal",
    ]  # fmt: skip
    assert {entry.payload["emergency"] for entry in done} == {declared.emergency_id}
    assert done[0].payload | {"until": 0} == {
        "emergency": declared.emergency_id, "reason": "unresponsive", "case": "case-17", "until": 0,
    }  # fmt: skip
    with pytest.raises(NotFoundError):
        clinic.mem(NURSE).get(memory)
    assert clinic.audit().verify().passed


def test_only_who_declared_it_is_under_it_and_only_for_its_purpose(clinic: Clinic) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    for who, purpose in ((OTHER_NURSE, Purpose.TREATMENT), (NURSE, Purpose.RESEARCH)):
        with pytest.raises(DeniedError):
            MemOS(clinic.vault, principal=who, purpose=purpose, emergency=declared.emergency_id).get(memory)
        assert clinic.last().decision == "denied"
        assert clinic.last().payload == {"emergency": declared.emergency_id}
    stranger = Principal(NURSE.id, "bank", NURSE.roles, NURSE.assurance)
    with pytest.raises(DeniedError):
        under(clinic, declared, stranger).get(memory)


def test_one_factor_is_not_enough_to_break_the_glass_nor_to_use_what_another_factor_broke(
    clinic: Clinic,
) -> None:
    memory = written(clinic)
    with pytest.raises(DeniedError):
        glass(clinic).declare(MEMBER, WHY)
    assert (clinic.last().event, clinic.last().decision) == ("emergency.start", "denied")
    assert clinic.count("emergency") == 0
    declared = glass(clinic).declare(NURSE, WHY)
    with pytest.raises(NotFoundError):
        under(clinic, declared, replace(NURSE, assurance=Assurance.SINGLE)).get(memory)


def test_an_emergency_that_is_unknown_or_malformed_opens_nothing(clinic: Clinic) -> None:
    memory = written(clinic)
    unknown = new_id(IdKind.EMERGENCY, clinic.options.clock(), clinic.options.entropy)
    with pytest.raises(DeniedError):
        MemOS(clinic.vault, principal=NURSE, purpose=Purpose.TREATMENT, emergency=unknown).get(memory)
    for bad in ("", "emg_x", "' OR 1=1 --", memory, "emg_" + "é" * 26):
        with pytest.raises(IdentifierInvalidError):
            MemOS(clinic.vault, principal=NURSE, purpose=Purpose.TREATMENT, emergency=bad).retrieve("x")


def test_it_is_over_when_its_time_is_up_although_nobody_ended_it(clinic: Clinic) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    clock_of(clinic).now = declared.until
    with pytest.raises(DeniedError):
        under(clinic, declared).get(memory)
    assert end_what_is_over(clinic.vault.parts, [CLINIC]) == 1
    end = clinic.last()
    assert (end.event, end.principal, end.payload) == (
        "emergency.stop", "memvault", {"emergency": declared.emergency_id, "reason": "time-is-up"},
    )  # fmt: skip
    assert clinic.sql("SELECT stopped_by FROM emergency") == [("memvault",)]
    assert end_what_is_over(clinic.vault.parts, [CLINIC]) == 0, "once"


def test_the_end_is_written_at_the_next_opening(clinic: Clinic) -> None:
    declared = glass(clinic).declare(NURSE, WHY)
    clinic.vault.close()
    clock_of(clinic).now = declared.until + timedelta(days=1)
    clinic.reopen()
    assert clinic.count("emergency", "stopped IS NOT NULL") == 1
    assert [entry.event for entry in clinic.log()].count("emergency.stop") == 1


@pytest.mark.parametrize("back", [timedelta(minutes=15), timedelta(days=2)])
def test_a_clock_that_is_set_back_after_the_end_revives_nothing(clinic: Clinic, back: timedelta) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    clock_of(clinic).now = declared.until + timedelta(seconds=1)
    clinic.mem(OWNER).get(memory)  # the log knows how late it was
    clock_of(clinic).now = declared.until - back
    with pytest.raises(DeniedError):
        under(clinic, declared).get(memory)
    assert clinic.last().decision == "denied"


def test_seconds_of_the_process_end_it_where_the_clock_stands_still(clinic: Clinic) -> None:
    memory, seconds = written(clinic), [0.0]
    parts = clinic.vault.parts
    clinic.vault.parts = replace(parts, deadlines=Deadlines(lambda: seconds[0]))
    declared = glass(clinic).declare(NURSE, WHY)
    seconds[0] = 30 * 60 - 1
    assert under(clinic, declared).get(memory).id == memory
    seconds[0] = 30 * 60 + 1
    with pytest.raises(DeniedError):
        under(clinic, declared).get(memory)


def test_ending_it_is_an_entry_and_it_ends_once(clinic: Clinic) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    with pytest.raises(DeniedError):
        glass(clinic).end(OTHER_NURSE, declared.emergency_id)
    assert clinic.count("emergency", "stopped IS NULL") == 1
    glass(clinic).end(NURSE, declared.emergency_id)
    assert (clinic.last().event, clinic.last().principal) == ("emergency.stop", NURSE.id)
    for again in (
        lambda: glass(clinic).end(NURSE, declared.emergency_id),
        lambda: under(clinic, declared).get(memory),
    ):
        with pytest.raises(DeniedError):
            again()
    assert clinic.sql("SELECT stopped_by FROM emergency") == [(NURSE.id,)]


def test_one_at_a_time(clinic: Clinic) -> None:
    glass(clinic).declare(NURSE, WHY)
    with pytest.raises(ConflictError):
        glass(clinic).declare(NURSE, WHY)
    assert (clinic.last().event, clinic.last().outcome) == ("emergency.start", "refused")
    assert clinic.count("emergency") == 1
    glass(clinic).declare(OTHER_NURSE, WHY)


def test_an_officer_ends_it_and_judges_it(clinic: Clinic) -> None:
    declared = glass(clinic).declare(NURSE, WHY)
    emergency = declared.emergency_id
    with pytest.raises(ConflictError):
        glass(clinic).judge(OFFICER, emergency, EmergencyVerdict.JUSTIFIED)
    glass(clinic).revoke(OFFICER, emergency)
    with pytest.raises(ConflictError):
        glass(clinic).revoke(OFFICER, emergency)
    glass(clinic).judge(OFFICER, emergency, EmergencyVerdict.UNJUSTIFIED)
    assert (clinic.last().event, clinic.last().payload["verdict"]) == ("emergency.review", "unjustified")
    with pytest.raises(ConflictError):
        glass(clinic).judge(SECOND_OFFICER, emergency, EmergencyVerdict.JUSTIFIED)
    (found,) = glass(clinic).register(OFFICER)
    assert (found.verdict, found.reviewed_by, found.stopped_by) == (
        EmergencyVerdict.UNJUSTIFIED, OFFICER.id, OFFICER.id,
    )  # fmt: skip
    assert found.stopped is not None
    assert found.review_due == found.stopped + timedelta(days=3)
    assert clinic.audit().verify().passed


def test_nobody_judges_an_emergency_of_their_own(clinic: Clinic) -> None:
    both = Principal("both-1", CLINIC, frozenset({Role.MEMBER, Role.PRIVACY_OFFICER}), Assurance.MFA)
    declared = glass(clinic).declare(both, WHY)
    glass(clinic).end(both, declared.emergency_id)
    with pytest.raises(DeniedError):
        glass(clinic).judge(both, declared.emergency_id, EmergencyVerdict.JUSTIFIED)
    assert (clinic.last().event, clinic.last().decision) == ("emergency.review", "denied")
    with pytest.raises(sqlite3.IntegrityError, match="judged by another"):
        clinic.sql("UPDATE emergency SET reviewed = 1, reviewed_by = principal_id, verdict = 'justified'")
    assert clinic.count("emergency", "reviewed IS NULL") == 1


def test_who_is_no_officer_sees_no_register(clinic: Clinic) -> None:
    declared = glass(clinic).declare(NURSE, WHY)
    for call in (
        lambda: glass(clinic).register(NURSE),
        lambda: glass(clinic).revoke(OTHER_NURSE, declared.emergency_id),
        lambda: glass(clinic).judge(OWNER, declared.emergency_id, EmergencyVerdict.JUSTIFIED),
    ):
        with pytest.raises(DeniedError):
            call()
        assert clinic.last().decision == "denied"
    unknown = new_id(IdKind.EMERGENCY, clinic.options.clock(), clinic.options.entropy)
    with pytest.raises(NotFoundError):
        glass(clinic).revoke(OFFICER, unknown)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM emergency",
        "UPDATE emergency SET until = until + 1",
        "UPDATE emergency SET principal_id = 'x'",
        "UPDATE emergency SET stopped = NULL",
        "INSERT OR REPLACE INTO emergency SELECT * FROM emergency",
    ],
)
def test_the_database_itself_forgets_and_prolongs_no_emergency(clinic: Clinic, change: str) -> None:
    declared = glass(clinic).declare(NURSE, WHY)
    glass(clinic).end(NURSE, declared.emergency_id)
    before = clinic.sql("SELECT * FROM emergency")
    with pytest.raises(sqlite3.IntegrityError, match="vault: emergencies"):
        clinic.sql(change)
    assert clinic.sql("SELECT * FROM emergency") == before


def test_the_officers_are_told_at_once_and_again_where_it_could_not_be_delivered(
    clinic: Clinic, tmp_path: Path
) -> None:
    folder = tmp_path / "notices"
    options = replace(fake_options(clock=clinic.options.clock), notifier=FolderNotifier(folder))
    clinic.reopen(options)
    declared = glass(clinic).declare(NURSE, WHY)
    assert clinic.count("emergency", "noticed IS NULL") == 1, "in force although nobody could be told"
    folder.mkdir()
    end_what_is_over(clinic.vault.parts, [CLINIC])
    (file,) = folder.iterdir()
    told = json.loads(file.read_text())
    assert (file.name, told["principal"], told["case"]) == (
        f"{declared.emergency_id}.json", NURSE.id, "case-17",
    )  # fmt: skip
    assert datetime.fromisoformat(told["until"]) == declared.until
    assert clinic.count("emergency", "noticed IS NOT NULL") == 1
    file.unlink()
    end_what_is_over(clinic.vault.parts, [CLINIC])
    assert not list(folder.iterdir()), "once"


def test_a_notifier_that_is_told_at_once_needs_no_sweep(clinic: Clinic) -> None:
    told: list[Notice] = []

    class Pager:
        def notify(self, notice: Notice) -> None:
            told.append(notice)

    clinic.reopen(replace(fake_options(clock=clinic.options.clock), notifier=Pager()))
    declared = glass(clinic).declare(NURSE, WHY)
    assert [(one.emergency, one.reason) for one in told] == [(declared.emergency_id, "unresponsive")]


def test_what_is_declared_has_bounds(clinic: Clinic) -> None:
    for minutes in (0, -1, 481, True):
        with pytest.raises(InputInvalidError):
            Declaring(EmergencyReason.OTHER, "case-1", minutes)
    for case in ("", "Maria Keller", "a@b.c", "case-12345678", "x" * 65):
        with pytest.raises(RequestInvalidError):
            Declaring(EmergencyReason.OTHER, case, 5)
    with pytest.raises(InputInvalidError):
        Declaring("because I want to", "case-1", 5)  # type: ignore[arg-type]  # a caller without types
    assert clinic.count("emergency") == 0


def bounded(clinic: Clinic, minutes: str) -> Clinic:
    """Open the clinic under rules that bound emergencies."""
    privacy = (
        Bundle.read()
        .text(PRIVACY_RULES)
        .replace("version: 1", f"version: 1\nemergency_minutes: {minutes}", 1)
    )
    bundle = Bundle({**Bundle.read().files, PRIVACY_RULES: privacy.encode()})
    return clinic.reopen(replace(clinic.options, bundle=bundle))


def test_an_emergency_lasts_no_longer_than_the_bundle_lets_a_role(clinic: Clinic) -> None:
    bounded(clinic, "{institution-member: 20}")
    with pytest.raises(InputInvalidError, match="at most 20 minutes"):
        glass(clinic).declare(NURSE, WHY)
    assert clinic.count("emergency") == 0
    assert (clinic.log()[-1].event, clinic.log()[-1].outcome) == ("emergency.start", "refused")
    shorter = glass(clinic).declare(NURSE, replace(WHY, minutes=20))
    assert shorter.until - shorter.started == timedelta(minutes=20)


def test_a_role_that_the_bundle_gives_no_minutes_declares_no_emergency_whatever_the_rules_allow(
    clinic: Clinic,
) -> None:
    bounded(clinic, "{clinician: 60}")
    with pytest.raises(InputInvalidError, match="at most 0 minutes"):
        glass(clinic).declare(NURSE, replace(WHY, minutes=1))
    assert clinic.count("emergency") == 0
    both = replace(NURSE, roles=frozenset({Role.MEMBER, Role.CLINICIAN}))
    assert glass(clinic).declare(both, replace(WHY, minutes=60)).stopped is None


def test_an_emergency_outlives_a_reopening_within_its_time(clinic: Clinic) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    clinic.reopen()
    assert under(clinic, declared).get(memory).id == memory


def test_a_row_that_the_log_does_not_tell_of_opens_nothing(clinic: Clinic) -> None:
    memory = written(clinic)
    declared = glass(clinic).declare(NURSE, WHY)
    planted = new_id(IdKind.EMERGENCY, clinic.options.clock(), clinic.options.entropy)
    columns = "reason, case_id, purpose, started, until, leaf_index"
    clinic.sql(
        f"INSERT INTO emergency (tenant_id, emergency_id, principal_id, {columns})"  # noqa: S608  # fixed names
        f" SELECT tenant_id, ?, ?, {columns} FROM emergency",
        planted,
        OTHER_NURSE.id,
    )
    with pytest.raises(DeniedError):
        MemOS(clinic.vault, principal=OTHER_NURSE, purpose=Purpose.TREATMENT, emergency=planted).get(memory)
    clinic.sql("DROP TRIGGER emergency_fixed")
    clinic.sql("UPDATE emergency SET until = until + 60000000000")
    with pytest.raises(DeniedError):
        under(clinic, declared).get(memory)
