"""The gate's quality has floors: on own texts always, on the shared data where it is.

The figures behind the floors, with intervals, are in docs/privacy-gate.md.
"""

import re
from pathlib import Path

import pytest

from api.bench.gate import (
    Label,
    LabelledText,
    load,
    lower_cased,
    quality,
    read_labelled_turns,
    read_locomo_turns,
    read_synth,
    was_read,
)
from vault.model import Span
from vault.privacy.gate import PrivacyGate

HERE = Path(__file__).parent
TURNS = HERE.parents[1] / "corpus" / "labelled_turns.json"

OWN = """
Hi <PERSON|Marisol>, did <PERSON|Gunnar> call you back about the boat?
My name is <PERSON|Ottilie Brandt> and I'd like to close my account.
Please charge card <CREDIT_CARD|4000 0566 5566 5556>, it is in my wife's name, <PERSON|Heidi Brandt>.
The refund should go to <IBAN_CODE|DE89 3704 0044 0532 0130 00>, thank you.
Reach me at <PHONE_NUMBER|+44 20 7946 0018> or <EMAIL_ADDRESS|o.brandt@mail.example>.
My SSN is <US_SSN|078-05-1120>, do you need it?
She lives at <STREET_ADDRESS|14 Linden Avenue, Apt 3>, <GPE|Rotterdam>.
We moved from <GPE|Kyoto> to <GPE|Bergen> and never regretted it.
The patient is a <AGE|67>-year-old <NRP|Portuguese> woman with asthma.
<TITLE|Dr.> <PERSON|Okonkwo> at <ORGANIZATION|Harbor Health Ltd> changed my dose.
Somebody logged in from <IP_ADDRESS|203.0.113.77> last night.
<PERSON|Ines>: did you sleep?
<PERSON|Tomasz>: not really, <PERSON|Ines>.
<ORGANIZATION|Quillnix> is a <NRP|Danish> software company with an office in <GPE|Lyon>.
i told <PERSON|svetlana> that <PERSON|marco> moved to <GPE|lisbon>
Invoice to <ORGANIZATION|Reyes-Whitfield>, <STREET_ADDRESS|Hauptstraße 9>, <GPE|Graz>.
I'm so proud of you, that must have been a wonderful day!
On Friday we baked two cakes and watched the rain.
The battery lasts nine hours and charges in forty minutes.
How do I change the limit of my credit card?
""".strip().splitlines()
_MARK = re.compile(r"<([A-Z_]+)\|([^>]+)>")


def own_texts() -> list[LabelledText]:
    texts = []
    for number, line in enumerate(OWN):
        text, labels, done = "", [], 0
        for mark in _MARK.finditer(line):
            text += line[done : mark.start()]
            labels.append(Label(mark[1], Span(len(text), len(text) + len(mark[2]))))
            text += mark[2]
            done = mark.end()
        texts.append(LabelledText(text + line[done:], tuple(labels), f"own-{number}"))
    return texts


def test_own_texts_leak_little_and_are_masked_precisely(gate: PrivacyGate) -> None:
    found = quality(gate, own_texts())
    assert found.spans == 31
    assert found.leak.value <= 0.07
    assert found.precision.value >= 0.87
    assert found.f2.value >= 0.90
    assert found.hard_recall.value == 1.0


def test_own_texts_in_lower_case_leak_little(gate: PrivacyGate) -> None:
    assert quality(gate, lower_cased(own_texts())).leak.value <= 0.16


@pytest.mark.parametrize("name", ["technical_lines.txt", "technical_lines_untouched.txt"])
def test_technical_text_is_left_readable(name: str, gate: PrivacyGate) -> None:
    assert load(gate, (HERE / name).read_text(encoding="utf-8").splitlines()).runs_per_text <= 0.3


def test_dates_as_people_say_them_stay_readable(gate: PrivacyGate) -> None:
    texts = [
        "We met last Friday.",
        "It was on 7 May 2023, I think.",
        "See you next week on Tuesday at noon!",
        "The show is in June.",
    ]
    assert load(gate, texts).runs == 0


def test_hand_labelled_turns_keep_their_figures(gate: PrivacyGate) -> None:
    """Never tuned on: the floors stand a little beside what was measured."""
    if not TURNS.is_file():
        pytest.skip("the hand-labelled turns are not here")
    found = quality(gate, read_labelled_turns(TURNS))
    assert found.leak.value <= 0.12
    assert found.precision.value >= 0.80


def test_synthetic_texts_of_templates_never_looked_at_keep_the_targets(
    gate: PrivacyGate, shared: Path
) -> None:
    unread = [one for one in read_synth(shared / "data/pii/synth_dev.json") if not was_read(one.template)]
    found = quality(gate, unread)
    assert found.leak.value <= 0.05
    assert found.precision.value >= 0.87
    assert found.f2.value >= 0.90
    assert found.hard_recall.value >= 0.99
    assert quality(gate, lower_cased(unread)).leak.value <= 0.12


def test_chat_is_masked_seldom(gate: PrivacyGate, shared: Path) -> None:
    found = load(gate, read_locomo_turns(shared / "data/locomo/locomo_dev.json")[::10])
    assert found.runs_per_text <= 0.6
    assert found.p50_ms <= 12.0, "a generous bound: the figure itself belongs to the benchmark"


def test_an_optional_span_counts_neither_way(gate: PrivacyGate) -> None:
    text = "My name is Ottilie Brandt."
    span = Span(11, 25)
    free = quality(gate, [LabelledText(text, (), "a", (span,))])
    strict = quality(gate, [LabelledText(text, (), "a")])
    assert free.precision.value == 0.0
    assert free.f2.value == 0.0
    assert strict.precision.value == 0.0
    assert quality(gate, [LabelledText(text, (Label("PERSON", span),), "a")]).leak.value == 0.0


def test_a_gate_that_masks_nothing_leaks_everything() -> None:
    """The measure itself can fail."""
    from policies.privacy import default_privacy_rules  # noqa: PLC0415 (next to its use)

    class Blind:
        name = "blind/1"

        def detect(self, text: str) -> list[object]:
            del text
            return []

    found = quality(PrivacyGate(Blind(), default_privacy_rules()), own_texts())  # type: ignore[arg-type]  # it finds nothing of any type
    assert found.leak.value == 1.0
    assert found.hard_recall.value == 0.0
