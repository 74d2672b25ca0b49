"""kill -9 around effects outside the database: what nobody knows is told, and nothing else is."""

from functools import partial
from pathlib import Path

import pytest

from audit.event import Outcome
from policies.model import Action, Purpose, Relation, SystemResource
from tests.end_to_end.test_kill import Trap, Ward, chat
from tests.simulators.children import Tell
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, OWNER
from vault.grant import authorise
from vault.intents import Effects
from vault.memos import MemOS
from vault.opening import Vault

AROUND = ("intended", "effected", "concluded")
COMMIT = ("begin", "logged", "inserted", "committed")


@pytest.fixture
def ward(template: Path, tmp_path: Path) -> Ward:
    """A vault with one chat in it, closed."""
    return Ward(template, tmp_path / "ward")


def unmatched(ward: Ward) -> list[str]:
    """Open the vault, verify it, and return the kinds of the intents that have no outcome; close them."""
    ward.clinic.reopen()
    assert ward.clinic.audit().verify().passed
    found = ward.clinic.vault.unmatched_intents().get(CLINIC, ())
    effects = Effects(ward.clinic.vault.parts)
    for intent in found:
        effects.close(ADMINISTRATOR, Purpose.OPERATIONS, intent.index, Outcome.FAILED)
    assert ward.clinic.vault.unmatched_intents() == {}
    ward.clinic.close()
    return [intent.kind for intent in found]


def _write_file(step: str, file: Path, vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
    grant = authorise(vault.parts.policy, AUDITOR, Action.AUDIT, Purpose.AUDIT, over=over)
    trap.step = step
    with Effects(vault.parts).intended(grant, "audit.export", "audit-log", {}):
        file.write_text("made")
    acknowledge(done=True)


def test_a_file_that_is_written_is_told_before_and_after_wherever_the_process_is_killed(
    ward: Ward, tmp_path: Path
) -> None:
    for nth, step in enumerate((*COMMIT, *AROUND)):
        file = tmp_path / f"effect-{nth}"
        child = ward.child(partial(_write_file, step, file))
        assert (child.killed, child.acknowledged) == (True, [])
        unknown = unmatched(ward)
        # An effect that nobody was told to intend never happened; one that is closed is known.
        assert file.exists() <= (unknown == ["audit.export"] or step == "concluded"), step
        assert (unknown == ["audit.export"]) == (step in {"committed", "intended", "effected"}), step
        assert file.exists() == (step in {"effected", "concluded"}), step


def _make_key(step: str, vault: Vault, trap: Trap, acknowledge: Tell) -> None:
    trap.step = step
    MemOS(vault, principal=OWNER).extract(chat(f"key {step}"), subject=f"newcomer {step}")
    acknowledge(done=True)


def test_a_key_that_is_made_is_told_before_and_after_wherever_the_process_is_killed(ward: Ward) -> None:
    for step in (*COMMIT, *AROUND, "screened", "durable"):
        before = ward.clinic.sql("SELECT count(*) FROM keys", file="keys.db")
        child = ward.child(partial(_make_key, step))
        assert (child.killed, child.acknowledged) == (True, [])
        unknown = unmatched(ward)
        made = ward.clinic.sql("SELECT count(*) FROM keys", file="keys.db") != before
        told = [entry.payload for entry in ward.clinic.log() if entry.event == "key.create"]
        known = any(made_key["keys"] == 1 for made_key in told)
        assert made <= (unknown == ["key.create"] or known), step
        assert (unknown == ["key.create"]) == (step in {"committed", "intended", "effected"}), step
        ward.check({})
        ward.clinic.reopen()
        receipt = ward.clinic.mem(OWNER).extract(chat(f"again {step}"), subject=f"newcomer {step}")
        assert ward.clinic.mem(OWNER).get(receipt.memory_ids[0]).id == receipt.memory_ids[0]
        ward.clinic.close()
    ward.everything()
