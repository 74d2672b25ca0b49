"""An auditor who holds one key follows the log's roll-overs, and takes no other key for one of them."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from audit.bundle import BundleTerms, write_bundle
from audit.canonical import JsonValue
from audit.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.errors import VerificationError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG, StoredCosignature
from audit.note import Note, parse_note, sign_note
from audit.offline import describe
from audit.report import Check
from audit.signing import MAX_RETIRED, Handover, LogKeys, SignerKey, sign_handover
from audit.succession import Succession
from audit.trust import Trust
from audit.verify import verify_logs
from audit.verify_bundle import BundleReport, verify_bundle
from tests.simulators.evidence_bundles import checks
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
ORIGIN = f"{LOG_KEY.name}/{A}"
SECOND, THIRD, STRANGER = (SignerKey(LOG_KEY.name, bytes([nth]) * 32) for nth in (2, 3, 4))
ELSEWHERE = SignerKey("memos-vault/ward-2", bytes([5]) * 32), SignerKey("memos-vault/ward-2", bytes([6]) * 32)
OLD, NEW, BOTH = [LOG_KEY], [SECOND], [LOG_KEY, SECOND]
Payload = Mapping[str, JsonValue]


def told(old: SignerKey, new: SignerKey, step: str = "start", note: bytes | None = None) -> Payload:
    """Return the payload of a `log.key` entry."""
    handover = (note or sign_handover(old, new)).decode()
    return {"step": step, "old": str(old.verifier), "new": str(new.verifier), "handover": handover}


def tell(deployment: SmallDeployment, payload: Payload, *logs: str) -> None:
    """Write a `log.key` entry into logs, or all, and sign them."""
    drafts = [
        draft(
            EventType.LOG_KEY,
            tenant=log,
            action="administer",
            purpose=None,
            time=deployment.now,
            payload=payload,
        )
        for log in logs or (A, "clinic-b", SYSTEM_LOG)
    ]
    deployment.log.append(deployment.connection, drafts)
    deployment.sign()


def roll(deployment: SmallDeployment, new: SignerKey, note: bytes | None = None) -> None:
    """Roll the key over as the vault does, with two writes on the way."""
    log, old = deployment.log, deployment.log.keys.current
    log.sign_with(log.keys.begun(new))
    tell(deployment, told(old, new, note=note))
    deployment.write(A, f"mem_{new.key_id.hex()}")
    deployment.sign()
    tell(deployment, told(old, new, "finish", note))
    log.sign_with(log.keys.finished())
    deployment.write(A, f"mem_{new.key_id.hex()}0")
    deployment.sign()


def export(deployment: SmallDeployment, *tenants: str, payloads: bool = True) -> bytes:
    file = io.BytesIO()
    logs = deployment.log.evidence(deployment.connection, tenants or None)
    terms = BundleTerms(complete=not tenants, payloads=payloads)
    write_bundle(file, deployment.log.keys.verifiers, logs, terms)
    return file.getvalue()


def check(bundle: bytes, keys: list[SignerKey], *kept: bytes) -> BundleReport:
    return verify_bundle(io.BytesIO(bundle), Trust(tuple(key.verifier for key in keys)), remembered=kept)


def add_checkpoint(deployment: SmallDeployment, *keys: SignerKey) -> None:
    """Put a checkpoint of the log as it is now beside the others, with the signatures of these keys."""
    deployment.write(A, "mem_eeeeeeee0")
    head = deployment.log.head(deployment.connection, A)
    signers = [key.for_log(A) for key in keys]
    note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), signers).note
    TamperingStore(deployment.connection).add_note(A, head.size, note)


def add_wrong_signature(deployment: SmallDeployment) -> None:
    deployment.write(A, "mem_eeeeeeee0")
    head = deployment.log.head(deployment.connection, A)
    key = [SECOND.for_log(A)]
    right = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), key).note
    other = sign_checkpoint(Checkpoint(ORIGIN, head.size, bytes(32)), key).note
    note = Note(parse_note(right).text, parse_note(other).signatures).encode()
    TamperingStore(deployment.connection).add_note(A, head.size, note)


def then(*steps: Callable[[SmallDeployment], None]) -> Callable[[SmallDeployment], None]:
    """Return a deployment's life: a roll-over, and then these."""

    def live(deployment: SmallDeployment) -> None:
        roll(deployment, SECOND)
        for step in steps:
            step(deployment)

    return live


def telling(payload: Payload) -> Callable[[SmallDeployment], None]:
    return then(lambda deployment: tell(deployment, payload, A))


@dataclass(frozen=True, slots=True)
class Case:
    """A life with roll-overs, the keys that an auditor holds, and what must be found: nothing, if empty."""

    live: Callable[[SmallDeployment], None]
    keys: list[SignerKey]
    found: frozenset[str] = frozenset()
    payloads: bool = True


def forged(signers: list[SignerKey]) -> Callable[[SmallDeployment], None]:
    note = sign_note(Handover(LOG_KEY.verifier, SECOND.verifier).text, signers)
    return lambda deployment: roll(deployment, SECOND, note)


HANDOVER, NOTE = frozenset({Check.HANDOVER}), frozenset({Check.CHECKPOINT_NOTE})
CASES: dict[str, Case] = {
    "the old key": Case(then(), OLD),
    "the new key": Case(then(), NEW),
    "both keys": Case(then(), BOTH),
    "the first of three keys": Case(then(lambda deployment: roll(deployment, THIRD)), OLD),
    "the second of three keys": Case(then(lambda deployment: roll(deployment, THIRD)), NEW),
    "the last of three keys": Case(then(lambda deployment: roll(deployment, THIRD)), [THIRD]),
    "the old key of one log": Case(then(), [LOG_KEY.for_log(A)], NOTE),
    "payloads left out, both keys": Case(then(), BOTH, payloads=False),
    "payloads left out, the old key": Case(then(), OLD, NOTE, payloads=False),
    "a step that was taken up again": Case(telling(told(LOG_KEY, SECOND, "finish")), OLD),
    "the old key signs after it was put down": Case(
        then(lambda deployment: add_checkpoint(deployment, LOG_KEY)), OLD, frozenset({Check.KEY_IN_FORCE})
    ),
    "the old key signs after it was put down, seen with the new one": Case(
        then(lambda deployment: add_checkpoint(deployment, LOG_KEY)), NEW, frozenset({Check.KEY_IN_FORCE})
    ),
    "a key signs that nobody handed over to": Case(
        then(lambda deployment: add_checkpoint(deployment, STRANGER)), OLD, NOTE
    ),
    "the new key's signature is wrong": Case(then(add_wrong_signature), OLD, NOTE),
    "a handover by the new key alone": Case(forged([SECOND]), OLD, HANDOVER | NOTE),
    "a handover by the old key alone": Case(forged([LOG_KEY]), OLD, HANDOVER | NOTE),
    "a handover by the new key alone, seen with both": Case(forged([SECOND]), BOTH, HANDOVER),
    "a handover that is no note": Case(
        telling({**told(LOG_KEY, SECOND), "handover": "\u00e9"}), OLD, HANDOVER
    ),
    "a handover that is no text": Case(telling({**told(LOG_KEY, SECOND), "handover": 1}), OLD, HANDOVER),
    "a step that is none": Case(telling({**told(LOG_KEY, SECOND), "step": "undo"}), OLD, HANDOVER),
    "keys that the note does not name": Case(
        telling({**told(LOG_KEY, SECOND), "new": str(THIRD.verifier)}), OLD, HANDOVER
    ),
    "a second handover of the old key": Case(telling(told(LOG_KEY, STRANGER)), OLD, HANDOVER),
    "a handover back": Case(telling(told(SECOND, LOG_KEY)), OLD, HANDOVER),
    "a handover of a stranger to the new key": Case(telling(told(STRANGER, SECOND)), OLD, HANDOVER),
    "a handover between strangers": Case(telling(told(STRANGER, THIRD, "finish")), OLD, HANDOVER),
    "a handover of another deployment": Case(telling(told(*ELSEWHERE)), OLD, HANDOVER),
}


@pytest.mark.parametrize("name", CASES)
def test_keys_are_followed_by_handovers_and_by_nothing_else(deployment: SmallDeployment, name: str) -> None:
    case = CASES[name]
    deployment.live_a_day()
    case.live(deployment)
    found = check(export(deployment, payloads=case.payloads), case.keys)
    expected = case.found
    assert checks(found) - {Check.CHECKPOINT_RECORDED} >= expected
    assert found.report.passed == (not expected), [str(one) for one in found.report.findings]


def test_the_old_key_alone_shows_the_whole_log_to_its_end(deployment: SmallDeployment) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    found = check(export(deployment), OLD)
    for log in found.report.logs:
        assert log.signed_size == log.size
        assert log.earlier == 0
        assert [str(SECOND.verifier) in words for words in log.handovers] == [True]
    assert any("key rolled over" in line for line in describe(found))


def test_the_new_key_alone_says_that_nothing_rests_on_the_old_ones_checkpoints(
    deployment: SmallDeployment,
) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    found = check(export(deployment), NEW)
    (log,) = [log for log in found.report.logs if log.tenant == A]
    assert (log.signed_size, log.earlier) == (log.size, 2)
    text = "\n".join(describe(found))
    assert "2 checkpoints by a key before yours alone" in text
    assert "a thief of that key" in text


def test_a_wrong_signature_of_a_key_that_is_learned_later_is_found(deployment: SmallDeployment) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    add_wrong_signature(deployment)
    assert checks(check(export(deployment, A), OLD)) == {Check.CHECKPOINT_NOTE, Check.SIGNED_END}


def test_a_fork_by_the_key_before_is_found_with_the_new_key_alone(deployment: SmallDeployment) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), [LOG_KEY.for_log(A)]).note
    TamperingStore(deployment.connection).add_note(A, 3, note)
    assert Check.CHECKPOINT_ROOT in checks(check(export(deployment, A), NEW))


def test_a_kept_checkpoint_of_the_new_key_counts_for_whoever_holds_the_old_one(
    deployment: SmallDeployment,
) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    bundle = export(deployment)
    kept = deployment.log.checkpoints(deployment.connection, A)[-1]
    assert check(bundle, OLD, kept).report.passed
    deployment.write(A, "mem_eeeeeeee1")
    newer = next(signed for signed in deployment.sign() if ORIGIN.encode() in signed)
    assert checks(check(bundle, OLD, newer)) == {Check.CHECKPOINT_SIZE, Check.CHECKPOINT_RECORDED}
    alone = export(deployment, "clinic-b")
    assert checks(check(alone, OLD, newer)) == {Check.LOG_PRESENT}
    strange = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), [STRANGER.for_log(A)]).note
    assert checks(check(alone, OLD, strange)) == {Check.CHECKPOINT_NOTE}


def test_the_old_key_of_one_log_serves_that_log_across_the_rollover(deployment: SmallDeployment) -> None:
    deployment.live_a_day()
    roll(deployment, SECOND)
    found = check(export(deployment, A), [LOG_KEY.for_log(A)])
    (log,) = found.report.logs
    assert (found.report.passed, log.signed_size) == (True, log.size)


def test_later_links_may_be_seen_before_earlier_ones() -> None:
    keys = Succession(Trust((LOG_KEY.verifier,)))
    keys.add(Handover(SECOND.verifier, THIRD.verifier))
    keys.add(Handover(LOG_KEY.verifier, SECOND.verifier))
    believed, earlier = keys.keys_of(ORIGIN, A)
    assert {key.public for key in believed} == {key.verifier.public for key in (LOG_KEY, SECOND, THIRD)}
    assert earlier == frozenset()
    with pytest.raises(VerificationError, match="known one"):
        keys.add(Handover(THIRD.verifier, LOG_KEY.verifier))


def test_handovers_are_bounded() -> None:
    keys = Succession(Trust((LOG_KEY.verifier,)))
    chain = [SignerKey(LOG_KEY.name, bytes([nth, 7]) * 16).verifier for nth in range(MAX_RETIRED + 2)]
    for old, new in pairwise(chain[:-1]):
        keys.add(Handover(old, new))
    with pytest.raises(VerificationError, match="at most"):
        keys.add(Handover(chain[-2], chain[-1]))


def test_a_deployment_that_never_rolled_its_key_over_has_one(deployment: SmallDeployment) -> None:
    deployment.live_a_day()
    assert deployment.log.keys == LogKeys(LOG_KEY)
    assert [log.handovers for log in check(export(deployment), OLD).report.logs] == [(), (), ()]


def test_the_logs_own_signature_hidden_among_witnesses_lines_breaks_nothing(
    deployment: SmallDeployment,
) -> None:
    witness = WitnessSignerKey("witness.example/one", bytes([9]) * 32)
    deployment.live_a_day()
    roll(deployment, SECOND)
    (log,) = deployment.log.evidence(deployment.connection, [A])
    opened = parse_note(log.checkpoints[-1])
    checkpoint = parse_checkpoint(opened.text)
    stripped = sign_checkpoint(checkpoint, [STRANGER.for_log(A)]).note
    lines = f"{witness.cosign(opened.text, 1_795_000_000)}{opened.signatures[0]}"
    hostile = replace(
        log,
        checkpoints=(*log.checkpoints[:-1], stripped),
        cosignatures=(StoredCosignature(checkpoint.size, witness.name, lines),),
    )
    trust = Trust((LOG_KEY.verifier, SECOND.verifier), (witness.verifier,))
    report = verify_logs([hostile], trust)
    assert {finding.check for finding in report.findings} == {Check.CHECKPOINT_NOTE}
    assert report.logs[0].cosigned_size == 0, "what the log's key did not sign is not cosigned either"
