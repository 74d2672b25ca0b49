"""Which rows of the privacy suite are judged: those of templates that nobody looked at."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from api.bench import gate_report, quality
from api.bench.gate import was_read
from api.bench.report import at_most
from policies.privacy import EntityType, default_privacy_rules
from tests.simulators.fakes import KeywordDetector
from vault.privacy.findings import Finding
from vault.privacy.gate import PrivacyGate


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that costs nothing."""
    rules = default_privacy_rules()
    made = PrivacyGate(KeywordDetector(), rules)
    monkeypatch.setattr(quality, "real_gate", lambda: made)


@pytest.fixture
def synth(tmp_path: Path) -> Path:
    """Texts of templates of both halves, an e-mail address in each."""
    text = "Write to anna@example.org today."
    span = {"start_position": 9, "end_position": 25, "entity_type": "EMAIL_ADDRESS"}
    items = [{"full_text": text, "template_id": number, "spans": [span]} for number in range(20)]
    assert {was_read(str(number)) for number in range(20)} == {True, False}
    file = tmp_path / "synth.json"
    file.write_text(json.dumps(items))
    return file


def test_the_table_of_thresholds_has_a_line_for_each_and_a_higher_bar_masks_less(
    synth: Path, tmp_path: Path
) -> None:
    class Unsure(KeywordDetector):
        def detect(self, text: str) -> list[Finding]:
            return [replace(one, score=0.16) for one in super().detect(text)]

    shared = tmp_path / "shared"
    (shared / "data/pii").mkdir(parents=True)
    (shared / "data/locomo").mkdir()
    synth.rename(shared / "data/pii/synth_dev.json")
    turns = {"conversation": {"session_1": [{"text": "I am Maria."}], "session_1_date_time": "now"}}
    (shared / "data/locomo/locomo_dev.json").write_text(json.dumps([turns]))
    head, *lines = gate_report.sweep(Unsure(), shared, (0.15, 0.17))
    assert head == gate_report.SWEEP_HEAD
    assert lines == ["| 0.15 | 0.000 | 1.000 | 0.000 | 1.00 |", "| 0.17 | 1.000 | 0.000 | 1.000 | 0.00 |"]


def test_other_thresholds_are_those_of_the_shipped_rules_but_for_one_number() -> None:
    shipped, other = default_privacy_rules(), gate_report.with_threshold(0.2)
    usual = {kind for kind in EntityType if shipped.rule(kind).threshold == 0.15}
    assert len(usual) > 20
    assert all(other.rule(kind).threshold == 0.2 for kind in usual)
    assert all(other.rule(kind) == shipped.rule(kind) for kind in set(EntityType) - usual)
    assert gate_report.with_threshold(0.15).digest == shipped.digest


@pytest.mark.usefixtures("gate")
def test_only_templates_that_nobody_looked_at_have_targets(synth: Path) -> None:
    found = {figure.name: figure for figure in quality.privacy(synth, None)}
    unread = found["leak rate, templates never looked at"]
    assert unread.target == quality.LEAK
    assert unread.met is not None
    assert found["leak rate, templates never looked at, lower-cased copy"].target == quality.LEAK_LOWER
    with_all = [figure for name, figure in found.items() if "all templates" in name]
    assert len(with_all) == 5
    assert {(figure.target, figure.met) for figure in with_all} == {(None, None)}


@pytest.mark.usefixtures("gate")
@pytest.mark.parametrize("quick", [False, True])
def test_technical_lines_have_their_rows_and_their_target(*, quick: bool) -> None:
    found = {figure.name: figure for figure in quality.privacy(None, None, quick=quick)}
    for which in ("looked at", "never looked at"):
        row = found[f"masked runs a line, technical lines, {which}"]
        assert row.target == quality.TECHNICAL_RUNS == at_most(0.3)
        assert row.value is not None
        assert row.met is True, "the keyword detector finds next to nothing there"


@pytest.mark.usefixtures("gate")
def test_technical_lines_that_are_masked_too_often_miss_the_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("anna@example.org\n" * 3)
    monkeypatch.setattr(quality, "TECHNICAL", {"made up": file, "absent": tmp_path / "none"})
    found = {figure.name: figure for figure in quality.privacy(None, None)}
    assert (found["masked runs a line, made up"].value, found["masked runs a line, made up"].met) == (
        1,
        False,
    )
    assert found["masked runs a line, absent"].met is None


@pytest.mark.usefixtures("gate")
def test_a_quick_run_judges_no_rate_of_its_few_texts(synth: Path) -> None:
    found = {figure.name: figure for figure in quality.privacy(synth, None, quick=True)}
    rough = found["leak rate, templates never looked at"]
    assert rough.met is None
    assert "a small sample" in rough.note
