"""`python -m api.bench.gate_report SHARED`: the tables of docs/privacy-gate.md, computed again.

`SHARED` is the folder with `data/pii` and `data/locomo`; without it only the project's own texts are scored.
With `--thresholds` behind it, the table of what another threshold of the rules would do is computed instead.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from api.bench.gate import (
    Interval,
    LabelledText,
    Quality,
    load,
    lower_cased,
    quality,
    read_labelled_turns,
    read_locomo_turns,
    read_synth,
    was_read,
)
from policies.privacy import DEFAULT_FILE, PrivacyRules, default_privacy_rules, parse_privacy_rules
from vault.privacy.detect import PresidioDetector
from vault.privacy.findings import Detector
from vault.privacy.gate import PrivacyGate

CORPUS: Final = Path(__file__).parents[2] / "tests"
TURNS: Final = CORPUS / "corpus" / "labelled_turns.json"
TECHNICAL: Final = {
    "technical lines, looked at": CORPUS / "vault" / "privacy" / "technical_lines.txt",
    "technical lines, never looked at": CORPUS / "vault" / "privacy" / "technical_lines_untouched.txt",
}
THRESHOLDS: Final = (0.11, 0.13, 0.15, 0.17, 0.20, 0.25)
SWEEP_HEAD: Final = "| threshold | leak | character precision | leak, lower case | masked runs a LoCoMo turn |\n|---|---|---|---|---|"
_SET: Final = re.compile(r"threshold: 0\.15\b")
HEAD: Final = "| texts | n | spans | leak | character precision | span F2 | recall of e-mail, card, IBAN, SSN, phone, IP |\n|---|---|---|---|---|---|---|"


def _figure(value: Interval) -> str:
    """Return a figure with its interval."""
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _row(name: str, found: Quality) -> str:
    """Return a line of the first table."""
    return f"| {name} | {found.texts} | {found.spans} | {_figure(found.leak)} | {_figure(found.precision)} | {_figure(found.f2)} | {_figure(found.hard_recall)} |"


def _kinds(name: str, found: Quality) -> Iterator[str]:
    """Yield the table by type."""
    yield f"\n### {name}, by type\n\n| type | spans | leaked | leak |\n|---|---|---|---|"
    for kind in found.kinds:
        yield f"| {kind.kind} | {kind.spans} | {kind.leaked} | {_figure(kind.leak)} |"


def _load_row(name: str, gate: PrivacyGate, texts: Sequence[str]) -> str:
    """Return a line of the table of masked runs and cost."""
    found = load(gate, texts)
    return f"| {name} | {found.texts} | {found.runs_per_text:.2f} | {found.p50_ms:.2f} | {found.p95_ms:.2f} | {found.batch_ms:.2f} |"


def _sets(shared: Path | None) -> dict[str, list[LabelledText]]:
    """Return the labelled sets by name."""
    sets: dict[str, list[LabelledText]] = {}
    if shared:
        synth = read_synth(shared / "data/pii/synth_dev.json")
        unread = [one for one in synth if not was_read(one.template)]
        sets = {
            "synth, templates never looked at": unread,
            "synth, templates that were read": [one for one in synth if was_read(one.template)],
            "synth, all": synth,
            "synth, never looked at, lower case": lower_cased(unread),
            "synth, all, lower case": lower_cased(synth),
        }
    if TURNS.is_file():
        turns = read_labelled_turns(TURNS)
        sets |= {"hand-labelled turns": turns, "hand-labelled turns, lower case": lower_cased(turns)}
    return sets


def report(gate: PrivacyGate, shared: Path | None) -> Iterator[str]:
    """Yield the report's lines."""
    found = {name: quality(gate, texts) for name, texts in _sets(shared).items()}
    yield HEAD
    yield from (_row(name, one) for name, one in found.items())
    yield "\n| texts | n | masked runs a text | p50 ms | p95 ms | batched ms |\n|---|---|---|---|---|---|"
    if shared:
        yield _load_row("LoCoMo turns", gate, read_locomo_turns(shared / "data/locomo/locomo_dev.json"))
    for name, file in TECHNICAL.items():
        if file.is_file():
            yield _load_row(name, gate, file.read_text(encoding="utf-8").splitlines())
    for name in ("synth, templates never looked at", "synth, all", "hand-labelled turns"):
        if name in found:
            yield from _kinds(name, found[name])


def with_threshold(threshold: float) -> PrivacyRules:
    """Return the shipped rules with another threshold, where theirs is the usual one."""
    return parse_privacy_rules(
        _SET.sub(f"threshold: {threshold:.2f}", DEFAULT_FILE.read_text(encoding="utf-8"))
    )


def sweep(detector: Detector, shared: Path, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[str]:
    """Yield the table of thresholds: on templates that nobody looked at, and on chat."""
    synth = read_synth(shared / "data/pii/synth_dev.json")
    unread = [one for one in synth if not was_read(one.template)]
    turns = read_locomo_turns(shared / "data/locomo/locomo_dev.json")
    yield SWEEP_HEAD
    for threshold in thresholds:
        gate = PrivacyGate(detector, with_threshold(threshold))
        plain, lower = quality(gate, unread), quality(gate, lower_cased(unread))
        runs = load(gate, turns).runs_per_text
        yield f"| {threshold:.2f} | {plain.leak.value:.3f} | {plain.precision.value:.3f} | {lower.leak.value:.3f} | {runs:.2f} |"


def main() -> None:
    """Print the report, or the table of thresholds."""
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    rules = default_privacy_rules()
    detector = PresidioDetector(rules)
    asked = "--thresholds" in sys.argv[2:]
    lines = sweep(detector, shared) if shared and asked else report(PrivacyGate(detector, rules), shared)
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
