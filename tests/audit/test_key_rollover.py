"""Rolling a log key over: both keys sign for a while, and the old one says who comes after it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import verify_checkpoint
from audit.errors import KeyMalformedError, MalformedError, NoteMalformedError, VerificationError
from audit.note import parse_note, sign_note
from audit.signing import (
    MAX_RETIRED,
    Handover,
    LogKeys,
    SignerKey,
    follow_handovers,
    sign_handover,
    verify_handover,
)
from tests.simulators.small_deployment import LOG_KEY, POLICY, SmallDeployment, draft

NAME = LOG_KEY.name
SECOND, THIRD = (SignerKey(NAME, bytes([nth]) * 32) for nth in (2, 3))
A = "clinic-a"


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5, unique=True), st.booleans())
def test_key_lines_round_trip(seeds: list[bytes], rolling: bool) -> None:  # noqa: FBT001 - drawn
    keys = [SignerKey(NAME, seed) for seed in seeds]
    signers = 2 if rolling and len(keys) > 1 else 1
    held = LogKeys(keys[0], keys[1] if signers > 1 else None, tuple(key.verifier for key in keys[signers:]))
    assert LogKeys.parse(held.encode()) == held
    assert [key.public for key in held.verifiers] == [key.verifier.public for key in keys]


@pytest.mark.parametrize(
    "text",
    {
        "nothing": "",
        "a public key alone": str(LOG_KEY.verifier),
        "three signers": "\n".join(key.encode() for key in (LOG_KEY, SECOND, THIRD)),
        "a key twice": f"{LOG_KEY.encode()}\n{LOG_KEY.verifier}",
        "two deployments": f"{LOG_KEY.encode()}\n{SignerKey('memos-vault/ward-2', bytes(32)).verifier}",
        "a signer after a public key": f"{LOG_KEY.encode()}\n{SECOND.verifier}\n{THIRD.encode()}",
        "an empty line": f"{LOG_KEY.encode()}\n",
        "too many of the past": "\n".join(
            [
                LOG_KEY.encode(),
                *(str(SignerKey(NAME, bytes([n, 9]) * 16).verifier) for n in range(MAX_RETIRED + 1)),
            ]
        ),
    }.values(),
)
def test_other_lines_are_refused(text: str) -> None:
    with pytest.raises(KeyMalformedError):
        LogKeys.parse(text)


def test_a_rollover_begins_once_and_ends_with_the_old_key_only_checking() -> None:
    keys = LogKeys(LOG_KEY)
    with pytest.raises(KeyMalformedError, match="expected a roll-over"):
        keys.finished()
    during = keys.begun(SECOND)
    assert during.signers == (LOG_KEY, SECOND)
    with pytest.raises(KeyMalformedError, match="no roll-over under way"):
        during.begun(THIRD)
    after = during.finished()
    assert (after.signers, after.retired) == ((SECOND,), (LOG_KEY.verifier,))
    with pytest.raises(KeyMalformedError, match="each once"):
        after.begun(LOG_KEY)


def test_checkpoints_of_the_overlap_verify_under_either_key(deployment: SmallDeployment) -> None:
    log, connection = deployment.log, deployment.connection
    log.append(connection, [draft()])
    log.sign_with(log.keys.begun(SECOND))
    signed = log.checkpoint(connection, A, policy=POLICY)
    assert len(parse_note(signed.note).signatures) == 2
    for key in (LOG_KEY, SECOND):
        assert verify_checkpoint(signed.note, key.for_log(A).verifier) == signed.checkpoint
    log.sign_with(log.keys.finished())
    assert log.checkpoint(connection, A, policy=POLICY).note == signed.note
    log.append(connection, [draft()])
    later = log.checkpoint(connection, A, policy=POLICY)
    assert verify_checkpoint(later.note, SECOND.for_log(A).verifier).size == 2
    with pytest.raises(VerificationError):
        verify_checkpoint(later.note, LOG_KEY.for_log(A).verifier)


def test_a_key_of_the_past_signs_nothing_that_the_log_takes_for_its_last(deployment: SmallDeployment) -> None:
    log, connection = deployment.log, deployment.connection
    log.append(connection, [draft()])
    log.checkpoint(connection, A, policy=POLICY)
    log.sign_with(log.keys.begun(SECOND).finished())
    with pytest.raises(VerificationError, match="note signature"):
        log.latest_checkpoint(connection, A)


def test_a_log_takes_no_keys_of_another_deployment(deployment: SmallDeployment) -> None:
    with pytest.raises(KeyMalformedError, match="this deployment"):
        deployment.log.sign_with(LogKeys(SignerKey("memos-vault/ward-2", bytes(32))))
    assert deployment.log.keys == LogKeys(LOG_KEY)


def test_a_handover_is_followed_from_key_to_key() -> None:
    notes = [sign_handover(LOG_KEY, SECOND), sign_handover(SECOND, THIRD)]
    assert verify_handover(notes[0], [LOG_KEY.verifier]) == Handover(LOG_KEY.verifier, SECOND.verifier)
    expected = (LOG_KEY.verifier, SECOND.verifier, THIRD.verifier)
    assert follow_handovers([LOG_KEY.verifier], notes) == expected
    assert follow_handovers([LOG_KEY.verifier], [notes[0], *notes]) == expected
    with pytest.raises(VerificationError):
        follow_handovers([LOG_KEY.verifier], notes[::-1])


OTHER = SignerKey("memos-vault/ward-2", bytes(32))


@pytest.mark.parametrize(
    ("note", "error"),
    [
        (b"no note", NoteMalformedError),
        (sign_note(Handover(LOG_KEY.verifier, SECOND.verifier).text, [LOG_KEY]), VerificationError),
        (sign_note(Handover(LOG_KEY.verifier, SECOND.verifier).text, [SECOND]), VerificationError),
        (
            sign_note(Handover(SECOND.verifier, THIRD.verifier).text, [LOG_KEY, SECOND, THIRD]),
            VerificationError,
        ),
        (sign_note(Handover(LOG_KEY.verifier, OTHER.verifier).text, [LOG_KEY, OTHER]), KeyMalformedError),
        (sign_note(Handover(LOG_KEY.verifier, LOG_KEY.verifier).text, [LOG_KEY]), KeyMalformedError),
        (sign_note("a statement of the log key\n", [LOG_KEY]), KeyMalformedError),
        (
            sign_note(Handover(LOG_KEY.verifier, SECOND.verifier).text + "more\n", [LOG_KEY, SECOND]),
            MalformedError,
        ),
    ],
)
def test_other_statements_hand_nothing_over(note: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        verify_handover(note, [LOG_KEY.verifier])


def test_a_checkpoint_is_no_handover_and_a_handover_no_checkpoint(lived: SmallDeployment) -> None:
    note = lived.log.checkpoints(lived.connection, A)[0]
    with pytest.raises((MalformedError, VerificationError)):
        verify_handover(note, [LOG_KEY.for_log(A).verifier])
    with pytest.raises(MalformedError):
        verify_checkpoint(sign_handover(LOG_KEY, SECOND), LOG_KEY.verifier)
