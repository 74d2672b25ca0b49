"""What a vault is given from outside its database: the anchor's file and how witnesses are reached.

Owns opening them as policy and settings say together: the policy names the witnesses that count and
whether an anchor is needed, the settings say where they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509

from audit.anchor import FileAnchor
from audit.cosignature import WitnessVerifierKey
from audit.errors import AnchorUnusableError, MalformedError
from audit.timestamp import is_installed, parse_roots
from policies.log_rules import AnchorRule, LogRules, parse_log_rules, witness_name
from vault.bounded_post import Endpoint
from vault.errors import InputInvalidError
from vault.witness_client import SECONDS, HttpWitness

TIME_STAMP_SECONDS: Final = 3_600.0


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
    time_stamp_url: str | None = None
    """Of an authority of RFC 3161; None has nothing stamped."""
    time_stamp_roots: Path | None = None
    """PEM file of the authorities' certificates that are trusted."""
    time_stamp_seconds: float = TIME_STAMP_SECONDS
    """Interval of time stamps."""


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """Who stamps, and whom to trust for it."""

    endpoint: Endpoint
    roots: tuple[x509.Certificate, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Outside:
    """Anchor and witnesses, opened."""

    rules: LogRules
    anchor: FileAnchor | None = None
    witnesses: tuple[HttpWitness, ...] = ()
    """Those of the rules that the settings say how to reach."""
    authority: TimeStampAuthority | None = None


def open_outside(rules_text: str, places: Places) -> Outside:
    """Open what policy and settings say.

    Raises:
        PolicyInvalidError: the rules are none.
        InputInvalidError: a URL is of no witness of the rules, or is none; or time stamps lack something.
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
    authority = _authority(places)
    anchor = None if places.anchor is None else FileAnchor(places.anchor)
    return Outside(rules, anchor, witnesses, authority)


def _authority(places: Places) -> TimeStampAuthority | None:
    if places.time_stamp_url is None:
        return None
    if places.time_stamp_roots is None or places.anchor is None:
        raise InputInvalidError("time stamps: expected certificates to trust, and an anchor to keep them in")
    if not is_installed():
        raise InputInvalidError("time stamps: expected the extra `timestamps` to be installed")
    try:
        roots = parse_roots(places.time_stamp_roots.read_bytes())
    except (OSError, MalformedError):
        raise InputInvalidError("time stamps: the certificates to trust cannot be read") from None
    # Plain http is what these authorities speak: they learn a hash, and their answers are signed.
    endpoint = Endpoint("time stamps", places.time_stamp_url, seconds=places.witness_seconds, plain=True)
    return TimeStampAuthority(endpoint, roots, places.time_stamp_seconds)


def make_anchor(places: Places) -> None:
    """Make the anchor of a new vault, unless it is there already.

    Raises:
        AnchorUnusableError: it cannot be made.
    """
    if places.anchor is not None and not places.anchor.exists():
        FileAnchor.create(places.anchor).close()
