"""Rolling the log key of a vault over: every checkpoint verifies, every crash can be taken up."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.canonical import parse_canonical
from audit.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from audit.errors import VerificationError
from audit.event import EventType
from audit.key_file import load_key_file, replace_key_file
from audit.log import Leaf
from audit.note import parse_note
from audit.signing import SignerKey, VerifierKey, follow_handovers, read_handover, sign_handover
from audit.succession import Succession
from audit.trust import Trust
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from tests.simulators.fakes import fake_options
from vault import log_keys
from vault.errors import ConflictError, KeyFileUnsafeError
from vault.log_keys import KeyRolled, LogKeyRollover, RollStep
from vault.memos import MemOS
from vault.opening import Vault

pytestmark = pytest.mark.filterwarnings("ignore::vault.opening.LocalRootWarning")
OPERATOR = Principal("operator-1", "clinic", frozenset({Role.ADMINISTRATOR}))
AUDITOR = Principal("auditor-1", "clinic", frozenset({Role.AUDITOR}))
LOGS = ("clinic", "bank", "system")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of a vault with two tenants."""
    with Vault.create(tmp_path / "vault", tenant="clinic", options=fake_options()) as made:
        made.add_tenant("bank")
    return tmp_path / "vault"


@pytest.fixture
def vault(place: Path) -> Iterator[Vault]:
    """The same, open."""
    with Vault.open(place, options=fake_options()) as opened:
        yield opened


def rollover(vault: Vault, place: Path) -> LogKeyRollover:
    return LogKeyRollover(vault.parts, place / "log.key")


def roll(vault: Vault, place: Path, step: RollStep) -> KeyRolled:
    rolling = rollover(vault, place)
    return (rolling.start if step is RollStep.START else rolling.finish)(OPERATOR, Purpose.OPERATIONS)


def last_note(vault: Vault, log: str) -> bytes:
    with vault.parts.store.log_connection(log) as connection:
        return vault.parts.log.checkpoints(connection, log)[-1]


def key_entries(vault: Vault, log: str) -> list[dict[str, object]]:
    with vault.parts.store.log_connection(log) as connection:
        entries = vault.parts.log.entries(connection, log)
        payloads = [entry.payload or "" for entry in entries if entry.event == EventType.LOG_KEY]
    return [dict(parse_canonical(payload)) for payload in payloads]  # type: ignore[arg-type]  # objects


def signs(vault: Vault, log: str, key: str) -> bool:
    try:
        verify_checkpoint(last_note(vault, log), VerifierKey.parse(key).for_log(log))
    except VerificationError:
        return False
    return True


def verify(vault: Vault) -> bool:
    return MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT).verify().passed


def test_both_keys_sign_from_start_to_finish_and_the_new_one_alone_after_it(place: Path) -> None:
    with Vault.open(place, options=fake_options()) as vault:
        started = roll(vault, place, RollStep.START)
        assert started.logs == 3
        for log in LOGS:
            assert len(parse_note(last_note(vault, log)).signatures) == 2
            assert signs(vault, log, started.old)
            assert signs(vault, log, started.new)
        assert verify(vault)
    with Vault.open(place, options=fake_options()) as vault:
        assert str(vault.parts.verifier_key) == started.old
        finished = roll(vault, place, RollStep.FINISH)
        assert (finished.old, finished.new) == (started.old, started.new)
        for log in LOGS:
            assert signs(vault, log, started.old)
            assert signs(vault, log, started.new)
    with Vault.open(place, options=fake_options()) as vault:
        assert str(vault.parts.verifier_key) == started.new
        for log in LOGS:
            assert not signs(vault, log, started.old)
            assert signs(vault, log, started.new)
        assert verify(vault), "old checkpoints are checked with the old key"
        keys = load_key_file(place / "log.key")
        assert keys.following is None
        assert [str(key) for key in keys.verifiers] == [started.new, started.old]


def test_who_trusts_the_old_key_finds_the_new_one_in_any_log(vault: Vault, place: Path) -> None:
    first = roll(vault, place, RollStep.START)
    roll(vault, place, RollStep.FINISH)
    second = roll(vault, place, RollStep.START)
    for log in LOGS:
        entries = key_entries(vault, log)
        assert [entry["step"] for entry in entries] == ["start", "finish", "start"]
        notes = [str(entry["handover"]).encode() for entry in entries]
        trusted = follow_handovers([VerifierKey.parse(first.old)], notes)
        assert [str(key) for key in trusted] == [first.old, first.new, second.new]
    assert second.old == first.new


def test_the_entries_name_who_did_it_only_where_the_caller_is_known(vault: Vault, place: Path) -> None:
    roll(vault, place, RollStep.START)
    for log in LOGS:
        with vault.parts.store.log_connection(log) as connection:
            [header] = [
                entry.header
                for entry in vault.parts.log.entries(connection, log)
                if entry.event == EventType.LOG_KEY
            ]
        assert ("operator-1" in header) == (log != "bank")


def test_a_next_key_that_is_not_to_be_trusted_is_left_behind_by_finishing_and_rolling_over_again(
    place: Path,
) -> None:
    """A start is not taken back: whoever verifies takes a second handover of a key for its thief's."""
    with Vault.open(place, options=fake_options()) as vault:
        first = roll(vault, place, RollStep.START)
        stolen = vault.parts.log.keys.following
        assert stolen is not None
        for step in (RollStep.FINISH, RollStep.START, RollStep.FINISH):
            last = roll(vault, place, step)
    with Vault.open(place, options=fake_options()) as vault:
        assert verify(vault)
        keys = vault.parts.log.keys
        assert (keys.following, str(keys.current.verifier)) == (None, last.new)
        assert stolen.verifier in keys.retired
        for log in LOGS:
            notes = [str(entry["handover"]).encode() for entry in key_entries(vault, log)]
            assert keys.current.verifier in follow_handovers([VerifierKey.parse(first.old)], notes)
            assert signs(vault, log, last.new)
            assert not signs(vault, log, first.new), "what the key signs from now on is no checkpoint"


@pytest.mark.parametrize("back", [True, False])
def test_a_verifier_refuses_what_taking_a_start_back_would_write(
    vault: Vault, place: Path, *, back: bool
) -> None:
    started = roll(vault, place, RollStep.START)
    keys = vault.parts.log.keys
    old, new = keys.signers
    other = SignerKey(old.name, bytes(range(32)))
    succession = Succession(Trust((VerifierKey.parse(started.old),)))
    succession.add(read_handover(started.handover.encode()))
    with pytest.raises(VerificationError, match="handover"):
        succession.add(read_handover(sign_handover(new, old) if back else sign_handover(old, other)))


def test_finish_without_a_start_is_refused(vault: Vault, place: Path) -> None:
    with pytest.raises(ConflictError, match="start one"):
        roll(vault, place, RollStep.FINISH)
    assert load_key_file(place / "log.key") == vault.parts.log.keys
    assert key_entries(vault, "clinic") == []


def test_who_does_not_administer_rolls_nothing_over_and_the_denial_is_logged(
    vault: Vault, place: Path
) -> None:
    before = load_key_file(place / "log.key")
    for step in (rollover(vault, place).start, rollover(vault, place).finish):
        with pytest.raises(DeniedError):
            step(AUDITOR, Purpose.AUDIT)
    assert load_key_file(place / "log.key") == before == vault.parts.log.keys
    with vault.parts.store.log_connection("clinic") as connection:
        last = list(vault.parts.log.entries(connection, "clinic"))[-2:]
    assert all('"decision":"denied"' in entry.header for entry in last)


class _CutError(Exception):
    """The process dies here."""


@pytest.mark.parametrize("step", RollStep)
@pytest.mark.parametrize("at", ["before the file", "after the file", "before the entries", "before signing"])
def test_a_roll_over_that_was_cut_short_anywhere_is_taken_up(
    place: Path, monkeypatch: pytest.MonkeyPatch, at: str, step: RollStep
) -> None:
    with Vault.open(place, options=fake_options()) as vault:
        if step is RollStep.FINISH:
            roll(vault, place, RollStep.START)
        replace = replace_key_file

        def cut(*arguments: object, **named: object) -> None:
            if at == "after the file":
                replace(*arguments, **named)  # type: ignore[arg-type]  # passed on
            raise _CutError

        with monkeypatch.context() as patch:
            if at.endswith("file"):
                patch.setattr(log_keys, "replace_key_file", cut)
            elif at.endswith("entries"):
                patch.setattr(vault.parts.journal, "write", cut)
            else:
                patch.setattr(vault.parts.store, "change", cut)
            with pytest.raises(_CutError):
                roll(vault, place, step)
    with Vault.open(place, options=fake_options()) as vault:
        assert verify(vault)
        rolling = vault.parts.log.keys.following is not None
        if not (rolling or vault.parts.log.keys.retired) or (rolling and step is RollStep.START):
            roll(vault, place, RollStep.START)
        if vault.parts.log.keys.following is not None:
            roll(vault, place, RollStep.FINISH)
    with Vault.open(place, options=fake_options()) as vault:
        keys = vault.parts.log.keys
        assert keys.following is None
        assert len(keys.retired) == 1
        for log in LOGS:
            notes = [str(entry["handover"]).encode() for entry in key_entries(vault, log)]
            assert follow_handovers([keys.retired[0]], notes) == (keys.retired[0], keys.current.verifier)
            assert signs(vault, log, str(keys.current.verifier))
        assert verify(vault)


def test_a_key_file_that_cannot_be_replaced_leaves_the_old_key_signing(vault: Vault, place: Path) -> None:
    (place / "log.key.new").mkdir()
    before = vault.parts.log.keys
    with pytest.raises(KeyFileUnsafeError, match="expected to replace it"):
        roll(vault, place, RollStep.START)
    assert vault.parts.log.keys == before
    assert key_entries(vault, "clinic") == []


def test_what_a_thief_of_the_old_key_signs_is_not_taken_for_the_last_checkpoint(place: Path) -> None:
    stolen = load_key_file(place / "log.key")
    with Vault.open(place, options=fake_options()) as vault:
        roll(vault, place, RollStep.START)
        roll(vault, place, RollStep.FINISH)
        log = vault.parts.log
        now = log.keys
        vault.parts.journal.write([vault.parts.journal.event(EventType.VAULT_READ, "clinic", {})])
        log.sign_with(stolen)

        def sign(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            head = log.head(connection, "clinic")
            forged = sign_checkpoint(
                Checkpoint(log.origin("clinic"), head.size, head.root()), [stolen.current.for_log("clinic")]
            )
            connection.exec_driver_sql(
                "INSERT INTO audit_checkpoint VALUES (?, ?, ?)", ("clinic", head.size, forged.note.decode())
            )

        vault.parts.store.change(sign)
        log.sign_with(now)
        with vault.parts.store.log_connection("clinic") as connection, pytest.raises(VerificationError):
            log.latest_checkpoint(connection, "clinic")
