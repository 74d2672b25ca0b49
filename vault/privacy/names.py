"""Names of speakers and subjects: personal data by where they stand, whatever a detector thinks of them.

A bare "Caroline" gives a detector no context to go by, and a speaker's field holds nothing but a name
or a part played. So the field decides: what is not a known part is a person.
"""

from policies.privacy import EntityType
from vault.model import SCREENED_ISSUER, Replacement, Screened, Span
from vault.privacy.gate import PrivacyGate
from vault.privacy.known_names import PARTS
from vault.privacy.tokens import SubjectTokens


def screen_name(gate: PrivacyGate, name: str, tokens: SubjectTokens) -> Screened:
    """Screen the name of a speaker: a known part stays readable, anything else becomes a person's token.

    Raises:
        InputTooLargeError: longer than the rules allow.
        TextInvalidError: holds NUL or a lone surrogate.
        ScreeningRefusedError: holds a kind that the rules refuse.
    """
    screened = gate.screen(name, tokens)
    bare = name.strip().casefold().rstrip("0123456789 _-#")
    if screened.replacements or not bare or bare in PARTS:
        return screened
    token = tokens.token(EntityType.PERSON, name)
    whole = Replacement(EntityType.PERSON, Span(0, len(token)), Span(0, len(name)), token, name)
    return Screened(token, (whole,), screened.detector, SCREENED_ISSUER)
