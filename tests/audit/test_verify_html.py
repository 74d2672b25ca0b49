"""The verifier in a browser says the same as the one in Python, and asks nobody."""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.canonical import JsonValue
from audit.cosignature import WitnessVerifierKey
from audit.errors import AuditError, BundleMalformedError, VerificationError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG, EntryBeside
from audit.proof import TlogProof, parse_proof, verify_proof
from audit.replay import Invariant
from audit.report import Report
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from audit.verify_html import build_page
from tests.audit.test_beside import ERASER, FORGED, LOOKALIKES, MALFORMED, erased
from tests.audit.test_beside import PROOF as PROOF_BESIDE
from tests.audit.test_bundle import (
    BAD_BUNDLES,
    MANIFEST_LIES,
    WRONG_CONTENT,
    A,
    exported_by,
    long,
    of_nothing,
    range_with_an_eraser,
    without_its_policy,
)
from tests.audit.test_following_keys import CASES
from tests.audit.test_following_keys import export as export_rolled
from tests.audit.test_offline import cosigned_then_written_on
from tests.audit.test_proof import BAD_FILES, WITNESSES, WRONG, cosigned, proof_of
from tests.audit.test_verification_of_tampered_logs import SCENARIOS, erase
from tests.golden.make_evidence import BUNDLE, PROOF
from tests.golden.make_evidence import WITNESS as GOLDEN_WITNESS
from tests.simulators.evidence_bundles import beside_of, edited, export, export_range
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
TRUST = Trust((LOG_KEY.verifier,))
Said = tuple[str, frozenset[tuple[str, str]]]
"""Outcome, and place and check of each finding."""

__all__ = ["erased", "long"]


class Browser:
    """The page, open in a browser without a network."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def verify(
        self,
        name: str,
        content: bytes,
        *,
        witnesses: str = "",
        required: int = 0,
        may_lag: int = 0,
        kept: tuple[bytes, ...] = (),
        keys: tuple[VerifierKey, ...] = (LOG_KEY.verifier,),
    ) -> Said:
        """Give the page a file and return what it says."""
        page = self.page
        before = int(page.locator("html").get_attribute("data-done") or 0)
        page.fill("#keys", "\n".join(map(str, keys)))
        page.evaluate("document.querySelector('details').open = true")
        page.fill("#witnesses", witnesses)
        page.fill("#required", str(required))
        page.fill("#may-lag", str(may_lag))
        notes: list[FilePayload] = [
            {"name": f"{nth}.txt", "mimeType": "text/plain", "buffer": note} for nth, note in enumerate(kept)
        ]
        page.set_input_files("#remembered", notes)
        page.set_input_files("#file", {"name": name, "mimeType": "application/x-tar", "buffer": content})
        page.click("#verify")
        page.wait_for_selector(f"html[data-done='{before + 1}']", timeout=120_000)
        outcome = page.locator("#result").get_attribute("data-outcome")
        rows = page.evaluate(
            "[...document.querySelectorAll('#result table')].filter(t => t.caption.textContent === 'Findings')"
            ".flatMap(t => [...t.tBodies[0].rows].map(r => [r.cells[0].textContent, r.cells[1].textContent]))"
        )
        return str(outcome), frozenset((place, check) for place, check in rows)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = tmp_path_factory.mktemp("page") / "verify.html"
    path.write_bytes(build_page())
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(offline=True)
        page = context.new_page()
        opened = Browser(page)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        yield opened
        assert opened.errors == []
        chromium.close()


def python_says(content: bytes, *kept: bytes, trust: Trust = TRUST) -> Said:
    """Return what Python says of a bundle, in the page's words."""
    try:
        found = verify_bundle(io.BytesIO(content), trust, remembered=kept, now=datetime.now(UTC))
    except BundleMalformedError:
        return "unreadable", frozenset()
    return ("passed" if found.report.passed else "failed"), _rows(found.report)


def _rows(report: Report) -> frozenset[tuple[str, str]]:
    return frozenset(
        (one.log if one.index is None else f"{one.log}[{one.index}]", str(one.check))
        for one in report.findings
    )


@needs_chromium
def test_the_browser_says_the_same_of_good_bundles(browser: Browser, lived: SmallDeployment) -> None:
    for bundle in (export(lived), export(lived, A), export(lived, A, payloads=False)):
        said = browser.verify("evidence.tar", bundle)
        assert said == python_says(bundle) == ("passed", frozenset())


@needs_chromium
def test_the_browser_says_the_same_of_ranges(browser: Browser, long: SmallDeployment) -> None:
    for start, stop in ((0, 256), (256, 512), (512, 801)):
        bundle = export_range(long, A, start, stop)
        assert browser.verify("evidence.tar", bundle) == python_says(bundle) == ("passed", frozenset())
    bundle = range_with_an_eraser(long)
    assert browser.verify("evidence.tar", bundle) == python_says(bundle) == ("passed", frozenset())


@needs_chromium
def test_the_browser_says_the_same_of_entries_beside_a_range(
    browser: Browser, erased: SmallDeployment
) -> None:
    honest = beside_of(erased, A, ERASER)
    cases: dict[str, list[EntryBeside]] = {
        "honest": [honest],
        "twice": [honest, honest],
        **{name: [change(honest)] for name, change in FORGED.items()},
        **{name: [beside_of(erased, A, ERASER + 1 + nth)] for nth, name in enumerate(LOOKALIKES)},
    }
    bundles = {name: export_range(erased, A, 0, 256, beside=beside) for name, beside in cases.items()}
    bundles |= {name: change(bundles["honest"]) for name, change in MALFORMED.items()}
    bundles["altered"] = edited(bundles["honest"], PROOF_BESIDE, lambda old: old[:-9] + bytes(9), refit=False)
    TamperingStore(erased.connection).alter(A, 4, salt=None, payload=None, erased_by=ERASER)
    bundles["not named"] = export_range(erased, A, 0, 256, beside=[honest])
    differing = {}
    for name, bundle in bundles.items():
        said, expected = browser.verify("evidence.tar", bundle), python_says(bundle)
        if said != expected:
            differing[name] = (said, expected)
    assert differing == {}


@needs_chromium
def test_the_browser_refuses_the_same_ways_around_a_check(browser: Browser, long: SmallDeployment) -> None:
    kept = long.log.checkpoints(long.connection, A)[0]
    ranged = export_range(long, A, 512, 768)
    cases = {
        "a range and a checkpoint that it cannot show": (ranged, (kept,)),
        "who exported it, in an entry behind the end": (exported_by(long, "auditor-1", 10**6), ()),
        "made up behind an early checkpoint": (written_on(long), ()),
        "a payload that may never be erased": (without_its_policy(long), ()),
        "an empty log that nobody signed": (of_nothing(long), ()),
        "no log at all": (of_nothing(long, logs=False), ()),
    }
    for name, (bundle, notes) in cases.items():
        said, expected = browser.verify("evidence.tar", bundle, kept=notes), python_says(bundle, *notes)
        assert said == expected, name
        assert said[0] == "failed", name
    witness, other = (one.verifier for one in WITNESSES[:2])
    twice = f"{witness}\n{WitnessVerifierKey(other.name, witness.public)}"
    assert browser.verify("evidence.tar", ranged, witnesses=twice, required=1)[0] == "unreadable"


def written_on(deployment: SmallDeployment) -> bytes:
    """Return a log whose last entry nobody signed."""
    deployment.write(A, "mem_eeeeeeee0")
    return export(deployment, A)


@needs_chromium
def test_the_browser_finds_the_same_in_every_tampered_log(browser: Browser, lived: SmallDeployment) -> None:
    store = TamperingStore(lived.connection)
    before = store.snapshot()
    differing = {}
    for name, (tampering, _) in SCENARIOS.items():
        tampering(store)
        bundle = export(lived)
        store.restore(before)
        said, expected = browser.verify("evidence.tar", bundle), python_says(bundle)
        if said != expected:
            differing[name] = (said, expected)
    assert differing == {}


@needs_chromium
def test_the_browser_holds_destroyed_keys_against_erasures(
    deployment: SmallDeployment, browser: Browser
) -> None:
    anna, bob, erasure = "sub_aaaaaaaa", "sub_bbbbbbbb", "era_aaaaaaaa"
    deployment.open_logs(A)
    begun = draft(
        EventType.SUBJECT_ERASE,
        resource=erasure,
        payload={"subjects": [anna], "step": "begun"},
        action="erase",
    )
    destroyed = [
        draft(EventType.KEY_DESTROY, resource=resource, payload={"subjects": [subject]}, action="destroy")
        for resource, subject in ((erasure, anna), (erasure, bob), ("era_bbbbbbbb", anna), (None, anna))
    ]
    deployment.log.append(deployment.connection, [begun, *destroyed])
    deployment.sign()
    bundle = export(deployment)
    outcome, findings = python_says(bundle)
    assert sorted(check for _, check in findings) == [Invariant.KEY_ERASED] * 3
    assert browser.verify("evidence.tar", bundle) == (outcome, findings)


@needs_chromium
def test_the_browser_follows_the_same_keys(browser: Browser) -> None:
    differing = {}
    for name, case in CASES.items():
        deployment = SmallDeployment()
        deployment.live_a_day()
        case.live(deployment)
        keys = tuple(key.verifier for key in case.keys)
        for logs in ((), (A,)):
            bundle = export_rolled(deployment, *logs, payloads=case.payloads)
            expected = python_says(bundle, trust=Trust(keys))
            said = browser.verify("evidence.tar", bundle, keys=keys)
            if said != expected:
                differing[name, logs] = (said, expected)
        deployment.close()
    assert differing == {}


@needs_chromium
def test_the_browser_refuses_the_same_bundles(browser: Browser, lived: SmallDeployment) -> None:
    good = export(lived, A)
    differing = {}
    changes: dict[str, Callable[[bytes], bytes]] = {
        **BAD_BUNDLES,
        **MANIFEST_LIES,
        **{name: change for name, (change, _) in WRONG_CONTENT.items()},
    }
    for name, change in changes.items():
        bundle = change(good)
        said, expected = browser.verify("evidence.tar", bundle), python_says(bundle)
        if said != expected:
            differing[name] = (said, expected)
    assert differing == {}


@needs_chromium
def test_the_browser_notices_bytes_changed_anywhere(browser: Browser, lived: SmallDeployment) -> None:
    good = export(lived, A)
    for at in range(7, len(good), 1511):
        bundle = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert browser.verify("evidence.tar", bundle) == python_says(bundle), f"byte {at}"


@needs_chromium
def test_the_browser_holds_a_log_against_checkpoints_that_were_kept(
    browser: Browser, deployment: SmallDeployment
) -> None:
    notes = deployment.live_a_day()
    bundle = export(deployment)
    assert browser.verify("evidence.tar", bundle, kept=tuple(notes)) == ("passed", frozenset())
    deployment.write(A, "mem_dddddddd0")
    newer = deployment.sign()
    said = browser.verify("evidence.tar", bundle, kept=(*newer, b"noise"))
    assert said == python_says(bundle, *newer, b"noise")
    assert said[0] == "failed"


@needs_chromium
def test_the_browser_judges_erasures_alike(browser: Browser, lived: SmallDeployment) -> None:
    eraser = erase(lived, 2, 3)
    store = TamperingStore(lived.connection)
    store.alter(A, 2, salt=None, payload=None, erased_by=eraser)
    for index, erased_by in ((4, None), (5, eraser)):
        store.alter(A, index, salt=None, payload=None, erased_by=erased_by)
    lived.sign()
    bundle = export(lived, SYSTEM_LOG, A)
    said = browser.verify("evidence.tar", bundle)
    assert said == python_says(bundle)
    assert {place for place, _ in said[1]} == {f"{A}[{index}]" for index in (3, 4, 5)}


def proof_says(content: bytes) -> str:
    try:
        verify_proof(parse_proof(content), TRUST)
    except VerificationError:
        return "failed"
    except AuditError:
        return "unreadable"
    return "passed"


@needs_chromium
def test_the_browser_says_the_same_of_proofs(browser: Browser, lived: SmallDeployment) -> None:
    good = proof_of(lived)
    cases: dict[str, TlogProof | bytes] = {"good": good, **{name: edit(good) for name, edit in WRONG.items()}}
    cases |= {name: edit(good.encode()) for name, edit in BAD_FILES.items()}
    cases |= {f"entry {index}": proof_of(lived, index) for index in range(9)}
    differing = {}
    for name, case in cases.items():
        content = case.encode() if isinstance(case, TlogProof) else case
        said, expected = browser.verify("entry.tlog-proof", content)[0], proof_says(content)
        if said != expected:
            differing[name] = (said, expected)
    assert differing == {}


@needs_chromium
def test_the_browser_gives_the_same_warnings(browser: Browser, lived: SmallDeployment) -> None:
    lived.now -= timedelta(days=1)
    told: list[tuple[EventType, dict[str, JsonValue]]] = [
        (EventType.EFFECT_INTENT, {"kind": "audit.export"}),
        (EventType.EFFECT_INTENT, {"kind": "key.create"}),
        (EventType.EFFECT_OUTCOME, {"intent": 9, "kind": "audit.export"}),
        (EventType.EFFECT_OUTCOME, {"intent": 9, "kind": "audit.export"}),
        (EventType.EFFECT_OUTCOME, {"intent": 10, "kind": "audit.export"}),
        (EventType.EFFECT_OUTCOME, {}),
    ]
    lived.log.append(
        lived.connection, [draft(event, time=lived.now, payload=payload) for event, payload in told]
    )
    lived.sign()
    bundle = export(lived, A)
    assert browser.verify("evidence.tar", bundle) == ("passed", frozenset())
    shown = browser.page.evaluate(
        "[...document.querySelectorAll('#result table')].filter(t => t.caption.textContent.startsWith('Warnings'))"
        ".flatMap(t => [...t.tBodies[0].rows].map(r => [r.cells[0].textContent, r.cells[1].textContent]))"
    )
    report = verify_bundle(io.BytesIO(bundle), TRUST, now=datetime.now(UTC)).report
    assert {(place, check) for place, check in shown} == {
        (f"{one.log}[{one.index}]", str(one.check)) for one in report.warnings
    }
    assert len(shown) == 5, "one step of the clock, three strays, one intent without an outcome"


@needs_chromium
def test_the_browser_verifies_golden_evidence(browser: Browser) -> None:
    witness = str(GOLDEN_WITNESS.verifier)
    for path in (BUNDLE, PROOF):
        said = browser.verify(path.name, path.read_bytes(), witnesses=witness, required=1)
        assert said == ("passed", frozenset()), path.name


@needs_chromium
def test_the_browser_counts_cosignatures(browser: Browser, lived: SmallDeployment) -> None:
    keys = "\n".join(str(witness.verifier) for witness in WITNESSES)
    one, both = (cosigned(proof_of(lived), *WITNESSES[:count]).encode() for count in (1, 2))
    assert browser.verify("x.tlog-proof", both, witnesses=keys, required=2)[0] == "passed"
    assert browser.verify("x.tlog-proof", one, witnesses=keys, required=2)[0] == "failed"
    assert browser.verify("x.tlog-proof", one, witnesses=keys, required=3)[0] == "unreadable"
    said = browser.verify("evidence.tar", export(lived, A), witnesses=keys, required=1)
    assert said == ("failed", frozenset({(A, "cosignatures required")}))
    lagging = cosigned_then_written_on(lived)
    witness = WITNESSES[0].verifier
    for may_lag in (0, 1, 2, 100):
        trust = Trust((LOG_KEY.verifier,), (witness,), 1, may_lag)
        said = browser.verify("x.tar", lagging, witnesses=str(witness), required=1, may_lag=may_lag)
        assert said == python_says(lagging, trust=trust)
        assert said[0] == ("failed" if may_lag < 2 else "passed")
    assert browser.verify("x.tar", lagging, witnesses=str(witness), may_lag=1)[0] == "unreadable"


def test_the_page_opens_no_connection_and_allows_only_what_stands_in_it() -> None:
    page = build_page().decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert all(
        rule.startswith("'sha256-") and " " not in rule for rule in (rules["script-src"], rules["style-src"])
    )
    assert not re.search(
        r"\son[a-z]+=|javascript:|https?:|innerHTML|eval\(|fetch\(|XMLHttpRequest|@[A-Z]+@", page
    )


def test_the_page_is_the_same_each_time_and_small() -> None:
    assert build_page() == build_page()
    assert len(build_page()) < 100_000


def test_the_patterns_mean_the_same_without_possessive_quantifiers() -> None:
    page = build_page().decode()
    found = re.search(r"const CONSTANTS = (\{.*\});", page)
    assert found is not None
    shared = json.loads(found[1])
    for pattern in (shared["header"], shared["id"]):
        assert not re.search(r"[+*}]\+", pattern)
    assert re.fullmatch(shared["id"], '"clinic-a"')
    assert not re.fullmatch(shared["id"], '"1234567"')


def test_the_page_can_be_written_where_someone_looks(tmp_path: Path) -> None:
    path = tmp_path / "verify.html"
    path.write_bytes(build_page())
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
