"""Asking witnesses: what each reply means, and what of it is kept and told."""

import time
from collections.abc import Sequence

import pytest

from audit.cosignature import WitnessSignerKey
from audit.errors import LogDamagedError
from audit.note import parse_note
from audit.witness import Submission
from tests.simulators.clinic import BANK, CLINIC, OWNER, Clinic
from vault.clock import monotonic, system_clock
from vault.errors import StorageError
from vault.witness_client import Cosigned, HasSize, HttpWitness, ProofRefused, Refused, Reply, Unreachable
from vault.witnessing import Ruling, Standing, WitnessCaller, WitnessStatus, ask, logs_of, payload_of

KEY = WitnessSignerKey("witness.example/w1", bytes(32))


class ScriptedWitness(HttpWitness):
    """Replies what it is told, and the last of it for ever; remembers what it was sent."""

    def __init__(self, *replies: Reply | type[Cosigned]) -> None:
        super().__init__(KEY.verifier, "http://127.0.0.1:1")
        self._replies = list(replies)
        self.sent: list[Submission] = []

    def submit(self, submission: Submission) -> Reply:
        """Reply the next."""
        self.sent.append(submission)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, type):
            return Cosigned(KEY.cosign(parse_note(submission.note).text, 7))
        return reply


def signed_size(clinic: Clinic) -> int:
    return int(
        str(clinic.sql("SELECT max(tree_size) FROM audit_checkpoint WHERE tenant_id = ?", CLINIC)[0][0])
    )


def asked(clinic: Clinic, witness: HttpWitness, known: int = 0) -> Ruling:
    ruling = ask(clinic.vault.parts.store, clinic.vault.parts.log, CLINIC, witness, known)
    assert ruling is not None
    return ruling


def caller(
    clinic: Clinic, witness: HttpWitness, told: list[WitnessStatus], logs: Sequence[str] = (CLINIC,)
) -> WitnessCaller:
    parts = clinic.vault.parts
    return WitnessCaller(
        witness, parts.store, parts.log, logs=lambda: logs, clock=system_clock, changed=told.append
    )


@pytest.mark.parametrize(
    ("reply", "standing", "reason"),
    [
        (Unreachable("no answer in time"), Standing.UNREACHABLE, "no answer in time"),
        (Refused("answered 404"), Standing.REFUSES, "answered 404"),
        (ProofRefused(), Standing.CONTRADICTS, "it saw another history"),
        (HasSize(10**9), Standing.CONTRADICTS, "it saw a larger tree"),
    ],
)
def test_each_reply_has_one_meaning(clinic: Clinic, reply: Reply, standing: Standing, reason: str) -> None:
    ruling = asked(clinic, ScriptedWitness(reply))
    assert (ruling.status.standing, ruling.status.reason, ruling.signature) == (standing, reason, None)
    assert ruling.status.log == CLINIC


def test_a_size_that_is_told_is_proved_from(clinic: Clinic) -> None:
    witness = ScriptedWitness(HasSize(1), Cosigned)
    ruling = asked(clinic, witness)
    assert ruling.status.standing is Standing.COSIGNS
    assert ruling.size == signed_size(clinic)
    assert [one.old_size for one in witness.sent] == [0, 1]
    assert [len(one.proof) > 0 for one in witness.sent] == [False, True]


def test_the_same_size_again_is_another_root(clinic: Clinic) -> None:
    size = signed_size(clinic)
    ruling = asked(clinic, ScriptedWitness(HasSize(size)))
    assert (ruling.status.standing, ruling.status.seen) == (Standing.CONTRADICTS, size)
    assert ruling.status.reason == "it saw another root at this size"


def test_a_witness_that_forgot_what_it_cosigned_is_not_served_a_proof(clinic: Clinic) -> None:
    size = signed_size(clinic)
    witness = ScriptedWitness(HasSize(1), Cosigned)
    ruling = asked(clinic, witness, known=size)
    assert ruling.status.standing is Standing.REFUSES
    assert ruling.status.reason == f"it had cosigned size {size} and now knows 1: it forgot"
    assert len(witness.sent) == 1


def test_a_witness_that_moves_at_each_try_is_asked_later(clinic: Clinic) -> None:
    ruling = asked(clinic, ScriptedWitness(HasSize(1), HasSize(2), HasSize(1)))
    assert (ruling.status.standing, ruling.status.reason) == (Standing.REFUSES, "it moved meanwhile")


def test_a_log_that_was_never_signed_is_not_asked_about(clinic: Clinic) -> None:
    parts = clinic.vault.parts
    assert ask(parts.store, parts.log, "nobody", ScriptedWitness(Cosigned), 0) is None
    told: list[WitnessStatus] = []
    one = caller(clinic, ScriptedWitness(Cosigned), told, ["nobody"])
    assert one._round()
    assert (told, one.status.standing) == ([], Standing.UNASKED)


def test_a_round_keeps_what_was_cosigned_and_asks_for_nothing_twice(clinic: Clinic) -> None:
    told: list[WitnessStatus] = []
    witness = ScriptedWitness(Cosigned)
    one = caller(clinic, witness, told, [BANK, CLINIC])
    assert one._round()
    assert one._round()
    assert len(witness.sent) == 2
    assert [status.standing for status in told] == [Standing.COSIGNS]
    assert clinic.count("audit_cosignature") == 2
    again = caller(clinic, witness, told, [CLINIC])
    assert again._round()
    assert len(witness.sent) == 2, "the rows say what it had cosigned"


def test_one_log_that_is_refused_makes_the_round_and_others_are_kept(clinic: Clinic) -> None:
    told: list[WitnessStatus] = []
    one = caller(clinic, ScriptedWitness(Refused("answered 404"), Cosigned), told, [BANK, CLINIC])
    assert not one._round()
    assert clinic.count("audit_cosignature") == 1
    assert [status.standing for status in told] == [Standing.REFUSES]
    assert one._round()
    assert [status.standing for status in told] == [Standing.REFUSES, Standing.COSIGNS]


def test_a_witness_that_is_not_reached_is_not_asked_about_the_next_log(clinic: Clinic) -> None:
    witness = ScriptedWitness(Unreachable("connection refused"))
    assert not caller(clinic, witness, [], [BANK, CLINIC])._round()
    assert len(witness.sent) == 1


def test_a_contradiction_stays(clinic: Clinic) -> None:
    told: list[WitnessStatus] = []
    one = caller(clinic, ScriptedWitness(ProofRefused(), Cosigned), told)
    assert not one._round()
    assert one._round()
    assert one.status.standing is Standing.CONTRADICTS
    assert [status.standing for status in told] == [Standing.CONTRADICTS]
    assert payload_of(one.status)["seen"] == 0
    assert "seen" not in payload_of(WitnessStatus("w", Standing.COSIGNS))


def test_what_cannot_be_stored_or_proved_is_counted_and_tried_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = clinic.vault.parts
    one = caller(clinic, ScriptedWitness(Cosigned), [])

    def refuse(*_arguments: object, **_named: object) -> None:
        raise StorageError("the store refused")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "change", refuse)
        assert not one._round()
    assert one.failures == 1
    assert clinic.count("audit_cosignature") == 0

    def damaged(*_arguments: object) -> list[bytes]:
        raise LogDamagedError("tiles", expected="these", got="others")

    with monkeypatch.context() as patch:
        patch.setattr(parts.log, "consistency_proof", damaged)
        other = caller(clinic, ScriptedWitness(HasSize(1), Cosigned), [])
        assert not other._round()
    assert other.failures == 1
    assert one._round()
    assert clinic.count("audit_cosignature") == 1


def test_a_change_that_cannot_be_told_is_counted(clinic: Clinic) -> None:
    parts = clinic.vault.parts

    def refuse(_status: WitnessStatus) -> None:
        raise StorageError("the store refused")

    one = WitnessCaller(
        ScriptedWitness(Cosigned),
        parts.store,
        parts.log,
        logs=lambda: [CLINIC],
        clock=system_clock,
        changed=refuse,
    )
    assert one._round()
    assert (one.failures, one.status.standing) == (1, Standing.COSIGNS)


def test_a_caller_that_ends_asks_nobody(clinic: Clinic) -> None:
    witness = ScriptedWitness(Cosigned)
    one = caller(clinic, witness, [])
    one.end(monotonic() + 2)
    assert one._round()
    assert witness.sent == []


def test_a_caller_asks_when_it_is_woken_and_once_more_at_its_end(clinic: Clinic) -> None:
    witness = ScriptedWitness(Cosigned)
    one = caller(clinic, witness, [])
    one.begin([])
    until = time.monotonic() + 5
    while not witness.sent and time.monotonic() < until:
        time.sleep(0.01)
    clinic.mem(OWNER).extract("one more")
    clinic.audit().checkpoint()
    one.end(monotonic() + 2)
    assert witness.sent[0].old_size == 0
    assert len(witness.sent) == 2, "what was signed meanwhile was submitted at the end"
    assert one.status.standing is Standing.COSIGNS


def test_what_was_ruled_at_opening_and_cannot_be_stored_is_counted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruling = asked(clinic, ScriptedWitness(Cosigned))

    def refuse(*_arguments: object, **_named: object) -> None:
        raise StorageError("the store refused")

    one = caller(clinic, ScriptedWitness(Cosigned), [], [])
    with monkeypatch.context() as patch:
        patch.setattr(clinic.vault.parts.store, "change", refuse)
        one.begin([ruling])
    one.end(monotonic() + 2)
    assert one.failures == 1
    assert one.status.standing is Standing.COSIGNS


def test_the_system_log_comes_last(clinic: Clinic) -> None:
    assert logs_of(["b", "a"]) == ("a", "b", "system")
    clinic.mem(OWNER).extract("unrelated")
