"""What held the logs from outside stands in the entry of each opening, and is missed when it is gone."""

import warnings
from pathlib import Path

import pytest

from audit.anchor import FileAnchor
from audit.cosignature import WitnessSignerKey, WitnessVerifierKey
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import ADMINISTRATOR, OWNER, Clinic
from tests.simulators.witness_process import bundle_with, options_with
from vault.anchor_retirement import AnchorRetirement
from vault.errors import ConflictError
from vault.opening import OutsideMissingWarning
from vault.outside import Places
from vault.outside_record import Held, earlier_opening

FIRST = "witness.example/w1"
SECOND = "witness.example/w2"
NOWHERE = "http://127.0.0.1:9"
"""Nobody answers there, at once."""


def witness(name: str) -> WitnessVerifierKey:
    return WitnessSignerKey(name, name.encode().ljust(32)[:32]).verifier


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere.anchor"
    FileAnchor.create(path).close()
    return path


def opened(clinic: Clinic) -> dict[str, object]:
    """Return what the last opening says, which stands in the system log alone."""
    assert (
        clinic.count("audit_leaf", "tenant_id = 'clinic' AND event = 'vault.open' AND payload <> '{}'") == 0
    )
    return [entry.payload for entry in clinic.log(SYSTEM_LOG) if entry.event == "vault.open"][-1]


def reopened(clinic: Clinic, places: Places, *names: str, required: int = 0) -> list[str]:
    """Open again with other things outside; return what was warned of."""
    options = options_with(bundle_with(*map(witness, names), required=required), places)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutsideMissingWarning)
        clinic.reopen(options)
    return [str(one.message) for one in caught if one.category is OutsideMissingWarning]


def test_an_opening_says_what_holds_the_logs_and_no_path(clinic: Clinic, anchor: Path) -> None:
    assert opened(clinic) == {
        "anchor": "none",
        "anchor_bytes": 0,
        "missing": [],
        "required": 0,
        "witnesses": [],
    }
    places = Places(anchor=anchor, witness_urls={FIRST: NOWHERE})
    assert reopened(clinic, places, FIRST, SECOND, required=2) == []
    told = opened(clinic)
    shown = {name: told[name] for name in ("missing", "required", "witnesses")}
    assert shown == {"missing": [], "required": 2, "witnesses": [FIRST]}
    assert len(str(told["anchor"])) == 32
    assert str(anchor) not in str(told)
    assert reopened(clinic, places, FIRST, SECOND, required=2) == []
    again = opened(clinic)
    assert again["anchor"] == told["anchor"], "the same file is the same anchor"
    assert int(str(again["anchor_bytes"])) > int(str(told["anchor_bytes"]))


def test_an_anchor_that_is_not_named_any_more_is_told_until_there_is_one_again(
    clinic: Clinic, anchor: Path
) -> None:
    assert reopened(clinic, Places(anchor=anchor)) == []
    receipt = clinic.mem(OWNER).extract("a note")
    for _ in range(2):
        (said,) = reopened(clinic, Places())
        assert "had an anchor, this one has none" in said
        assert opened(clinic)["missing"] == ["anchor"]
        assert clinic.vault.parts.assurance.status.missing == (said.partition(":")[0],)
        assert said.partition(":")[0] in clinic.mem(OWNER).finality(receipt).reasons
    assert reopened(clinic, Places(anchor=anchor)) == []
    assert (opened(clinic)["missing"], clinic.vault.parts.assurance.status.missing) == ([], ())


def test_a_witness_that_is_asked_no_more_and_a_policy_that_asks_for_fewer_are_told(clinic: Clinic) -> None:
    both = Places(witness_urls={FIRST: NOWHERE, SECOND: NOWHERE})
    assert reopened(clinic, both, FIRST, SECOND, required=2) == []
    said = reopened(clinic, Places(witness_urls={FIRST: NOWHERE}), FIRST, SECOND, required=1)
    assert [one.partition(":")[0] for one in said] == [
        f"an earlier opening asked the witness {SECOND}, this one does not",
        "an earlier opening asked for more cosignatures",
    ]
    assert opened(clinic)["missing"] == [f"witness {SECOND}", "required"]
    assert reopened(clinic, Places(witness_urls={FIRST: NOWHERE}), FIRST, SECOND, required=1) == []
    assert reopened(clinic, both, FIRST, SECOND, required=2) == [], "more is no reason to warn"


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        "no json",
        '{"anchor":1,"missing":[],"required":0,"witnesses":[]}',
        '{"anchor":"none","missing":[]}',
    ],
)
def test_an_entry_that_does_not_say_is_taken_for_none(clinic: Clinic, payload: str) -> None:
    for (name,) in clinic.sql("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'"):
        clinic.sql(f"DROP TRIGGER {name}")
    clinic.sql(
        "UPDATE audit_leaf SET payload = ? WHERE tenant_id = 'system' AND event = 'vault.open'", payload
    )
    assert earlier_opening(clinic.vault.parts.store) is None


def test_what_is_missing_is_reckoned_from_the_earlier_opening_alone() -> None:
    now = Held("none", (FIRST,), 1)
    assert now.after(None) == now
    assert now.after(Held("none", (), 0)).missing == ()
    assert now.after(Held("ab" * 16, (FIRST, SECOND), 2)).missing == (
        "anchor",
        f"witness {SECOND}",
        "required",
    )
    assert Held("cd" * 16, (), 0).after(Held("ab" * 16, (), 0, ("anchor",))).missing == ()


def test_an_anchor_that_was_given_up_is_missed_no_more_and_the_log_says_who_did(
    clinic: Clinic, anchor: Path
) -> None:
    def give_up(principal: Principal = ADMINISTRATOR) -> Leaf:
        return AnchorRetirement(clinic.vault.parts).retire(principal, Purpose.OPERATIONS)

    def written() -> list[str]:
        return [entry.principal for entry in clinic.log(SYSTEM_LOG) if entry.event == "log.witness"]

    with pytest.raises(ConflictError, match="no anchor is missed"):
        give_up()
    assert reopened(clinic, Places(anchor=anchor)) == []
    with pytest.raises(ConflictError):
        give_up()
    (said,) = reopened(clinic, Places())
    with pytest.raises(DeniedError):
        give_up(OWNER)
    assert written() == []
    leaf = give_up()
    entry = clinic.log(SYSTEM_LOG)[leaf.index]
    assert (entry.event, entry.principal) == ("log.witness", ADMINISTRATOR.id)
    assert entry.payload == {"missing": ["anchor"], "standing": "retired"}
    with pytest.raises(ConflictError):
        give_up()
    assert written() == [ADMINISTRATOR.id]
    for _ in range(2):
        assert reopened(clinic, Places()) == []
        assert opened(clinic)["missing"] == []
    assert reopened(clinic, Places(anchor=anchor)) == []
    assert reopened(clinic, Places()) == [said], "one that came back is missed anew"


def test_what_a_witness_does_gives_no_anchor_up(clinic: Clinic, anchor: Path) -> None:
    reopened(clinic, Places(anchor=anchor))
    reopened(clinic, Places())
    journal = clinic.vault.parts.journal
    for payload in ({"missing": ["anchor"]}, {"standing": "retired"}, {"missing": [], "standing": "retired"}):
        journal.write([journal.event(EventType.LOG_WITNESS, SYSTEM_LOG, payload)])
    assert len(reopened(clinic, Places())) == 1
