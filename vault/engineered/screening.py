"""What the privacy gate would do to a text, without keeping any of it.

Owns the question. The text is masked under a key that is made for it and dropped, so that what is told leads to no
token of anybody's; counts by kind are told, never where or what.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, Relation
from vault.errors import ScreeningRefusedError
from vault.grant import authorise
from vault.incidents import told_kinds
from vault.journal import Call
from vault.parts import Parts
from vault.pipeline.limits import check_visible
from vault.privacy.tokens import MIN_KEY_BYTES, SubjectTokens


@dataclass(frozen=True, slots=True)
class Screening:
    """What would become of a text."""

    refused: bool
    """Whether it would not be kept at all."""
    kinds: Mapping[str, int]
    """Kinds of personal data that would be masked, with how many; empty where it would be refused."""


def screen_only(parts: Parts, principal: Principal, purpose: Purpose, text: str) -> Screening:
    """Say what would become of a text, were it written as one's own; that it was asked is an entry.

    Raises:
        DeniedError: nothing may be written for this purpose; the denial is logged.
        InputInvalidError: the text is empty, too long, or no text.
    """
    owned = tuple((tier, Relation.OWNER) for tier in AccessTier)
    event = EventType.PIPELINE_STEP
    try:
        grant = authorise(parts.policy, principal, Action.WRITE, purpose, over=owned)
    except DeniedError:
        parts.journal.deny(Call(principal, Action.WRITE, purpose), event=event)
        raise
    check_visible("text", text, parts.limits.document_chars)
    try:
        screened = parts.gate.screen(text, SubjectTokens(parts.entropy(MIN_KEY_BYTES)))
    except ScreeningRefusedError:
        parts.journal.note(grant, {"state": "screened"}, outcome=Outcome.REFUSED, event=event)
        return Screening(refused=True, kinds={})
    kinds = Counter(one.entity_type for one in screened.replacements)
    parts.journal.note(grant, {"state": "screened", "kinds": told_kinds(kinds)}, event=event)
    return Screening(refused=False, kinds=dict(sorted(kinds.items())))
