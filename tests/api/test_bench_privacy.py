"""Which rows of the privacy suite are judged: those of templates that nobody looked at."""

import json
from pathlib import Path

import pytest

from api.bench import quality
from api.bench.gate import was_read
from policies.privacy import default_privacy_rules
from tests.simulators.fakes import KeywordDetector
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
def test_a_quick_run_judges_no_rate_of_its_few_texts(synth: Path) -> None:
    found = {figure.name: figure for figure in quality.privacy(synth, None, quick=True)}
    rough = found["leak rate, templates never looked at"]
    assert rough.met is None
    assert "a small sample" in rough.note
