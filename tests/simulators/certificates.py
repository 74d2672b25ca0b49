"""An erasure as the log of a small deployment tells it, and its certificate: for tests of what is refused.

Owns the making of an honest certificate, and of one that lies under the log's own key. The vault's own
erasures are `tests/vault/erasure`'s.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from audit.certificate import (
    CarriedCertificate,
    Certificate,
    DestroyedKey,
    NegativeTest,
    NotReached,
    Ran,
    Remaining,
    ShownStep,
    Step,
)
from audit.certificate_check import certifying_payload
from audit.event import EntryDraft, EventType
from audit.proof import CarriedEntry, TlogProof
from tests.simulators.small_deployment import POLICY, SmallDeployment, draft

A: Final = "clinic-a"
ERASURE: Final = "era_0123456789abcdefghjkmnpqrs"
SUBJECT: Final = "sub_0123456789abcdefghjkmnpqrs"
STEPS: Final = (
    EventType.EFFECT_INTENT,
    EventType.SUBJECT_ERASE,
    EventType.KEY_DESTROY,
    EventType.SUBJECT_ERASE,
    EventType.EFFECT_OUTCOME,
)
HONEST: Final = Certificate(
    tenant=A,
    erasure=ERASURE,
    subject=SUBJECT,
    matched={"memories": 3, "versions": 4, "joint memories": 1},
    others=1,
    remaining=(Remaining("log headers", 9, "headers name vault ids and stay for ever"),),
    not_reached=(NotReached("backups", "nobody said how long they are kept"),),
    keys=(DestroyedKey(1, "ab" * 8), DestroyedKey(2, "cd" * 8)),
    steps=(),
    backup_horizon_days=None,
    tests=(
        NegativeTest("open", Ran.PASSED, 3, "no row of a former id is there"),
        NegativeTest("restore", Ran.NOT_RUN, 0, "there is no snapshot"),
    ),
    begun="2026-11-23T09:00:00Z",
    unreadable="2026-11-23T09:00:01.000001Z",
    ended="2026-11-23T09:00:02Z",
    policy=POLICY,
)


def erasing(event: EventType, /, **more: object) -> EntryDraft:
    """Return an entry of an erasure."""
    made = draft(event, action="erase", resource=ERASURE, purpose="legal", payload={"erasure": ERASURE})
    return replace(made, **more)  # type: ignore[arg-type]  # fields of a draft by name


def certified(
    deployment: SmallDeployment,
    certificate: Certificate = HONEST,
    events: Sequence[EventType] = STEPS,
    **certifying: object,
) -> CarriedCertificate:
    """Let a log tell an erasure, certify it, sign, and return what is handed on.

    Args:
        deployment: Where.
        certificate: What is certified; its steps are filled in unless it has some.
        events: Of the steps.
        certifying: Fields of the certifying entry that are not what an honest vault writes.
    """
    deployment.write(A, "mem_aaaaaaaa0")
    log, connection = deployment.log, deployment.connection
    leaves = log.append(connection, [erasing(event) for event in events])
    if not certificate.steps:
        steps = tuple(Step(leaf.index, event) for leaf, event in zip(leaves, events, strict=True))
        certificate = replace(certificate, steps=steps)
    payload = certifying_payload(certificate, certificate.digest)
    (last,) = log.append(connection, [erasing(EventType.SUBJECT_ERASE, **{"payload": payload, **certifying})])
    deployment.sign()
    return carried(deployment, certificate, last.index)


def carried(deployment: SmallDeployment, certificate: Certificate, last: int) -> CarriedCertificate:
    """Return a certificate with its proofs under the log's latest checkpoint."""
    log, connection = deployment.log, deployment.connection
    latest = log.latest_checkpoint(connection, A)
    assert latest is not None
    size = latest.checkpoint.size

    def shown(index: int) -> ShownStep:
        (entry,) = log.entries(connection, A, index, index + 1)
        return ShownStep(entry.header, tuple(log.inclusion_proof(connection, A, index, size)))

    (entry,) = log.entries(connection, A, last, last + 1)
    extra = CarriedEntry(entry.header.encode(), entry.salt, entry.payload).encode()
    path = tuple(log.inclusion_proof(connection, A, last, size))
    return CarriedCertificate(
        certificate.encode(),
        certificate,
        TlogProof(last, path, latest.note, extra),
        {step.index: shown(step.index) for step in certificate.steps},
    )
