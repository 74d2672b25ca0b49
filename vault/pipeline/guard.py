"""The write-time guard: how far a new memory may be relied on, by whose word it is.

Owns the first trust state of a passage. It leaves later changes, by the user's confirmations,
denials and corrections, to `vault.pipeline.organize`, and what a text looks like to `vault.guarding`.

The rules answer measured failures: the false memories that systems swallow are mostly false facts
asserted by the *assistant*; next come what a user only wonders about, and slips of the tongue. So what only
the assistant said waits as a candidate until the user confirms it, and so does the word of a third speaker
whose standing is unknown, and a turn that asserts nothing. What is taken back in the same breath is disputed.
"""

from collections.abc import Sequence
from typing import Final

from vault.model import Passage, SourceKind, SpeakerRole, Statement, TrustState
from vault.pipeline.assertions import asserts

_FIRST_TRUST: Final = {
    SpeakerRole.USER: TrustState.VERIFIED,
    SpeakerRole.ASSISTANT: TrustState.CANDIDATE,
    SpeakerRole.OTHER: TrustState.CANDIDATE,
}


def first_trust(role: SpeakerRole, kind: SourceKind) -> TrustState:
    """Return how far a source's word may be relied on: the ranking of sources.

    A document of record is verified whoever wrote it; in a chat the speaker's role decides.
    """
    return _FIRST_TRUST[role] if kind is SourceKind.CHAT else TrustState.VERIFIED


def trust_of(
    passage: Passage, kind: SourceKind, masked: str, statements: Sequence[Statement] | None = None
) -> TrustState:
    """Return the trust state with which a passage is written.

    Args:
        passage: Of a source.
        kind: What the source is.
        masked: The passage's text as it was screened.
        statements: Of that, where they are known already.
    """
    if passage.taken_back:
        return TrustState.DISPUTED
    trust = first_trust(passage.role, kind)
    if kind is SourceKind.CHAT and trust is TrustState.VERIFIED and not asserts(masked, statements):
        return TrustState.CANDIDATE
    return trust
