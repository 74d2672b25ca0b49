"""Make the golden evidence of this format: `python -m tests.golden.make_evidence`.

A bundle and a proof of a small deployment whose clock stands still and whose salts count, so that whoever
makes them again gets the same bytes. Its keys are for tests alone. A release adds golden evidence; it never
replaces any (law 10).
"""

import io
from pathlib import Path
from typing import Final

from audit.bundle import BundleTerms, write_bundle
from audit.checkpoint import parse_checkpoint
from audit.cosignature import WitnessSignerKey
from audit.event import EventType
from audit.manifest import FORMAT, Export
from audit.note import parse_note
from audit.proof import CarriedEntry, TlogProof
from tests.simulators.small_deployment import POLICY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

FOLDER: Final = Path(__file__).parent
NAME: Final = FORMAT.replace("/", "-")
BUNDLE: Final = FOLDER / f"{NAME}.tar"
PROOF: Final = FOLDER / f"{NAME}.tlog-proof"
TENANT: Final = "clinic-a"
WITNESS: Final = WitnessSignerKey("witness.example/w1", bytes([7]) * 32)
PROVED: Final = 3


def live(deployment: SmallDeployment) -> Export:
    """Do one of everything that evidence can hold: writes, denials, an erasure, cosignatures, the export."""
    deployment.live_a_day()
    for nth in range(130):
        deployment.write(TENANT, f"mem_dddddddd{nth}")
    erasure = draft(
        EventType.PAYLOAD_ERASE,
        time=deployment.now,
        action="erase",
        payload={"log": TENANT, "entries": [2, 6]},
    )
    (eraser,) = deployment.log.append(deployment.connection, [erasure])
    exported = draft(
        EventType.AUDIT_EXPORT, time=deployment.now, principal="auditor-1", action="audit", purpose="audit"
    )
    (leaf,) = deployment.log.append(deployment.connection, [exported])
    deployment.sign()
    store = TamperingStore(deployment.connection)
    for index in (2, 6):
        store.alter(TENANT, index, salt=None, payload=None, erased_by=eraser.index)
    for note in deployment.log.checkpoints(deployment.connection, TENANT):
        text = parse_note(note).text
        store.add_cosignature(
            TENANT, parse_checkpoint(text).size, WITNESS.name, str(WITNESS.cosign(text, 1_790_000_000))
        )
    time = exported.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return Export("auditor-1", "audit", time, leaf.index)


def make() -> tuple[bytes, bytes]:
    """Return the bundle and the proof."""
    deployment = SmallDeployment()
    try:
        exported = live(deployment)
        connection, log = deployment.connection, deployment.log
        file = io.BytesIO()
        terms = BundleTerms(
            complete=False, policy=POLICY, exported=exported, witnesses=(str(WITNESS.verifier),)
        )
        write_bundle(file, [deployment.key], log.evidence(connection, [TENANT]), terms)
        (entry,) = log.entries(connection, TENANT, PROVED, PROVED + 1)
        note = log.checkpoints(connection, TENANT)[-1]
        size = parse_checkpoint(parse_note(note).text).size
        line = log.cosignatures(connection, TENANT)[-1].line.encode()
        path = log.inclusion_proof(connection, TENANT, PROVED, size)
        carried = CarriedEntry(entry.header.encode(), entry.salt, entry.payload)
        return file.getvalue(), TlogProof(PROVED, tuple(path), note + line, carried.encode()).encode()
    finally:
        deployment.close()


def main() -> None:
    """Write both."""
    bundle, proof = make()
    BUNDLE.write_bytes(bundle)
    PROOF.write_bytes(proof)


if __name__ == "__main__":
    main()
