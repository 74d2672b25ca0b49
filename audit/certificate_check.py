"""Verifying an erasure certificate offline, with nothing but public keys, and saying what it shows.

Owns what must hold of a certificate and of the entries that it names. It leaves its form to
`audit.certificate`, the proof of one entry to `audit.proof`, and whom to trust to `audit.trust`. Pure.

1. The certifying entry stands in a log that the key signed: its proof holds.
2. It is an entry of an erasure that ended well, of the tenant and under the id that the certificate says.
3. It names the certificate: the SHA-256 of its canonical text, and the person.
4. Each entry that the certificate names stands in the same log before that one, with the event that it says,
   in the order of an erasure: an intent, its beginning, the destruction of keys, its outcome; no other is shown.
5. Something was matched, at least one test was run, and none got anything back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from audit.canonical import JsonValue
from audit.certificate import (
    CarriedCertificate,
    Certificate,
    Ran,
    Step,
    digest_of,
    parse_carried_certificate,
)
from audit.errors import HeaderMalformedError, VerificationError
from audit.event import EventType, Outcome, Verdict, parse_header
from audit.merkle import leaf_hash, verify_inclusion
from audit.proof import ProvenEntry, verify_proof
from audit.trust import Trust

CERTIFIED: Final = "certified"
"""What the certifying entry says under `step`."""
SUBJECT: Final = "subject"
ASKED: Final = "asked"
_WIDTH: Final = 16
_ORDER: Final = (EventType.EFFECT_INTENT, EventType.SUBJECT_ERASE, EventType.KEY_DESTROY)
"""Each of these is among the steps, the first one of each before the first of the next."""


@dataclass(frozen=True, slots=True)
class ProvenErasure:
    """What a certificate showed."""

    certificate: Certificate
    digest: str
    entry: ProvenEntry
    """The entry that names the certificate."""
    begun: datetime
    """Time of the first entry, as the log has it."""


def verify_certificate(content: bytes, trust: Trust) -> ProvenErasure:
    """Check a certificate alone.

    Args:
        content: The file.
        trust: Keys that were got from elsewhere than the file.

    Raises:
        MalformedError: it is no certificate, or its proof is none.
        VerificationError: a check failed.
    """
    carried = parse_carried_certificate(content)
    certificate, digest = carried.certificate, digest_of(carried.text)
    entry = verify_proof(carried.proof, trust)
    _check_certifying(certificate, digest, entry)
    times = [_check_step(carried, step, entry) for step in certificate.steps]
    # Threat: whoever hands the file on adds what the log never said, and it is shown as verified.
    foreign = carried.shown.keys() - {step.index for step in certificate.steps}
    if foreign:
        raise VerificationError(
            "entry of a step", expected="entries of steps alone", got=f"entry {min(foreign)}"
        )
    _check_order(certificate.steps, entry.index, keys=len(certificate.keys))
    if not sum(certificate.matched.values()):
        raise VerificationError("something matched", expected="at least one thing erased", got="none")
    _check_tests(certificate)
    return ProvenErasure(certificate, digest, entry, times[0])


def certifying_payload(certificate: Certificate, digest: str) -> dict[str, JsonValue]:
    """Return the payload of the entry that certifies."""
    return {
        "certificate": digest,
        "erasure": certificate.erasure,
        "step": CERTIFIED,
        "subjects": [certificate.subject],
    }


def _check_certifying(certificate: Certificate, digest: str, entry: ProvenEntry) -> None:
    header = entry.header
    told = (header.event, header.outcome, header.decision)
    if told != (EventType.SUBJECT_ERASE, Outcome.OK, Verdict.ALLOWED):
        got = f"{header.event}, {header.outcome}"
        raise VerificationError("certifying entry", expected="subject.erase, ok", got=got)
    if header.tenant != certificate.tenant:
        raise VerificationError("certificate's log", expected=header.tenant, got=certificate.tenant)
    if header.resource != certificate.erasure:
        expected = header.resource or "an erasure"
        raise VerificationError("certificate's erasure", expected=expected, got=certificate.erasure)
    payload = entry.payload if isinstance(entry.payload, Mapping) else {}
    named = payload.get("certificate")
    if named != digest:
        expected = named if isinstance(named, str) else "a digest in the entry's payload"
        raise VerificationError("certificate digest", expected=expected, got=digest)
    # What the decision was asked is of the policy's vocabulary, and says nothing of the erasure.
    told_of = {key: value for key, value in payload.items() if key != ASKED}
    if told_of != certifying_payload(certificate, digest):
        raise VerificationError(
            "certifying entry", expected="the erasure and person of the certificate", got="others"
        )


def _check_step(carried: CarriedCertificate, step: Step, last: ProvenEntry) -> datetime:
    """Check that a named entry stands in the log, and return its time."""
    shown = carried.shown.get(step.index)
    if shown is None:
        raise VerificationError("entry of a step", expected=f"a proof of entry {step.index}", got="none")
    try:
        leaf = leaf_hash(shown.header.encode("ascii"))
    except UnicodeEncodeError as error:
        raise HeaderMalformedError("expected a header in ASCII") from error
    checkpoint = last.checkpoint
    verify_inclusion(step.index, checkpoint.size, leaf, shown.path, checkpoint.root)
    header = parse_header(shown.header)
    if (header.event, header.outcome) != (step.event, Outcome.OK):
        raise VerificationError(
            "entry of a step", expected=f"{step.event}, ok", got=f"{header.event}, {header.outcome}"
        )
    return header.time


def _check_order(steps: tuple[Step, ...], last: int, *, keys: int) -> None:
    indexes = [*(step.index for step in steps), last]
    if any(first >= second for first, second in pairwise(indexes)):
        raise VerificationError(
            "order of steps", expected="each before the next, and before the certifying entry", got="another"
        )
    events = [step.event for step in steps]
    needed = _ORDER if keys else _ORDER[:2]
    places = [events.index(event) if event in events else -1 for event in needed]
    whole = places == sorted(places) and places[0] == 0 and events[-1] == EventType.EFFECT_OUTCOME
    if not whole:
        raise VerificationError(
            "steps of an erasure",
            expected=", ".join([*needed, EventType.EFFECT_OUTCOME]),
            got=", ".join(dict.fromkeys(events)) or "none",
        )


def _check_tests(certificate: Certificate) -> None:
    got_back = [one.name for one in certificate.tests if one.result is Ran.FAILED]
    if got_back or not any(one.result is Ran.PASSED for one in certificate.tests):
        raise VerificationError(
            "tests after the erasure",
            expected="some that got nothing back",
            got=", ".join(got_back) or "none that was run",
        )


def describe_erasure(found: ProvenErasure) -> list[str]:
    """Return lines for people: what was erased, what stays, what the certificate shows and what it does not."""
    return list(_lines(found))


def _lines(found: ProvenErasure) -> Iterator[str]:
    one, entry = found.certificate, found.entry
    yield _line("certificate", f"erasure {one.erasure} of {one.subject} at {one.tenant}")
    yield _line("", f"begun {one.begun}, unreadable {one.unreadable}, ended {one.ended}")
    for kind, count in sorted(one.matched.items()):
        yield _line("erased", f"{kind}: {count}")
    if one.others:
        yield _line("", f"joint memories were shredded for {one.others} other persons, too")
    for key in one.keys:
        yield _line("key destroyed", f"version {key.version}, fingerprint {key.fingerprint}")
    for stays in one.remaining:
        yield _line("remains", f"{stays.what}: {stays.count}: {stays.reason}")
    for lost in one.not_reached:
        yield _line("not reached", f"{lost.what}: {lost.reason}")
    horizon = one.backup_horizon_days
    yield _line("backups", "horizon unknown" if horizon is None else f"gone after {horizon} days")
    for test in one.tests:
        yield _line("test", f"{test.name}: {test.result} ({test.count}): {test.note}")
    by = ", ".join(entry.witnesses) or "no witness that was given"
    checkpoint = entry.checkpoint
    yield _line("entry", f"{entry.index} of {checkpoint.origin} names this certificate: {found.digest}")
    yield _line("tree", f"size {checkpoint.size}, root {checkpoint.root.hex()}, cosigned by {by}")
    yield _line("shows", f"the log that the key signed holds this erasure, begun {found.begun.isoformat()}")
    yield _line("", "and committed to every word of this certificate")
    yield _line(
        "does not show", "that the vault told the truth; copies that left it; what backups still hold"
    )
    yield "verified"


def _line(label: str, text: str) -> str:
    return f"{label:<{_WIDTH}} {text}"
