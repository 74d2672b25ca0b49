"""Erasure certificates: what an honest one shows, and what is refused of a hostile one, each by its name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.__main__ import FAILED, NOT_CHECKED, VERIFIED, main
from audit.canonical import canonical
from audit.certificate import (
    MAX_CERTIFICATE_SIZE,
    CarriedCertificate,
    DestroyedKey,
    NegativeTest,
    Ran,
    ShownStep,
    Step,
    parse_carried_certificate,
    parse_certificate,
)
from audit.certificate_check import verify_certificate
from audit.cosignature import WitnessSignerKey
from audit.errors import (
    BundleMalformedError,
    CertificateMalformedError,
    HeaderMalformedError,
    MalformedError,
    VerificationError,
)
from audit.event import EventType, Outcome
from audit.offline import Terms, describe, verify_file
from audit.signing import SignerKey
from audit.trust import Trust
from tests.simulators.certificates import ERASURE, HONEST, STEPS, SUBJECT, carried, certified
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment

TRUST = Trust((LOG_KEY.verifier,))
OTHER = SignerKey.for_deployment("ward-2", bytes(32))


def edited(one: CarriedCertificate, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the file of a certificate after a change to its JSON, canonical again."""
    whole = json.loads(one.encode())
    change(whole)
    return canonical(whole).encode() + b"\n"


def test_an_honest_certificate_proves_the_erasure_to_whoever_has_the_key_alone(
    lived: SmallDeployment,
) -> None:
    one = certified(lived)
    found = verify_certificate(one.encode(), TRUST)
    assert found.certificate == one.certificate
    assert found.entry.header.resource == ERASURE
    assert (found.digest, found.certificate.subject) == (one.certificate.digest, SUBJECT)
    assert parse_carried_certificate(one.encode()) == one, "what is written reads back"


def test_a_later_copy_differs_in_its_proofs_alone(lived: SmallDeployment) -> None:
    one = certified(lived)
    lived.write("clinic-a", "mem_aaaaaaaa7")
    lived.sign()
    later = carried(lived, one.certificate, one.proof.index)
    assert later.encode() != one.encode()
    assert verify_certificate(later.encode(), TRUST).digest == verify_certificate(one.encode(), TRUST).digest


def test_it_says_for_people_what_it_shows_and_what_it_does_not(
    lived: SmallDeployment, tmp_path: Path
) -> None:
    file = tmp_path / "certificate.json"
    file.write_bytes(certified(lived, replace(HONEST, backup_horizon_days=30)).encode())
    said = "\n".join(describe(verify_file(file, Terms([str(LOG_KEY.verifier)]))))
    for part in ("memories: 3", "gone after 30 days", "restore: not-run", "1 other persons", "does not show"):
        assert part in said
    file.write_bytes(certified(lived, replace(HONEST, others=0)).encode())
    said = "\n".join(describe(verify_file(file, Terms([str(LOG_KEY.verifier)]))))
    assert "horizon unknown" in said
    assert "other persons" not in said


def test_a_witness_of_the_checkpoint_is_a_witness_of_the_certificate(lived: SmallDeployment) -> None:
    one, witness = certified(lived), WitnessSignerKey("witness.example/w1", bytes([1]) * 32)
    demanding = Trust((LOG_KEY.verifier,), (witness.verifier,), 1)
    with pytest.raises(VerificationError, match="cosignatures: expected 1"):
        verify_certificate(one.encode(), demanding)
    text = one.proof.checkpoint.decode().rpartition("\n\n")[0] + "\n"
    line = str(witness.cosign(text, 1_700_000_000)).encode()
    cosigned = replace(one, proof=replace(one.proof, checkpoint=one.proof.checkpoint + line))
    assert verify_certificate(cosigned.encode(), demanding).entry.witnesses == ("witness.example/w1",)
    assert any(
        "witness.example/w1" in line for line in describe(verify_certificate(cosigned.encode(), demanding))
    )


HOSTILE: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "a count is changed": lambda whole: whole["certificate"]["matched"].update(memories=4),
    "a kind is added": lambda whole: whole["certificate"]["matched"].update(snapshots=1),
    "what remains is left out": lambda whole: whole["certificate"].update(remaining=[]),
    "what was not reached is left out": lambda whole: whole["certificate"].update(not_reached=[]),
    "a backup horizon is invented": lambda whole: whole["certificate"].update(backup_horizon_days=1),
    "a test that was not run passed": lambda whole: whole["certificate"]["tests"][1].update(result="passed"),
    "a key is left out": lambda whole: whole["certificate"]["keys"].pop(),
    "another person": lambda whole: whole["certificate"]["selector"].update(id="sub_other"),
    "another time": lambda whole: whole["certificate"].update(ended="2020-01-01T00:00:00Z"),
    "a step is left out": lambda whole: whole["certificate"]["steps"].pop(0),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=list(HOSTILE))
def test_any_word_that_was_changed_is_not_what_the_log_committed_to(
    lived: SmallDeployment, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_certificate(edited(certified(lived), change), TRUST)
    assert caught.value.check == "certificate digest"


def test_it_is_refused_by_the_key_of_another_deployment_and_of_another_log(lived: SmallDeployment) -> None:
    file = certified(lived).encode()
    for key in (OTHER.verifier, LOG_KEY.verifier.for_log("clinic-b")):
        with pytest.raises(VerificationError) as caught:
            verify_certificate(file, Trust((key,)))
        assert caught.value.check == "checkpoint origin"


def test_it_is_refused_under_a_checkpoint_that_nobody_signed_or_another_key_signed(
    lived: SmallDeployment,
) -> None:
    one = certified(lived)
    text, _, _ = one.proof.checkpoint.decode().rpartition("\n\n")
    forger = SmallDeployment(SignerKey.for_deployment("ward-1", bytes(32)))
    forger.live_a_day()
    forged = certified(forger)
    forger.close()
    unsigned = one.proof.checkpoint.replace(b"\n\n\xe2\x80\x94 memos-vault", b"\n\n\xe2\x80\x94 nobody")
    assert text
    assert unsigned != one.proof.checkpoint
    for checkpoint in (unsigned, forged.proof.checkpoint):
        swapped = replace(one, proof=replace(one.proof, checkpoint=checkpoint))
        with pytest.raises(VerificationError) as caught:
            verify_certificate(swapped.encode(), TRUST)
        assert caught.value.check == "note signature"


def test_it_is_refused_under_another_checkpoint_of_the_same_log(lived: SmallDeployment) -> None:
    one = certified(lived)
    lived.write("clinic-a", "mem_aaaaaaaa7")
    lived.sign()
    later = carried(lived, one.certificate, one.proof.index)
    for swapped in (
        replace(one, proof=replace(one.proof, checkpoint=later.proof.checkpoint)),
        replace(one, shown=later.shown),
    ):
        with pytest.raises(VerificationError) as caught:
            verify_certificate(swapped.encode(), TRUST)
        assert caught.value.check.startswith("inclusion proof")


def test_another_entry_of_the_log_certifies_nothing(lived: SmallDeployment) -> None:
    one = certified(lived)
    for index in (3, one.certificate.steps[1].index):
        other = carried(lived, one.certificate, index)
        with pytest.raises(
            VerificationError, match=r"certifying entry|certificate digest|certificate's erasure"
        ):
            verify_certificate(other.encode(), TRUST)


LYING: Mapping[str, tuple[dict[str, object], str]] = {
    "it failed": ({"outcome": Outcome.FAILED}, "certifying entry"),
    "another event": ({"event": EventType.SUBJECT_PLAN}, "certifying entry"),
    "another erasure": ({"resource": "era_other"}, "certificate's erasure"),
    "no erasure": ({"resource": None}, "certificate's erasure"),
    "an empty payload": ({"payload": {}}, "certificate digest"),
}


@pytest.mark.parametrize(("certifying", "check"), LYING.values(), ids=list(LYING))
def test_a_certifying_entry_that_says_something_else_is_refused(
    lived: SmallDeployment, certifying: dict[str, object], check: str
) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_certificate(certified(lived, HONEST, STEPS, **certifying).encode(), TRUST)
    assert caught.value.check == check


def test_a_certifying_entry_of_another_person_is_refused_though_it_has_the_digest(
    lived: SmallDeployment,
) -> None:
    one = certified(lived)
    steps = one.certificate.steps
    fixed = replace(HONEST, steps=steps)
    payload = {
        "certificate": fixed.digest,
        "erasure": ERASURE,
        "step": "certified",
        "subjects": ["sub_other"],
    }
    again = certified(lived, fixed, (), payload=payload)
    with pytest.raises(VerificationError, match="the erasure and person of the certificate"):
        verify_certificate(again.encode(), TRUST)


def test_a_certificate_that_names_another_tenant_is_refused(lived: SmallDeployment) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_certificate(certified(lived, replace(HONEST, tenant="clinic-b")).encode(), TRUST)
    assert caught.value.check == "certificate's log"


ORDERS: Mapping[str, tuple[EventType, ...]] = {
    "no intent": STEPS[1:],
    "no outcome": STEPS[:-1],
    "no destruction of keys": tuple(event for event in STEPS if event is not EventType.KEY_DESTROY),
    "keys destroyed before it began": (STEPS[0], STEPS[2], STEPS[1], STEPS[4]),
    "no step at all": (EventType.EFFECT_OUTCOME,),
}


@pytest.mark.parametrize("events", ORDERS.values(), ids=list(ORDERS))
def test_steps_that_make_no_erasure_are_refused(
    lived: SmallDeployment, events: tuple[EventType, ...]
) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_certificate(certified(lived, HONEST, events).encode(), TRUST)
    assert caught.value.check == "steps of an erasure"


def test_a_key_may_have_had_many_versions(lived: SmallDeployment) -> None:
    keys = tuple(DestroyedKey(version, "ab" * 16) for version in range(1, 501))
    assert (
        verify_certificate(certified(lived, replace(HONEST, keys=keys)).encode(), TRUST).certificate.keys
        == keys
    )


def test_where_no_key_was_destroyed_none_needs_an_entry(lived: SmallDeployment) -> None:
    events = (STEPS[0], STEPS[1], STEPS[4])
    found = verify_certificate(certified(lived, replace(HONEST, keys=()), events).encode(), TRUST)
    assert found.certificate.keys == ()


def test_steps_are_in_order_and_before_the_certifying_entry(lived: SmallDeployment) -> None:
    one = certified(lived)
    steps = one.certificate.steps
    for wrong in ((steps[0], *steps), (*steps[::-1],)):
        again = certified(lived, replace(HONEST, steps=wrong), ())
        with pytest.raises(VerificationError) as caught:
            verify_certificate(again.encode(), TRUST)
        assert caught.value.check == "order of steps"


def test_each_step_has_the_event_that_is_said_and_is_shown(lived: SmallDeployment) -> None:
    one = certified(lived)
    steps = one.certificate.steps
    claimed = replace(HONEST, steps=(steps[0], steps[1], Step(steps[3].index, "key.destroy"), steps[4]))
    with pytest.raises(VerificationError) as caught:
        verify_certificate(certified(lived, claimed, ()).encode(), TRUST)
    assert caught.value.check == "entry of a step"
    hidden = replace(one, shown={step.index: one.shown[step.index] for step in steps[1:]})
    with pytest.raises(VerificationError, match="got none"):
        verify_certificate(hidden.encode(), TRUST)


def test_an_entry_that_the_certificate_does_not_name_is_refused(lived: SmallDeployment) -> None:
    one = certified(lived)
    for index, told in ((9_999_999, ShownStep("never said", (bytes(32),))), (0, one.shown[min(one.shown)])):
        more = replace(one, shown={**one.shown, index: told})
        with pytest.raises(VerificationError, match=f"got entry {index}$") as caught:
            verify_certificate(more.encode(), TRUST)
        assert caught.value.check == "entry of a step"
    assert verify_certificate(one.encode(), TRUST).certificate == one.certificate


def test_a_header_that_is_none_is_refused(lived: SmallDeployment) -> None:
    one = certified(lived)
    first = one.certificate.steps[0].index
    for header, error in (("h\u00e9ader", HeaderMalformedError), ("another", VerificationError)):
        wrong = {**one.shown, first: ShownStep(header, one.shown[first].path)}
        with pytest.raises(error):
            verify_certificate(replace(one, shown=wrong).encode(), TRUST)


def test_nothing_matched_is_no_certificate(lived: SmallDeployment) -> None:
    for matched in ({}, {"memories": 0}):
        with pytest.raises(VerificationError) as caught:
            verify_certificate(certified(lived, replace(HONEST, matched=matched)).encode(), TRUST)
        assert caught.value.check == "something matched"


def test_a_test_that_got_something_back_or_no_test_at_all_is_no_certificate(lived: SmallDeployment) -> None:
    got_back = (*HONEST.tests, NegativeTest("search", Ran.FAILED, 2, "found"))
    for tests, got in ((got_back, "search"), (HONEST.tests[1:], "none that was run")):
        with pytest.raises(VerificationError) as caught:
            verify_certificate(certified(lived, replace(HONEST, tests=tests)).encode(), TRUST)
        assert (caught.value.check, caught.value.got) == ("tests after the erasure", got)


FORMS: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda whole: whole.update(format="memos-vault/erasure-certificate/v2"),
    "a field too many": lambda whole: whole.update(extra=1),
    "no paths": lambda whole: whole.update(paths=[]),
    "a proof that is no text": lambda whole: whole.update(proof=7),
    "a path of another index": lambda whole: whole["paths"].update({"007": {"header": "", "path": []}}),
    "a path that is none": lambda whole: whole["paths"].update({"7": {"header": "", "path": "ab"}}),
    "a path of no hashes": lambda whole: whole["paths"].update({"7": {"header": "", "path": ["ab"]}}),
    "no counts": lambda whole: whole["certificate"].update(matched=[]),
    "a count below nothing": lambda whole: whole["certificate"].update(others=-1),
    "a count of truth": lambda whole: whole["certificate"].update(others=True),
    "a list that is a text": lambda whole: whole["certificate"].update(keys="abc"),
    "a list too long": lambda whole: whole["certificate"].update(tests=[{}] * 101),
    "another selector": lambda whole: whole["certificate"]["selector"].update(kind="query"),
    "another result": lambda whole: whole["certificate"]["tests"][0].update(result="perhaps"),
    "a name in the certificate": lambda whole: whole["certificate"].update(tenant="Maria Keller"),
    "what steers a terminal": lambda whole: whole["certificate"]["tests"][0].update(note="\x1b[2J"),
}


@pytest.mark.parametrize("change", FORMS.values(), ids=list(FORMS))
def test_what_is_not_of_the_form_is_no_certificate(
    lived: SmallDeployment, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(CertificateMalformedError):
        verify_certificate(edited(certified(lived), change), TRUST)


def test_bytes_that_are_no_certificate_are_refused(lived: SmallDeployment) -> None:
    file = certified(lived).encode()
    for content in (
        b"",
        b"\xff",
        b"{}",
        b"[1]",
        file[:-2],
        file.replace(b'":{', b'": {', 1),
        b" " * (MAX_CERTIFICATE_SIZE + 1),
    ):
        with pytest.raises(CertificateMalformedError):
            verify_certificate(content, TRUST)
    with pytest.raises(CertificateMalformedError, match="canonical"):
        parse_certificate("{")
    with pytest.raises(BundleMalformedError):
        verify_certificate(edited(certified(lived), lambda whole: whole.update(proof="none")), TRUST)


def test_an_honest_vault_writes_no_certificate_that_would_not_read_back() -> None:
    for wrong in (
        replace(HONEST, tenant="Maria Keller"),
        replace(HONEST, others=2**60),
        replace(HONEST, begun="now"),
    ):
        with pytest.raises(CertificateMalformedError):
            wrong.encode()
    with pytest.raises(CertificateMalformedError, match="reads back"):
        replace(HONEST, tests=list(HONEST.tests)).encode()  # type: ignore[arg-type]  # what no caller does


def test_the_verifier_alone_takes_a_certificate(
    lived: SmallDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = tmp_path / "certificate.json", str(LOG_KEY.verifier)
    one = certified(lived)
    file.write_bytes(one.encode())
    assert main([str(file), "--key", key]) == VERIFIED
    assert "names this certificate" in capsys.readouterr().out
    file.write_bytes(edited(one, HOSTILE["a count is changed"]))
    assert main([str(file), "--key", key]) == FAILED
    assert "certificate digest" in capsys.readouterr().err
    file.write_bytes(one.encode()[:-9])
    assert main([str(file), "--key", key]) == NOT_CHECKED
    file.write_bytes(one.encode())
    kept = tmp_path / "kept"
    kept.write_bytes(one.proof.checkpoint)
    with pytest.raises(BundleMalformedError, match="not with a proof or a certificate"):
        verify_file(file, Terms([key], remembered=[kept]))


@given(st.data())
def test_no_damage_to_a_file_passes_or_ends_otherwise_than_with_one_of_our_errors(
    data: st.DataObject,
) -> None:
    content = bytearray(_honest_file())
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((MalformedError, VerificationError)):
        verify_certificate(bytes(content), TRUST)


@cache
def _honest_file() -> bytes:
    deployment = SmallDeployment()
    deployment.live_a_day()
    made = certified(deployment).encode()
    deployment.close()
    return made
