"""Anna and Bob, what was written of them, and what erases Anna: for tests of erasures."""

from sqlalchemy import Connection

from audit.certificate_check import ProvenErasure, verify_certificate
from audit.trust import Trust
from policies.model import Role
from tests.simulators.clinic import (
    CLINIC,
    OTHER_OWNER,
    OWNER,
    Clinic,
    person,
)
from vault.erasure import Erased, Erasures
from vault.model import Chat, Turn
from vault.storage.group_commit import WriteSet
from vault.storage.schema import HOLD, HOLD_TARGET

OFFICER = person("officer-a", Role.PRIVACY_OFFICER)
OTHER_OFFICER = person("officer-b", Role.PRIVACY_OFFICER, tenant="bank")


def says(*texts: str) -> Chat:
    return Chat(tuple(Turn("Maria Keller", text) for text in texts))


class People:
    """What was written of Anna and Bob."""

    def __init__(self, clinic: Clinic) -> None:
        owner = clinic.mem(OWNER)
        self.alone = owner.extract(
            says("Maria Keller has a sore knee, call +49 170 1234567", "the knee hurts at night"),
            subject="anna",
        ).memory_ids
        self.joint = owner.extract(says("both went to the lake"), subject=("anna", "bob")).memory_ids
        self.bobs = clinic.mem(OTHER_OWNER).extract(says("bob sleeps well"), subject="bob").memory_ids
        owner.update(self.alone[1], "the knee hurts in the morning")
        clinic.vault.wait(20)

    @property
    def annas(self) -> tuple[str, ...]:
        return (*self.alone, *self.joint)


def erasures(clinic: Clinic) -> Erasures:
    return Erasures(clinic.vault.parts)


def erase(clinic: Clinic, name: str = "anna") -> Erased:
    plan = erasures(clinic).plan(OFFICER, name)
    return erasures(clinic).erase(OFFICER, name, plan.digest)


def proven(clinic: Clinic, erased: Erased) -> ProvenErasure:
    return verify_certificate(erased.certificate, Trust((clinic.vault.parts.verifier_key,)))


def hold(clinic: Clinic, kind: str, target: str) -> None:
    """Place a hold behind the facade's back: what it does to an erasure is looked at here."""

    def place(connection: Connection, _leaves: object) -> None:
        fixed = {"scope": kind, "reason": "litigation", "placed_by": "officer-a", "placed": 1, "review": 2}
        connection.execute(
            HOLD.insert(), [{"tenant_id": CLINIC, "hold_id": "hld_1", "leaf_index": 0, **fixed}]
        )
        row = {"tenant_id": CLINIC, "hold_id": "hld_1", "kind": kind, "target_id": target, "leaf_index": 0}
        connection.execute(HOLD_TARGET.insert(), [row])

    clinic.vault.parts.store.submit(WriteSet(changes=[place]))
