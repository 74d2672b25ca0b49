"""Every released form of evidence is verified by later code (law 10)."""

from pathlib import Path

import pytest

from audit.offline import Terms, verify_file
from audit.proof import ProvenEntry
from audit.verify_bundle import BundleReport
from tests.golden.make_evidence import BUNDLE, PROOF, WITNESS, make
from tests.simulators.small_deployment import LOG_KEY

FOLDER = Path(__file__).parent
TERMS = Terms([str(LOG_KEY.verifier)], [str(WITNESS.verifier)], required=1)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("memos-vault-audit-*.tar")), ids=lambda path: path.name)
def test_a_golden_bundle_is_verified(path: Path) -> None:
    found = verify_file(path, TERMS)
    assert isinstance(found, BundleReport)
    found.report.require()
    (log,) = found.report.logs
    assert (log.tenant, log.size, log.signed_size, log.cosigned_size) == ("clinic-a", 271, 271, 271)
    assert (log.erased, log.withheld, log.checkpoints) == (2, 0, 3)
    assert found.manifest.exported is not None
    assert found.manifest.exported.by == "auditor-1"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tlog-proof")), ids=lambda path: path.name)
def test_a_golden_proof_is_verified(path: Path) -> None:
    found = verify_file(path, TERMS)
    assert isinstance(found, ProvenEntry)
    assert (found.index, found.checkpoint.size, found.witnesses) == (3, 271, ("witness.example/w1",))
    assert found.header.principal == "agent-7"


def test_the_present_code_makes_the_present_golden_evidence_again() -> None:
    """Or the format has changed: give it another name before its release, a reader after it."""
    assert make() == (BUNDLE.read_bytes(), PROOF.read_bytes())
