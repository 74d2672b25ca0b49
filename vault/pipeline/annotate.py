"""Extraction, second half: what can be read off a masked text without a model.

Owns nothing but the assembly of statements, keyphrases and times. Runs after the privacy gate, on
masked text only, so that no annotation can hold what the gate took out.
"""

from datetime import datetime

from vault.model import Annotations
from vault.pipeline.keyphrases import keyphrases
from vault.pipeline.sentences import split_statements
from vault.pipeline.times import find_times


def annotate(masked_text: str, at: datetime | None, *, day_first: bool = False) -> Annotations:
    """Return statements, keyphrases and times of a masked text that was said `at`.

    Args:
        masked_text: text that has passed the privacy gate.
        at: when it was said; makes relative times absolute. None leaves those out.
        day_first: whether 3/4/2026 is the third of April.

    Raises:
        TimeInvalidError: `at` has no instant between the years 1 and 9999.
    """
    return Annotations(
        split_statements(masked_text),
        keyphrases(masked_text),
        find_times(masked_text, at, day_first=day_first),
    )
