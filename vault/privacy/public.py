"""What may become public: text in which a look at every kind of personal data finds nothing, without its originals.

Owns the one check that every way to the public tier passes: a promotion, a direct write, an update, and what a newer
gate masks. It leaves finding to the gate.

`privacy.yaml` says what stays readable where access is decided person by person: a date as people say it, say. In
public nobody is asked, so every kind counts, also those that the rules allow. And a token would be a name under which
strangers compare what is said of one person, so a mark of redaction stands in its place.
"""

from policies.model import AccessTier
from vault.errors import ScreeningRefusedError
from vault.model import Screened
from vault.privacy.gate import PrivacyGate
from vault.privacy.kept import without_originals


def open_to(tier: AccessTier, gate: PrivacyGate, screened: Screened) -> Screened:
    """Return a screened text as an access tier takes it: all but the public one take it as it is.

    Raises:
        ScreeningRefusedError: it is to be public, and personal data stands readable in it; kinds alone are named.
    """
    if tier is not AccessTier.PUBLIC:
        return screened
    readable = gate.readable_kinds(screened.text)
    if readable:
        kinds = ", ".join(sorted(readable))
        raise ScreeningRefusedError(f"expected no readable personal data in what becomes public, got {kinds}")
    return without_originals(screened)
