"""No payload says more than ids, numbers, fixed words and keyed hashes, wherever it is written.

Two ways: every place in the code that writes an entry is held against the list of keys, and a planted
value is hunted through the entries of all operations.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

from audit.payload_keys import PAYLOAD_KEYS, is_identifying
from audit.siem.formats import Format
from policies.errors import PolicyError
from policies.model import AccessTier, Purpose
from tests.conftest import REPOSITORY
from tests.end_to_end.canary import Hunter
from tests.simulators.clinic import (
    ADMINISTRATOR,
    AUDITOR,
    CLINICIAN,
    OFFICER,
    OTHER_OWNER,
    OWNER,
    SECOND_OFFICER,
    Clinic,
)
from tests.simulators.fakes import START
from vault.administration import Administration
from vault.disclosure import DisclosureTerms
from vault.errors import VaultError
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.intents import Effects
from vault.log_lookup import LogLookup
from vault.log_stream import StreamRequest
from vault.memos import MemOS
from vault.model import Chat, Document, Turn
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.restrictions import Restrictions
from vault.subject_rights import SubjectRights

NOT_SEEN: Final = frozenset({"old", "new", "handover"})
"""Keys of a payload that reaches the journal by another name (`vault.log_keys`)."""
ROOMS: Final = ("audit", "policies", "vault", "lifecycle", "compliance", "api")
PAYLOAD_AT: Final = {
    "note": 1,
    "allowed": 1,
    "event": 2,
    "intended": 3,
    "_record": 1,
    "_note": 2,
    "_draft": 2,
    "draft": 1,
    "step": 1,
}
"""Methods of the journal, of effects and of an erasure's voice that take a payload, and where."""
TAKEN_BY_NAME: Final = {"EntryDraft": "payload", "Counts": "told"}
"""Values that carry a payload, or a part of one, and where."""
MADE_ELSEWHERE: Final = {
    "intent_payload": {"kind"},
    "outcome_payload": {"intent", "kind", "reviewed"},
}
"""Functions that make payloads, and the keys that they add."""


makers: dict[str, ast.FunctionDef] = {}
"""Functions of the code by their names: one of them may make a payload for another."""


@dataclass(frozen=True)
class Written:
    """A payload where the code writes it."""

    place: str
    inside: str
    """Module, or module and function, as `PASSED_ON` names it."""
    keys: frozenset[str]
    resolved: bool


def written_in(path: Path) -> Iterator[Written]:
    tree = ast.parse(path.read_text("utf-8"))
    makers.update((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and (given := _payload_of(call, path)) is not None:
                    keys, resolved = _keys(given, function)
                    where = f"{path.relative_to(REPOSITORY)}:{call.lineno}"
                    inside = f"{path.relative_to(REPOSITORY)}:{function.name}"
                    yield Written(where, inside, frozenset(keys), resolved)


def _payload_of(call: ast.Call, path: Path) -> ast.expr | None:
    """Return what a call hands over as a payload, if it is one that does."""
    if isinstance(call.func, ast.Name) and call.func.id in TAKEN_BY_NAME:
        name = TAKEN_BY_NAME[call.func.id]
        return next((word.value for word in call.keywords if word.arg == name), None)
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in PAYLOAD_AT:
        return None
    owner = ast.unparse(call.func.value)
    at = PAYLOAD_AT[call.func.attr]
    if call.func.attr in {"_record", "_note", "_draft"}:
        passes_on = any(place.startswith(path.relative_to(REPOSITORY).as_posix()) for place in PASSED_ON)
        return call.args[at] if passes_on and owner == "self" and len(call.args) > at else None
    if call.func.attr in {"draft", "step"} and not owner.endswith("voice"):
        return None
    if not owner.endswith(("journal", "_effects", "voice")) and not owner.startswith("Effects("):
        return None
    return call.args[at] if len(call.args) > at else None


def _keys(given: ast.expr, function: ast.AST) -> tuple[set[str], bool]:
    """Return the keys of a payload as far as the code says them, and whether it says all."""
    if isinstance(given, ast.Dict):
        return _keys_of_literal(given, function)
    if isinstance(given, ast.Name):
        return _keys_of_name(given.id, function)
    if isinstance(given, ast.Call) and ast.unparse(given.func) in MADE_ELSEWHERE:
        keys, resolved = set(MADE_ELSEWHERE[ast.unparse(given.func)]), True
        for inner in given.args[1:]:
            more, known = _keys(inner, function)
            keys, resolved = keys | more, resolved and known
        return keys, resolved
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and given.func.id in makers:
        return _keys_of_maker(makers[given.func.id])
    sides = _sides(given)
    return _joined([_keys(side, function) for side in sides]) if sides else (set(), False)


def _sides(given: ast.expr) -> Sequence[ast.expr]:
    """Return the expressions of which one, or all, are the value."""
    if isinstance(given, ast.BinOp):
        return (given.left, given.right)
    if isinstance(given, ast.IfExp):
        return (given.body, given.orelse)
    if isinstance(given, ast.ListComp):
        return (given.elt,)
    return given.elts if isinstance(given, ast.List) else ()


def _keys_of_maker(maker: ast.FunctionDef) -> tuple[set[str], bool]:
    """Return the keys of what a function returns or yields."""
    given = [
        node.value
        for node in ast.walk(maker)
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None
    ]
    return _joined([_keys(one, maker) for one in given])


def _joined(found: list[tuple[set[str], bool]]) -> tuple[set[str], bool]:
    keys: set[str] = set()
    return keys.union(*[some for some, _ in found]), bool(found) and all(known for _, known in found)


def _keys_of_literal(given: ast.Dict, function: ast.AST) -> tuple[set[str], bool]:
    keys: set[str] = set()
    resolved = True
    for key, value in zip(given.keys, given.values, strict=True):
        if isinstance(key, ast.Constant):
            keys.add(str(key.value))
        else:
            more, known = _keys(value, function) if key is None else (set(), False)
            keys, resolved = keys | more, resolved and known
    return keys, resolved


def _keys_of_name(name: str, function: ast.AST) -> tuple[set[str], bool]:
    keys: set[str] = set()
    found = False
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            keys |= _keys(node.value, function)[0]
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == name:
            more, found = _keys(node.iter, function)
            keys |= more
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        for target in targets:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(target, ast.Name) and target.id == name and value is not None:
                more, known = _keys(value, function)
                keys, found = keys | more, known
            if (
                isinstance(target, ast.Subscript)
                and isinstance(target.value, ast.Name)
                and target.value.id == name
                and isinstance(target.slice, ast.Constant)
            ):
                keys.add(str(target.slice.value))
    return keys, found


def everything_written() -> list[Written]:
    files = [file for room in ROOMS for file in sorted((REPOSITORY / room).rglob("*.py"))]
    for file in files:
        list(written_in(file))  # first the names of all functions
    return [written for file in files for written in written_in(file)]


PASSED_ON: Final = frozenset(
    {
        "vault/bundles/reloading.py:_of_each",
        "vault/erasing/record.py",
        "vault/erasure.py:_note",
        "lifecycle/running.py:_entry",
        "vault/intents.py",
        "vault/journal.py",
        "vault/log_exports.py:_record",
        "vault/log_queries.py:_note",
        "vault/restoration.py:_draft",
        "vault/snapshots.py:_draft",
    }
)
"""Where payloads of callers are passed on; the callers are looked at themselves."""


def test_every_place_that_writes_a_payload_uses_keys_of_the_list() -> None:
    found = everything_written()
    assert len(found) >= 25, "a walk that finds nothing shows nothing"
    strange = {written.place: sorted(written.keys - set(PAYLOAD_KEYS)) for written in found}
    assert {place: keys for place, keys in strange.items() if keys} == {}


def test_no_place_hides_its_keys() -> None:
    hidden = {written.inside: written.place for written in everything_written() if not written.resolved}
    known = {inside for inside in hidden if inside in PASSED_ON or inside.partition(":")[0] in PASSED_ON}
    assert [hidden[inside] for inside in hidden.keys() - known] == []


def test_the_list_has_no_key_that_nobody_writes() -> None:
    used = set().union(*(written.keys for written in everything_written()))
    assert set(PAYLOAD_KEYS) - used == NOT_SEEN


def test_the_list_stands_in_the_page() -> None:
    page = (REPOSITORY / "docs" / "log" / "effects-and-erasure.md").read_text("utf-8")
    for key, said in PAYLOAD_KEYS.items():
        assert f"| `{key}` | {said} |" in page


@pytest.mark.parametrize(
    ("code", "keys", "resolved"),
    [
        ('def f(self):\n self._journal.note(grant, {"name": 1})', {"name"}, True),
        ('def f(self):\n p = {"a": 1}\n p["b"] = 2\n parts.journal.allowed(grant, p)', {"a", "b"}, True),
        ('def f(self):\n n = {"a": 1}\n journal.event(e, t, {**n, "b": 1})', {"a", "b"}, True),
        ("def f(self, p):\n journal.note(grant, p)", set(), False),
        ('def f(self, k):\n journal.note(grant, {k: 1, "a": 2})', {"a"}, False),
        ('def f(self):\n return EntryDraft(payload={"a": 1})', {"a"}, True),
        (
            'def f(self):\n self._effects.intended(g, k, None, intent_payload(k, {"a": 1}))',
            {"a", "kind"},
            True,
        ),
    ],
)
def test_the_walk_sees_payloads_in_the_ways_in_which_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, keys: set[str], *, resolved: bool
) -> None:
    monkeypatch.setattr("tests.vault.log.test_payload_producers.REPOSITORY", tmp_path)
    file = tmp_path / "code.py"
    file.write_text(code)
    (written,) = written_in(file)
    assert (set(written.keys), written.resolved) == (keys, resolved)


PLANTED: Final = (
    "Zyxwanda Quellmeister",
    "zyx-7731-44812-99",
    "zyxwanda@quellmeister.example",
    "sk-Zyxwandasecret77",
)


def live(clinic: Clinic) -> None:
    """Do everything that an entry tells of, with planted values in every place that takes text."""
    name, number, mail, secret = PLANTED
    said = f"{name} has the number {number}, {mail}, and {secret}"
    owner, clinician, audit = clinic.mem(OWNER), clinic.mem(CLINICIAN), clinic.audit()
    written = owner.extract(Chat((Turn(name, said, ref=number),), title=name), subject=name)
    owner.extract(Document(said, name=f"{name}.txt", title=said, metadata={name: mail}), subject=[name, mail])
    owner.extract(said, access_tier=AccessTier.PRIVATE)
    memory = written.memory_ids[0]
    owner.update(memory, f"{said} again")
    owner.organize(subject=name)
    clinician.retrieve(said, subject=name, reveal=True)
    clinician.retrieve(name)
    clinician.reveal(memory)
    for refused in (
        lambda: clinic.mem(OTHER_OWNER).get(memory),
        lambda: clinic.mem(AUDITOR, Purpose.AUDIT).retrieve(said),
        lambda: owner.get(name),
        lambda: owner.extract(said, subject=f"self:{name}"),
        lambda: MemOS(clinic.vault, principal=OTHER_OWNER).update(memory, said),
    ):
        with suppress(VaultError, PolicyError):
            refused()
    audit.entries()
    audit.verify()
    audit.checkpoint()
    audit.export(BytesIO())
    list(audit.stream(StreamRequest(Format.OCSF)).batches())
    for value in PLANTED:
        LogLookup(clinic.vault.parts).find(AUDITOR, Purpose.AUDIT, value)
    Effects(clinic.vault.parts).open_intents(AUDITOR, Purpose.AUDIT)
    Administration(clinic.vault.parts).keys(ADMINISTRATOR, Purpose.OPERATIONS)
    Administration(clinic.vault.parts).health(ADMINISTRATOR, Purpose.OPERATIONS)
    live_of_persons(clinic, name, said)
    job = PayloadErasure(clinic.vault.parts)
    job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [written.leaf_index], ErasureReason.COURT_ORDER)


def live_of_persons(clinic: Clinic, name: str, said: str) -> None:
    """Hold, restrict and disclose, by planted names and words."""
    holds, review = Holds(clinic.vault.parts), START.replace(year=2090)
    for scope, targets in (
        (HoldScope.SUBJECT, Targets(subjects=(name,))),
        (HoldScope.QUERY, Targets(queries=(said,))),
    ):
        placed = holds.place(OFFICER, Placing(scope, HoldReason.AUDIT, review, targets))
        holds.ask_release(OFFICER, placed.hold_id)
        holds.release(SECOND_OFFICER, placed.hold_id)
    restrictions = Restrictions(clinic.vault.parts)
    restrictions.object_to(OFFICER, name, Purpose.RESEARCH)
    restrictions.lift(OFFICER, name, Purpose.RESEARCH)
    with SubjectRights(clinic.vault.parts).disclosing(OFFICER, name, DisclosureTerms(originals=True)) as told:
        assert list(told.memories)


def test_no_planted_value_stands_in_any_entry_of_any_operation(clinic: Clinic) -> None:
    live(clinic)
    entries = clinic.log()
    assert len({entry.event for entry in entries}) >= 14
    text = "\n".join(
        f"{header}\n{payload}" for header, payload in clinic.sql("SELECT header, payload FROM audit_leaf")
    )
    assert Hunter(PLANTED).in_text("the log", text) == []
    for entry in entries:
        for key, value in entry.payload.items():
            assert key in PAYLOAD_KEYS, entry
            assert is_identifying(value), (entry.event, key)  # type: ignore[arg-type]  # JSON as it was read
