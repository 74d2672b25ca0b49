"""When a receipt is final: the rules are read whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.cosignature import WitnessSignerKey, WitnessVerifierKey
from audit.signing import SignerKey
from policies.bundle import LOG_RULES, Bundle
from policies.errors import PolicyInvalidError
from policies.log_rules import (
    MAX_POLICY_CHARACTERS,
    AnchorRule,
    LogRules,
    StartRule,
    parse_log_rules,
    witness_name,
)

ONE = str(WitnessSignerKey("witness.example/w1", bytes(32)).verifier)
TWO = str(WitnessSignerKey("witness.example/w2", bytes(range(32))).verifier)


def rules(
    *witnesses: str, required: object = 0, anchor: str = "optional", start: str = "serve", more: str = ""
) -> str:
    listed = "".join(f"\n  - {witness}" for witness in witnesses) or " []"
    return (
        f"version: 1\nwitnesses:{listed}\nrequired: {required}\nanchor: {anchor}\n"
        f"unanswered_at_start: {start}\n{more}"
    )


def test_the_shipped_rules_ask_for_no_witness(shipped: Bundle) -> None:
    assert parse_log_rules(shipped.text(LOG_RULES)) == LogRules(
        version=1,
        witnesses=(),
        required=0,
        anchor=AnchorRule.OPTIONAL,
        unanswered_at_start=StartRule.SERVE,
    )


def test_witnesses_and_their_number_are_read() -> None:
    found = parse_log_rules(rules(ONE, TWO, required=2, anchor="required", start="refuse"))
    assert found.witnesses == (ONE, TWO)
    assert (found.required, found.anchor, found.unanswered_at_start) == (
        2,
        AnchorRule.REQUIRED,
        StartRule.REFUSE,
    )
    assert [witness_name(key) for key in found.witnesses] == ["witness.example/w1", "witness.example/w2"]


@given(st.binary(min_size=32, max_size=32), st.from_regex(r"[a-z0-9./-]{1,40}", fullmatch=True))
def test_every_key_of_a_witness_is_taken(seed: bytes, name: str) -> None:
    key = str(WitnessSignerKey(name, seed).verifier)
    (found,) = parse_log_rules(rules(f'"{key}"')).witnesses
    assert str(WitnessVerifierKey.parse(found)) == key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "file"),
        ("[]", "file"),
        ("{", "no YAML"),
        ("[" * 100_000, "characters|no YAML"),
        ("x" * (MAX_POLICY_CHARACTERS + 1), "at most"),
        (rules(more="other: 1"), "other"),
        (rules(more="required: 0"), "each key once"),
        (rules().replace("version: 1", "version: 2"), "version"),
        (rules(required=1), "at most 0"),
        (rules(ONE, required=2), "at most 1"),
        (rules(ONE, required=-1), "required"),
        (rules(ONE, required="'1'"), "required"),
        (rules(ONE, required=33), "required"),
        (rules(anchor="yes"), "expected one of optional, required"),
        (rules(anchor="[]"), "expected one of optional, required"),
        (rules(start="1"), "expected one of serve, refuse"),
        (rules(ONE, ONE), "name once"),
        (rules(ONE, str(WitnessSignerKey("witness.example/w3", bytes(32)).verifier)), "key once"),
        (rules(*[ONE] * 33), "witnesses"),
        (rules("witness.example/w1"), "name, id and base64"),
        (rules("+00000000+BA=="), "name, id and base64"),
        (rules("a b+00000000+BA=="), "name, id and base64"),
        (rules("a+00000000+!"), "base64"),
        (rules("a+00000000+\u00e9"), "base64"),
        (rules("a+00000000+BA=="), "type 0x04"),
        (rules(ONE.replace(ONE.split("+")[1], "00000000")), "key id"),
        (rules(str(SignerKey("witness.example/w1", bytes(32)).verifier)), "type 0x04"),
        (rules("[1]"), "witnesses"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(PolicyInvalidError, match=reason):
        parse_log_rules(text)
