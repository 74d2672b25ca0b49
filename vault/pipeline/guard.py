"""The write-time guard: how far a new memory may be relied on, by whose word it is.

Owns the first trust state of a passage. It leaves later changes, by the user's confirmations,
denials and corrections, to `vault.pipeline.organize`.

The rule answers a measured failure: the false memories that systems swallow are mostly false facts
asserted by the *assistant*. So what only the assistant said waits as a candidate until the user
confirms it, and so does the word of a third speaker whose standing is unknown.
"""

from typing import Final

from vault.model import SourceKind, SpeakerRole, TrustState

_FIRST_TRUST: Final = {
    SpeakerRole.USER: TrustState.VERIFIED,
    SpeakerRole.ASSISTANT: TrustState.CANDIDATE,
    SpeakerRole.OTHER: TrustState.CANDIDATE,
}


def first_trust(role: SpeakerRole, kind: SourceKind) -> TrustState:
    """Return the trust state with which a passage of a source is written.

    A document of record is verified whoever wrote it; in a chat the speaker's role decides.
    """
    return _FIRST_TRUST[role] if kind is SourceKind.CHAT else TrustState.VERIFIED
