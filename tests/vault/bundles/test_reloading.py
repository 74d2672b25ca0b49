"""A running vault takes another bundle whole, between calls, or keeps the one in force and says why."""

import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from audit.event import EventType
from audit.signing import SignerKey
from policies.access import AccessPolicy
from policies.bundle import ACCESS_RULES, LOG_RULES, PRIVACY_RULES, RETENTION_RULES, Bundle
from policies.errors import DeniedError, PolicyRefusedError, RequestInvalidError
from policies.model import AccessTier, Action, Purpose, Relation, Request
from policies.rule import parse_rules
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, CLINICIAN, OWNER, Clinic
from tests.simulators.fakes import KeywordDetector, fake_options
from tests.vault.bundles.folders import change, narrow, versioned, widen
from vault.bundles.following import Following
from vault.bundles.source import BundleSource
from vault.errors import ConflictError, NotFoundError, StorageError
from vault.opening import Vault
from vault.privacy.findings import Finding
from vault.storage.group_commit import WriteSet

SYSTEM: Final = "system"
TELLING: Final = "p, team-reads, clinician, private, care-team, *, *, read, treatment, allow\n"


def read(clinic: Clinic) -> None:
    """Ask what a narrow bundle denies and a wide one allows; there is nothing to be found."""
    clinic.mem(CLINICIAN).get("mem_" + "0" * 26)


def told(
    clinic: Clinic, log: str = CLINIC, *, area: str = "policy."
) -> list[tuple[str, str, dict[str, object]]]:
    """Return event, outcome and payload of the entries about policies."""
    return [(one.event, one.outcome, one.payload) for one in clinic.log(log) if one.event.startswith(area)]


def refused(clinic: Clinic) -> tuple[str, str | None, int | None, int | None]:
    """Return why a bundle is refused; the one in force stays, and every log says so without content."""
    parts, size = clinic.vault.parts, len(clinic.log())
    with pytest.raises(PolicyRefusedError) as error:
        clinic.vault.reload_policy()
    assert clinic.vault.parts is parts
    assert len(clinic.log()) == size + 1
    for log in (SYSTEM, CLINIC, BANK):
        event, outcome, payload = told(clinic, log)[-1]
        assert (event, outcome) == ("policy.refuse", "refused")
        assert payload["kind"] == "refused"
        assert payload["reason"] == error.value.code
        assert set(payload) <= {"kind", "reason", "candidate"}
    return error.value.code, error.value.file, error.value.line, error.value.column


def test_the_next_call_is_decided_by_the_new_bundle_and_every_log_says_since_when(
    clinic: Clinic, folder: Path
) -> None:
    before, mine = clinic.vault.parts.policy.digest, clinic.mem(CLINICIAN)
    with pytest.raises(NotFoundError):
        mine.get("mem_" + "0" * 26)
    versioned(narrow(folder), 2)
    done = clinic.vault.reload_policy()
    after = Bundle.read(folder).digest
    assert (done.before, done.digest, done.name, done.version, done.changed) == (
        before,
        after,
        "ours",
        2,
        True,
    )
    with pytest.raises(DeniedError):
        mine.get("mem_" + "0" * 26)  # a view that was made before follows
    for log in (SYSTEM, CLINIC, BANK):
        asked, loaded = told(clinic, log)[-2:]
        assert asked == ("policy.reload", "ok", {"before": before, "candidate": after})
        assert loaded == ("policy.load", "ok", {"bundle": "ours", "version": 2, "before": before})
    assert clinic.audit().verify().passed
    assert clinic.reopen().vault.parts.policy.digest == after


def test_who_asked_stands_in_the_log_under_the_bundle_that_allowed_it(clinic: Clinic, folder: Path) -> None:
    before = clinic.vault.parts.policy.digest
    narrow(folder)
    clinic.vault.reload_policy(ADMINISTRATOR)
    (header,) = clinic.sql(
        "SELECT header FROM audit_leaf WHERE tenant_id = ? AND event = 'policy.reload'", CLINIC
    )
    assert f'"policy":"{before}","principal":"admin-a"' in str(header[0])
    with pytest.raises(DeniedError):
        clinic.vault.reload_policy(OWNER)
    entry = clinic.last()
    assert (entry.event, entry.decision, entry.principal) == ("policy.reload", "denied", OWNER.id)


def test_the_same_files_change_nothing(clinic: Clinic) -> None:
    parts = clinic.vault.parts
    assert not clinic.vault.reload_policy().changed
    assert clinic.vault.parts is parts
    assert [event for event, _, _ in told(clinic)][-1] == "policy.reload"


def test_retention_follows_and_what_lives_long_names_what_is_in_force(clinic: Clinic, folder: Path) -> None:
    lasting, before = clinic.vault.lasting, clinic.vault.parts
    change(folder, RETENTION_RULES, "version: 1", "version: 1\n# Ours.")
    clinic.vault.reload_policy()
    after = clinic.vault.parts
    assert (after.retention, after.retention is before.retention) == (before.retention, False)
    assert lasting.policy.digest == after.policy.digest != before.policy.digest
    assert (lasting.policy.consent, lasting.policy.tells_teams) == (
        after.policy.consent,
        after.policy.tells_teams,
    )
    assert lasting.journal.event(EventType.VAULT_READ, CLINIC, {}).policy == after.policy.digest
    assert after.ruling is before.ruling
    request = Request(OWNER, CLINIC, AccessTier.PRIVATE, Relation.OWNER, Action.READ, Purpose.TREATMENT)
    with pytest.raises(RequestInvalidError, match="one call"):
        lasting.policy.decide(request)


@pytest.mark.parametrize(
    ("spoil", "code", "file"),
    [
        (lambda folder: (folder / ACCESS_RULES).write_text("p, g, h\n"), "rule-malformed", ACCESS_RULES),
        (lambda folder: (folder / ACCESS_RULES).write_bytes(b""), "rules-none", ACCESS_RULES),
        (lambda folder: (folder / ACCESS_RULES).write_bytes(b"x" * 300_000), "file-too-large", ACCESS_RULES),
        (lambda folder: (folder / "extra.yaml").write_text(""), "file-unknown", "extra.yaml"),
        (lambda folder: (folder / LOG_RULES).unlink(), "file-missing", LOG_RULES),
        (shutil.rmtree, "invalid", None),
        (lambda folder: (folder / "bundle.yaml").write_text("name: a\n"), "bundle-invalid", "bundle.yaml"),
        (lambda folder: change(folder, PRIVACY_RULES, "max_characters: ", "max_characters: 9"), "restart-privacy", PRIVACY_RULES),
        (lambda folder: change(folder, LOG_RULES, "anchor: optional", "anchor: required"), "restart-log", LOG_RULES),
    ],
)  # fmt: skip
def test_what_cannot_be_used_or_needs_an_opening_is_refused(
    clinic: Clinic, folder: Path, spoil: Callable[[Path], object], code: str, file: str | None
) -> None:
    spoil(folder)
    assert refused(clinic)[:2] == (code, file)
    with pytest.raises(NotFoundError):
        read(clinic)


def test_a_pipe_in_a_files_place_makes_nobody_wait(clinic: Clinic, folder: Path) -> None:
    (folder / RETENTION_RULES).unlink()
    os.mkfifo(folder / RETENTION_RULES)
    assert refused(clinic)[:2] == ("file-missing", RETENTION_RULES)


def test_consent_and_care_teams_need_an_opening_since_calls_under_way_search_by_them(
    clinic: Clinic, folder: Path
) -> None:
    text = (folder / PRIVACY_RULES).read_text("utf-8")
    (folder / PRIVACY_RULES).write_text(text + "\nconsent: [research]\n", "utf-8")
    assert refused(clinic)[0] == "restart-scopes"
    (folder / PRIVACY_RULES).write_text(text, "utf-8")
    parts = clinic.vault.parts
    telling = AccessPolicy(parse_rules(TELLING, ACCESS_RULES), parts.bundle.digest)
    assert telling.tells_teams is not parts.policy.tells_teams
    clinic.vault.parts = replace(parts, policy=telling)
    versioned(folder, 2)
    assert refused(clinic)[:2] == ("restart-scopes", ACCESS_RULES)


def test_a_signature_is_asked_for_at_each_reload(clinic: Clinic, folder: Path) -> None:
    key = SignerKey("ward-1/policies", b"1" * 32)
    clinic.close()
    from vault.bundles.signatures import SIGNATURE, sign_bundle  # noqa: PLC0415  # beside its use

    (folder / SIGNATURE).write_bytes(sign_bundle(Bundle.read(folder), key))
    clinic.reopen(replace(clinic.options, policies=BundleSource(folder, (key.verifier,))))
    versioned(folder, 2)
    assert refused(clinic) == ("signature-other", SIGNATURE, 3, 1)
    (folder / SIGNATURE).unlink()
    assert refused(clinic) == ("signature-missing", SIGNATURE, 1, 1)
    (folder / SIGNATURE).write_bytes(sign_bundle(Bundle.read(folder), key))
    assert clinic.vault.reload_policy().version == 2


def test_a_vault_without_a_folder_takes_no_other(clinic: Clinic) -> None:
    clinic.reopen(fake_options())
    with pytest.raises(ConflictError, match="without a policy folder"):
        clinic.vault.reload_policy()
    assert not clinic.vault.policy_differs


def test_what_cannot_be_told_is_not_done(
    clinic: Clinic, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, store = clinic.vault.parts, clinic.vault.parts.store
    submit = store.submit

    def full(work: WriteSet) -> object:
        if any(draft.event is EventType.POLICY_RELOAD for draft in work.drafts):
            raise StorageError("no space is left")
        return submit(work)

    versioned(folder, 2)
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "submit", lambda _self, work: full(work))
        with pytest.raises(StorageError):
            clinic.vault.reload_policy()
    assert clinic.vault.parts is parts
    assert clinic.vault.reload_policy().version == 2


class SlowDetector(KeywordDetector):
    """Finds as its parent does; holds one text until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def detect(self, text: str) -> list[Finding]:
        if "slow" in text:
            self.begun.set()
            assert self.go_on.wait(30)
        return list(super().detect(text))


def test_a_call_that_has_begun_ends_under_the_bundle_that_it_began_under(
    template: Path, folder: Path, tmp_path: Path
) -> None:
    slow = SlowDetector()
    options = replace(fake_options(), policies=BundleSource(folder), detector=lambda _: slow)
    clinic = Clinic(template, tmp_path / "slow", options)
    before = clinic.vault.parts.policy.digest
    writing = threading.Thread(target=lambda: clinic.mem(OWNER).extract("slow note", subject="anna"))
    writing.start()
    try:
        assert slow.begun.wait(30)
        versioned(folder, 2)
        clinic.vault.reload_policy()  # waits for nobody
    finally:
        slow.go_on.set()
        writing.join(30)
    (header,) = clinic.sql(
        "SELECT header FROM audit_leaf WHERE tenant_id = ? AND event = 'memory.write'", CLINIC
    )
    assert f'"policy":"{before}"' in str(header[0])
    assert clinic.audit().verify().passed
    clinic.close()


def test_no_decision_mixes_bundles_while_they_change(clinic: Clinic, folder: Path) -> None:
    wide = clinic.vault.parts.policy.digest
    ending, failures = threading.Event(), list[BaseException]()
    shared = clinic.mem(CLINICIAN)
    (memory,) = clinic.mem(OWNER).extract("the knee hurts", subject="anna").memory_ids

    def ask() -> None:
        while not ending.is_set():
            try:
                shared.get(memory)
            except DeniedError:
                continue
            except BaseException as error:  # noqa: BLE001  # the test's thread raises it
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    try:
        for change_ in (narrow, widen) * 4:
            change_(folder)
            clinic.vault.reload_policy()
    finally:
        ending.set()
        for one in threads:
            one.join(30)
    assert not failures
    narrowed = AccessPolicy.load(Bundle.read(narrow(folder))).digest
    found = clinic.sql("SELECT header FROM audit_leaf WHERE tenant_id = ? AND event = 'memory.read'", CLINIC)
    seen = {(f'"policy":"{wide}"' in str(row[0]), '"decision":"allowed"' in str(row[0])) for row in found}
    assert seen == {(True, True), (False, False)}, "each answer is that of the bundle that its entry names"
    assert all(wide in str(row[0]) or narrowed in str(row[0]) for row in found)
    assert clinic.audit().verify().passed


def test_something_made_of_parts_is_made_anew_once_for_each(clinic: Clinic) -> None:
    count = iter(range(9))
    following = Following(lambda: clinic.vault.parts, lambda _: next(count))
    assert [following.now(), following.now()] == [0, 0]
    clinic.vault.parts = replace(clinic.vault.parts)
    assert [following.now(), following.now()] == [1, 1]


def test_a_trial_goes_on_beside_the_new_bundle(clinic: Clinic, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "candidate")
    candidate = Bundle.read(narrow(tmp_path / "candidate"))
    clinic.reopen(replace(clinic.options, candidate=candidate))
    with pytest.raises(NotFoundError):
        read(clinic)
    versioned(folder, 2)
    clinic.vault.reload_policy()
    with pytest.raises(NotFoundError):
        read(clinic)
    clinic.reopen(replace(clinic.options, candidate=None))
    kinds = [payload["kind"] for event, _, payload in told(clinic) if event == "policy.shadow"]
    assert kinds == ["began", "differs", "ended", "began", "differs", "ended"]


def test_a_bundle_that_is_read_in_the_midst_of_its_writing_is_not_used(
    clinic: Clinic, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, count = Bundle.raw, iter(range(9))

    def written_meanwhile(place: Path) -> dict[str, bytes]:
        found = raw(place)
        versioned(folder, 2 + next(count))
        return found

    monkeypatch.setattr(Bundle, "raw", staticmethod(written_meanwhile))
    assert refused(clinic) == ("changing", None, None, None)


class Trap:
    """A probe that kills its process at one step, once it is set."""

    step = ""

    def __call__(self, step: str) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def reload_and_die(path: Path, folder: Path, step: str, tell: Tell) -> None:
    trap = Trap()
    options = replace(fake_options(probe=trap), policies=BundleSource(folder))
    with Vault.open(path, options=options) as vault:
        narrow(folder)
        trap.step = step
        vault.reload_policy()
        tell(done=True)


@pytest.mark.parametrize("step", ["logged", "committed", "policy-told", "policy-swapped"])
def test_a_kill_between_entry_and_swap_leaves_a_vault_that_opens_under_what_lies_there(
    clinic: Clinic, folder: Path, step: str
) -> None:
    clinic.close()
    before = Bundle.read(folder).digest
    assert run_child(partial(reload_and_die, clinic.path, folder, step)).killed
    clinic.reopen()
    assert clinic.vault.parts.policy.digest == Bundle.read(folder).digest != before
    loads = [one for one in told(clinic) if one[0] == "policy.load" and "before" in one[2]]
    assert len(loads) == (step != "logged")
    with pytest.raises(DeniedError):
        read(clinic)
    assert clinic.audit().verify().passed
