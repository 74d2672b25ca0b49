"""What a vault is given from outside its database: the anchor's file and how witnesses are reached.

Owns opening them as policy and settings say together: the policy names the witnesses that count and
whether an anchor is needed, the settings say where they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.anchor import FileAnchor
from audit.cosignature import WitnessVerifierKey
from audit.errors import AnchorUnusableError
from policies.log_rules import AnchorRule, LogRules, parse_log_rules, witness_name
from vault.errors import InputInvalidError
from vault.witness_client import SECONDS, HttpWitness


@dataclass(frozen=True, slots=True)
class Places:
    """Where anchor and witnesses are; settings of a deployment."""

    anchor: Path | None = None
    """The anchor's file, which exists; None anchors nothing."""
    witness_urls: Mapping[str, str] = field(default_factory=dict)
    """Submission prefix by the witness's name."""
    witness_authorities: Path | None = None
    """PEM file of the authorities of the witnesses' certificates; None takes the system's."""
    witness_seconds: float = SECONDS
    """Longest time of one request."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Anchor and witnesses, opened."""

    rules: LogRules
    anchor: FileAnchor | None = None
    witnesses: tuple[HttpWitness, ...] = ()
    """Those of the rules that the settings say how to reach."""


def open_outside(rules_text: str, places: Places) -> Outside:
    """Open what policy and settings say.

    Raises:
        PolicyInvalidError: the rules are none.
        InputInvalidError: a URL is of no witness of the rules, or is none.
        AnchorUnusableError: the anchor is not there, not safe, or asked for by the rules and not set.
    """
    rules = parse_log_rules(rules_text)
    if rules.anchor is AnchorRule.REQUIRED and places.anchor is None:
        raise AnchorUnusableError("the policy asks for an anchor, and the settings name none")
    unknown = set(places.witness_urls) - {witness_name(key) for key in rules.witnesses}
    if unknown:
        raise InputInvalidError(f"expected URLs of witnesses of the policy alone, got {sorted(unknown)}")
    witnesses = tuple(
        HttpWitness(
            WitnessVerifierKey.parse(key),
            places.witness_urls[witness_name(key)],
            seconds=places.witness_seconds,
            authorities=places.witness_authorities,
        )
        for key in rules.witnesses
        if witness_name(key) in places.witness_urls
    )
    anchor = None if places.anchor is None else FileAnchor(places.anchor)
    return Outside(rules, anchor, witnesses)


def make_anchor(places: Places) -> None:
    """Make the anchor of a new vault, unless it is there already.

    Raises:
        AnchorUnusableError: it cannot be made.
    """
    if places.anchor is not None and not places.anchor.exists():
        FileAnchor.create(places.anchor).close()
